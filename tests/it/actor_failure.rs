//! Does a failure end one actor, with its reason, and nothing else?

use std::sync::Arc;

use callboard::actor::{Actor, Address, Context, Exit, System};
use callboard::base::Fault;
use futures::FutureExt as _;
use futures::stream;

use crate::actor_probe::{Do, Grenade, Log, Probe, caught_up, hold, poll_once, with};
use crate::every;

#[track_caller]
fn panicked_with(exit: &Exit, text: &str) {
    assert!(matches!(exit, Exit::Panicked(said) if &**said == text), "{exit:?}");
    assert!(exit.is_failure());
}

/// G15
#[test]
fn a_panic_in_a_handler_ends_the_actor_and_counts_what_was_left() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        let open = hold(&probe).await;
        probe.send(Do::Panic("ouch")).await.unwrap();
        probe.send(Do::Note(1)).await.unwrap();
        probe.send(Do::Note(2)).await.unwrap();
        drop(open);
        let ended = probe.ended().await;
        panicked_with(&ended.exit, "ouch");
        assert_eq!(ended.unhandled, 2);
        log.is(["started", "dropped"]);
        assert!(probe.is_closed());
    });
}

#[test]
fn an_error_of_a_handler_ends_the_actor_after_its_stopping_hook() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        probe.send(Do::Fail("no luck")).await.unwrap();
        let ended = probe.ended().await;
        assert!(matches!(&ended.exit, Exit::Failed(fault) if fault.to_string() == "no luck"), "{ended:?}");
        log.is(["started", "stopping: failed: no luck", "dropped"]);
    });
}

#[test]
fn an_actor_whose_started_fails_handles_nothing_and_skips_stopping() {
    every::runtime(|| async {
        let log = Log::default();
        let mut probe = Probe::new(&log);
        probe.start_fails = true;
        let probe = probe.spawn();
        // Whether it is accepted depends on who comes first; it is never handled.
        let accepted = probe.try_send(Do::Note(1)).is_ok();
        let ended = probe.ended().await;
        assert!(matches!(&ended.exit, Exit::Failed(fault) if fault.to_string() == "not today"));
        assert_eq!(ended.unhandled, usize::from(accepted));
        log.is(["started", "dropped"]);
    });
}

/// G15
#[test]
fn a_panic_in_a_hook_or_a_drop_is_the_reason_of_the_end() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).started(|_| panic!("at the start")).spawn();
        panicked_with(&probe.ended().await.exit, "at the start");
        log.is(["dropped"]);

        let log = Log::default();
        let probe = Probe::new(&log).stopping(|_| panic!("at the end")).spawn();
        panicked_with(&probe.stop().await.exit, "at the end");
        log.is(["started", "dropped"]);

        let log = Log::default();
        let probe = Probe::new(&log).on_drop(|| panic!("in the drop")).spawn();
        panicked_with(&probe.stop().await.exit, "in the drop");
        log.is(["started", "stopping: stopped", "dropped"]);

        // A drop that panics as the actor is killed, in the middle of a handler.
        let log = Log::default();
        let probe = Probe::new(&log).on_drop(|| panic!("in the drop")).spawn();
        let open = hold(&probe).await;
        panicked_with(&probe.kill().await.exit, "in the drop");
        log.is(["started", "dropped"]);
        drop(open);
    });
}

/// G15
#[test]
fn a_drop_that_panics_after_a_handler_that_panicked_ends_one_actor_and_not_the_process() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).on_drop(|| panic!("in the drop")).spawn();
        let kept = Grenade;
        let stream = stream::pending::<Do>().map_with(kept);
        with(&probe, |context| context.attach(stream).unwrap()).await;
        probe.send(Do::Panic("in the handler")).await.unwrap();
        panicked_with(&probe.ended().await.exit, "in the handler");
        log.is(["started", "dropped"]);
    });
}

/// G15
#[test]
fn a_panic_in_a_message_s_drop_is_a_panic_of_its_handler() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn();
        probe.send(Do::Carry(Box::new(Grenade))).await.unwrap();
        panicked_with(&probe.ended().await.exit, "boom");
    });
}

/// G15
#[test]
fn a_stream_a_timer_and_a_conversion_that_panic_end_the_actor() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn();
        let stream = stream::poll_fn(|_| -> std::task::Poll<Option<Do>> { panic!("in the stream") });
        with(&probe, |context| context.attach(stream).unwrap()).await;
        panicked_with(&probe.ended().await.exit, "in the stream");

        let probe = Probe::new(&Log::default()).spawn();
        let nano = std::time::Duration::from_nanos(1);
        with(&probe, move |context| context.send_every(nano, || panic!("in the timer")).unwrap()).await;
        panicked_with(&probe.ended().await.exit, "in the timer");

        // A stream whose drop panics, at the end of its actor.
        let probe = Probe::new(&Log::default()).spawn();
        let grenade = Grenade;
        let stream = stream::pending::<Do>().map_with(grenade);
        with(&probe, |context| context.attach(stream).unwrap()).await;
        panicked_with(&probe.stop().await.exit, "boom");
    });
}

/// Keeps a value for as long as a stream lives.
trait MapWith: stream::Stream<Item = Do> + Sized {
    fn map_with<T>(self, kept: T) -> impl stream::Stream<Item = Do> {
        use futures::StreamExt as _;
        self.map(move |message| {
            let _ = &kept;
            message
        })
    }
}

impl<S: stream::Stream<Item = Do>> MapWith for S {}

/// G15
#[test]
fn other_actors_do_not_notice_a_panic() {
    every::runtime(|| async {
        let system = System::start().unwrap();
        let log = Log::default();
        let well = system.spawn(Probe::new(&log));
        for _ in 0..5 {
            let ill = system.spawn(Probe::new(&Log::default()));
            ill.send(Do::Panic("ouch")).await.unwrap();
            ill.ended().await;
            caught_up(&well).await;
        }
    });
}

/// G15
#[test]
fn a_panic_with_a_payload_that_is_no_text_is_told_too() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn();
        let throw = |_: &mut Context<Do>| std::panic::panic_any(Arc::new(5));
        probe.send(Do::With(Box::new(throw))).await.unwrap();
        panicked_with(&probe.ended().await.exit, "a panic whose payload is not a text");

        let probe = Probe::new(&Log::default()).spawn();
        let throw = |_: &mut Context<Do>| std::panic::panic_any(Grenade);
        probe.send(Do::With(Box::new(throw))).await.unwrap();
        panicked_with(&probe.ended().await.exit, "a panic whose payload is not a text");
    });
}

#[test]
fn a_message_in_line_when_the_handler_panics_comes_back_or_is_counted() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn_with(1);
        let (entered, inside) = futures::channel::oneshot::channel();
        let (open, until) = futures::channel::oneshot::channel::<()>();
        let run = move |_: &mut Context<Do>| {
            async move {
                entered.send(()).unwrap();
                let _ = until.await;
                panic!("ouch");
            }
            .boxed()
        };
        probe.send(Do::Run(Box::new(run))).await.unwrap();
        inside.await.unwrap();
        let mut send = Box::pin(probe.send(Do::Note(7)));
        assert!(poll_once(&mut send).await.is_none());
        drop(open);
        let sent = send.await;
        let ended = probe.ended().await;
        panicked_with(&ended.exit, "ouch");
        // The lost message's place may come free just before the mailbox closes. Then it is accepted, and counted.
        match sent {
            Err(refused) => assert!(matches!(refused.into_inner(), Do::Note(7)) && ended.unhandled == 0),
            Ok(()) => assert_eq!(ended.unhandled, 1),
        }
    });
}

/// An actor in whose handler `?` is used on errors of several kinds.
struct Client {
    server: Address<Do>,
}

impl Actor for Client {
    type Message = ();
    async fn handle(&mut self, (): (), _: &mut Context<()>) -> Result<(), Fault> {
        "7".parse::<u32>()?;
        self.server.send(Do::Note(1)).await.map_err(|_| Fault::new("server gone"))?;
        Ok(())
    }
}

#[test]
fn a_handler_passes_errors_on_with_a_question_mark() {
    every::runtime(|| async {
        let system = System::start().unwrap();
        let server = system.spawn(Probe::new(&Log::default()));
        let client = system.spawn(Client { server: server.clone() });
        server.stop().await;
        client.send(()).await.unwrap();
        assert_eq!(client.ended().await.exit.to_string(), "failed: server gone");
    });
}

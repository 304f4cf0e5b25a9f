//! May every future of an actor's handles be dropped at any await?
//!
//! A scenario is run again and again; the nth time its future is dropped after its nth poll, until it is done before.
//! Between two polls everything else runs until it rests. All this for each moment at which the actor may go on.

use std::time::Duration;

use callboard::actor::{Address, System};
use callboard::sim::Sim;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _, stream};

use crate::actor_probe::{Do, Log, Probe, caught_up, hold, poll_once};
use crate::every;

/// An actor with one place, in a handler that waits: its mailbox is full.
struct Scene {
    probe: Address<Do>,
    log: Log,
    open: Option<oneshot::Sender<()>>,
}

impl Scene {
    async fn new() -> Scene {
        let log = Log::default();
        let probe = Probe::new(&log).spawn_with(1);
        let open = Some(hold(&probe).await);
        Scene { probe, log, open }
    }

    /// Polls a future up to `polls` times, then drops it. The actor goes on before the `open_at`th poll.
    async fn poll<T>(
        &mut self,
        sim: &Sim,
        mut future: BoxFuture<'_, T>,
        polls: usize,
        open_at: usize,
    ) -> Option<T> {
        for poll in 0..polls {
            if poll == open_at {
                self.open = None;
                sim.settle().await;
            }
            let output = poll_once(&mut future).await;
            sim.settle().await;
            if output.is_some() {
                return output;
            }
        }
        None
    }
}

/// Runs `start`'s future to each of its polls; `check` is told how it ended, if it did, and what was handled.
fn at_every_poll<T: Send>(
    start: impl Fn(Address<Do>) -> BoxFuture<'static, T> + Copy + Send + Sync + 'static,
    check: impl Fn(&Scene, Option<T>) -> BoxFuture<'_, ()> + Copy + Send + Sync + 'static,
) {
    every::seed(3, move |sim| async move {
        for open_at in 0..5 {
            let most = open_at + 8;
            for polls in 1..=most {
                let mut scene = Scene::new().await;
                let future = start(scene.probe.clone());
                let output = scene.poll(&sim, future, polls, open_at).await;
                let done = output.is_some();
                scene.open = None;
                check(&scene, output).await;
                if done {
                    break;
                }
                assert!(polls < most, "not done after {most} polls");
            }
        }
    });
}

/// No place was lost: the actor answers through its one place, twice, and then the mailbox is empty.
async fn is_sound(scene: &Scene) {
    caught_up(&scene.probe).await;
    caught_up(&scene.probe).await;
    Sim::current().unwrap().settle().await;
    assert_eq!(scene.probe.queued(), 0, "a place was lost");
}

/// The message was handled if, and only if, the future answered `Ok`.
fn exact(scene: &Scene, output: Option<bool>) -> BoxFuture<'_, ()> {
    async move {
        is_sound(scene).await;
        let handled = scene.log.lines().contains(&"9".to_owned());
        assert_eq!(handled, output == Some(true));
    }
    .boxed()
}

/// G16
#[test]
fn a_send_happens_if_and_only_if_it_answers_ok() {
    at_every_poll(|probe| async move { probe.send(Do::Note(9)).await.is_ok() }.boxed(), exact);
}

/// G16
#[test]
fn a_send_through_a_recipient_happens_if_and_only_if_it_answers_ok() {
    struct Number(u32);
    impl From<Number> for Do {
        fn from(Number(n): Number) -> Do {
            Do::Note(n)
        }
    }
    let send =
        |probe: Address<Do>| async move { probe.recipient::<Number>().send(Number(9)).await.is_ok() }.boxed();
    at_every_poll(send, exact);
}

/// G16
#[test]
fn a_send_through_a_sink_happens_if_and_only_if_it_answers_ok() {
    at_every_poll(|probe| async move { probe.sink().send(Do::Note(9)).await.is_ok() }.boxed(), exact);
}

/// G16
#[test]
fn a_stream_that_is_cut_off_while_it_is_forwarded_leaves_a_prefix() {
    let forward = |probe: Address<Do>| {
        async move { stream::iter(1..=3).map(Do::Note).map(Ok).forward(probe.sink()).await.is_ok() }.boxed()
    };
    at_every_poll(forward, |scene, output| {
        async move {
            is_sound(scene).await;
            let lines = scene.log.lines();
            let handled = lines.len() - 1;
            assert_eq!(lines, ["started", "1", "2", "3"][..=handled]);
            assert!(output != Some(true) || handled == 3);
        }
        .boxed()
    });
}

/// G16
#[test]
fn a_question_that_is_dropped_costs_no_place() {
    at_every_poll(
        |probe| async move { probe.ask(|reply| Do::Echo(9, reply)).await.unwrap() }.boxed(),
        |scene, output| {
            async move {
                is_sound(scene).await;
                assert!(output.is_none_or(|answer| answer == 9));
            }
            .boxed()
        },
    );
    at_every_poll(
        |probe| {
            async move { probe.ask_within(Duration::MAX, |reply| Do::Echo(9, reply)).await.unwrap() }.boxed()
        },
        |scene, output| {
            async move {
                is_sound(scene).await;
                assert!(output.is_none_or(|answer| answer == 9));
            }
            .boxed()
        },
    );
}

/// G16
#[test]
fn a_stop_goes_on_without_its_future() {
    let ends = |scene: &Scene| scene.probe.ended().map(drop).boxed();
    at_every_poll(|probe| probe.stop().map(drop).boxed(), move |scene, _| ends(scene));
    at_every_poll(|probe| probe.stop_now().map(drop).boxed(), move |scene, _| ends(scene));
    at_every_poll(|probe| probe.kill().map(drop).boxed(), move |scene, _| ends(scene));
}

/// G16
#[test]
fn whoever_stops_waiting_for_an_end_changes_nothing() {
    every::seed(5, |sim| async move {
        for polls in 0..3 {
            let mut scene = Scene::new().await;
            let ended = scene.probe.ended().boxed();
            assert!(scene.poll(&sim, ended, polls, 1).await.is_none());
            scene.open = None;
            is_sound(&scene).await;
        }
    });
}

/// G16
#[test]
fn a_sender_that_leaves_the_line_passes_its_turn_on() {
    every::seed(20, |sim| async move {
        for left in 0..3 {
            let mut scene = Scene::new().await;
            let mut sends: Vec<_> = (0..3)
                .map(|n| {
                    let probe = scene.probe.clone();
                    async move { probe.send(Do::Note(n)).await.unwrap() }.boxed()
                })
                .collect();
            for send in &mut sends {
                assert!(poll_once(send).await.is_none());
                // The second look, after which it sleeps.
                assert!(poll_once(send).await.is_none());
            }
            // There is room; whoever is first was told, and leaves instead of entering.
            scene.open = None;
            sim.settle().await;
            drop(sends.remove(left));
            futures::future::join_all(sends).await;
            is_sound(&scene).await;
            let expected = ["0", "1", "2"].into_iter().enumerate().filter(|(n, _)| *n != left);
            let expected: Vec<_> = ["started"].into_iter().chain(expected.map(|(_, line)| line)).collect();
            assert_eq!(scene.log.lines(), expected);
        }
    });
}

/// G16
#[test]
fn handles_can_be_dropped_in_any_order() {
    every::runtime(|| async {
        let system = System::start().unwrap();
        let probe = system.spawn(Probe::new(&Log::default()));
        let open = hold(&probe).await;
        let (ending, sink, recipient) = (probe.ended(), probe.sink(), probe.recipient::<Do>());
        drop((system, probe, open));
        // A sink and a recipient keep the actor alive.
        recipient.send(Do::Note(1)).await.unwrap();
        drop(recipient);
        let mut sink = sink;
        sink.send(Do::Note(2)).await.unwrap();
        drop(sink);
        assert_eq!(ending.await.unhandled, 0);
    });
}

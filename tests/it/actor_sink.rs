//! Do sinks and recipients keep the rules of the address they were made from?

use std::pin::Pin;
use std::task::Poll;

use callboard::actor::{Recipient, System};
use callboard::mailbox::TrySendError;
use futures::{Sink, SinkExt as _, StreamExt as _, stream};

use crate::actor_probe::{Do, Log, Probe, caught_up, hold, poll_once};
use crate::every;

#[test]
fn a_sink_is_ready_when_there_is_room_and_keeps_the_place() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).spawn_with(2);
        let open = hold(&probe).await;
        let (mut first, mut second) = (probe.sink(), probe.sink());
        std::future::poll_fn(|cx| Pin::new(&mut first).poll_ready(cx)).await.unwrap();
        // The place is kept, however often it is asked for.
        std::future::poll_fn(|cx| Pin::new(&mut first).poll_ready(cx)).await.unwrap();
        assert_eq!(probe.queued(), 2);
        assert!(matches!(probe.try_send(Do::Note(0)), Err(TrySendError::Full(_))));
        let full =
            std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut second).poll_ready(cx).is_pending())).await;
        assert!(full);
        Pin::new(&mut first).start_send(Do::Note(1)).unwrap();
        first.flush().await.unwrap();
        drop(open);
        second.send(Do::Note(2)).await.unwrap();
        caught_up(&probe).await;
        log.is(["started", "1", "2"]);
    });
}

#[test]
fn a_place_that_a_sink_does_not_use_is_given_back() {
    every::runtime(|| async {
        for close in [false, true] {
            let probe = Probe::new(&Log::default()).spawn_with(1);
            caught_up(&probe).await;
            let mut sink = probe.sink();
            std::future::poll_fn(|cx| Pin::new(&mut sink).poll_ready(cx)).await.unwrap();
            let mut waiting = Box::pin(probe.send(Do::Note(1)));
            assert!(poll_once(&mut waiting).await.is_none());
            if close {
                sink.close().await.unwrap();
            } else {
                drop(sink);
            }
            waiting.await.unwrap();
        }
    });
}

#[test]
fn a_sink_that_is_closed_ends_neither_the_actor_nor_other_sinks() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        let mut other = probe.sink();
        stream::iter(1..=200).map(Do::Note).map(Ok).forward(probe.sink()).await.unwrap();
        other.send(Do::Note(201)).await.unwrap();
        caught_up(&probe).await;
        assert!(!probe.is_closed());
        let lines = log.lines();
        assert_eq!(lines[1..], (1..=201).map(|n| n.to_string()).collect::<Vec<_>>());
    });
}

#[test]
fn a_sink_of_a_stopped_actor_fails_and_gives_back_what_it_was_given() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn();
        let (mut sink, mut ready) = (probe.sink(), probe.sink());
        std::future::poll_fn(|cx| Pin::new(&mut ready).poll_ready(cx)).await.unwrap();
        probe.stop().await;
        assert!(sink.feed(Do::Note(1)).await.is_err());
        let refused = Pin::new(&mut ready).start_send(Do::Note(2)).unwrap_err();
        assert!(matches!(refused.into_inner(), Some(Do::Note(2))));
        // Without a `poll_ready` before it, too.
        let refused = Pin::new(&mut sink).start_send(Do::Note(3)).unwrap_err();
        assert!(matches!(refused.into_inner(), Some(Do::Note(3))));
        sink.close().await.unwrap();
    });
}

struct Even(u32);

impl From<Even> for Do {
    fn from(Even(n): Even) -> Do {
        assert!(n.is_multiple_of(2), "odd");
        Do::Note(n)
    }
}

#[test]
fn recipients_of_different_actors_fit_in_one_list() {
    every::runtime(|| async {
        let system = System::start().unwrap();
        let logs = [Log::default(), Log::default()];
        let probes = logs.each_ref().map(|log| system.spawn(Probe::new(log)));
        let list: Vec<Recipient<Even>> = probes.iter().map(|probe| probe.recipient()).collect();
        for recipient in &list {
            recipient.send(Even(2)).await.unwrap();
            recipient.clone().try_send(Even(4)).unwrap();
        }
        for (probe, log) in probes.iter().zip(&logs) {
            caught_up(probe).await;
            log.is(["started", "2", "4"]);
        }
    });
}

#[test]
fn a_recipient_gives_back_what_was_not_accepted() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn_with(1);
        let recipient = probe.recipient::<Even>();
        let open = hold(&probe).await;
        assert!(matches!(recipient.try_send(Even(2)), Err(TrySendError::Full(Some(Even(2))))));
        drop(open);
        probe.stop().await;
        assert!(matches!(recipient.try_send(Even(2)), Err(TrySendError::Closed(Some(Even(2))))));
        assert!(matches!(recipient.send(Even(2)).await.unwrap_err().into_inner(), Some(Even(2))));
    });
}

/// G15
#[test]
fn a_conversion_that_panics_takes_no_place_with_it() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn_with(2);
        let recipient = probe.recipient::<Even>();
        let sent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| recipient.try_send(Even(1))));
        assert!(sent.is_err());
        let task = recipient.clone();
        let sent = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(task.send(Even(1)))).await;
        assert!(sent.is_err());
        // Both places are there: for a message that is being handled, and for another.
        let open = hold(&probe).await;
        probe.try_send(Do::Note(2)).unwrap();
        drop(open);
    });
}

//! Is what can't work refused at the door, in full, with nothing left behind? (G4, G11, G23)

use std::time::Duration;

use callboard::broker::{ErrorKind, OpenError};
use callboard::prelude::*;
use callboard::runtime::{Smol, Tokio};
use callboard::sim::Sim;
use callboard::supervise::{Backoff, Intensity};

use crate::every;
use crate::kit::{millis, secs, until};

#[test]
fn a_topic_is_found_again_by_its_name_and_type() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let one = broker.topic::<u64>("t").capacity(3).publish_timeout(secs(1)).open().await.unwrap();
        one.publish(1).await.unwrap();
        // As it is, whatever it is.
        let two = broker.topic::<u64>("t").open().await.unwrap();
        let three = broker.topic::<u64>("t").capacity(3).publish_timeout(secs(1)).open().await.unwrap();
        let four = broker.clone().find_topic::<u64>("t").unwrap();
        for topic in [two, three, four] {
            assert_eq!((topic.name().as_str(), topic.stats().await.unwrap().accepted), ("t", 1));
        }
        let other = |builder: callboard::broker::TopicBuilder<u64>| async {
            let error = builder.open().await.unwrap_err();
            assert_eq!(
                (&error, error.kind()),
                (&OpenError::OtherSettings { name: "t".into() }, ErrorKind::Invalid)
            );
        };
        other(broker.topic("t").capacity(4).publish_timeout(secs(1))).await;
        other(broker.topic("t").capacity(3)).await;
        other(broker.topic("t").capacity(3).publish_timeout(secs(1)).overflow(Overflow::Reject)).await;

        let text = "not opened: the messages of topic t are u64, not alloc::string::String";
        assert_eq!(broker.topic::<String>("t").open().await.unwrap_err().to_string(), text);
        let error = broker.find_topic::<i64>("t").unwrap_err();
        assert!(matches!(error, OpenError::WrongType { is: "u64", asked: "i64", .. }), "{error}");
        assert_eq!(broker.find_topic::<u64>("x").unwrap_err().to_string(), "there is no topic x");
        assert!(matches!(broker.find_topic::<u64>("no name"), Err(OpenError::Name(_))));
        assert_eq!(broker.topics().iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["t"]);
    });
}

#[test]
fn two_who_open_the_same_at_once_get_the_same() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let opens = (0..8).map(|_| {
            let broker = broker.clone();
            every::spawn("opener", async move {
                let topic = broker.topic::<u64>("t").capacity(5).open().await.unwrap();
                topic.group("g").run_fn(|_| Ok(())).await.unwrap();
                topic.publish(1).await.unwrap();
            })
        });
        futures::future::join_all(opens).await;
        let topic = broker.find_topic::<u64>("t").unwrap();
        topic.settled().await.unwrap();
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.groups, stats.unsettled), (8, 1, 0));
        let group = topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.entered, stats.acked, stats.consumers), (8, 8, 9));
    });
}

#[test]
fn a_group_opened_again_gets_more_consumers_and_no_other_settings() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let first = topic.group("g").prefetch(7).consumers(2).run_fn(|_| Ok(())).await.unwrap();
        topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        topic.group("g").prefetch(7).consumers(3).run_fn(|_| Ok(())).await.unwrap();
        drop(topic.group("g").stream().await.unwrap());
        assert_eq!((first.name().as_str(), first.stats().await.unwrap().consumers), ("g", 6));
        let others = [
            topic.group("g").prefetch(8),
            topic.group("g").prefetch(7).ack_timeout(secs(1)),
            topic.group("g").prefetch(7).retry(Retry::none()),
            topic.group("g").prefetch(7).start_at(Start::Latest),
            topic.group("g").prefetch(7).dead_letter_topic("elsewhere"),
            topic.group("g").prefetch(7).dead_letter_capacity(9),
        ];
        for other in others {
            let error = other.run_fn(|_| Ok(())).await.unwrap_err();
            assert_eq!(error, OpenError::OtherSettings { name: "t.g".into() });
        }
        assert_eq!(topic.stats().await.unwrap().groups, 1);
        let names: Vec<String> = broker.topics().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["t", "t.g.dead"], "a refused group has left no dead-letter topic");
    });
}

#[test]
fn names_that_cannot_be_one_are_refused_and_derived_ones_too() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        for bad in ["", "a b", "a\nb", "tab\t", "\u{7f}", &"x".repeat(256)] {
            assert!(matches!(broker.topic::<u64>(bad).open().await, Err(OpenError::Name(_))), "{bad:?}");
        }
        let topic = broker.topic::<u64>(&"x".repeat(200)).open().await.unwrap();
        for bad in ["", "a b", &"y".repeat(256)] {
            assert!(matches!(topic.group(bad).run_fn(|_| Ok(())).await, Err(OpenError::Name(_))), "{bad:?}");
        }
        // <200 bytes>.<49 bytes>.dead is 255 bytes; one more is too much, whatever it is for.
        let long = "y".repeat(50);
        for builder in [topic.group(&long), topic.group(&long).dead_letter_topic("bad name")] {
            let error = builder.run_fn(|_| Ok(())).await.unwrap_err();
            assert!(matches!(error, OpenError::Name(_)) && error.kind() == ErrorKind::Invalid, "{error}");
        }
        assert!(matches!(topic.group(&long).stream().await, Err(OpenError::Name(_))));
        assert_eq!((broker.topics().len(), topic.stats().await.unwrap().groups), (1, 0));
        topic.group(&long[1..]).run_fn(|_| Ok(())).await.unwrap();
        topic.group(&long).dead_letter_topic("given").run_fn(|_| Ok(())).await.unwrap();
    });
}

fn faults(error: OpenError, of: &str) -> Vec<String> {
    match error {
        OpenError::Settings { name, faults } if name == of => faults,
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_that_cannot_work_are_refused_all_at_once() {
    const YEARS: Duration = Duration::from_secs(400 * 24 * 3600);
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        for (bad, timeout, wait) in [
            (0, Duration::ZERO, Duration::ZERO),
            (usize::MAX, Duration::MAX, Duration::MAX),
            ((1 << 24) + 1, YEARS, YEARS),
        ] {
            let overflow = Overflow::Wait { timeout: Some(wait) };
            let builder = broker.topic::<u64>("t").capacity(bad).publish_timeout(timeout).overflow(overflow);
            let found = faults(builder.open().await.unwrap_err(), "t");
            assert_eq!(found.len(), 3, "{found:?}");
            for (fault, what) in
                found.iter().zip(["the capacity", "the publish timeout", "the timeout of the wait"])
            {
                assert!(fault.starts_with(what), "{fault}");
            }
        }
        assert!(broker.topics().is_empty());
        let topic = broker.topic::<u64>("t").capacity(1 << 24).open().await.unwrap();
        for (count, dead, time, delay) in
            [(0, 0, Duration::ZERO, Duration::ZERO), (u32::MAX, usize::MAX, Duration::MAX, Duration::MAX)]
        {
            let builder = topic
                .group("g")
                .consumers(count)
                .prefetch(count)
                .ack_timeout(time)
                .dead_letter_capacity(dead)
                .retry(Retry::fixed(delay).max_attempts(0))
                .restart_backoff(Backoff::fixed(delay))
                .intensity(Intensity::new(3, delay));
            let found = faults(builder.run_fn(|_| Ok(())).await.unwrap_err(), "t.g");
            assert_eq!(found.len(), 8, "{found:?}");
        }
        let found = topic.group("g").retry(Retry::immediately().max_attempts(0)).stream().await.unwrap_err();
        assert_eq!(found.kind(), ErrorKind::Invalid);
        assert_eq!(faults(found, "t.g"), ["max_attempts is 0, so that no message could be handled"]);
        assert_eq!((broker.topics().len(), topic.stats().await.unwrap().groups), (1, 0));
        // A deadline that timers can't keep would be looked at without a pause.
        let tiny = topic.group("g").ack_timeout(Duration::from_micros(999)).run_fn(|_| Ok(())).await;
        assert_eq!(faults(tiny.unwrap_err(), "t.g").len(), 1);
        // At the limits it works.
        let group = topic.group("g").prefetch(1).consumers(1).dead_letter_capacity(1 << 24);
        group.ack_timeout(millis(1)).run_fn(|_| Ok(())).await.unwrap();
        let edge = broker.topic::<u64>("edge").capacity(1).publish_timeout(Duration::from_nanos(1));
        edge.open().await.unwrap();
    });
}

#[test]
fn dead_letters_cannot_run_in_a_circle() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let [a, b] = [broker.topic::<DeadLetter>("a"), broker.topic("b")].map(|topic| topic.open());
        let (a, b) = (a.await.unwrap(), b.await.unwrap());
        let circle = |error: OpenError| match error {
            OpenError::DeadLetterCycle { path } => path.iter().map(ToString::to_string).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let error = a.group("g").dead_letter_topic("a").run_fn(|_| Ok(())).await.unwrap_err();
        assert_eq!(error.to_string(), "not opened: dead letters would run in a circle > a > a");
        a.group("g").dead_letter_topic("b").run_fn(|_| Ok(())).await.unwrap();
        b.group("g").dead_letter_topic("c").run_fn(|_| Ok(())).await.unwrap();
        let c = broker.find_topic::<DeadLetter>("c").unwrap();
        let error = c.group("g").dead_letter_topic("a").run_fn(|_| Ok(())).await.unwrap_err();
        assert_eq!(circle(error), ["c", "a", "b", "c"]);
        assert_eq!(c.stats().await.unwrap().groups, 0);
        // Several may lead to the same one.
        a.group("h").dead_letter_topic("c").run_fn(|_| Ok(())).await.unwrap();
    });
}

#[test]
fn a_group_that_was_refused_leaves_no_mark() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let letters = broker.topic::<DeadLetter>("letters").open().await.unwrap();
        let numbers = broker.topic::<u64>("numbers").open().await.unwrap();
        let group = letters.group("g").dead_letter_topic("numbers");
        assert!(matches!(group.run_fn(|_| Ok(())).await, Err(OpenError::WrongType { .. })));
        // Were the refused way remembered, this would close a circle.
        numbers.group("g").dead_letter_topic("letters").run_fn(|_| Ok(())).await.unwrap();
        assert_eq!(letters.stats().await.unwrap().groups, 0);
    });
}

#[test]
fn a_topic_opened_held_hands_out_nothing_before_its_release() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").hold().open().await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        let mut groups = Vec::new();
        for name in ["a", "b"] {
            groups.push(topic.group(name).run_fn(|_| Ok(())).await.unwrap());
        }
        topic.settled().await.unwrap();
        let stats = topic.stats().await.unwrap();
        assert_eq!((stats.accepted, stats.unsettled, stats.groups, stats.held), (3, 3, 2, true));
        for group in &groups {
            assert_eq!(group.stats().await.unwrap().entered, 0);
        }
        topic.release();
        for group in &groups {
            until(group, |stats| stats.acked == 3).await;
        }
        topic.hold();
        topic.publish(3).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(groups[0].stats().await.unwrap().entered, 3);
        topic.release();
        topic.settled().await.unwrap();
        assert_eq!(groups[0].stats().await.unwrap().acked, 4);
    });
}

#[test]
fn a_broker_runs_where_it_is_started_or_where_it_is_told() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let text = format!("{broker:?}");
        assert!(text.contains(&format!("runtime: {:?}", every::current().name())), "{text}");
    });
    // On a plain thread smol is the default here, since its feature is on; tokio is not found.
    assert!(Tokio::current().is_err() && Sim::current().is_none());
    assert!(format!("{:?}", Broker::start().unwrap()).contains("smol"));
    let broker = Broker::builder().runtime(Smol::global()).start().unwrap();
    smol::block_on(async move {
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        topic.publish(1).await.unwrap();
        assert_eq!(broker.shutdown().await.group("t", "g").unwrap().settled, 1);
    });
    // A thread outside of the simulation works on a broker inside of it.
    let sim = Sim::new(1);
    let broker = Broker::builder().runtime(sim.clone()).start().unwrap();
    let topic = smol::block_on(broker.topic::<u64>("t").open()).unwrap();
    topic.try_publish(1).unwrap();
    sim.block_on(async move {
        topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        topic.settled().await.unwrap();
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

/// G23
#[test]
fn a_runtime_without_timers_is_refused_at_the_door() {
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let named = || Tokio::new(tokio.handle().clone());
    let refused = [
        tokio.block_on(async { Broker::start() }).unwrap_err(),
        Broker::builder().runtime(named()).start().unwrap_err(),
        tokio.block_on(async { System::start() }).unwrap_err(),
        System::builder().runtime(named()).start().unwrap_err(),
    ];
    for error in refused {
        let text = error.to_string();
        assert!(text.contains("has no timers") && text.contains("enable_time"), "{text}");
    }
}

#[test]
fn a_broker_on_tokio_is_used_from_any_thread() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let broker = Broker::builder().runtime(Tokio::new(tokio.handle().clone())).start().unwrap();
    let end = every::watched(secs(20), move || {
        smol::block_on(async move {
            let overflow = Overflow::Wait { timeout: Some(Duration::from_millis(1)) };
            let topic = broker.topic::<u64>("t").capacity(1).overflow(overflow).open().await.unwrap();
            topic.publish(1).await.unwrap();
            topic.publish(2).await.unwrap_err();
            let group = topic.group("g").retry(Retry::fixed(Duration::from_millis(1)));
            let fails = |n: &Message<u64>| if n.attempt() < 3 { Err(Fault::new("no")) } else { Ok(()) };
            group.run_fn(fails).await.unwrap();
            topic.settled().await.unwrap();
            assert_eq!(broker.shutdown().await.group("t", "g").unwrap().settled, 1);
        });
    });
    assert_eq!(end, Ok(()));
}

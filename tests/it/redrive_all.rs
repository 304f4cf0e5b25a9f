//! Does a group get back all its dead letters, and no others, whoever else reads them? (G8, G11, G16, G25)

use callboard::prelude::*;
use callboard::runtime::Runtime as _;
use callboard::sim::Sim;
use futures::StreamExt as _;

use crate::every;
use crate::kit::{millis, poll_once, yield_now};
use crate::redrive::{dead, give_up, handle, open, until_unsettled};
use crate::seen::{Seen, balanced};

#[test]
fn a_group_brings_back_all_its_letters_and_they_leave_a_topic_without_a_group() {
    every::memory_and_disk(|| async {
        let (broker, topic, mut stream) = open(600).await;
        topic.publish_all(0..600).await.unwrap();
        for n in 0..600 {
            let delivery = stream.next().await.unwrap();
            if n % 2 == 0 { delivery.nack("even").unwrap() } else { delivery.ack().unwrap() }
        }
        topic.settled().await.unwrap();
        let group = handle(&topic).await;
        assert_eq!(group.redrive().await, Ok(300));
        assert_eq!(dead(&broker).await.stats().await.unwrap().unsettled, 0);
        assert_eq!(group.redrive().await, Ok(0));
        let mut values = Vec::new();
        for _ in 0..300 {
            let delivery = stream.next().await.unwrap();
            values.push(**delivery);
            delivery.ack().unwrap();
        }
        assert_eq!(
            values,
            (0..600).step_by(2).collect::<Vec<_>>(),
            "in the order in which they were given up"
        );
        let report = broker.shutdown().await;
        assert_eq!((report.lost(), report.timed_out), (0, false));
    });
}

#[test]
fn other_groups_of_the_dead_letter_topic_keep_their_letters() {
    every::memory_and_disk(|| async {
        let (broker, topic, mut stream) = open(16).await;
        let mut clerk = dead(&broker).await.group("clerk").stream().await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        for _ in 0..3 {
            give_up(&mut stream).await;
        }
        topic.settled().await.unwrap();
        clerk.next().await.unwrap().ack().unwrap();
        let group = handle(&topic).await;
        let held = clerk.next().await.unwrap();
        until_unsettled(&dead(&broker).await, 2).await;
        assert_eq!(group.redrive().await, Ok(2), "the one that all have settled is gone");
        assert!(held.is_redriven());
        assert_eq!(dead(&broker).await.stats().await.unwrap().unsettled, 2);
        held.ack().unwrap();
        clerk.next().await.unwrap().ack().unwrap();
        until_unsettled(&dead(&broker).await, 0).await;
    });
}

#[test]
fn of_a_shared_dead_letter_topic_each_group_gets_its_own() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let mut groups = Vec::new();
        for name in ["odd", "even"] {
            let seen = Seen::default();
            let group = topic.group(name).retry(Retry::none()).dead_letter_topic("graveyard");
            let group = group.with((seen.clone(), u64::from(name == "odd")));
            let group = group.run(async |message, (seen, mine): (Seen, u64)| {
                if *message % 2 != mine || message.redrives() > 0 {
                    seen.note(&message);
                    return Ok(());
                }
                Err(Fault::new("not the first time"))
            });
            groups.push((group.await.unwrap(), seen));
        }
        topic.publish_all(0..10).await.unwrap();
        topic.settled().await.unwrap();
        let graveyard = broker.find_topic::<DeadLetter>("graveyard").unwrap();
        for (left, (group, seen)) in [5, 0].into_iter().zip(&groups) {
            assert_eq!(group.redrive().await, Ok(5));
            topic.settled().await.unwrap();
            assert_eq!(seen.sorted(), (0..10).collect::<Vec<_>>());
            assert_eq!(graveyard.stats().await.unwrap().unsettled, left);
        }
    });
}

/// G16: dropped after any number of polls, it has lost no letter and brought none back twice.
#[test]
fn a_redrive_of_all_that_is_dropped_anywhere_loses_nothing_and_goes_on_later() {
    for polls in 0..30 {
        every::seed(4, move |_| async move {
            let (broker, topic, mut stream) = open(3).await;
            let group = handle(&topic).await;
            let mut dead_lettered = 0;
            for n in 0..6 {
                topic.publish(n).await.unwrap();
                give_up(&mut stream).await;
                dead_lettered += 1;
            }
            topic.settled().await.unwrap();
            let mut first = Box::pin(group.redrive());
            for _ in 0..polls {
                if poll_once(&mut first).await.is_ready() {
                    break;
                }
                yield_now().await;
            }
            drop(first);
            let rest = group.clone();
            let rest = every::spawn("redrive", async move { rest.redrive().await.unwrap() });
            let mut values = Vec::new();
            for _ in 0..dead_lettered {
                let delivery = stream.next().await.unwrap();
                assert_eq!((delivery.attempt(), delivery.redrives()), (1, 1));
                values.push(**delivery);
                delivery.ack().unwrap();
            }
            values.sort_unstable();
            assert_eq!(values, [0, 1, 2, 3, 4, 5]);
            rest.await;
            topic.settled().await.unwrap();
            assert_eq!(balanced(group.stats().await.unwrap()).redriven, 6);
            assert_eq!(topic.stats().await.unwrap().unsettled, 0);
            assert_eq!(dead(&broker).await.stats().await.unwrap().unsettled, 0);
        });
    }
}

async fn look_and_redrive(sim: Sim, group: Group) {
    while let Ok(stats) = group.stats().await {
        balanced(stats);
        // It may find that the broker closes.
        let _ = group.redrive().await;
        sim.sleep(millis(2)).await;
    }
}

/// Messages fail by chance, a clerk and the group itself bring them back meanwhile, and at last all are handled.
#[test]
fn whatever_fails_and_is_brought_back_is_handled_well_once() {
    every::seed(100, |sim| async move {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").capacity(8).open().await.unwrap();
        let seen = Seen::default();
        let retry = Retry::immediately().max_attempts(2);
        let group = topic
            .group("g")
            .consumers(2)
            .retry(retry)
            .dead_letter_capacity(3)
            .with((seen.clone(), sim.clone()));
        let group = group.run(async |message, (seen, sim): (Seen, Sim)| {
            match sim.random() % 4 {
                0 => return Err(Fault::new("by chance")),
                1 => panic!("by chance"),
                _ => {}
            }
            sim.sleep(millis(sim.random() % 3)).await;
            seen.note(&message);
            Ok(())
        });
        let group = group.await.unwrap();
        let clerk = dead(&broker).await.group("clerk").run(async |letter| Ok(letter.redrive().await?));
        clerk.await.unwrap();
        let books = every::spawn("books", look_and_redrive(sim.clone(), group.clone()));
        for n in 0..40 {
            topic.publish(n).await.unwrap();
            assert!(topic.stats().await.unwrap().unsettled <= 8);
        }
        loop {
            broker.idle().await.unwrap();
            let stats = balanced(group.stats().await.unwrap());
            if stats.acked == 40 {
                break;
            }
            sim.sleep(millis(5)).await;
        }
        assert_eq!(seen.sorted(), (0..40).collect::<Vec<_>>());
        assert_eq!(broker.shutdown().await.lost(), 0);
        books.await;
    });
}

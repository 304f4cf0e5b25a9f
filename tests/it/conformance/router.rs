//! What Watermill's router asks of a handler that publishes on: is its input acked if, and only if, it ended well and
//! its outputs were accepted? (G1, G6, G8, G17)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use callboard::prelude::*;

use super::kit::{next, open, value};
use crate::every;
use crate::kit::millis;

/// What goes wrong on the first attempt, after the publish or instead of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    Nothing,
    Errs,
    Panics,
    IsRefused,
}

#[test]
fn an_input_is_acked_once_its_handler_ended_well_and_its_output_was_accepted_and_not_before() {
    every::memory_and_disk(|| async {
        for wrong in [Wrong::Nothing, Wrong::Errs, Wrong::Panics, Wrong::IsRefused] {
            let (broker, input) = open().await;
            let output = crate::disk::topic(&broker, "output")
                .capacity(1)
                .overflow(Overflow::Reject)
                .open()
                .await
                .unwrap();
            let mut outputs = output.group("next").stream().await.unwrap();
            if wrong == Wrong::IsRefused {
                output.publish(0).await.unwrap();
            }
            let refused = Arc::new(AtomicU64::new(0));
            let group = input.group("router").retry(Retry::fixed(millis(1)));
            let group = group.with((output.clone(), refused.clone(), wrong));
            type State = (Topic<u64>, Arc<AtomicU64>, Wrong);
            let router = group.run(async |n: Message<u64>, (output, refused, wrong): State| {
                if let Err(error) = output.publish(*n + 100).await {
                    refused.fetch_add(1, Ordering::Relaxed);
                    return Err(error.into());
                }
                match (wrong, n.attempt()) {
                    (Wrong::Errs, 1) => Err(Fault::new("after the publish")),
                    (Wrong::Panics, 1) => panic!("after the publish"),
                    _ => Ok(()),
                }
            });
            let router = router.await.unwrap();
            input.publish(7).await.unwrap();
            if wrong == Wrong::IsRefused {
                // Only once it was refused is there room.
                while refused.load(Ordering::Relaxed) == 0 {
                    crate::seen::give_way().await;
                    crate::kit::until(&router, |_| true).await;
                }
                assert_eq!(router.stats().await.unwrap().acked, 0);
                next(&mut outputs).await.ack().unwrap();
            }
            // What failed after its publish is published again: at least once.
            let copies = if matches!(wrong, Wrong::Errs | Wrong::Panics) { 2 } else { 1 };
            for _ in 0..copies {
                let delivery = next(&mut outputs).await;
                assert_eq!(value(&delivery), (107, 1));
                delivery.ack().unwrap();
            }
            broker.idle().await.unwrap();
            let stats = router.stats().await.unwrap();
            let failures = u64::from(matches!(wrong, Wrong::Errs | Wrong::Panics));
            assert_eq!((stats.acked, stats.failures, stats.dead_lettered), (1, failures, 0), "{wrong:?}");
            assert!(stats.no_room > 0 || wrong != Wrong::IsRefused);
            assert_eq!(broker.shutdown().await.lost(), 0);
        }
    });
}

#[test]
fn a_message_keeps_its_id_through_every_attempt_whoever_has_it() {
    every::memory_and_disk(|| async {
        let (broker, topic) = open().await;
        let (tell, told) = async_channel::bounded(8);
        let retry = Retry::immediately().max_attempts(4);
        let handlers = topic.group("handlers").retry(retry).with(tell);
        type Tell = async_channel::Sender<(MessageId, u64, u32)>;
        let handle = async |n: Message<u64>, tell: Tell| {
            tell.send((n.id(), *n, n.attempt())).await.unwrap();
            match n.attempt() {
                1 => Outcome::Retry("an error".to_string()),
                2 => panic!("on purpose"),
                3 => Outcome::RetryAfter(millis(1)),
                _ => Outcome::Ack,
            }
        };
        handlers.run_outcome(handle).await.unwrap();
        let mut stream = topic.group("puller").retry(retry).stream().await.unwrap();
        let id = topic.publish(7).await.unwrap();
        for attempt in 1..=4 {
            assert_eq!(told.recv().await.unwrap(), (id, 7, attempt));
        }
        for attempt in 1..=4 {
            let delivery = next(&mut stream).await;
            assert_eq!((delivery.id(), value(&delivery)), (id, (7, attempt)));
            match attempt {
                1 => delivery.nack("an error").unwrap(),
                2 => drop(delivery),
                3 => delivery.release().unwrap(),
                _ => delivery.ack().unwrap(),
            }
        }
        topic.settled().await.unwrap();
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

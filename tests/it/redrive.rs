//! Do dead letters go back to the group that gave them up, to it alone, once, and within the topic's capacity?
//! (G2, G8, G11, G17, G25)

use callboard::broker::{DeliveryStream, RedriveError};
use callboard::prelude::*;
use futures::StreamExt as _;

use crate::every;
use crate::kit::{Valve, millis, poll_once, secs, stays_pending, until, valved, yield_now};
use crate::seen::{Seen, balanced};

/// A topic of this capacity, and a group that gives up what is not acked at once.
pub(crate) async fn open(capacity: usize) -> (Broker, Topic<u64>, DeliveryStream<u64>) {
    let broker = crate::disk::broker().await;
    let topic = crate::disk::topic(&broker, "t").capacity(capacity).open().await.unwrap();
    let stream = topic.group("g").retry(Retry::none()).stream().await.unwrap();
    (broker, topic, stream)
}

pub(crate) async fn handle(topic: &Topic<u64>) -> Group {
    topic.group("g").run_with(Never::default).await.unwrap()
}

/// A consumer whose start never ends: it takes nothing from the streams beside it.
#[derive(Default)]
pub(crate) struct Never;

impl Consumer<u64> for Never {
    async fn handle(&mut self, _: &Message<u64>) -> Result<Outcome, Fault> {
        panic!("never ready")
    }

    async fn started(&mut self) -> Result<(), Fault> {
        std::future::pending().await
    }
}

pub(crate) async fn dead(broker: &Broker) -> Topic<DeadLetter> {
    broker.topic::<DeadLetter>("t.g.dead").open().await.unwrap()
}

pub(crate) async fn give_up(stream: &mut DeliveryStream<u64>) {
    stream.next().await.unwrap().settle(Outcome::DeadLetter("not now".into())).unwrap();
}

#[test]
fn a_message_comes_back_to_its_group_alone_with_its_id_and_begins_anew() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let (seen, other) = (Seen::default(), Seen::default());
        let group = topic.group("g").retry(Retry::immediately().max_attempts(2)).with(seen.clone());
        let group = group.run(async |message, seen: Seen| {
            seen.note(&message);
            let works = message.redrives() == 2;
            if works { Ok(()) } else { Err(Fault::new(format!("redriven {} times", message.redrives()))) }
        });
        let group = group.await.unwrap();
        let others = topic.group("other").with(other.clone());
        others
            .run(async |message, seen: Seen| {
                seen.note(&message);
                Ok(())
            })
            .await
            .unwrap();
        let mut letters = dead(&broker).await.group("clerk").stream().await.unwrap();
        let id = topic.publish(7).await.unwrap();
        for redrives in 0..2 {
            let letter = letters.next().await.unwrap();
            assert_eq!(
                (letter.original_id(), letter.original_redrives(), letter.attempts()),
                (id, redrives, 2)
            );
            assert_eq!(letter.error(), Some(&*format!("redriven {redrives} times")));
            assert_eq!(letter.message::<u64>().unwrap().redrives(), redrives);
            assert!(!letter.is_redriven());
            letter.redrive().await.unwrap();
            assert!(letter.is_redriven());
            letter.ack().unwrap();
        }
        topic.settled().await.unwrap();
        assert_eq!(seen.attempts(7), [1, 2, 1, 2, 1]);
        assert_eq!(other.attempts(7), [1]);
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.entered, stats.redriven, stats.dead_lettered, stats.acked), (3, 2, 2, 1));
        assert_eq!((stats.failures, stats.redeliveries), (4, 2));
        let report = broker.shutdown().await;
        assert_eq!((report.lost(), report.timed_out), (0, false));
    });
}

/// The place that it had at first is another group's; the one it comes back with is its own.
#[test]
fn a_message_that_is_back_and_the_one_that_another_group_still_has_are_two_accounts() {
    for back_first in [true, false] {
        every::runtime(move || async move {
            let (broker, topic, mut stream) = open(4).await;
            let mut slow = topic.group("slow").stream().await.unwrap();
            topic.publish(1).await.unwrap();
            give_up(&mut stream).await;
            let held = slow.next().await.unwrap();
            let letter = dead(&broker).await.group("clerk").stream().await.unwrap().next().await.unwrap();
            letter.redrive().await.unwrap();
            let unsettled = async || topic.stats().await.unwrap().unsettled;
            assert_eq!(unsettled().await, 2);
            let back = stream.next().await.unwrap();
            assert_eq!((back.id(), back.attempt(), back.redrives()), (held.id(), 1, 1));
            let (first, second) = if back_first { (back, held) } else { (held, back) };
            first.ack().unwrap();
            while unsettled().await != 1 {
                yield_now().await;
            }
            second.ack().unwrap();
            topic.settled().await.unwrap();
            assert_eq!(unsettled().await, 0);
            for n in 0..4 {
                topic.try_publish(n).unwrap();
            }
            topic.try_publish(4).unwrap_err();
        });
    }
}

#[test]
fn what_is_given_back_unstarted_is_still_marked_as_redriven() {
    every::memory_and_disk(|| async {
        let (broker, topic, mut stream) = open(4).await;
        topic.publish(1).await.unwrap();
        give_up(&mut stream).await;
        let group = handle(&topic).await;
        assert_eq!(group.redrive().await, Ok(1));
        until(&group, |stats| stats.in_flight == 1).await;
        drop(stream);
        until(&group, |stats| stats.backlog == 1).await;
        let mut stream = topic.group("g").stream().await.unwrap();
        let back = stream.next().await.unwrap();
        assert_eq!((back.attempt(), back.redrives()), (1, 1));
        back.release().unwrap();
        let back = stream.next().await.unwrap();
        assert_eq!((back.attempt(), back.redrives()), (2, 1));
        back.settle(Outcome::Drop).unwrap();
        let stats = balanced(until(&group, |stats| stats.dropped == 1).await);
        assert_eq!((stats.entered, stats.dead_lettered), (2, 1));
        drop(broker);
    });
}

#[test]
fn a_letter_brings_its_message_back_once_whoever_redrives_it() {
    every::memory_and_disk(|| async {
        let (broker, topic, mut stream) = open(4).await;
        let group = handle(&topic).await;
        topic.publish(1).await.unwrap();
        let dead = dead(&broker).await;
        let mut clerks = [dead.group("a").stream().await.unwrap(), dead.group("b").stream().await.unwrap()];
        give_up(&mut stream).await;
        let [a, b] = &mut clerks;
        let (a, b) = futures::future::join(a.next(), b.next()).await;
        let (a, b) = (a.unwrap(), b.unwrap());
        let (one, two) = futures::future::join(a.redrive(), b.redrive()).await;
        assert_eq!((one, two, group.redrive().await), (Ok(()), Ok(()), Ok(0)));
        a.redrive().await.unwrap();
        stream.next().await.unwrap().ack().unwrap();
        topic.settled().await.unwrap();
        b.redrive().await.unwrap();
        let stats = balanced(group.stats().await.unwrap());
        assert_eq!((stats.entered, stats.redriven, stats.acked), (2, 1, 1));
        assert_eq!(topic.stats().await.unwrap().unsettled, 0);
    });
}

#[test]
fn a_redrive_waits_in_line_for_a_place_and_leaves_the_line_when_it_is_dropped() {
    every::memory_and_disk(|| async {
        let (broker, topic, mut stream) = open(2).await;
        topic.publish(0).await.unwrap();
        give_up(&mut stream).await;
        topic.settled().await.unwrap();
        topic.publish_all([1, 2]).await.unwrap();
        let letter = dead(&broker).await.group("clerk").stream().await.unwrap().next().await.unwrap();
        let mut redrive = Box::pin(letter.redrive());
        assert!(stays_pending(&mut redrive, 10).await);
        let mut behind = Box::pin(topic.publish(3));
        assert!(stays_pending(&mut behind, 10).await);
        drop(redrive);
        assert!(!letter.is_redriven());
        stream.next().await.unwrap().ack().unwrap();
        behind.await.unwrap();
        let mut redrive = Box::pin(letter.redrive());
        assert!(stays_pending(&mut redrive, 10).await, "the place is taken");
        stream.next().await.unwrap().ack().unwrap();
        redrive.await.unwrap();
        assert_eq!(topic.stats().await.unwrap().unsettled, 2);
        let mut rest = [stream.next().await.unwrap(), stream.next().await.unwrap()]
            .map(|delivery| *delivery.to_message());
        rest.sort_unstable();
        assert_eq!(rest, [0, 3]);
    });
}

#[test]
fn a_topic_that_rejects_answers_full_and_the_letter_can_be_redriven_later() {
    every::runtime(|| async {
        let broker = crate::disk::broker().await;
        let topic =
            crate::disk::topic(&broker, "t").capacity(1).overflow(Overflow::Reject).open().await.unwrap();
        let mut stream = topic.group("g").retry(Retry::none()).stream().await.unwrap();
        topic.publish(0).await.unwrap();
        give_up(&mut stream).await;
        topic.settled().await.unwrap();
        topic.publish(1).await.unwrap();
        let group = handle(&topic).await;
        let error = group.redrive().await.unwrap_err();
        assert_eq!((error.redriven, error.error), (0, RedriveError::Full));
        stream.next().await.unwrap().ack().unwrap();
        topic.settled().await.unwrap();
        assert_eq!(group.redrive().await, Ok(1));
        assert_eq!(**stream.next().await.unwrap(), 0);
    });
}

/// G17: both topics are full, and a handler of the one waits for the other. It gives up in time, which is no failure,
/// and comes in when there is room.
#[test]
fn a_handler_that_redrives_into_a_full_topic_is_told_in_time_and_does_not_fail() {
    every::seed(20, |_| async {
        let (broker, topic, mut stream) = open(2).await;
        topic.publish(0).await.unwrap();
        give_up(&mut stream).await;
        topic.settled().await.unwrap();
        topic.publish_all([1, 2]).await.unwrap();
        let clerk = dead(&broker).await.group("clerk").retry(Retry::none()).ack_timeout(secs(2));
        let clerk = clerk.run(async |letter| Ok(letter.redrive().await?)).await.unwrap();
        until(&clerk, |stats| stats.no_room == 2).await;
        stream.next().await.unwrap().ack().unwrap();
        let held = [stream.next().await.unwrap(), stream.next().await.unwrap()];
        assert_eq!([**held[0], **held[1]], [2, 0]);
        let stats = balanced(until(&clerk, |stats| stats.acked == 1).await);
        assert_eq!((stats.failures, stats.dead_lettered), (0, 0));
    });
}

pub(crate) async fn until_unsettled<T: Send + Sync + 'static>(topic: &Topic<T>, unsettled: u64) {
    while topic.stats().await.unwrap().unsettled != unsettled {
        yield_now().await;
    }
}

#[test]
fn a_topic_that_is_held_hands_out_what_came_back_when_it_is_released() {
    every::memory_and_disk(|| async {
        let (broker, topic, mut stream) = open(4).await;
        topic.publish(1).await.unwrap();
        give_up(&mut stream).await;
        topic.settled().await.unwrap();
        topic.hold();
        let group = handle(&topic).await;
        assert_eq!(group.redrive().await, Ok(1));
        assert_eq!((group.stats().await.unwrap().redriven, topic.stats().await.unwrap().unsettled), (0, 1));
        topic.release();
        stream.next().await.unwrap().ack().unwrap();
        topic.settled().await.unwrap();
        assert_eq!(group.stats().await.unwrap().redriven, 1);
        drop(broker);
    });
}

/// G2: what comes back keeps its old batch. While that would keep more than the capacity, it waits.
#[test]
fn what_would_keep_too_many_settled_payloads_waits_until_others_are_let_go() {
    every::runtime(|| async {
        let (broker, topic, mut stream) = open(8).await;
        let mut clerk = dead(&broker).await.group("clerk").stream().await.unwrap();
        let mut letters = Vec::new();
        let mut back = Vec::new();
        for messages in [8, 7] {
            // All are put in at once, and so are one batch.
            topic.publish_all(0..messages).await.unwrap();
            give_up(&mut stream).await;
            for _ in 1..messages {
                stream.next().await.unwrap().ack().unwrap();
            }
            let letter = clerk.next().await.unwrap();
            until_unsettled(&topic, back.len() as u64).await;
            if back.is_empty() {
                letter.redrive().await.unwrap();
                back.push(stream.next().await.unwrap());
            }
            letters.push(letter);
        }
        let mut second = Box::pin(letters.last().unwrap().redrive());
        assert!(stays_pending(&mut second, 20).await);
        assert_eq!(topic.stats().await.unwrap().unsettled, 1, "it holds no place while it waits");
        back.pop().unwrap().ack().unwrap();
        second.await.unwrap();
        stream.next().await.unwrap().ack().unwrap();
        topic.settled().await.unwrap();
    });
}

#[test]
fn after_the_end_nothing_is_redriven() {
    every::memory_and_disk(|| async {
        let (broker, topic, mut stream) = open(4).await;
        topic.publish(1).await.unwrap();
        give_up(&mut stream).await;
        let group = handle(&topic).await;
        let mut clerk = dead(&broker).await.group("clerk").stream().await.unwrap();
        let letter = clerk.next().await.unwrap();
        broker.shutdown_within(millis(1)).await;
        assert_eq!(letter.redrive().await, Err(RedriveError::Closed));
        let error = group.redrive().await.unwrap_err();
        assert_eq!((error.redriven, error.error), (0, RedriveError::Closed));
    });
}

#[test]
fn while_the_broker_drains_only_its_handlers_redrive() {
    every::memory_and_disk(|| async {
        let (broker, topic, mut stream) = open(4).await;
        topic.publish(1).await.unwrap();
        give_up(&mut stream).await;
        let valve = Valve::shut();
        let clerk = dead(&broker).await.group("clerk").with(valve.clone());
        let redrive = async |letter: Message<DeadLetter>, valve: Valve| {
            valve.pass(0).await;
            Ok(letter.redrive().await?)
        };
        clerk.run(redrive).await.unwrap();
        valve.next().await;
        let other = crate::disk::topic(&broker, "other").open().await.unwrap();
        valved(&other, "g", &valve).await;
        let mut shutdown = Box::pin(broker.shutdown());
        assert!(poll_once(&mut shutdown).await.is_pending());
        let group = topic.group("g").stream().await;
        assert!(group.is_err(), "it drains");
        valve.open();
        let pull = every::spawn("pull", async move { stream.next().await.unwrap().ack() });
        let report = shutdown.await;
        assert_eq!(pull.await, Ok(()));
        let stats = &report.group("t", "g").unwrap().stats;
        assert_eq!((stats.redriven, stats.acked, report.lost()), (1, 1, 0));
    });
}

//! What Reactive Streams asks of a sink, whatever is done to it and to others: is it pending if, and only if, its topic
//! is full, and is what it took accepted, once and in order? (G1, G2, G3, G16)

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use callboard::broker::{DeliveryStream, PublishError, TopicSink};
use callboard::prelude::*;
use callboard::sim::Sim;
use fastrand::Rng;
use futures::{Sink, SinkExt as _, StreamExt as _};

use super::kit::{next, value};
use crate::every;
use crate::kit::fill;

/// What it was when last asked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    New,
    InLine,
    Ready,
}

/// A topic of a few places, and what this test knows of it.
struct Scene {
    sim: Sim,
    topic: Topic<u64>,
    capacity: usize,
    sinks: Vec<(TopicSink<u64>, Is)>,
    stream: DeliveryStream<u64>,
    held: Vec<Delivery<u64>>,
    sent: u64,
    acked: u64,
}

impl Scene {
    async fn new(sim: Sim, broker: &Broker, capacity: usize) -> Scene {
        let topic =
            crate::disk::topic(broker, &format!("t{capacity}")).capacity(capacity).open().await.unwrap();
        let stream = topic.group("g").prefetch(64).stream().await.unwrap();
        let sinks = (0..3).map(|_| (topic.sink(), Is::New)).collect();
        Scene { sim, topic, capacity, sinks, stream, held: Vec::new(), sent: 0, acked: 0 }
    }

    /// The places that messages and ready sinks hold.
    fn taken(&self) -> usize {
        let ready = self.sinks.iter().filter(|(_, is)| *is == Is::Ready).count();
        (self.sent - self.acked) as usize + ready
    }

    async fn ask(&mut self, at: usize) {
        let taken = self.taken();
        let (sink, is) = self.sinks.get_mut(at).unwrap();
        // The first look at a full topic may be followed by a second.
        let mut poll = || Pin::new(&mut *sink).poll_ready(&mut Context::from_waker(Waker::noop()));
        let ready = match poll() {
            Poll::Pending => {
                self.sim.settle().await;
                poll()
            }
            ready => ready,
        };
        assert!(matches!(ready, Poll::Pending | Poll::Ready(Ok(()))), "{ready:?}");
        let was = std::mem::replace(is, if ready.is_ready() { Is::Ready } else { Is::InLine });
        assert!(ready.is_ready() || was != Is::Ready, "it keeps the place it got");
        assert!(ready.is_pending() || was == Is::Ready || taken < self.capacity, "there was no place");
    }

    /// Asks each sink that waits, in the order of the line; then they wait if, and only if, there is no place.
    async fn check(&mut self, line: &mut Vec<usize>) {
        self.sim.settle().await;
        for at in std::mem::take(line) {
            self.ask(at).await;
            let still = self.sinks.get(at).is_some_and(|(_, is)| *is == Is::InLine);
            line.extend(still.then_some(at));
        }
        let taken = self.taken();
        assert!(taken <= self.capacity);
        assert!(
            line.is_empty() || taken == self.capacity,
            "{line:?} wait with {taken} of {} taken",
            self.capacity
        );
        let tried = self.topic.try_publish(self.sent);
        assert_eq!(tried.is_ok(), taken < self.capacity, "one who can't wait");
        self.sent += u64::from(tried.is_ok());
    }

    fn send(&mut self, at: usize) {
        let (sink, is) = self.sinks.get_mut(at).unwrap();
        let sent = Pin::new(sink).start_send(self.sent);
        if std::mem::replace(is, Is::New) == Is::Ready {
            sent.unwrap();
            self.sent += 1;
        } else {
            assert!(matches!(sent, Err(PublishError::Full(Some(n))) if n == self.sent), "it was not ready");
        }
    }

    async fn settle_one(&mut self, rng: &mut Rng) {
        while self.held.len() < (self.sent - self.acked) as usize {
            let delivery = next(&mut self.stream).await;
            assert_eq!(value(&delivery), (self.acked + self.held.len() as u64, 1), "as it was sent");
            self.held.push(delivery);
        }
        // From the front, so that what is held is what is expected next.
        if !self.held.is_empty() && rng.bool() {
            self.held.remove(0).ack().unwrap();
            self.acked += 1;
        }
    }
}

#[test]
fn a_sink_is_pending_while_its_topic_is_full_and_only_then_whatever_is_done() {
    every::seed(20, |sim| async move {
        let broker = crate::disk::broker().await;
        for capacity in [1, 2, 4] {
            let mut rng = Rng::with_seed(sim.seed() * 10 + capacity as u64);
            let mut scene = Scene::new(sim.clone(), &broker, capacity).await;
            let (mut line, mut closed) = (Vec::new(), Vec::new());
            for _ in 0..60 {
                let at = rng.usize(0..scene.sinks.len());
                let waits = line.contains(&at);
                match rng.u8(0..6) {
                    0 | 1 if !waits => {
                        scene.ask(at).await;
                        line.extend((scene.sinks.get(at).unwrap().1 == Is::InLine).then_some(at));
                    }
                    2 if !waits => scene.send(at),
                    3 => {
                        // Dropped, or closed and kept, it gives back its place in the topic or in the line.
                        let new = (scene.topic.sink(), Is::New);
                        let (mut old, _) = std::mem::replace(scene.sinks.get_mut(at).unwrap(), new);
                        if rng.bool() {
                            old.close().await.unwrap();
                            closed.push(old);
                        }
                        line.retain(|other| *other != at);
                    }
                    _ => scene.settle_one(&mut rng).await,
                }
                scene.check(&mut line).await;
            }
            scene.sinks.clear();
            while scene.acked < scene.sent {
                scene.settle_one(&mut rng).await;
            }
            scene.topic.settled().await.unwrap();
            assert_eq!(scene.topic.stats().await.unwrap().accepted, scene.sent);
            scene.topic.hold();
            assert_eq!(fill(&scene.topic), capacity as u64, "no place is lost");
            scene.topic.release();
        }
    });
}

#[test]
fn what_a_sink_was_fed_is_accepted_once_it_is_flushed_or_closed_and_others_go_on() {
    every::memory_and_disk(|| async {
        let broker = crate::disk::broker().await;
        let topic = crate::disk::topic(&broker, "t").open().await.unwrap();
        let (mut one, mut two) = (topic.sink(), topic.sink());
        for n in 0..10 {
            one.feed(n).await.unwrap();
        }
        one.flush().await.unwrap();
        assert_eq!(topic.stats().await.unwrap().accepted, 10);
        for n in 10..20 {
            one.feed(n).await.unwrap();
        }
        one.close().await.unwrap();
        one.close().await.unwrap();
        assert_eq!(topic.stats().await.unwrap().accepted, 20);
        two.send(20).await.unwrap();
        topic.publish(21).await.unwrap();
        drop((one, two));
        let mut stream = topic.group("g").stream().await.unwrap();
        for n in 0..22 {
            let delivery = stream.next().await.unwrap();
            assert_eq!(value(&delivery), (n, 1));
            delivery.ack().unwrap();
        }
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

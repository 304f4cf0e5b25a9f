//! The broker of a simulated test.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::super::check::{End, Event, What};
use super::watcher::Watcher;
use super::{Faults, Point};
use crate::base::{Moment, Name};
use crate::broker::{Broker, MessageId};
use crate::sim::Sim;

/// A [`Broker`] in the simulator: everything that a broker does, and a hand in what goes wrong.
///
/// Given to the body of [`run`](super::run). Cloning shares the broker.
#[derive(Clone)]
pub struct TestBroker {
    broker: Broker,
    sim: Sim,
    watcher: Arc<Watcher>,
}

/// Tells what became of one attempt to handle a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// The message.
    pub id: MessageId,
    /// Its number: 1 for the first.
    pub number: u32,
    /// The consumer, by its number in the group.
    pub consumer: u32,
    /// When it began.
    pub began: Moment,
    /// When and how it ended; `None` while it goes on.
    pub ended: Option<(Moment, End)>,
}

impl TestBroker {
    pub(in crate::sim) fn new(broker: Broker, sim: Sim, watcher: Arc<Watcher>) -> TestBroker {
        TestBroker { broker, sim, watcher }
    }

    /// Returns the simulator: its clock, its panics, its seed.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// Waits until `time` of virtual time has passed. Everything due in it happens first.
    ///
    /// # Cancel safety
    /// Dropping the future only stops the waiting.
    pub async fn advance(&self, time: Duration) {
        self.sim.sleep(time).await;
        self.sim.settle().await;
    }

    /// Crashes the next delivery to `group` of `topic` at `point`; called again, the one after that too.
    ///
    /// # Panics
    /// If one of the names could be none.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    /// use callboard::sim::{self, Point};
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    ///
    /// static CHARGED: AtomicU32 = AtomicU32::new(0);
    /// sim::run(7, |broker| async move {
    ///     let orders = broker.topic::<&str>("orders").open().await.unwrap();
    ///     let billing = orders.group("billing").run(async |_| {
    ///         CHARGED.fetch_add(1, Relaxed);
    ///         Ok(())
    ///     });
    ///     billing.await.unwrap();
    ///     broker.crash_next("orders", "billing", Point::AfterHandler);
    ///     orders.publish("one anvil").await.unwrap();
    ///     orders.settled().await.unwrap();
    /// });
    /// assert_eq!(CHARGED.load(Relaxed), 2); // a handler with an effect must bear a second delivery
    /// ```
    #[track_caller]
    pub fn crash_next(&self, topic: &str, group: &str, point: Point) {
        let name = |text| match Name::new(text) {
            Ok(name) => name,
            Err(invalid) => panic!("{invalid}"),
        };
        self.watcher.notes().planned.push_back((name(topic), name(group), point));
    }

    /// Lets faults strike every group's attempts from now on, as the seed draws them.
    pub fn set_faults(&self, faults: Faults) {
        self.watcher.notes().faults = faults;
        if faults == Faults::none() {
            self.watcher.note(What::Calm);
        }
    }

    /// Lists the attempts that `group` of `topic` has begun so far, in the order in which they began.
    pub fn attempts(&self, topic: &str, group: &str) -> Vec<Attempt> {
        let notes = self.watcher.notes();
        let of = notes.history.key(topic, group);
        let mut attempts: Vec<Attempt> = Vec::new();
        for Event { at, what } in &notes.history.events {
            match what {
                What::Began { group, consumer, id, attempt } if Some(*group) == of => {
                    attempts.push(Attempt {
                        id: *id,
                        number: *attempt,
                        consumer: *consumer,
                        began: *at,
                        ended: None,
                    })
                }
                What::Ended { group, id, attempt, how, .. } if Some(*group) == of => {
                    let same = |begun: &&mut Attempt| begun.id == *id && begun.number == *attempt;
                    if let Some(begun) = attempts.iter_mut().rev().find(same) {
                        begun.ended = Some((*at, *how));
                    }
                }
                _ => {}
            }
        }
        attempts
    }
}

impl Deref for TestBroker {
    type Target = Broker;
    fn deref(&self) -> &Broker {
        &self.broker
    }
}

impl fmt::Debug for TestBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestBroker").field(&self.broker).finish()
    }
}

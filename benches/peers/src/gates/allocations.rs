//! How many allocations does a send, an ask, a publish cost?
//!
//! Counted over the whole process. The first messages, whose buffers grow, are not in it. smol's executor allocates
//! for its own queue of runnable tasks, a block for each 31 wake-ups: the targets there allow for that.

use super::ask::{Count as Question, Counter};
use super::send::Sum;
use super::{lone, payload, publish};
use crate::allocator::Count;
use crate::bench::Bench;
use crate::place::{Here, PLACES, Place};
use crate::report::{Line, Target, Unit};

const WARM: usize = 5_000;
const MEASURED: usize = 50_000;

pub fn run(bench: &mut Bench) {
    for place in PLACES {
        note(bench, "allocations per send", place, 0.0, 0.1, |place| {
            place.run(&|here| Box::pin(sends(here)))
        });
    }
    for place in PLACES {
        note(bench, "allocations per ask", place, 1.0, 2.0, |place| place.run(&|here| Box::pin(asks(here))));
    }
    for place in PLACES {
        let gate = "allocations per publish to 2x4, under load";
        note(bench, gate, place, 0.05, 0.1, |place| place.run(&|here| Box::pin(publishes(here))));
    }
    for place in PLACES {
        let gate = "allocations per lone publish to 2 groups";
        note(bench, gate, place, 3.0, 9.0, |place| place.run(&|here| Box::pin(lone_publishes(here))));
    }
}

/// `wakes`: how many tasks one message wakes.
fn note(bench: &mut Bench, gate: &str, place: Place, most: f64, wakes: f64, count: impl Fn(Place) -> Count) {
    if bench.wants(gate, place) {
        // The least of three: a runtime's thread may begin something of its own meanwhile.
        let counted = (0..3).map(|_| count(place).allocations).min().unwrap_or(0);
        let value = counted as f64 / MEASURED as f64;
        let most = if place.is_tokio() { most } else { most + wakes / 31.0 };
        // A handful in all is not one for each.
        let target = Target::AtMost(most + 0.001);
        let detail = format!("{counted} for {MEASURED} messages");
        bench.note(Line { gate: gate.to_string(), place, value, unit: Unit::Allocations, target, detail });
    }
}

async fn sends(here: Here) -> Count {
    let address = here.system().spawn(Sum(0));
    let counted = here.spawn(async move {
        for number in 0..WARM + MEASURED {
            if number == WARM {
                Count::start();
            }
            address.send([number as u64, 1, 2, 3]).await.expect("an actor");
        }
        Count::stop()
    });
    counted.await
}

async fn asks(here: Here) -> Count {
    let address = here.system().spawn(Counter(0));
    let counted = here.spawn(async move {
        for number in 0..WARM + MEASURED {
            if number == WARM {
                Count::start();
            }
            address.ask(|reply| Question::Add(1, reply)).await.expect("an answer");
        }
        Count::stop()
    });
    counted.await
}

async fn publishes(here: Here) -> Count {
    let broker = here.broker();
    let topic = publish::open(&broker).await;
    let counted = here.spawn(async move {
        for number in 0..WARM + MEASURED {
            if number == WARM {
                Count::start();
            }
            topic.publish(payload(number)).await.expect("a topic");
        }
        topic.settled().await.expect("a topic");
        Count::stop()
    });
    counted.await
}

async fn lone_publishes(here: Here) -> Count {
    let broker = here.broker();
    let bell = lone::bell();
    let topic = lone::open(&broker, &bell).await;
    let counted = here.spawn(async move {
        for number in 0..WARM + MEASURED {
            if number == WARM {
                Count::start();
            }
            bell.set(2);
            topic.publish(payload(number)).await.expect("a topic");
            bell.rung().await;
        }
        Count::stop()
    });
    counted.await
}

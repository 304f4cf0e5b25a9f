//! Payloads whose drops and clones panic, and factories that do: P17.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::stage::{Stage, millis};
use crate::base::Fault;
use crate::broker::{Message, Outcome, Retry};

/// Counts itself, and may panic when it is dropped or cloned.
struct Fragile {
    number: usize,
    alive: Arc<AtomicUsize>,
    drops_badly: bool,
    clones_badly: bool,
}

impl Clone for Fragile {
    fn clone(&self) -> Fragile {
        assert!(!self.clones_badly, "in a clone");
        self.alive.fetch_add(1, Ordering::Relaxed);
        Fragile { alive: self.alive.clone(), ..*self }
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
        assert!(!self.drops_badly || std::thread::panicking(), "in a drop");
    }
}

pub(super) async fn run(stage: Stage) {
    let topic = stage.broker().topic::<Fragile>("t").capacity(stage.pick("capacity", &[2, 9])).open();
    let topic = topic.await.unwrap();
    let retry = Retry::fixed(millis(3)).max_attempts(2);
    let group = topic.group("g").consumers(2).retry(retry).with(stage.clone());
    let group = group.run_outcome(async |message: Message<Fragile>, stage: Stage| {
        stage.a_while(millis(4)).await;
        let copy = (*message).clone();
        match copy.number % 5 {
            0 => Outcome::Drop,
            1 => Outcome::from(Fault::new("an error")),
            _ => Outcome::Ack,
        }
    });
    let group = group.await.unwrap();
    stage.clerk("t.g.dead").await;
    stage.storm();
    let alive: Arc<AtomicUsize> = Arc::default();
    let messages = 30;
    for number in 0..messages {
        alive.fetch_add(1, Ordering::Relaxed);
        let (drops_badly, clones_badly) = (stage.chance(4), stage.chance(4));
        let fragile = Fragile { number, alive: alive.clone(), drops_badly, clones_badly };
        if topic.publish(fragile).await.is_err() {
            stage.is_wrong("P17: a payload that will panic is refused");
        }
    }
    stage.calm().await;
    let stats = group.stats().await.unwrap();
    if stats.settled() != messages as u64 {
        stage.is_wrong(format_args!("P17: some payload was not settled: {stats:?}"));
    }
    stage.broker().shutdown().await;
    stage.sim().settle().await;
    let left = alive.load(Ordering::Relaxed);
    if left != 0 {
        stage.is_wrong(format_args!("P17: {left} payloads are alive after the end"));
    }
}

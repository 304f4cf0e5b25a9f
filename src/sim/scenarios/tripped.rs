//! A group whose handlers go bad for a while, with a breaker before it: P2, P7, P10, P12, P23, and G11: few are given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::competing::publish_all;
use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::base::Fault;
use crate::broker::{Breaker, Consumer, Message, Outcome};

/// A worker that fails always, while it is bad.
struct Spoilt(Worker, Arc<AtomicBool>);

impl Consumer<u64> for Spoilt {
    async fn handle(&mut self, message: &Message<u64>) -> Result<Outcome, Fault> {
        if self.1.load(Ordering::Relaxed) {
            return if message.is_multiple_of(3) {
                Ok(Outcome::DeadLetter("bad".into()))
            } else {
                Err(Fault::new("bad"))
            };
        }
        self.0.handle(message).await
    }
}

pub(super) async fn run(stage: Stage) {
    let topic = stage.broker().topic::<u64>("t").capacity(stage.pick("capacity", &[5, 60, 300]));
    let topic = topic.open().await.unwrap();
    let (temper, bad) = (Temper::drawn(&stage), Arc::new(AtomicBool::new(false)));
    let (consumers, failures) = (1 + stage.below(3) as u32, stage.pick("failures", &[1, 3, 10]));
    let open = topic.group("g").consumers(consumers).retry(stage.retry()).ack_timeout(millis(50));
    let open = open.breaker(Breaker::after(failures).pause(millis(stage.pick("pause", &[5, 200]))));
    let (kept, of) = (stage.clone(), bad.clone());
    let make = move || Spoilt(Worker::new(&kept, "g", temper), of.clone());
    let group = open.dead_letter_capacity(1000).run_with(make).await.unwrap();
    stage.storm();
    let (kept, of) = (stage.clone(), topic.clone());
    let publishing = stage.spawn("publishers", async move { publish_all(&kept, &of, 120).await });
    stage.a_while(millis(100)).await;
    let before = group.stats().await.unwrap();
    bad.store(true, Ordering::Relaxed);
    stage.sim().sleep(Duration::from_secs(1 + stage.below(20) as u64)).await;
    let after = group.stats().await.unwrap();
    // What was begun before and ends well closes it; after those, each consumer fails two runs at most, then there is
    // one probe in each pause.
    let (opened, shut) = (after.breaker.unwrap(), before.breaker.unwrap());
    let openings = 2 + opened.opened - shut.opened;
    let failed = after.failures - before.failures;
    let most = u64::from(failures) * u64::from(2 * consumers) * 3 + openings;
    if failed > most {
        stage.is_wrong(format_args!("G11: {failed} attempts failed before a breaker with {most}: {after:?}"));
    }
    bad.store(false, Ordering::Relaxed);
    publishing.await;
    stage.calm().await;
    let stats = group.stats().await.unwrap();
    if stats.unsettled() > 0 {
        stage.is_wrong(format_args!("P10: {stats:?}"));
    }
}

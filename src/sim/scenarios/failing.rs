//! Consumers that can't be built, groups that fail and begin again: P13.

use std::time::Duration;

use super::competing::publish_all;
use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::broker::GroupState;
use crate::supervise::{Backoff, Intensity};

pub(super) async fn run(stage: Stage) {
    let topic = stage.broker().topic::<u64>("t").capacity(10).open().await.unwrap();
    let temper = Temper { broken: 2 + stage.below(3), ..Temper::drawn(&stage) };
    let restarts = stage.pick("intensity", &[0, 1, 3, 10]);
    let within = millis([20, 200, 5_000][stage.below(3)]);
    let group = topic.group("g").consumers(1 + stage.below(3) as u32).retry(stage.retry());
    let group = group.ack_timeout(millis(40)).intensity(Intensity::new(restarts, within));
    let group = group.restart_backoff(Backoff::exponential(millis(1), millis(50)).jitter(0.3));
    let kept = stage.clone();
    let group = group.run_with(move || Worker::new(&kept, "g", temper)).await.unwrap();
    stage.clerk("t.g.dead").await;
    stage.storm();
    let (kept, of) = (stage.clone(), topic.clone());
    let publishing = stage.spawn("publishers", async move { publish_all(&kept, &of, 40).await });
    for _ in 0..stage.below(4) {
        stage.a_while(millis(200)).await;
        revive(&stage, &topic, temper).await;
    }
    stage.calm_down();
    // A failed group needs consumers that can be built; one that is not takes them too.
    revive(&stage, &topic, temper).await;
    let ended = stage.within(Duration::from_secs(600), publishing).await;
    if ended.is_none() {
        stage.is_wrong("P10: publishers wait for a group that was revived");
    }
    stage.calm().await;
    let stats = group.stats().await.unwrap();
    if stats.state == GroupState::Failed || stats.unsettled() > 0 {
        stage.is_wrong(format_args!("P10: a group revived in calm is left with {stats:?}"));
    }
}

async fn revive(stage: &Stage, topic: &crate::broker::Topic<u64>, temper: Temper) {
    let kept = stage.clone();
    topic.group("g").run_with(move || Worker::new(&kept, "g", temper)).await.map(drop).unwrap();
}

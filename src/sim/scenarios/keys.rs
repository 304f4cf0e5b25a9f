//! Groups that keep the order of keys, or of all: P6, beside P1 to P5, P7, P12, P21, P23.

use super::competing::publish_all;
use super::pulled::pull;
use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::broker::{GroupBuilder, Topic};

pub(super) async fn run(stage: Stage) {
    let capacity = stage.pick("capacity", &[3, 16, 64, 300]);
    let keys = stage.pick("keys", &[1, 2, 5, 40]);
    let topic = stage.broker().topic::<u64>("t").capacity(capacity).key_by(move |value| value % keys);
    let topic = topic.open().await.unwrap();
    for number in 0..1 + stage.below(2) {
        open(&stage, &topic, &format!("g{number}")).await;
    }
    if stage.chance(2) {
        pull_twice(&stage, &topic).await;
    }
    stage.storm();
    publish_all(&stage, &topic, 30 + stage.below(60) as u64).await;
    stage.calm().await;
}

/// An ordered group whose workers fail as drawn, and whose dead letters are read.
async fn open(stage: &Stage, topic: &Topic<u64>, name: &str) {
    let (consumers, prefetch) = (1 + stage.below(4) as u32, stage.pick("prefetch", &[1, 2, 16, 512]));
    stage.draw(format_args!("{name}: {consumers} consumers"));
    let temper = Temper::drawn(stage);
    let (retry, timeout) = (stage.retry(), millis(20 + stage.below(60) as u64));
    let group = topic.group(name).consumers(consumers).prefetch(prefetch).retry(retry).ack_timeout(timeout);
    let (kept, of) = (stage.clone(), name.to_owned());
    ordered(stage, group).run_with(move || Worker::new(&kept, &of, temper)).await.unwrap();
    stage.clerk(&format!("{}.{name}.dead", topic.name())).await;
}

pub(super) fn ordered(stage: &Stage, group: GroupBuilder<u64>) -> GroupBuilder<u64> {
    match stage.pick("order", &["keyed", "keyed, 2 parked", "exclusive"]) {
        "keyed" => group.key_ordered(),
        "exclusive" => group.exclusive(),
        _ => group.key_ordered().max_parked_per_key(2),
    }
}

/// Two streams of an ordered group, pulled, and settled in every way.
async fn pull_twice(stage: &Stage, topic: &Topic<u64>) {
    let retry = stage.retry();
    let order = stage.below(2);
    let builder = || {
        let group = topic.group("pulled").prefetch(3).retry(retry).ack_timeout(millis(50));
        if order == 0 { group.key_ordered() } else { group.exclusive() }
    };
    let streams = [builder().stream().await.unwrap(), builder().stream().await.unwrap()];
    stage.clerk(&format!("{}.pulled.dead", topic.name())).await;
    for stream in streams {
        let kept = stage.clone();
        drop(stage.spawn("puller", async move { pull(kept, "pulled", stream, false).await }));
    }
}

//! Groups with an order and limits, of a topic that evicts or expires or weighs, that are steered, pulled from and redriven
//! to: P1, P2, P6, P7, P10, P16, P21, P23.

use super::pulled::pull;
use super::removed::{limited, limits, publish};
use super::stage::{Ended, Stage, millis};
use super::steered::{PATIENCE, steer};
use super::worker::{Temper, Worker};
use crate::broker::{Group, Start, Topic};
use crate::sim::cut;

pub(super) async fn run(stage: Stage) {
    let capacity = stage.pick("capacity", &[1, 3, 16, 64]);
    let topic = limited(&stage, stage.broker().topic::<u64>("t").capacity(capacity));
    let topic = match stage.below(3) {
        0 => topic.capacity_bytes(40, |value| 1 + *value as usize % 20),
        _ => topic,
    };
    let topic = topic.key_by(|value| value % 5).open().await.unwrap();
    let mut groups = Vec::new();
    for number in 0..1 + stage.below(2) {
        groups.push(open(&stage, &topic, &format!("g{number}")).await);
    }
    stage.storm();
    let (kept, of, own_times) = (stage.clone(), topic.clone(), stage.chance(2));
    let messages = 40 + stage.below(60) as u64;
    let publishing = stage.spawn("publishers", async move { publish(&kept, &of, messages, own_times).await });
    let mut pilots: Vec<Ended> = Vec::new();
    for group in &groups {
        pilots.push(stage.spawn("pilot", steer(stage.clone(), topic.clone(), group.clone())));
        if stage.chance(2) {
            pilots.push(stage.spawn("redriver", redrive(stage.clone(), group.clone())));
        }
    }
    if stage.chance(2) {
        drop(stage.spawn("onlooker", look_on(stage.clone(), topic.clone())));
    }
    futures::future::join_all(pilots).await;
    stage.calm_down();
    for group in &groups {
        group.resume().await.unwrap();
        group.restart().await.unwrap();
        group.set_consumers(2).await.unwrap();
    }
    if stage.within(PATIENCE, publishing).await.is_none() {
        stage.is_wrong("P16: publishers wait for groups that were resumed");
    }
    stage.calm().await;
    for group in &groups {
        let stats = group.stats().await.unwrap();
        if stats.unsettled() > 0 {
            stage.is_wrong(format_args!("P10: after all of it the group has {stats:?}"));
        }
    }
    // The onlooker's group may be about to end.
    let empty = async {
        while topic.stats().await.is_ok_and(|stats| stats.unsettled + stats.bytes > 0) {
            stage.sim().sleep(millis(1)).await;
        }
    };
    if stage.within(PATIENCE, empty).await.is_none() {
        let stats = topic.stats().await;
        stage.is_wrong(format_args!("P23: after all of it the topic has {stats:?}"));
    }
}

async fn open(stage: &Stage, topic: &Topic<u64>, name: &str) -> Group {
    let (consumers, prefetch) = (1 + stage.below(3) as u32, stage.pick("prefetch", &[1, 3, 512]));
    let temper = Temper { rejects: [0, 6][stage.below(2)], broken: 0, ..Temper::drawn(stage) };
    let group = topic.group(name).consumers(consumers).prefetch(prefetch).retry(stage.retry());
    let group = limits(stage, group.ack_timeout(millis(20 + stage.below(60) as u64)));
    let (kept, of) = (stage.clone(), name.to_owned());
    let group = group.run_with(move || Worker::new(&kept, &of, temper)).await.unwrap();
    if stage.chance(2) {
        stage.clerk(&format!("{}.{name}.dead", topic.name())).await;
    }
    group
}

/// Brings dead letters back now and then, and gives some of it up in the middle.
async fn redrive(stage: Stage, group: Group) {
    for _ in 0..1 + stage.below(8) {
        stage.a_while(millis(30)).await;
        let _ = stage.within(millis(60), cut(stage.below(30), group.redrive())).await;
    }
}

/// A group that comes late, pulls for a while, and ends with that.
async fn look_on(stage: Stage, topic: Topic<u64>) {
    stage.a_while(millis(40)).await;
    let group = topic.group("onlooker").ephemeral().prefetch(3).ack_timeout(millis(50));
    let group = if stage.chance(2) { group.start_at(Start::Latest) } else { group };
    let Ok(stream) = limits(&stage, group).stream().await else { return };
    pull(stage.clone(), "onlooker", stream, true).await;
}

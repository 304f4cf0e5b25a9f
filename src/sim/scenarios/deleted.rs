//! Groups and topics that are deleted and opened again while everybody works: P1, P15, P16, P23 and G19.

use std::time::Duration;

use futures::StreamExt as _;

use super::competing::publish_all;
use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::broker::{DeleteError, Topic};
use crate::sim::cut;

const PATIENCE: Duration = Duration::from_secs(300);

pub(super) async fn run(stage: Stage) {
    let capacity = stage.pick("capacity", &[1, 3, 20]);
    let topic = stage.broker().topic::<u64>("t").capacity(capacity).open().await.unwrap();
    super::competing::open(&stage, &topic, "stays").await;
    stage.storm();
    let (kept, of) = (stage.clone(), topic.clone());
    let publishing = stage.spawn("publishers", async move { publish_all(&kept, &of, 80).await });
    for round in 0..2 + stage.below(4) {
        match stage.below(3) {
            0 => onlooker(&stage, &topic, round).await,
            _ => guest(&stage, &topic, round).await,
        }
    }
    if stage.chance(3) {
        return whole_topic(&stage, &topic, publishing).await;
    }
    if stage.within(PATIENCE, publishing).await.is_none() {
        stage.is_wrong("P16: publishers wait for places of a group that was deleted");
    }
    stage.calm().await;
    // A group whose last stream went is not waited for by who waits for quiet. What it had would stay while the topic is
    // held, for groups to come.
    stage.sim().settle().await;
    topic.hold();
    stage.sim().settle().await;
    let room = (0..).take_while(|value| topic.try_publish(5000 + value).is_ok()).count();
    if room != capacity {
        stage.is_wrong(format_args!("P16: {room} of {capacity} places are free after the deletions"));
    }
    topic.release();
    stage.calm().await;
}

/// A group that works for a while and is deleted. Its name is not used again here: what was seen goes by names.
async fn guest(stage: &Stage, topic: &Topic<u64>, round: usize) {
    let (kept, temper) = (stage.clone(), Temper::drawn(stage));
    let name = format!("guest{round}");
    let group = topic.group(&name).consumers(1 + stage.below(2) as u32).retry(stage.retry());
    let group = group.ack_timeout(millis(40)).dead_letter_capacity(2);
    let group = group.run_with(move || Worker::new(&kept, &name, temper)).await.unwrap();
    stage.a_while(millis(60)).await;
    // Given up or asked for twice: it goes on, and answers the same.
    let _ = cut(1 + stage.below(3), group.delete()).await;
    match stage.within(PATIENCE, group.delete()).await {
        Some(Ok(report)) if report.settled + report.lost == report.stats.entered => {}
        other => stage.is_wrong(format_args!("P23: deleting a group that works answers {other:?}")),
    }
    if group.stats().await.is_ok() {
        stage.is_wrong("G19: a group that was deleted has stats");
    }
}

/// Looks on for a while, through a group that ends with it.
async fn onlooker(stage: &Stage, topic: &Topic<u64>, round: usize) {
    let name = format!("onlooker{round}");
    let mut stream = topic.group(&name).ephemeral().prefetch(3).stream().await.unwrap();
    for _ in 0..stage.below(5) {
        let next = stage.within(millis(50), stream.next()).await;
        if let Some(Some(delivery)) = next
            && stage.chance(2)
        {
            let _ = delivery.ack();
        }
    }
    drop(stream);
}

/// The topic itself goes, with those who wait for it.
async fn whole_topic(stage: &Stage, topic: &Topic<u64>, publishing: super::stage::Ended) {
    let held = stage.chance(2);
    if held {
        topic.hold();
    }
    let report = match stage.within(PATIENCE, topic.delete()).await {
        Some(Ok(report)) => report,
        other => return stage.is_wrong(format_args!("G19: deleting a topic answers {other:?}")),
    };
    for group in &report.groups {
        if group.settled + group.lost != group.stats.entered {
            stage.is_wrong(format_args!("P23: the report of a deleted topic does not add up: {group:?}"));
        }
    }
    if stage.within(PATIENCE, publishing).await.is_none() {
        stage.is_wrong("P15: a publisher waits for a topic that was deleted");
    }
    let again = topic.delete().await;
    if !matches!(&again, Ok(same) if *same == report) && again != Err(DeleteError::Closed) {
        stage.is_wrong(format_args!("G19: deleting a topic twice answers {again:?}"));
    }
    if stage.broker().find_topic::<u64>("t").is_ok() {
        stage.is_wrong("G19: a topic that was deleted is found");
    }
    stage.calm_down();
}

//! Messages that are delayed, cancelled, and come due while the topic is full, held or at its end: P1, P3, P15, P26.

use std::time::Duration;

use super::competing::{open, publish_all};
use super::stage::{Ended, Stage, millis};
use crate::broker::{CancelError, Overflow, Scheduled, Topic};
use crate::sim::cut;

const LONGEST: Duration = Duration::from_millis(120);

async fn topic(stage: &Stage) -> Topic<u64> {
    let (capacity, delays) = (stage.pick("capacity", &[1, 3, 20]), stage.pick("delays", &[1, 4, 64]));
    let topic = stage.broker().topic::<u64>("t").capacity(capacity).delay_capacity(delays);
    let topic = if stage.chance(4) { topic.overflow(Overflow::Reject) } else { topic };
    topic.open().await.unwrap()
}

/// Delays messages from some tasks, and cancels some of them.
fn delaying(stage: &Stage, topic: &Topic<u64>) -> Vec<Ended> {
    let one = |publisher: u64| {
        let (kept, topic) = (stage.clone(), topic.clone());
        stage.spawn("delayer", async move {
            let mut scheduled = Vec::new();
            for value in 0..15 {
                let value = 1_000 * publisher + value;
                let delay = Duration::from_nanos(kept.below(LONGEST.as_nanos() as usize) as u64);
                let delay = if kept.chance(4) { millis(delay.as_millis() as u64 / 20 * 20) } else { delay };
                match kept.chance(4) {
                    true => {
                        let tried = kept.try_out(topic.name(), value);
                        match cut(kept.below(3), topic.publish_after(delay, value)).await {
                            Some(answer) => scheduled.extend(tried.delayed(answer).map(|one| (value, one))),
                            None => drop(tried),
                        }
                    }
                    false => {
                        scheduled
                            .extend(kept.publish_after(&topic, delay, value).await.map(|one| (value, one)));
                    }
                }
                kept.a_while(millis(12)).await;
                if kept.chance(4) && !scheduled.is_empty() {
                    let (value, one) = scheduled.swap_remove(kept.below(scheduled.len()));
                    cancel(&kept, &topic, value, one).await;
                }
            }
        })
    };
    (1..3 + stage.below(2) as u64).map(one).collect()
}

async fn cancel(stage: &Stage, topic: &Topic<u64>, value: u64, scheduled: Scheduled) {
    let polls = if stage.chance(4) { stage.below(3) } else { usize::MAX };
    match cut(polls, topic.cancel_scheduled(scheduled)).await {
        Some(Ok(other)) if other != value => {
            stage.is_wrong(format_args!("P3: {value} was cancelled, and {other} came back"))
        }
        Some(Err(CancelError::OtherTopic)) => stage.is_wrong("P3: a topic does not know its own schedule"),
        _ => {}
    }
}

pub(super) async fn run(stage: Stage) {
    let topic = topic(&stage).await;
    open(&stage, &topic, "g").await;
    stage.storm();
    let mut tasks = delaying(&stage, &topic);
    let (kept, of) = (stage.clone(), topic.clone());
    tasks.push(stage.spawn("publishers", async move { publish_all(&kept, &of, 30).await }));
    if stage.chance(3) {
        topic.hold();
        stage.a_while(millis(150)).await;
        if stage.within(Duration::from_secs(60), topic.settled()).await.is_none() {
            stage.is_wrong("P10: what is due waits for a topic that is held, and is waited for");
        }
        topic.release();
    }
    futures::future::join_all(tasks).await;
    stage.calm_down();
    stage.sim().sleep(LONGEST).await;
    stage.calm().await;
    let stats = topic.stats().await.unwrap();
    if stats.scheduled > 0 || stats.unsettled > 0 {
        stage.is_wrong(format_args!("P10: all was due, and the topic has {stats:?}"));
    }
}

pub(super) async fn drained(stage: Stage) {
    let topic = topic(&stage).await;
    open(&stage, &topic, "g").await;
    stage.storm();
    let tasks = delaying(&stage, &topic);
    stage.a_while(millis(150)).await;
    if stage.chance(4) {
        let report = stage.within(Duration::from_secs(60), topic.delete()).await;
        if !matches!(report, Some(Ok(_))) {
            stage.is_wrong("P15: a topic with delayed messages is not deleted");
        }
        futures::future::join_all(tasks).await;
        return stage.calm().await;
    }
    let due = stage.sim().now();
    let limit = millis(stage.pick("limit of ms", &[0, 30, 60_000]));
    let report = stage.broker().shutdown_within(limit).await;
    futures::future::join_all(tasks).await;
    stage.calm_down();
    let late = stage.watcher().notes().history.scheduled_before(due);
    if late > 0 && !report.timed_out {
        stage.is_wrong(format_args!("P15: {late} messages were due when the drain began, and were left"));
    }
    if topic.publish_after(Duration::ZERO, 1).await.is_ok() {
        stage.is_wrong("P15: a schedule takes messages after the end");
    }
}

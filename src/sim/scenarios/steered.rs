//! A group that is paused, resumed, scaled, restarted and drained at random, while everybody works and faults strike:
//! P1, P2, P7, P10, P11, P16, P23.

use std::time::Duration;

use futures::StreamExt as _;

use super::competing::publish_all;
use super::keys::ordered;
use super::stage::{Ended, Stage, millis};
use super::worker::{Temper, Worker};
use crate::broker::{Group, GroupState, Topic};
use crate::sim::cut;
use crate::supervise::{Backoff, Intensity};

pub(super) const PATIENCE: Duration = Duration::from_secs(300);

pub(super) async fn run(stage: Stage) {
    let topic = stage.broker().topic::<u64>("t").capacity(stage.pick("capacity", &[2, 7, 40, 300]));
    let topic = topic.key_by(|value| value % 5);
    let topic = topic.open().await.unwrap();
    let temper = Temper { broken: [0, 0, 2, 6][stage.below(4)], ..Temper::drawn(&stage) };
    let group = topic.group("g").consumers(1 + stage.below(3) as u32).retry(stage.retry());
    let group = group.ack_timeout(millis(40)).prefetch(stage.pick("prefetch", &[1, 3, 512]));
    let group = group.intensity(Intensity::new(3, Duration::from_secs(5)));
    let group = group.restart_backoff(Backoff::exponential(millis(2), millis(50)));
    let (shared, kept) = (stage.chance(2), stage.clone());
    let group = if shared { group } else { ordered(&stage, group) };
    let group = group.run_with(move || Worker::new(&kept, "g", temper)).await.unwrap();
    stage.clerk("t.g.dead").await;
    stage.storm();
    let (kept, of) = (stage.clone(), topic.clone());
    let publishing = stage.spawn("publishers", async move { publish_all(&kept, &of, 80).await });
    let stream = stage.chance(2).then(|| pull(&stage, &topic));
    let pilots: Vec<_> = (0..1 + stage.below(2))
        .map(|_| stage.spawn("pilot", steer(stage.clone(), topic.clone(), group.clone())))
        .collect();
    futures::future::join_all(pilots).await;
    if stage.chance(4) {
        return end_paused(&stage, &topic, &group, publishing).await;
    }
    stage.calm_down();
    // Whatever was done to it last: with this it works again.
    group.resume().await.unwrap();
    group.restart().await.unwrap();
    group.set_consumers(2).await.unwrap();
    if stage.within(PATIENCE, publishing).await.is_none() {
        stage.is_wrong("P16: publishers wait for a group that was resumed");
    }
    if stage.within(PATIENCE, group.drain()).await.is_none() {
        stage.is_wrong("P10: a group that was resumed has not drained");
    }
    stage.calm().await;
    let stats = group.stats().await.unwrap();
    if stats.unsettled() > 0 || stats.state != GroupState::Running {
        stage.is_wrong(format_args!("P10: after all of it the group has {stats:?}"));
    }
    drop(stream);
}

/// Does this and that to the group, and gives some of it up in the middle.
pub(super) async fn steer(stage: Stage, topic: Topic<u64>, group: Group) {
    for _ in 0..4 + stage.below(16) {
        stage.a_while(millis(15)).await;
        let polls = if stage.chance(4) { 1 } else { usize::MAX };
        match stage.below(9) {
            0..3 => drop(cut(polls, group.pause()).await),
            3..5 => drop(cut(polls, group.resume()).await),
            5 => drop(cut(polls, group.restart()).await),
            6 => {
                let count = [0, 1, 2, 4][stage.below(4)];
                drop(cut(polls, group.set_consumers(count)).await);
            }
            7 => {
                // It may have to wait for a resume of another pilot.
                let _ = stage.within(millis(stage.below(60) as u64), group.drain()).await;
            }
            _ => paused_stands(&stage, &topic, &group).await,
        }
    }
}

/// Paused, its books stand once nothing of it runs; unless another pilot does something.
async fn paused_stands(stage: &Stage, topic: &Topic<u64>, group: &Group) {
    group.pause().await.unwrap();
    let _ = stage.within(millis(200), topic.settled()).await;
    let stats = group.stats().await.unwrap();
    if stats.settled() + stats.unsettled() != stats.entered {
        stage.is_wrong(format_args!("P23: a paused group's books: {stats:?}"));
    }
}

/// Pulls for a while, beside the handlers.
fn pull(stage: &Stage, topic: &Topic<u64>) -> Ended {
    let (kept, topic) = (stage.clone(), topic.clone());
    stage.spawn("puller", async move {
        let open = topic.group("g").stream();
        let Ok(mut stream) = open.await else { return };
        for _ in 0..kept.below(12) {
            kept.a_while(millis(10)).await;
            if let Some(Some(delivery)) = kept.within(millis(80), stream.next()).await {
                kept.a_while(millis(10)).await;
                let _ = delivery.ack();
            }
        }
    })
}

/// A shutdown or a deletion finds the group paused: it waits for what runs, and reports the rest.
async fn end_paused(stage: &Stage, topic: &Topic<u64>, group: &Group, publishing: Ended) {
    stage.calm_down();
    group.pause().await.unwrap();
    if stage.chance(2) {
        let report = stage.within(PATIENCE, group.delete()).await;
        match report {
            Some(Ok(report)) if report.settled + report.lost == report.stats.entered => {}
            other => stage.is_wrong(format_args!("P23: deleting a paused group answers {other:?}")),
        }
        // With nobody left to settle what the topic is full of, publishers wait for ever, and that is right.
        topic.group("late").run_fn(|_| Ok(())).await.unwrap();
        if stage.within(PATIENCE, publishing).await.is_none() {
            stage.is_wrong("P16: publishers wait for a paused group that was deleted");
        }
    } else {
        let broker = stage.broker();
        match stage.within(PATIENCE, broker.shutdown_within(PATIENCE / 2)).await {
            Some(report) if !report.timed_out => {}
            other => stage.is_wrong(format_args!("P15: a shutdown with a paused group answers {other:?}")),
        }
    }
}

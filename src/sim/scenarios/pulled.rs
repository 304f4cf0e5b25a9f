//! Pulled deliveries treated as badly as they may be, by consumers that come and go: P7, P11, P21.

use futures::StreamExt as _;

use super::competing::publish_all;
use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::broker::{AckError, Delivery, DeliveryStream, GroupBuilder, Topic};

pub(super) async fn run(stage: Stage) {
    let capacity = stage.pick("capacity", &[1, 3, 16, 100]);
    let topic = stage.broker().topic::<u64>("t").capacity(capacity).open().await.unwrap();
    let prefetch = stage.pick("prefetch", &[1, 2, 5, 64]);
    let (retry, timeout) = (stage.retry(), millis(10 + stage.below(40) as u64));
    let first = open(&topic).prefetch(prefetch).retry(retry).ack_timeout(timeout).stream().await.unwrap();
    stage.clerk("t.g.dead").await;
    let kept = stage.clone();
    let mut pullers = vec![stage.spawn("puller", async move { pull(kept, "g", first, false).await })];
    for _ in 0..stage.below(3) {
        let (kept, topic) = (stage.clone(), topic.clone());
        pullers.push(stage.spawn("guest", async move {
            while !kept.is_calm() {
                kept.a_while(millis(30)).await;
                let Ok(stream) = open(&topic).stream().await else { break };
                pull(kept.clone(), "g", stream, true).await;
            }
        }));
    }
    if stage.chance(2) {
        let (kept, temper) = (stage.clone(), Temper::drawn(&stage));
        open(&topic).run_with(move || Worker::new(&kept, "g", temper)).await.unwrap();
        stage.storm();
    }
    publish_all(&stage, &topic, 20 + stage.below(60) as u64).await;
    stage.calm().await;
    drop(topic);
}

fn open(topic: &Topic<u64>) -> GroupBuilder<u64> {
    topic.group("g")
}

/// Pulls until the end, or a guest's share.
pub(super) async fn pull(stage: Stage, group: &str, mut stream: DeliveryStream<u64>, guest: bool) {
    let mut kept = Vec::new();
    let mut left = if guest { stage.below(12) } else { usize::MAX };
    while left > 0
        && let Some(delivery) = stream.next().await
    {
        left -= 1;
        stage.saw(&delivery, group);
        if stage.is_calm() {
            kept.clear();
            settle(&stage, delivery.ack());
            continue;
        }
        treat(&stage, delivery, &mut kept).await;
    }
    // Dropped in this order or the other.
    if stage.chance(2) {
        drop(stream);
    }
}

async fn treat(stage: &Stage, delivery: Delivery<u64>, kept: &mut Vec<Delivery<u64>>) {
    match stage.below(12) {
        0 => drop(delivery),
        1 => settle(stage, delivery.release()),
        2 => settle(stage, delivery.nack("no")),
        3 => settle(stage, delivery.nack_after(millis(stage.below(20) as u64))),
        4 => kept.push(delivery),
        5 => {
            stage.sim().sleep(millis(stage.below(100) as u64)).await;
            settle(stage, delivery.ack());
        }
        6 => {
            for _ in 0..3 {
                stage.sim().sleep(millis(8)).await;
                let _ = delivery.extend();
            }
            settle(stage, delivery.ack());
        }
        7 => {
            kept.drain(..).for_each(|delivery| settle(stage, delivery.ack()));
            settle(stage, delivery.ack());
        }
        _ => settle(stage, delivery.ack()),
    }
}

/// Too late is fine; anything else is not, while the broker is there.
fn settle(stage: &Stage, answer: Result<(), AckError>) {
    if let Err(error) = answer
        && error != AckError::LeaseExpired
        && !stage.is_calm()
    {
        stage.is_wrong(format_args!("P11: {error}"));
    }
}

//! Groups with a limit in flight and on their rate, and a limit that changes: P7, P10, P23.

use std::time::Duration;

use futures::StreamExt as _;

use super::competing::publish_all;
use super::keys::ordered;
use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::broker::{Group, RateLimit};

pub(super) async fn run(stage: Stage) {
    let topic = stage.broker().topic::<u64>("t").capacity(stage.pick("capacity", &[3, 30, 200]));
    let topic = topic.key_by(|value| value % 5);
    let topic = topic.open().await.unwrap();
    let temper = Temper::drawn(&stage);
    let open = topic.group("g").consumers(1 + stage.below(4) as u32).retry(stage.retry());
    let open = open.prefetch(stage.pick("prefetch", &[1, 3, 512])).ack_timeout(millis(50));
    let (rated, bounded) = [(true, false), (false, true), (true, true)][stage.below(3)];
    let open = if rated { open.rate_limit(limit(&stage)) } else { open };
    let open = if rated && stage.chance(3) { open.rate_by(|value| (value % 7) as usize) } else { open };
    let open = if bounded { open.max_in_flight(stage.pick("in flight", &[1, 2, 5])) } else { open };
    let (shared, kept) = (stage.chance(2), stage.clone());
    let open = if shared { open } else { ordered(&stage, open) };
    let group = open.run_with(move || Worker::new(&kept, "g", temper)).await.unwrap();
    stage.clerk("t.g.dead").await;
    if stage.chance(3) {
        let (kept, of) = (stage.clone(), topic.clone());
        drop(stage.spawn("puller", async move {
            let Ok(mut stream) = of.group("g").stream().await else { return };
            while !kept.is_calm()
                && let Some(Some(delivery)) = kept.within(millis(100), stream.next()).await
            {
                kept.a_while(millis(5)).await;
                let _ = delivery.ack();
            }
        }));
    }
    stage.storm();
    let (kept, of) = (stage.clone(), topic.clone());
    let publishing = stage.spawn("publishers", async move { publish_all(&kept, &of, 60).await });
    if rated && stage.chance(2) {
        for _ in 0..1 + stage.below(4) {
            stage.a_while(millis(80)).await;
            change(&stage, &group).await;
        }
    }
    publishing.await;
    stage.calm().await;
}

async fn change(stage: &Stage, group: &Group) {
    let limit = if stage.chance(4) { None } else { Some(limit(stage)) };
    group.set_rate_limit(limit).await.unwrap();
    if stage.chance(3) {
        group.pause().await.unwrap();
        stage.a_while(millis(20)).await;
        group.resume().await.unwrap();
    }
}

fn limit(stage: &Stage) -> RateLimit {
    let (messages, interval) = [(1, 10), (7, 50), (30, 100), (1000, 1000)][stage.below(4)];
    let limit = RateLimit::new(messages, Duration::from_millis(interval));
    let limit = limit.burst(1 + stage.below(6) as u32);
    stage.draw(format_args!("{limit:?}"));
    limit
}

//! Several groups of several consumers that fail, publishers that wait: P1 to P5, P7, P11, P12, P21, P23.

use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::broker::{Group, Topic};

pub(super) async fn run(stage: Stage) {
    let capacity = stage.pick("capacity", &[1, 2, 7, 16, 64, 300]);
    let topic = stage.broker().topic::<u64>("t").capacity(capacity).open().await.unwrap();
    let groups = 1 + stage.below(3);
    for number in 0..groups {
        open(&stage, &topic, &format!("g{number}")).await;
    }
    stage.storm();
    publish_all(&stage, &topic, 30 + stage.below(60) as u64).await;
    stage.calm().await;
}

/// A group whose workers fail as drawn, and whose dead letters are read.
pub(super) async fn open(stage: &Stage, topic: &Topic<u64>, name: &str) -> Group {
    let (consumers, prefetch) = (1 + stage.below(4) as u32, stage.pick("prefetch", &[1, 2, 3, 16, 512]));
    stage.draw(format_args!("{name}: {consumers} consumers"));
    let temper = Temper::drawn(stage);
    let (retry, timeout) = (stage.retry(), millis(20 + stage.below(60) as u64));
    let group = topic.group(name).consumers(consumers).prefetch(prefetch).retry(retry).ack_timeout(timeout);
    let (kept, of) = (stage.clone(), name.to_owned());
    let group = group.run_with(move || Worker::new(&kept, &of, temper)).await.unwrap();
    stage.clerk(&format!("{}.{name}.dead", topic.name())).await;
    group
}

/// Publishes from one to three tasks, in every way.
pub(super) async fn publish_all(stage: &Stage, topic: &Topic<u64>, messages: u64) {
    let publishers = 1 + stage.below(3) as u64;
    let tasks: Vec<_> = (0..publishers)
        .map(|publisher| {
            let (kept, topic) = (stage.clone(), topic.clone());
            stage.spawn("publisher", async move {
                for value in (publisher..messages).step_by(publishers as usize) {
                    if kept.chance(8) {
                        kept.a_while(millis(10)).await;
                    }
                    if kept.chance(5) {
                        let tried = kept.try_out(topic.name(), value);
                        tried.answer(topic.try_publish(value));
                    } else {
                        kept.publish(&topic, value).await;
                    }
                }
            })
        })
        .collect();
    futures::future::join_all(tasks).await;
}

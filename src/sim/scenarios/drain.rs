//! A shutdown, or the loss of the last handle, at any time and in any state: P15 and G18.

use std::time::Duration;

use super::competing::{open, publish_all};
use super::stage::{Stage, millis};
use crate::broker::{Message, Topic};
use crate::sim::cut;

async fn busy(stage: &Stage) -> Topic<u64> {
    let broker = stage.broker();
    let capacity = stage.pick("capacity", &[1, 4, 30]);
    let topic = broker.topic::<u64>("t").capacity(capacity).open().await.unwrap();
    let onward =
        broker.topic::<u64>("onward").capacity(capacity).publish_timeout(millis(40)).open().await.unwrap();
    open(stage, &topic, "g").await;
    open(stage, &onward, "g").await;
    let group = topic.group("forward").consumers(2).ack_timeout(millis(100)).with((stage.clone(), onward));
    let forward = group.run(async |message: Message<u64>, (stage, onward): (Stage, Topic<u64>)| {
        stage.saw(&message, "forward");
        stage.a_while(millis(10)).await;
        onward.publish(10_000 + *message).await?;
        Ok(())
    });
    forward.await.unwrap();
    if stage.chance(4) {
        // Nobody reads it.
        topic.group("idle").stream().await.map(drop).unwrap();
    }
    stage.storm();
    topic
}

pub(super) async fn run(stage: Stage) {
    let topic = busy(&stage).await;
    let (kept, of) = (stage.clone(), topic.clone());
    let publishing = stage.spawn("publishers", async move { publish_all(&kept, &of, 60).await });
    let held = stage.chance(4);
    if held {
        topic.hold();
    }
    stage.a_while(millis(150)).await;
    let limit = stage.pick("limit of ms", &[0, 5, 50, 30_000]);
    let broker = stage.broker();
    let limit = millis(limit);
    // Given up, or asked for twice: it goes on, and answers the same.
    let _ = cut(1 + stage.below(3), broker.shutdown_within(limit)).await;
    let (first, second) =
        futures::future::join(broker.shutdown_within(limit), broker.shutdown_within(Duration::ZERO)).await;
    if first != second {
        stage.is_wrong("P15: two calls of shutdown got two reports");
    }
    publishing.await;
    stage.calm_down();
    let left: u64 = [("t", "g"), ("t", "forward"), ("onward", "g")]
        .iter()
        .filter_map(|(topic, group)| first.group(topic, group).map(|report| report.lost))
        .sum();
    if left > 0 && !first.timed_out && !held {
        stage.is_wrong(format_args!("P15: {left} messages are lost in a drain that was not cut short"));
    }
    if topic.try_publish(1).is_ok() {
        stage.is_wrong("P15: a topic takes messages after the end");
    }
}

pub(super) async fn abandoned(stage: Stage) {
    let topic = busy(&stage).await;
    let (kept, of) = (stage.clone(), topic.clone());
    let publishing = stage.spawn("publishers", async move { publish_all(&kept, &of, 60).await });
    stage.a_while(millis(100)).await;
    // The kit holds a handle of its own, which ends with this task: so here is another broker, on the same simulator.
    stage.broker().shutdown_within(Duration::ZERO).await;
    publishing.await;
    drop(stage.leave());
    second_broker(&stage).await;
}

/// The last handle of a broker is dropped while it works; then nothing of it may be left.
async fn second_broker(stage: &Stage) {
    let broker = crate::broker::Broker::start().unwrap();
    let topic = broker.topic::<u64>("other").capacity(4).open().await.unwrap();
    let group = topic.group("g").consumers(2).ack_timeout(millis(50)).with(stage.clone());
    let group = group.run(async |_, stage: Stage| {
        stage.a_while(millis(20)).await;
        Ok(())
    });
    group.await.unwrap();
    let publisher = topic.clone();
    let publishing = stage.spawn("publisher", async move {
        for value in 0..50 {
            if publisher.publish(value).await.is_err() {
                break;
            }
        }
    });
    stage.a_while(millis(60)).await;
    drop(broker);
    let ended = stage.within(Duration::from_secs(60), publishing).await;
    if ended.is_none() {
        stage.is_wrong("P15: a publisher waits for a broker that is gone");
    }
    stage.sim().sleep(Duration::from_secs(5)).await;
    stage.sim().settle().await;
    let left: Vec<_> = stage.sim().tasks().into_iter().filter(|task| task.contains("other")).collect();
    if !left.is_empty() {
        stage
            .is_wrong(format_args!("P15: the tasks {left:?} are left of a broker whose last handle is gone"));
    }
}

//! Topics that evict or expire, and groups that skip: P1, P2, P6, P7, P16, P23, and that nobody hangs.

use super::competing::publish_all;
use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::broker::{GroupBuilder, MessageId, Overflow, Topic, TopicBuilder};

pub(super) async fn run(stage: Stage) {
    let capacity = stage.pick("capacity", &[1, 3, 16, 64]);
    let own_times = stage.pick("times", &["the topic's", "their own"]) == "their own";
    let topic = limited(&stage, stage.broker().topic::<u64>("t").capacity(capacity));
    let topic = topic.key_by(|value| value % 5).open().await.unwrap();
    let groups = stage.below(3);
    for number in 0..groups {
        open(&stage, &topic, &format!("g{number}")).await;
    }
    stage.storm();
    let held = stage.chance(3);
    if held {
        topic.hold();
    }
    let messages = 40 + stage.below(80) as u64;
    if groups == 0 || held {
        // What nobody takes away blocks a topic that does not evict.
        let (kept, to) = (stage.clone(), topic.clone());
        let publisher =
            stage.spawn("publishers", async move { publish(&kept, &to, messages, own_times).await });
        stage.a_while(millis(60)).await;
        drop(publisher);
        open(&stage, &topic, "late").await;
    } else {
        publish(&stage, &topic, messages, own_times).await;
    }
    topic.release();
    stage.calm().await;
}

/// With `own_times`, every second message has a ttl of its own.
pub(super) async fn publish(stage: &Stage, topic: &Topic<u64>, messages: u64, own_times: bool) {
    if !own_times {
        return publish_all(stage, topic, messages).await;
    }
    for value in 0..messages {
        let (tried, message) = (stage.try_out(topic.name(), value), topic.message(value));
        let ttl = millis(1 + stage.below(40) as u64);
        let message = if stage.chance(2) { message.ttl(ttl) } else { message };
        tried.answer(message.publish().await.map(MessageId::from));
        stage.a_while(millis(2)).await;
    }
}

pub(super) fn limited(stage: &Stage, topic: TopicBuilder<u64>) -> TopicBuilder<u64> {
    let topic = match stage.pick("overflow", &["evict", "wait"]) {
        "evict" => topic.overflow(Overflow::DropOldest),
        _ => topic,
    };
    match stage.pick("ttl", &["none", "short", "long"]) {
        "none" => topic,
        "short" => topic.ttl(millis(4)),
        _ => topic.ttl(millis(40)),
    }
}

async fn open(stage: &Stage, topic: &Topic<u64>, name: &str) {
    let (consumers, prefetch) = (1 + stage.below(4) as u32, stage.pick("prefetch", &[1, 3, 512]));
    stage.draw(format_args!("{name}: {consumers} consumers"));
    let temper = Temper::drawn(stage);
    let (retry, timeout) = (stage.retry(), millis(20 + stage.below(60) as u64));
    let group = topic.group(name).consumers(consumers).prefetch(prefetch).retry(retry).ack_timeout(timeout);
    let (kept, of) = (stage.clone(), name.to_owned());
    limits(stage, group).run_with(move || Worker::new(&kept, &of, temper)).await.unwrap();
    stage.clerk(&format!("{}.{name}.dead", topic.name())).await;
}

pub(super) fn limits(stage: &Stage, group: GroupBuilder<u64>) -> GroupBuilder<u64> {
    let group = match stage.pick("order", &["shared", "keyed", "exclusive"]) {
        "keyed" => group.key_ordered(),
        "exclusive" => group.exclusive(),
        _ => group,
    };
    let group = match stage.below(3) {
        0 => group.max_lag(1 + stage.below(10) as u32),
        _ => group,
    };
    if stage.chance(3) { group.dead_letter_expired() } else { group }
}

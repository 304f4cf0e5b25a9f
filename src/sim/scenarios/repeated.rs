//! Publishers that race with the same keys, and give up now and then: of each key one is accepted. P1, P3, P16.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::competing::open;
use super::stage::{Stage, millis};
use crate::broker::{MessageId, Topic};
use crate::sim::cut;

/// The ids that publishes of each value were answered with.
type Answers = Arc<Mutex<BTreeMap<u64, BTreeSet<MessageId>>>>;

pub(super) async fn run(stage: Stage) {
    let capacity = stage.pick("capacity", &[1, 2, 7]);
    let topic = stage.broker().topic::<u64>("t").capacity(capacity).dedup_by(|value| value.to_be_bytes());
    let topic = topic.open().await.unwrap();
    open(&stage, &topic, "g").await;
    stage.storm();
    let answers = Answers::default();
    let publishers: Vec<_> = (0..4)
        .map(|_| {
            let (kept, topic, answers) = (stage.clone(), topic.clone(), answers.clone());
            stage.spawn("publisher", async move {
                for _ in 0..25 {
                    publish_one(&kept, &topic, &answers).await;
                    kept.a_while(millis(5)).await;
                }
            })
        })
        .collect();
    futures::future::join_all(publishers).await;
    stage.calm().await;
    let accepted = topic.stats().await.unwrap().accepted;
    let answers = answers.lock().unwrap();
    for (value, ids) in answers.iter().filter(|(_, ids)| ids.len() > 1) {
        stage.is_wrong(format_args!("P3: {value} was accepted more than once: {ids:?}"));
    }
    if accepted != answers.len() as u64 {
        stage.is_wrong(format_args!("P1: {} values were confirmed, {accepted} accepted", answers.len()));
    }
}

async fn publish_one(stage: &Stage, topic: &Topic<u64>, answers: &Answers) {
    let value = stage.below(20) as u64;
    let tried = stage.try_out(topic.name(), value);
    let answer = match stage.below(3) {
        0 => Some(topic.try_publish(value)),
        1 => cut(stage.below(4), topic.publish(value)).await,
        _ => Some(topic.publish(value).await),
    };
    if let Some(id) = answer.and_then(|answer| tried.answer(answer)) {
        answers.lock().unwrap().entry(value).or_default().insert(id);
    }
}

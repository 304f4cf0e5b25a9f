//! Stages that forward, in a line of three, that crash; and a circle of two: P1, P9, P10, and exact counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::stage::{Stage, millis};
use crate::broker::{Message, Overflow, Retry, Topic};

type Came = Arc<Mutex<BTreeMap<u64, u64>>>;

/// Each input makes three outputs, of which each makes one or two.
pub(super) async fn run(stage: Stage) {
    let mut topics: Vec<Topic<u64>> = Vec::new();
    for number in 0..4 {
        let capacity = stage.pick("capacity", &[1, 2, 5, 40]);
        let topic = stage.broker().topic::<u64>(&format!("t{number}")).capacity(capacity);
        let topic = if stage.chance(4) { topic.overflow(Overflow::Reject) } else { topic };
        topics.push(topic.publish_timeout(millis(50)).open().await.unwrap());
    }
    let calm = stage.chance(2);
    stage.draw(format_args!("calm: {calm}"));
    for (at, pair) in topics.windows(2).enumerate() {
        link(&stage, at as u64, &pair[0], &pair[1]).await;
    }
    let came = Came::default();
    let reader = topics[3].group("reader").ack_timeout(millis(200)).retry(patient());
    let reader = reader.with((stage.clone(), came.clone())).run(
        async |message: Message<u64>, (stage, came): (Stage, Came)| {
            stage.saw(&message, "reader");
            *came.lock().unwrap().entry(*message).or_default() += 1;
            Ok(())
        },
    );
    let reader = reader.await.unwrap();
    if !calm {
        stage.storm();
    }
    for value in 0..8 {
        while stage.publish(&topics[0], value).await.is_none() {
            stage.sim().sleep(millis(5)).await;
        }
    }
    stage.calm().await;
    let want: BTreeMap<u64, u64> = (0..8).flat_map(outputs_of_all).map(|value| (value, 1)).collect();
    let came = came.lock().unwrap().clone();
    if !came.keys().eq(want.keys()) || (calm && came != want) {
        stage.is_wrong(format_args!("P1: {} of {} outputs came: {came:?}", came.len(), want.len()));
    }
    let stats = reader.stats().await.unwrap();
    if stats.unsettled() > 0 {
        stage.is_wrong(format_args!("P10: at rest the reader has {stats:?}"));
    }
}

fn patient() -> Retry {
    Retry::fixed(millis(5)).max_attempts(10_000)
}

fn outputs(at: u64, value: u64) -> Vec<u64> {
    let next = value + 100 * (at + 1);
    match at {
        0 => (0..3).map(|number| next + 1_000 * number).collect(),
        1 if value.is_multiple_of(2) => Vec::new(),
        _ => vec![next, next + 10_000 * at],
    }
}

fn outputs_of_all(value: u64) -> Vec<u64> {
    (0..3).fold(vec![value], |values, at| values.into_iter().flat_map(|value| outputs(at, value)).collect())
}

async fn link(stage: &Stage, at: u64, from: &Topic<u64>, to: &Topic<u64>) {
    let consumers = 1 + stage.below(3) as u32;
    let group = from.group("next").consumers(consumers).ack_timeout(millis(200)).retry(patient());
    let group = group.forward_to(to).with((stage.clone(), at));
    let group = group.run(async |message: Message<u64>, (stage, at): (Stage, u64)| {
        stage.saw(&message, "next");
        Ok(outputs(at, *message))
    });
    group.await.unwrap();
}

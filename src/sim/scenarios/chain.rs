//! Handlers that publish to the next topic, in a line and in a circle, all of them small: P9, P10 and G17.

use super::stage::{Stage, millis};
use crate::broker::{Message, Retry, Topic};
use crate::sim::Faults;

pub(super) async fn run(stage: Stage) {
    let broker = stage.broker();
    let mut topics: Vec<Topic<u64>> = Vec::new();
    let (stages, mut places) = (2 + stage.below(3), 0);
    for number in 0..stages {
        let capacity = stage.pick("capacity", &[1, 2, 5, 20]);
        places += capacity;
        let topic = broker.topic::<u64>(&format!("t{number}")).capacity(capacity);
        topics.push(topic.publish_timeout(millis(50)).open().await.unwrap());
    }
    let circle = stage.chance(2);
    stage.draw(format_args!("{stages} stages, a circle: {circle}"));
    for number in 0..stages {
        let next = match number + 1 {
            last if last == stages => circle.then(|| topics[0].clone()),
            next => Some(topics[next].clone()),
        };
        link(&stage, &topics[number], next, !circle).await;
    }
    match circle {
        false => stage.storm(),
        // A crash after the handler repeats a publish: also a way to fill a circle.
        true => broker.set_faults(Faults::none().panics_before(50).pauses(50, millis(30))),
    }
    // As many as there are places would stand still for ever in a circle: each holds the place that another waits for.
    let messages = if circle { 15.min(places - 1) } else { 15 };
    for value in 0..messages as u64 {
        stage.publish(&topics[0], value).await;
    }
    stage.calm().await;
}

/// Each message makes another, or two, until it has gone six steps.
async fn link(stage: &Stage, topic: &Topic<u64>, next: Option<Topic<u64>>, multiply: bool) {
    let consumers = 1 + stage.below(3) as u32;
    let group = topic.group("next").consumers(consumers).ack_timeout(millis(200));
    let group = group.retry(Retry::fixed(millis(5)).max_attempts(200));
    let group = group.with((stage.clone(), next, multiply));
    type State = (Stage, Option<Topic<u64>>, bool);
    let group = group.run(async |message: Message<u64>, (stage, next, multiply): State| {
        stage.saw(&message, "next");
        let steps = *message / 1_000;
        if let Some(next) = next.filter(|_| steps < 6) {
            let value = *message % 1_000 + (steps + 1) * 1_000;
            next.publish(value).await?;
            if multiply && steps == 0 && stage.chance(3) {
                next.publish(value + 500).await?;
            }
        }
        Ok(())
    });
    group.await.unwrap();
}

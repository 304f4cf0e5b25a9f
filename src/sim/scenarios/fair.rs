//! Consumers of equal speed share equally: P19.

use std::time::Duration;

use super::stage::{Stage, give_way};
use crate::broker::{Group, Message};
use crate::sim::Scheduler;

pub(super) async fn run(stage: Stage) {
    // By priorities, whoever is ready may have to wait for as long as another one is.
    drop(stage.sim().clone().scheduler(Scheduler::Random));
    let (consumers, pace) = (2 + stage.below(3), stage.pick("pace of us", &[0, 5, 300]));
    let topic = stage.broker().topic::<u64>("t").capacity(256).open().await.unwrap();
    stage.watcher().notes().fair = true;
    let group = topic.group("g").consumers(consumers as u32).prefetch(stage.pick("prefetch", &[1, 8, 64]));
    let group = group.with((stage.clone(), Duration::from_micros(pace)));
    let group = group.run(async |message: Message<u64>, (stage, pace): (Stage, Duration)| {
        stage.saw(&message, "g");
        match pace {
            Duration::ZERO => give_way().await,
            pace => stage.sim().sleep(pace).await,
        }
        Ok(())
    });
    let _: Group = group.await.unwrap();
    stage.watcher().notes().fair = false;
    // Where the publisher is the slow one, somebody is always free, and it must not be always the same.
    let slow = stage.chance(2);
    stage.draw(format_args!("a slow publisher: {slow}"));
    for value in 0..(1000 * consumers + 50) as u64 {
        stage.publish(&topic, value).await;
        if slow {
            stage.sim().sleep(Duration::from_micros(pace + 5)).await;
        }
    }
    stage.calm().await;
}

//! A dead-letter topic that is full, and is read in the end: P12 and the parked part of P23.

use std::time::Duration;

use super::competing::publish_all;
use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::broker::{DeadLetter, WhyBlocked};

pub(super) async fn run(stage: Stage) {
    let topic = stage.broker().topic::<u64>("t").capacity(8).open().await.unwrap();
    let temper = Temper { errors: 2, rejects: 5, ..Temper::drawn(&stage) };
    let group = topic.group("g").consumers(2).retry(stage.retry()).ack_timeout(millis(50));
    let group = group.dead_letter_capacity(1 + stage.below(3));
    let kept = stage.clone();
    let group = group.run_with(move || Worker::new(&kept, "g", temper)).await.unwrap();
    stage.storm();
    let (kept, of) = (stage.clone(), topic.clone());
    let publishing = stage.spawn("publishers", async move { publish_all(&kept, &of, 40).await });
    stage.sim().sleep(Duration::from_secs(20)).await;
    let full = group.stats().await.unwrap().parked == 8;
    stage.sim().sleep(Duration::from_secs(20)).await;
    let waits = stage.sim().tasks().iter().any(|task| task == "publisher");
    let blocked = topic.stats().await.unwrap().blocked_by.map(|blocked| blocked.why);
    if full && waits && blocked != Some(WhyBlocked::DeadLettersFull) {
        stage.is_wrong("G17: publishers wait for room in a dead-letter topic, and nobody is told");
    }
    let dead = stage.broker().topic::<DeadLetter>("t.g.dead").open().await.unwrap();
    let kept = stage.clone();
    let clerk = dead.group("clerk").with(kept).run(async |letter, stage: Stage| {
        stage.a_while(millis(3)).await;
        let known = letter.message::<u64>().is_some_and(|message| message.id() == letter.original_id());
        if !known || letter.group().as_str() != "g" || letter.attempts() == 0 {
            stage.is_wrong(format_args!("P12: a dead letter does not know where it came from: {letter:?}"));
        }
        Ok(())
    });
    let clerk = clerk.await.unwrap();
    publishing.await;
    stage.calm().await;
    let (read, sent) = (clerk.stats().await.unwrap().settled(), group.stats().await.unwrap().dead_lettered);
    if read != sent {
        stage.is_wrong(format_args!("P12: {sent} dead letters were sent and {read} read"));
    }
}

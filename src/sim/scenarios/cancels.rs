//! Futures that are dropped after so many polls: P8, P15, P16.

use futures::{SinkExt as _, StreamExt as _};

use super::competing::open;
use super::stage::{Stage, millis};
use crate::broker::{Topic, TopicSink};
use crate::sim::cut;

pub(super) async fn run(stage: Stage) {
    let capacity = stage.pick("capacity", &[1, 2, 7, 8, 16]);
    let topic = stage.broker().topic::<u64>("t").capacity(capacity).open().await.unwrap();
    stage.watcher().notes().reserved = true;
    let group = open(&stage, &topic, "g").await;
    stage.storm();
    let tasks: Vec<_> = (0..3)
        .map(|publisher| {
            let (stage, topic, group) = (stage.clone(), topic.clone(), group.clone());
            let kept = stage.clone();
            kept.spawn("cutter", async move {
                let mut sink = topic.sink();
                for value in 0..25 {
                    let value = publisher * 1000 + value;
                    cut_one(&stage, &topic, &mut sink, value).await;
                    match stage.below(5) {
                        0 => _ = cut(stage.below(4), group.stats()).await,
                        1 => _ = cut(stage.below(4), topic.settled()).await,
                        2 => _ = cut(stage.below(4), stage.broker().idle()).await,
                        3 => _ = cut(stage.below(4), topic.stats()).await,
                        _ => stage.a_while(millis(5)).await,
                    }
                }
            })
        })
        .collect();
    futures::future::join_all(tasks).await;
    cut_readers(&stage, &topic).await;
    stage.calm().await;
    let held = topic.stats().await.unwrap().unsettled;
    if held != 0 {
        stage.is_wrong(format_args!("P16: {held} places are taken at rest"));
    }
    every_place_is_free(&stage, &topic, capacity).await;
}

async fn cut_one(stage: &Stage, topic: &Topic<u64>, sink: &mut TopicSink<u64>, value: u64) {
    let polls = stage.below(4);
    match stage.below(4) {
        0 => {
            // Whether what was sent before the cut was accepted is not known.
            if cut(polls, sink.send(value)).await.is_none() {
                // A sink that is kept and not polled keeps its turn.
                *sink = topic.sink();
            }
        }
        1 => {
            let _ = cut(polls, topic.publish_all([value + 100, value + 200, value + 300])).await;
        }
        _ => {
            let tried = stage.try_out(topic.name(), value);
            match cut(polls, topic.publish(value)).await {
                Some(answer) => drop(tried.answer(answer)),
                None => drop(tried),
            }
        }
    }
}

/// Opening a group, and the next delivery of a stream, given up after so many polls.
async fn cut_readers(stage: &Stage, topic: &Topic<u64>) {
    for _ in 0..stage.below(4) {
        let opened = cut(stage.below(4), topic.group("g").stream()).await;
        if let Some(Ok(mut stream)) = opened {
            for _ in 0..3 {
                if let Some(Some(delivery)) = cut(1 + stage.below(2), stream.next()).await {
                    let _ = delivery.ack();
                }
            }
        }
    }
}

/// P16: after all that, a topic that nobody reads any more takes exactly what it has room for.
async fn every_place_is_free(stage: &Stage, topic: &Topic<u64>, capacity: usize) {
    topic.hold();
    stage.sim().settle().await;
    let room = (0..).take_while(|value| topic.try_publish(5000 + value).is_ok()).count();
    if room != capacity {
        stage.is_wrong(format_args!("P16: {room} of {capacity} places are free at rest"));
    }
    topic.release();
    stage.calm().await;
}

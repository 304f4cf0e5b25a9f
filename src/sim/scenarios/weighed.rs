//! A topic with a limit in bytes under everything that can happen to a message: P7, P16 and P23 of its bytes.

use futures::SinkExt as _;

use super::competing::open;
use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::broker::{DeadLetter, Topic};
use crate::sim::cut;

/// Two of the largest don't fit.
const LIMIT: usize = 60;

fn size(value: &u64) -> usize {
    (*value % 41) as usize
}

pub(super) async fn run(stage: Stage) {
    let capacity = stage.pick("capacity", &[3, 8, 40]);
    let topic = stage.broker().topic::<u64>("t").capacity(capacity).capacity_bytes(LIMIT, size);
    let topic = topic.open().await.unwrap();
    // Letters of one group are weighed too, and the largest ones are larger than all that may be there.
    let letters = stage
        .broker()
        .topic::<DeadLetter>("t.g.dead")
        .capacity_bytes(30, |letter| letter.message::<u64>().map_or(0, |message| size(&message)));
    letters.open().await.unwrap();
    let temper = Temper { errors: 4, rejects: 6, ..Temper::drawn(&stage) };
    let kept = stage.clone();
    let group = topic.group("g").consumers(2).retry(stage.retry()).ack_timeout(millis(50));
    let group = group.run_with(move || Worker::new(&kept, "g", temper)).await.unwrap();
    let leaves = open(&stage, &topic, "leaves").await;
    stage.storm();
    let publishers: Vec<_> = (0..3)
        .map(|publisher| {
            let (kept, topic) = (stage.clone(), topic.clone());
            stage.spawn("publisher", async move {
                for n in 0..20 {
                    publish_one(&kept, &topic, publisher * 1000 + n * 7).await;
                    kept.a_while(millis(5)).await;
                }
            })
        })
        .collect();
    // Letters that go back are read before: what was moved away is not kept for a reader who comes later.
    let (kept, redriven, redrives) = (stage.clone(), group.clone(), stage.chance(2));
    stage.draw(format_args!("redrives: {redrives}"));
    if redrives {
        stage.clerk("t.g.dead").await;
    }
    let redriver = stage.spawn("redriver", async move {
        while redrives && !kept.is_calm() {
            kept.a_while(millis(40)).await;
            let _ = cut(kept.below(12), redriven.redrive()).await;
        }
    });
    stage.a_while(millis(200)).await;
    let _ = leaves.delete().await;
    if !redrives {
        stage.clerk("t.g.dead").await;
    }
    futures::future::join_all(publishers).await;
    stage.calm_down();
    redriver.await;
    stage.calm().await;
    let stats = topic.stats().await.unwrap();
    if stats.unsettled + stats.bytes > 0 {
        stage.is_wrong(format_args!("P16: places or bytes are taken at rest: {stats:?}"));
    }
    topic.hold();
    stage.sim().settle().await;
    let room = (0..).take_while(|_| topic.try_publish(20).is_ok()).count();
    if room != capacity.min(LIMIT / 20) {
        stage.is_wrong(format_args!("P16: {room} messages of 20 bytes find room at rest"));
    }
    topic.release();
    stage.calm().await;
}

async fn publish_one(stage: &Stage, topic: &Topic<u64>, value: u64) {
    let tried = stage.try_out(topic.name(), value);
    match stage.below(4) {
        0 => _ = tried.answer(topic.try_publish(value)),
        1 => {
            if let Some(answer) = cut(stage.below(4), topic.publish(value)).await {
                tried.answer(answer);
            }
        }
        2 => {
            // Whether it was accepted before the cut is not known.
            let mut sink = topic.sink();
            let _ = cut(stage.below(4), sink.send(value + 500)).await;
        }
        _ => _ = tried.answer(topic.publish(value).await),
    }
}

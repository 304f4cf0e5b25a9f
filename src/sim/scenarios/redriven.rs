//! Dead letters that go back to their group, all at once or one by one, and die again: P2, P4, P5, P12, P23.

use futures::StreamExt as _;

use super::competing::publish_all;
use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::broker::{DeadLetter, Retry};
use crate::sim::cut;
use crate::supervise::Backoff;

/// A letter that the clerk drops now and then must not die itself.
fn patient() -> Retry {
    Retry::new(Backoff::fixed(millis(20))).max_attempts(10_000)
}

pub(super) async fn run(stage: Stage) {
    let topic = stage.broker().topic::<u64>("t").capacity(stage.pick("capacity", &[2, 8, 40])).open();
    let topic = topic.await.unwrap();
    let temper = Temper { errors: 3, rejects: 6, ..Temper::drawn(&stage) };
    let group = topic.group("g").consumers(1 + stage.below(3) as u32).retry(stage.retry());
    // Where both topics are full of what waits for the other, nothing goes back: so here is room for all.
    let group = group.ack_timeout(millis(50)).dead_letter_capacity(64);
    let kept = stage.clone();
    let group = group.run_with(move || Worker::new(&kept, "g", temper)).await.unwrap();
    stage.storm();
    let (kept, of) = (stage.clone(), topic.clone());
    let publishing = stage.spawn("publishers", async move { publish_all(&kept, &of, 40).await });
    let one_by_one = stage.chance(2);
    stage.draw(format_args!("one by one: {one_by_one}"));
    let kept = stage.clone();
    let letters = stage.broker().topic::<DeadLetter>("t.g.dead").open().await.unwrap();
    let redriving = match one_by_one {
        true => {
            let letters =
                letters.group("clerk").ack_timeout(millis(400)).retry(patient()).stream().await.unwrap();
            stage.spawn("clerk", letter_by_letter(kept, letters))
        }
        false => {
            let group = group.clone();
            stage.spawn("redriver", async move {
                while !kept.is_calm() {
                    kept.a_while(millis(40)).await;
                    let _ = cut(kept.below(12), group.redrive()).await;
                }
            })
        }
    };
    publishing.await;
    stage.a_while(millis(300)).await;
    stage.calm_down();
    if !one_by_one {
        redriving.await;
    }
    // In calm nothing dies any more: so once all are back, none is left.
    stage.calm().await;
    while group.redrive().await.unwrap() > 0 {
        stage.calm().await;
    }
    stage.calm().await;
    let stats = group.stats().await.unwrap();
    let left = letters.stats().await.unwrap().unsettled;
    if stats.dead_lettered != stats.redriven || stats.unsettled() > 0 || left > 0 {
        stage.is_wrong(format_args!("P12: {left} letters are left, and the group has {stats:?}"));
    }
}

/// Redrives each letter before it is acked; both may be given up in between, so that a letter comes twice.
async fn letter_by_letter(stage: Stage, mut letters: crate::broker::DeliveryStream<DeadLetter>) {
    while let Some(letter) = letters.next().await {
        let back = match stage.is_calm() {
            true => letter.redrive().await.is_ok(),
            false => matches!(cut(stage.below(12), letter.redrive()).await, Some(Ok(()))),
        };
        if back && (stage.is_calm() || !stage.chance(5)) {
            let _ = letter.ack();
        }
        stage.a_while(millis(5)).await;
    }
}

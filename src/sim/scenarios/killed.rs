//! Tasks of a broker that vanish, as they do where a runtime ends first: nobody may hang, and nothing be acked.

use std::time::Duration;

use super::competing::open;
use super::stage::{Stage, millis};
use crate::sim::check::What;
use crate::sim::cut;

const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn run(stage: Stage) {
    let topic = stage.broker().topic::<u64>("t").capacity(6).open().await.unwrap();
    let group = open(&stage, &topic, "g").await;
    stage.storm();
    let (kept, of) = (stage.clone(), topic.clone());
    let publishing = stage.spawn("publisher", async move {
        for value in 0..40 {
            if kept.publish(&of, value).await.is_none() && !kept.chance(3) {
                break;
            }
        }
    });
    stage.a_while(millis(60)).await;
    // A schedule that has something to lose.
    for delay in [20, 40, 3_600_000] {
        let _ = cut(4, stage.publish_after(&topic, millis(delay), 100 + delay)).await;
    }
    let victim = stage.pick("killed", &["topic t", "schedule t", "group t.g", "consumer of t.g"]);
    let killed = stage.sim().kill(victim);
    stage.draw(format_args!("there: {killed}"));
    stage.a_while(millis(60)).await;
    match victim {
        // Another consumer works off what it held.
        "consumer of t.g" => {
            open_again(&stage, &topic).await;
            if stage.within(PATIENCE, publishing).await.is_none() {
                stage.is_wrong("P10: publishers wait for a consumer that was replaced");
            }
            stage.calm().await;
        }
        _ => {
            stage.note(What::Killed);
            stage.calm_down();
            let all = async {
                (topic.settled().await.is_ok(), group.stats().await.is_ok(), topic.stats().await.is_ok())
            };
            if victim == "topic t" && stage.within(PATIENCE, all).await.is_none() {
                stage.is_wrong("G17: somebody waits for a topic whose task is gone");
            }
            if victim == "topic t" && stage.within(PATIENCE, publishing).await.is_none() {
                stage.is_wrong("G17: a publisher waits for a topic whose task is gone");
            }
        }
    }
    let broker = stage.broker();
    if stage.within(PATIENCE, broker.shutdown()).await.is_none() {
        stage.is_wrong("G18: a shutdown waits for a task that is gone");
    }
}

async fn open_again(stage: &Stage, topic: &crate::broker::Topic<u64>) {
    let (kept, temper) = (stage.clone(), super::worker::Temper::default());
    topic
        .group("g")
        .run_with(move || super::worker::Worker::new(&kept, "g", temper))
        .await
        .map(drop)
        .unwrap();
}

//! Groups that are opened at any time, with any start, while the topic is held and let go: P1, P3, P6.

use super::competing::publish_all;
use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::broker::{MessageId, Start};

pub(super) async fn run(stage: Stage) {
    let topic = stage.broker().topic::<u64>("t").capacity(stage.pick("capacity", &[5, 40])).hold();
    let topic = topic.open().await.unwrap();
    let (kept, of) = (stage.clone(), topic.clone());
    let publishing = stage.spawn("publishers", async move { publish_all(&kept, &of, 60).await });
    for number in 0..1 + stage.below(4) {
        stage.a_while(millis(20)).await;
        if stage.chance(3) {
            topic.hold();
        } else if stage.chance(2) {
            topic.release();
        }
        let start = match stage.below(5) {
            0 => Start::Latest,
            1 => Start::Offset(stage.below(60) as u64),
            2 => Start::After(MessageId::new(0, stage.below(60) as u64)),
            _ => Start::Earliest,
        };
        let (name, temper) = (format!("g{number}"), Temper::drawn(&stage));
        stage.draw(format_args!("{name} from {start:?}"));
        let (kept, of) = (stage.clone(), name.clone());
        let group = topic.group(&name).start_at(start).retry(stage.retry()).ack_timeout(millis(50));
        group.run_with(move || Worker::new(&kept, &of, temper)).await.unwrap();
        stage.clerk(&format!("t.{name}.dead")).await;
        stage.storm();
    }
    topic.release();
    publishing.await;
    stage.calm().await;
}

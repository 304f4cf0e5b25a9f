//! One group stands still, for ever or for a while; no other may notice: P18.

use std::time::Duration;

use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::sim::check::What;

pub(super) async fn run(stage: Stage) {
    let capacity = stage.pick("capacity", &[4, 33, 300]);
    let topic = stage.broker().topic::<u64>("t").capacity(capacity).open().await.unwrap();
    let (kept, gate) = (stage.clone(), stage.clone());
    let still = topic.group("still").ack_timeout(Duration::from_secs(3600)).with(gate);
    let still = still.run(async |message, stage: Stage| {
        while !stage.is_calm() {
            stage.sim().sleep(Duration::from_secs(10)).await;
        }
        stage.saw(&message, "still");
        Ok(())
    });
    still.await.unwrap();
    let others = 1 + stage.below(3);
    for number in 0..others {
        let (name, temper) = (format!("g{number}"), Temper::drawn(&stage));
        let (kept, of) = (kept.clone(), name.clone());
        let group = topic.group(&name).consumers(2).retry(stage.retry()).ack_timeout(millis(40));
        group.run_with(move || Worker::new(&kept, &of, Temper { hangs: 0, ..temper })).await.unwrap();
        stage.clerk(&format!("t.{name}.dead")).await;
    }
    for value in 0..capacity as u64 {
        stage.publish(&topic, value).await;
    }
    stage.sim().sleep(Duration::from_secs(120)).await;
    let key = stage.watcher().notes().history.key("t", "still").unwrap();
    stage.note(What::Stalled(key));
    if topic.try_publish(1).is_ok() {
        stage.is_wrong("P8: there is room in a topic that a group has not settled any of");
    }
    stage.calm().await;
}

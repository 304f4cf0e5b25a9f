//! Now and then a message stays for long, and its batch with it: what batches keep is bounded (P7, G2).

use std::time::Duration;

use super::stage::{Stage, millis};
use crate::broker::{Message, Outcome, Retry};

pub(super) async fn run(stage: Stage) {
    let capacity = stage.pick("capacity", &[4, 9, 40, 300]);
    let topic = stage.broker().topic::<u64>("t").capacity(capacity).open().await.unwrap();
    for number in 0..1 + stage.below(2) {
        let one_in = 2 + stage.below(capacity);
        stage.draw(format_args!("one in {one_in} lingers"));
        let name = format!("g{number}");
        let group = topic.group(&name).consumers(2).retry(Retry::immediately().max_attempts(3));
        let group = group.with((stage.clone(), name, one_in as u64));
        let group =
            group.run_outcome(async |message: Message<u64>, (stage, name, one_in): (Stage, String, u64)| {
                stage.saw(&message, &name);
                match message.attempt() == 1 && message.is_multiple_of(one_in) {
                    true => Outcome::RetryAfter(Duration::from_secs(2)),
                    false => Outcome::Ack,
                }
            });
        group.await.unwrap();
    }
    for burst in 0..12 {
        let from = burst * capacity as u64;
        if topic.publish_all(from..from + capacity as u64).await.is_err() {
            stage.is_wrong("P1: a topic that is open refuses");
        }
        stage.a_while(millis(800)).await;
    }
    stage.calm().await;
}

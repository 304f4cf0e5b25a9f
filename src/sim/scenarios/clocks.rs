//! The wall clock jumps an hour forth and back, or to where it began; no deadline may notice: P20.

use std::time::{Duration, SystemTime};

use super::competing::{open, publish_all};
use super::stage::{Stage, millis};
use crate::runtime::Runtime as _;

const HOUR: Duration = Duration::from_secs(3600);

pub(super) async fn run(stage: Stage) {
    let topic = stage.broker().topic::<u64>("t").capacity(20).open().await.unwrap();
    for number in 0..2 {
        open(&stage, &topic, &format!("g{number}")).await;
    }
    stage.storm();
    let (kept, of) = (stage.clone(), topic.clone());
    let publishing = stage.spawn("publishers", async move { publish_all(&kept, &of, 60).await });
    for _ in 0..stage.below(12) {
        stage.a_while(millis(30)).await;
        let now = stage.sim().wall_clock();
        let to = match stage.below(3) {
            0 => now.checked_add(HOUR),
            1 => now.checked_sub(HOUR),
            _ => Some(SystemTime::UNIX_EPOCH),
        };
        stage.sim().set_wall_clock(to.unwrap_or(now));
    }
    publishing.await;
    stage.calm().await;
}

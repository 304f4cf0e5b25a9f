//! Topics that spill to a disk that refuses calls, or has no room, now and then; bursts, slow groups, and an end at any
//! time: P1, P3, P6, P7, P16, P23.

use std::io::ErrorKind;
use std::time::Duration;

use super::competing::{self, publish_all};
use super::stage::{Stage, millis};
use crate::base::Fault;
use crate::broker::{Codec, Overflow, Topic};
use crate::sim::check::What;
use crate::sim::{DiskCall, DiskFault, SimDisk};

const PATIENCE: Duration = Duration::from_secs(600);

/// Writes numbers, of various lengths, and can't read some of them any more.
struct Fickle {
    /// One in so many, or none.
    loses: Option<u64>,
}

impl Codec<u64> for Fickle {
    fn name(&self) -> &str {
        "fickle/1"
    }

    fn encode(&self, number: &u64, into: &mut Vec<u8>) -> Result<(), Fault> {
        into.extend(number.to_le_bytes());
        into.resize(8 + (*number % 5) as usize * 20, 7);
        Ok(())
    }

    fn decode(&self, bytes: &[u8], _: u32) -> Result<u64, Fault> {
        let (number, _) = bytes.split_first_chunk().ok_or_else(|| Fault::new("too short"))?;
        let number = u64::from_le_bytes(*number);
        match self.loses {
            Some(one_in) if number % one_in == 3 => Err(Fault::new("not this one")),
            _ => Ok(number),
        }
    }
}

pub(super) async fn run(stage: Stage) {
    let disk = SimDisk::new(stage.sim().seed());
    let capacity = stage.pick("capacity", &[2, 8, 30, 120]);
    let bytes = stage.pick("bytes", &[100, 2000, 40_000, 1 << 30]);
    let loses = [None, None, Some(10)][stage.below(3)];
    stage.draw(format_args!("loses {loses:?}"));
    let topic = stage.broker().topic::<u64>("t").capacity(capacity).key_by(|value| value % 5);
    let weighed = stage.chance(3);
    let topic =
        if weighed { topic.capacity_bytes(capacity * 5, |value| 1 + *value as usize % 9) } else { topic };
    let topic = topic.overflow(Overflow::Spill { bytes }).spill_on("/", Fickle { loses }, disk.clone());
    let topic = topic.open().await.unwrap();
    for number in 0..stage.below(3) {
        competing::open(&stage, &topic, &format!("g{number}")).await;
    }
    stage.storm();
    let (kept, of, messages) = (stage.clone(), topic.clone(), 100 + stage.below(500) as u64);
    let publishing = stage.spawn("publishers", async move { publish_all(&kept, &of, messages).await });
    let trouble = stage.spawn("trouble", fail(stage.clone(), disk.clone()));
    let (kept, of) = (stage.clone(), topic.clone());
    let looks = stage.spawn("onlooker", async move {
        for _ in 0..kept.below(30) {
            kept.a_while(millis(10)).await;
            look(&kept, &of, (capacity, bytes)).await;
        }
    });
    let ends = stage.chance(4);
    if ends {
        stage.a_while(millis(100)).await;
        let limit = stage.pick("limit of ms", &[0, 5, 50, 30_000]);
        stage.broker().shutdown_within(millis(limit)).await;
        stage.calm_down();
        publishing.await;
        return;
    }
    futures::future::join(trouble, looks).await;
    disk.heal();
    disk.set_free(1 << 40);
    // Whoever comes late is given what is in the line all the same.
    competing::open(&stage, &topic, "late").await;
    if stage.within(PATIENCE, publishing).await.is_none() {
        return stage.is_wrong("P16: publishers wait for a topic that could spill");
    }
    stage.calm().await;
    at_rest(&stage, &topic, &disk).await;
}

/// Lets calls of the disk fail, once or for a while, and lets it run full.
async fn fail(stage: Stage, disk: SimDisk) {
    if stage.chance(3) {
        disk.interrupts(20);
        disk.short_calls(50);
    }
    for _ in 0..stage.below(5) {
        stage.a_while(millis(20)).await;
        let fault = DiskFault::nth(1 + stage.below(6) as u64);
        let fault = if stage.chance(2) { fault.lasting() } else { fault };
        match stage.pick("fault", &["write", "no room", "create", "read", "any", "full"]) {
            "write" => disk.fail(fault.of(DiskCall::Write)),
            "no room" => disk.fail(fault.of(DiskCall::Write).with(ErrorKind::StorageFull)),
            "create" => disk.fail(fault.of(DiskCall::Create)),
            "read" => disk.fail(fault.of(DiskCall::Read)),
            "any" => disk.fail(fault),
            _ => disk.set_free(stage.below(3000) as u64),
        }
        stage.a_while(millis(40)).await;
        if stage.chance(2) {
            disk.heal();
            disk.set_free(1 << 40);
        }
    }
}

/// What is in memory is bounded, and what is on the disk is too.
async fn look(stage: &Stage, topic: &Topic<u64>, (capacity, bytes): (usize, u64)) {
    let Ok(stats) = topic.stats().await else { return };
    // On the disk goes what is a quarter of the capacity at a time; beyond the limit the last block.
    let block = (capacity as u64 / 4).max(1) * 120;
    if stats.spilled_bytes > bytes + block {
        stage.is_wrong(format_args!("P7: {} bytes are spilled of {bytes}", stats.spilled_bytes));
    }
    let (least, most) = (stats.unsettled.saturating_sub(stats.spilled), capacity as u64);
    if least > 2 * most + 64.max(most) {
        stage.is_wrong(format_args!("P7: {least} messages are in a memory of {most}: {stats:?}"));
    }
}

/// All is settled, but for what is counted as lost; and no file is left.
async fn at_rest(stage: &Stage, topic: &Topic<u64>, disk: &SimDisk) {
    let stats = topic.stats().await.unwrap();
    if (stats.unsettled, stats.spilled, stats.spilled_bytes) != (0, 0, 0) {
        stage.is_wrong(format_args!("P10: in the end a topic that spills has {stats:?}"));
    }
    let lost = |event: &&crate::sim::check::Event| matches!(event.what, What::Lost { .. });
    let lost = stage.watcher().notes().history.events.iter().filter(lost).count() as u64;
    if stats.spill_lost != lost {
        stage.is_wrong(format_args!("P23: {lost} are lost, and {} are counted", stats.spill_lost));
    }
    // A disk that refuses every call can't be asked to take a name away.
    if !disk.files().is_empty() && !stage.drawn().contains("fault any") {
        stage.is_wrong(format_args!("P15: what was spilled has a name: {:?}", disk.files()));
    }
}

//! Processes that are killed, lose their power or end in order at any moment, one after the other, with one disk: P22,
//! beside all that holds for each of them. And a disk that refuses, runs full, fails to sync, or turns bits over.

use std::io::ErrorKind;

use super::lives::{Lives, TopicPlot};
use super::stage::{Stage, millis};
use crate::sim::{DiskCall, DiskFault, SimDisk};

/// What goes wrong beside the ends of processes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    Faults,
}

pub(super) async fn run(stage: Stage) {
    let lives = beginning(&stage);
    for _ in 0..1 + stage.below(4) {
        one_life(&stage, &lives, Trouble::None).await;
    }
    end(&lives).await;
}

/// G22: a disk that refuses calls, or has no room for a while.
pub(super) async fn faults(stage: Stage) {
    let lives = beginning(&stage);
    lives.set_faulty();
    for _ in 0..1 + stage.below(3) {
        one_life(&stage, &lives, Trouble::Faults).await;
        lives.disk().heal();
        lives.disk().set_free(1 << 30);
    }
    end(&lives).await;
}

/// G5: topics that keep a history, groups that begin in it, and are moved.
pub(super) async fn history(stage: Stage) {
    let names = ["t", "u"].into_iter().take(1 + stage.below(2));
    let plot = |name| TopicPlot::drawn(&stage, name).with_history(&stage);
    let lives = Lives::new(&stage, names.map(plot).collect());
    let fails = stage.chance(3);
    if fails {
        lives.set_faulty();
    }
    for _ in 0..1 + stage.below(4) {
        one_life(&stage, &lives, if fails { Trouble::Faults } else { Trouble::None }).await;
        lives.disk().heal();
        lives.disk().set_free(1 << 30);
    }
    end(&lives).await;
}

/// G21: a bit is turned over while no process is there. The directory is refused, or all of it is there.
pub(super) async fn damaged(stage: Stage) {
    let lives = beginning(&stage);
    for _ in 0..1 + stage.below(3) {
        in_order(&stage, &lives).await;
        for _ in 0..1 + stage.below(3) {
            damage(&stage, &lives).await;
        }
    }
    end(&lives).await;
}

fn beginning(stage: &Stage) -> Lives {
    let names = ["t", "u"].into_iter().take(1 + stage.below(2));
    Lives::new(stage, names.map(|name| TopicPlot::drawn(stage, name)).collect())
}

async fn end(lives: &Lives) {
    let drained = lives.settle_all().await;
    lives.check(drained);
}

async fn one_life(stage: &Stage, lives: &Lives, trouble: Trouble) {
    let disk = lives.disk();
    if stage.chance(3) {
        disk.interrupts(20);
        disk.short_calls(50);
    }
    // So many calls of the disk may the process make, from its first on, or after a while.
    let doomed = stage.below(3);
    if doomed == 0 {
        disk.stop_at(disk.calls() + 1 + stage.below(30) as u64);
    }
    if trouble == Trouble::Faults && stage.chance(3) {
        plan_fault(stage, &disk, 30);
    }
    match lives.begin().await {
        Ok(()) => {}
        Err(_) if disk.is_stopped() || trouble == Trouble::Faults => return lives.kill(),
        Err(error) => {
            stage.is_wrong(format_args!("P22: the directory is refused: {error}"));
            return lives.kill();
        }
    }
    stage.storm();
    let Some(topics) = lives.open(false).await else {
        if !disk.is_stopped() && trouble == Trouble::None {
            stage.is_wrong("P22: a topic or a group can't be opened again");
        }
        return lives.kill();
    };
    let publishing = lives.publish(&topics, 5 + stage.below(30) as u64);
    let moving = lives.move_about(&topics);
    if doomed == 1 {
        disk.stop_at(disk.calls() + 1 + stage.below(80) as u64);
    }
    if trouble == Trouble::Faults {
        (0..1 + stage.below(2)).for_each(|_| plan_fault(stage, &disk, 60));
    }
    let (end, patience) =
        (stage.below(4), stage.sim().now() + millis(stage.pick("patience", &[0, 5, 40, 400])));
    while !disk.is_stopped() && stage.sim().now() < patience {
        stage.sim().sleep(millis(1)).await;
        if disk.free() == Some(0) && stage.chance(10) {
            disk.set_free(1 << 30);
        }
    }
    drop(topics);
    if end == 0 && !disk.is_stopped() {
        return lives.shut_down(millis(stage.pick("limit", &[0, 10, 30_000]))).await;
    }
    drop((publishing, moving));
    lives.kill();
}

/// A call that fails within so many, or a disk that is full.
fn plan_fault(stage: &Stage, disk: &SimDisk, within: usize) {
    let fault = DiskFault::nth(1 + stage.below(within) as u64);
    let full = ErrorKind::StorageFull;
    match stage.pick("fault", &["sync", "write", "no room", "any", "full"]) {
        "sync" => disk.fail(fault.of(DiskCall::Sync)),
        "write" => disk.fail(fault.of(DiskCall::Write)),
        "no room" => disk.fail(fault.of(DiskCall::Write).with(full)),
        "any" => disk.fail(fault),
        _ => disk.set_free(stage.below(60_000) as u64),
    }
}

async fn in_order(stage: &Stage, lives: &Lives) {
    if let Err(error) = lives.begin().await {
        stage.is_wrong(format_args!("P22: the directory is refused: {error}"));
        return lives.kill();
    }
    stage.storm();
    let topics = lives.open(false).await.unwrap_or_default();
    let publishing = lives.publish(&topics, 5 + stage.below(30) as u64);
    stage.sim().sleep(millis(stage.pick("patience", &[0, 5, 40, 400]))).await;
    drop((topics, publishing));
    lives.shut_down(millis(stage.pick("limit", &[0, 10, 30_000]))).await;
}

/// Turns some bits of a byte over, opens everything, and turns them back if that was refused.
async fn damage(stage: &Stage, lives: &Lives) {
    let files: Vec<_> = lives.disk().files().into_iter().filter(|(_, len)| *len > 0).collect();
    let Some((path, len)) = files.get(stage.below(files.len())).cloned() else { return };
    // Where something is, more often than not.
    let most = if stage.chance(2) { len.min(6000) } else { len };
    let (byte, mask) = (stage.below(most as usize) as u64, 1 << stage.below(8));
    stage.draw(format_args!("damage: {} {byte} {mask}", path.display()));
    lives.disk().flip(&path, byte, mask).unwrap();
    let refused = match lives.begin().await {
        Ok(()) => lives.open(true).await.is_none(),
        Err(_) => true,
    };
    lives.cut_short();
    if refused {
        lives.disk().flip(&path, byte, mask).unwrap();
    }
}

//! Processes that are killed, lose their power or end in order at any moment, one after the other, with one disk: P22,
//! beside all that holds for each of them.

use super::lives::{Lives, TopicPlot};
use super::stage::{Stage, millis};

pub(super) async fn run(stage: Stage) {
    let names = ["t", "u"].into_iter().take(1 + stage.below(2));
    let lives = Lives::new(&stage, names.map(|name| TopicPlot::drawn(&stage, name)).collect());
    for _ in 0..1 + stage.below(4) {
        one_life(&stage, &lives).await;
    }
    let drained = lives.settle_all().await;
    lives.check(drained);
}

async fn one_life(stage: &Stage, lives: &Lives) {
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
    match lives.begin().await {
        Ok(()) => {}
        Err(_) if disk.is_stopped() => return lives.kill(),
        Err(error) => {
            stage.is_wrong(format_args!("P22: the directory is refused: {error}"));
            return lives.kill();
        }
    }
    stage.storm();
    let Some(topics) = lives.open(false).await else {
        if !disk.is_stopped() {
            stage.is_wrong("P22: a topic or a group can't be opened again");
        }
        return lives.kill();
    };
    let publishing = lives.publish(&topics, 5 + stage.below(30) as u64);
    if doomed == 1 {
        disk.stop_at(disk.calls() + 1 + stage.below(80) as u64);
    }
    let (end, patience) = (stage.below(4), stage.sim().now() + millis(stage.pick("patience", &[0, 5, 40, 400])));
    while !disk.is_stopped() && stage.sim().now() < patience {
        stage.sim().sleep(millis(1)).await;
    }
    drop(topics);
    if end == 0 && !disk.is_stopped() {
        return lives.shut_down(millis(stage.pick("limit", &[0, 10, 30_000]))).await;
    }
    drop(publishing);
    lives.kill();
}

//! Topics that keep what is settled, within limits: groups that begin in the past, are moved, deleted and opened again,
//! and browsers, while everybody works and faults strike: P27, beside P1 to P7, P10 to P12, P16, P21, P23.

use std::time::Duration;

use futures::StreamExt as _;

use super::competing::publish_all;
use super::stage::{Stage, millis};
use super::worker::{Temper, Worker};
use crate::broker::{Browse, Group, MessageId, Retain, SeekError, Start, Topic};
use crate::sim::check::What;
use crate::sim::cut;

const PATIENCE: Duration = Duration::from_secs(300);

/// What a message weighs.
fn weight(value: &u64) -> usize {
    1 + *value as usize % 9
}

pub(super) async fn run(stage: Stage) {
    let limits = limits(&stage);
    let topic = open_topic(&stage, limits).await;
    let groups: Vec<_> = ["g0", "g1"].into_iter().take(stage.below(3)).collect();
    let mut tasks = Vec::new();
    for name in groups {
        let group = open(&stage, &topic, name, Start::Earliest).await;
        if stage.chance(2) {
            tasks.push(stage.spawn("pilot", steer(stage.clone(), group)));
        }
    }
    stage.storm();
    let (kept, of, messages) = (stage.clone(), topic.clone(), 40 + stage.below(160) as u64);
    let publishing = stage.spawn("publishers", async move { publish_all(&kept, &of, messages).await });
    for number in 0..1 + stage.below(3) {
        tasks.push(stage.spawn("latecomer", come_and_go(stage.clone(), topic.clone(), number)));
    }
    for number in 0..stage.below(3) as u64 {
        tasks.push(stage.spawn("browser", look_on(stage.clone(), topic.clone(), number * 100)));
    }
    if stage.chance(3) {
        tasks.push(stage.spawn("holder", hold(stage.clone(), topic.clone())));
    }
    for task in tasks {
        if stage.within(PATIENCE, task).await.is_none() {
            return stage.is_wrong("P27: whoever moves a group, deletes it or browses waits for ever");
        }
    }
    if stage.within(PATIENCE, publishing).await.is_none() {
        return stage.is_wrong("P16: publishers wait for places in a topic that keeps its history");
    }
    // A seek that was given up goes on; once its group has heard of it, that is not quiet.
    stage.sim().settle().await;
    stage.calm().await;
    for name in ["g0", "g1", "late0", "late1", "late2"] {
        let Ok(group) = topic.find_group(name) else { continue };
        let stats = group.stats().await.unwrap();
        if stats.lag > 0 {
            let consumers = group.consumer_stats().await;
            stage.is_wrong(format_args!("P10: in the end {name} has {stats:?}, {consumers:?}"));
        }
    }
    at_rest(&stage, &topic, limits).await;
}

fn limits(stage: &Stage) -> Retain {
    let mut limits = Retain::all();
    if let Some(messages) = [None, Some(1), Some(10), Some(60), Some(400)][stage.below(5)] {
        limits = limits.messages(messages);
    }
    if let Some(bytes) = [None, None, Some(40), Some(400)][stage.below(4)] {
        limits = limits.bytes(bytes);
    }
    if let Some(age) = [None, None, Some(3), Some(60), Some(100_000)][stage.below(5)] {
        limits = limits.age(millis(age));
    }
    stage.draw(format_args!("{limits:?}"));
    limits
}

async fn open_topic(stage: &Stage, limits: Retain) -> Topic<u64> {
    let capacity = stage.pick("capacity", &[2, 7, 30, 300]);
    let topic = stage.broker().topic::<u64>("t").capacity(capacity).key_by(|value| value % 5);
    let topic = if limits.bytes.is_some() { topic.capacity_bytes(capacity * 9, weight) } else { topic };
    topic.retain(limits).open().await.unwrap()
}

/// A group whose workers fail as drawn, with an order or without.
async fn open(stage: &Stage, topic: &Topic<u64>, name: &str, start: Start) -> Group {
    let (consumers, prefetch) = (1 + stage.below(3) as u32, stage.pick("prefetch", &[1, 3, 16, 512]));
    stage.draw(format_args!("{name}: {consumers} consumers from {start:?}"));
    let temper = Temper::drawn(stage);
    let (retry, timeout) = (stage.retry(), millis(20 + stage.below(60) as u64));
    let group = topic.group(name).start_at(start).consumers(consumers).prefetch(prefetch);
    let group = group.retry(retry).ack_timeout(timeout);
    let group = match stage.pick("order", &["shared", "shared", "keyed", "exclusive"]) {
        "keyed" => group.key_ordered(),
        "exclusive" => group.exclusive(),
        _ => group,
    };
    let (kept, of) = (stage.clone(), name.to_owned());
    let group = group.run_with(move || Worker::new(&kept, &of, temper)).await.unwrap();
    stage.clerk(&format!("{}.{name}.dead", topic.name())).await;
    group
}

/// Somewhere in the topic, behind it, or at a time.
pub(super) fn somewhere(stage: &Stage) -> Start {
    let offset = stage.below(200) as u64;
    match stage.below(6) {
        0 => Start::Latest,
        1 => Start::After(MessageId::new(0, offset)),
        2 => Start::UnixMillis(stage.wall_millis().saturating_sub(stage.below(100) as u64)),
        3 | 4 => Start::Offset(offset),
        _ => Start::Earliest,
    }
}

/// Moves the group a few times, whatever it is at; and lets it be paused meanwhile.
async fn steer(stage: Stage, group: Group) {
    for _ in 0..1 + stage.below(5) {
        stage.a_while(millis(40)).await;
        let pauses = stage.chance(4);
        if pauses {
            group.pause().await.unwrap();
        }
        move_it(&stage, &group).await;
        if pauses {
            stage.a_while(millis(20)).await;
            group.resume().await.unwrap();
        }
    }
}

async fn move_it(stage: &Stage, group: &Group) {
    if let Some(Err(error)) = seek(stage, group, "t").await {
        stage.is_wrong(format_args!("P27: a seek is answered by {error}"));
    }
}

/// Moves a group somewhere, and writes the answer down, if it waits for that.
pub(super) async fn seek(stage: &Stage, group: &Group, topic: &str) -> Option<Result<(), SeekError>> {
    let to = somewhere(stage);
    stage.draw(format_args!("{} to {to:?}", group.name()));
    let key = stage.watcher().notes().history.key(topic, group.name().as_str())?;
    stage.note(What::Seeks(key));
    // Given up, it goes on.
    let answer = match stage.chance(4) {
        true => cut(1 + stage.below(3), group.seek(to)).await,
        false => stage.within(PATIENCE, group.seek(to)).await,
    };
    if let Some(Ok(())) = answer {
        stage.note(What::Sought(key));
    }
    answer
}

/// A group that is opened late, perhaps moved, perhaps deleted; and then one of its name is opened anew.
async fn come_and_go(stage: Stage, topic: Topic<u64>, number: usize) {
    let name = format!("late{number}");
    for _ in 0..1 + stage.below(3) {
        stage.a_while(millis(40)).await;
        let start = somewhere(&stage);
        let group = open(&stage, &topic, &name, start).await;
        for _ in 0..stage.below(3) {
            stage.a_while(millis(30)).await;
            move_it(&stage, &group).await;
        }
        if stage.chance(2) {
            return;
        }
        stage.a_while(millis(60)).await;
        match group.delete().await {
            Ok(report) if report.settled + report.lost == report.stats.entered => {}
            other => stage.is_wrong(format_args!("P23: deleting a group that reads history: {other:?}")),
        }
    }
}

async fn hold(stage: Stage, topic: Topic<u64>) {
    for _ in 0..1 + stage.below(3) {
        stage.a_while(millis(40)).await;
        topic.hold();
        stage.a_while(millis(40)).await;
        topic.release();
    }
}

/// Browses a few times, from somewhere, forth or back, slowly or not.
async fn look_on(stage: Stage, topic: Topic<u64>, first: u64) {
    for number in first..first + 1 + stage.below(6) as u64 {
        stage.a_while(millis(30)).await;
        let (back, offset) = (stage.chance(2), stage.below(200) as u64);
        let (start, at) = match stage.below(4) {
            0 => (Start::Earliest, 0),
            1 if back => (Start::Latest, u64::MAX),
            2 => (Start::After(MessageId::new(0, offset)), offset + 1),
            _ => (Start::Offset(offset), offset),
        };
        stage.note(What::Browses { topic: topic.name().clone(), browse: number, at, back });
        let browse = if back { topic.browse_backwards(start) } else { topic.browse(start) };
        let slow = stage.chance(2);
        browse_all(&stage, browse, number, slow).await;
    }
}

async fn browse_all(
    stage: &Stage,
    mut browse: Browse<u64>,
    number: u64,
    slow: bool,
) -> Vec<(u64, MessageId)> {
    let mut all = Vec::new();
    while let Some(shown) = browse.next().await {
        match shown {
            Ok(message) => {
                stage.note(What::Browsed { browse: number, offset: Some(message.id().offset()) });
                all.push((*message, message.id()));
            }
            Err(error) => stage.is_wrong(format_args!("P27: a browse fails: {error}")),
        }
        if slow {
            stage.a_while(millis(3)).await;
        }
    }
    stage.note(What::Browsed { browse: number, offset: None });
    all
}

/// With nothing going on, just what the limits say is there; and a group reads all of that.
async fn at_rest(stage: &Stage, topic: &Topic<u64>, limits: Retain) {
    let accepted = topic.stats().await.unwrap().accepted;
    stage.note(What::Browses { topic: topic.name().clone(), browse: u64::MAX, at: 0, back: false });
    let now = stage.wall_millis();
    let kept = browse_all(stage, topic.browse(Start::Earliest), u64::MAX, false).await;
    let bytes: u64 = kept.iter().map(|(value, _)| weight(value) as u64).sum();
    let (count, all) = (kept.len() as u64, kept.len() as u64 == accepted);
    let wrong =
        |what: &str| stage.is_wrong(format_args!("P27: {what}: {count} of {accepted} kept, {bytes} bytes"));
    // Bytes and ages are kept by runs, each a 256th of the limit.
    if limits.bytes.is_some_and(|most| bytes > most) {
        wrong("too many bytes");
    }
    if limits.messages.is_some_and(|most| count > most) {
        wrong("too many messages");
    }
    let age = limits.age.map(|age| age.as_millis() as u64);
    if age.is_some_and(|age| kept.iter().any(|(_, id)| id.unix_millis() + age + age / 256 + 1 < now)) {
        wrong("too old");
    }
    let by_count = limits.messages.is_some_and(|most| count == most);
    let by_bytes = limits.bytes.is_some_and(|most| bytes + 9 + most / 256 > most);
    if !all && !by_count && !by_bytes && age.is_none() {
        wrong("too few");
    }
    let last = open(stage, topic, "last", Start::Earliest).await;
    stage.calm().await;
    let stats = last.stats().await.unwrap();
    // While it read, time went by.
    if stats.entered > count || age.is_none() && stats.entered != count || stats.lag > 0 {
        stage.is_wrong(format_args!("P27: {count} are kept, and a late group has {stats:?}"));
    }
}

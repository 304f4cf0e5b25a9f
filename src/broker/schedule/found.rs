//! What a durable topic had delayed when it was opened before.

use std::sync::Arc;

use crate::base::{Bug, Moment, Name, planted};
use crate::broker::disk::{Disk, Keeper, Stored, answered, blocking};
use crate::broker::envelope::Envelope;
use crate::broker::item::Item;
use crate::broker::record::{CHUNK, Clocks, Home, Reader, Record as Beside};
use crate::broker::{Codec, OpenError};
use crate::log::{Log, LogError, Record, Records, Settles, TopicState};
use crate::runtime::Rt;

/// A durable topic's delayed messages, as the disk has them.
pub(crate) struct FoundDelayed<T> {
    pub(crate) keeper: Keeper,
    /// One behind the last offset of the schedule.
    pub(crate) next: u64,
    /// In the order of their offsets.
    pub(crate) waiting: Vec<(Moment, Item<T>)>,
}

/// A delayed message that the codec can't read: of which offset, when it came, and its bytes.
type Unread = (u64, u64, Vec<u8>);

/// Finds what a topic has delayed. What can't be read moves into the topic at once, where it becomes a dead letter as it is:
/// `topic` is what the log has of that, and is told so.
pub(crate) async fn find_delayed<T: Send + Sync + 'static>(
    (disk, rt): (&Arc<Disk>, &Rt),
    (name, topic): (&Name, &mut Stored),
    codec: Arc<dyn Codec<T>>,
    weight: impl Fn(&T, usize) -> u64 + Send + 'static,
) -> Result<Option<FoundDelayed<T>>, OpenError> {
    let Some(stored) = disk.find_schedule(name).filter(|_| !planted(Bug::ForgottenSchedule)) else {
        return Ok(None);
    };
    let keeper = disk.claim_schedule(name).await?;
    let (log, number, state, clocks) =
        (disk.log.clone(), stored.number, stored.state.clone(), Clocks::of(rt));
    let read = blocking(rt, "read a schedule", move || {
        // Why no time of the topic's: that begins when a message is in it.
        let reader = Reader { codec: &*codec, clocks, ttl: None, weight: &weight };
        read_schedule(&log, (number, &state), &reader)
    });
    let (waiting, unread) = read.await.ok_or(LogError::Closed)??;
    if !unread.is_empty() {
        give_up(disk, (name, topic), &stored, unread).await?;
    }
    Ok(Some(FoundDelayed { keeper, next: stored.state.next, waiting }))
}

type ReadSchedule<T> = (Vec<(Moment, Item<T>)>, Vec<Unread>);

fn read_schedule<T: 'static>(
    log: &Log,
    (number, state): (u32, &TopicState),
    reader: &Reader<'_, T>,
) -> Result<ReadSchedule<T>, LogError> {
    let done = state.groups.get(&Home::GROUP).map(|group| &group.done);
    let (mut waiting, mut unread, mut from) = (Vec::new(), Vec::new(), state.floor);
    while from < state.next {
        let chunk = log.read(number, from, CHUNK)?;
        for (offset, record) in chunk.records() {
            if done.is_some_and(|done| done.contains(offset)) {
                continue;
            }
            match reader.item(record.millis, record.body) {
                Ok(mut item) => {
                    let due = Envelope::decode(record.body).ok().and_then(|envelope| envelope.due);
                    if let Some(key) = record.key {
                        item.set_dedup(key.into());
                    }
                    let home = Some(Home { schedule: number, offset });
                    item.set_record(Beside { bytes: record.body.to_vec(), confirm: None, home });
                    waiting.push((reader.clocks.moment(due.unwrap_or(0)), item));
                }
                Err(_) => unread.push((offset, record.millis, record.body.to_vec())),
            }
        }
        from = chunk.end().unwrap_or(state.next);
    }
    Ok((waiting, unread))
}

/// Moves what can't be read into the topic, in one commit.
async fn give_up(
    disk: &Arc<Disk>,
    (name, topic): (&Name, &mut Stored),
    schedule: &Stored,
    unread: Vec<Unread>,
) -> Result<(), LogError> {
    let (mut state, mut left) = (TopicState::clone(&topic.state), TopicState::clone(&schedule.state));
    for (offset, millis, bytes) in unread {
        // Times in a log only grow.
        let millis = millis.max(state.millis);
        let mut records = Records::default();
        records.push(&Record { millis, seq: None, key: None, body: &bytes });
        let (group, run) = (Home::GROUP, (offset, offset + 1));
        let settles = Settles { topic: schedule.number, group, done: vec![run] };
        let (done, moved) = answered();
        disk.log.append((topic.number, records), Some(settles), true, done);
        let at = moved.await.unwrap_or(Err(LogError::Closed))?;
        (state.next, state.millis) = (at + 1, millis);
        left.groups.entry(group).or_default().done.insert(run.0, run.1);
        // Why each time: whoever opens it again after an error reads it as it is.
        topic.state = Arc::new(state.clone());
        disk.replace(name, (topic, Stored { number: schedule.number, state: Arc::new(left.clone()) }));
    }
    Ok(())
}

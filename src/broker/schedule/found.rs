//! What a durable topic had delayed when it was opened before.

use std::sync::Arc;

use crate::base::{Bug, Moment, Name, planted};
use crate::broker::disk::{Disk, Keeper, Stored, answered, blocking};
use crate::broker::envelope::Envelope;
use crate::broker::item::Item;
use crate::broker::record::{Clocks, Home, Reader, Record as Beside};
use crate::broker::{Codec, OpenError};
use crate::log::{Done, Log, LogError, Record, Records, Settles, TopicState};
use crate::runtime::Rt;

/// A durable topic's delayed messages, as the disk has them.
pub(crate) struct FoundDelayed<T> {
    pub(crate) keeper: Keeper,
    /// One behind the last offset of the schedule.
    pub(crate) next: u64,
    /// In the order in which they are due.
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
        give_up(disk, name, unread).await?;
    }
    // Whoever opened it at the same time, or began to, may have moved some.
    *topic = disk.find(name.as_str()).ok_or(LogError::Missing)?;
    Ok(Some(FoundDelayed { keeper, next: stored.state.next, waiting }))
}

type ReadSchedule<T> = (Vec<(Moment, Item<T>)>, Vec<Unread>);

fn read_schedule<T: 'static>(
    log: &Log,
    (number, state): (u32, &TopicState),
    reader: &Reader<'_, T>,
) -> Result<ReadSchedule<T>, LogError> {
    let done = state.groups.get(&Home::GROUP).map(|group| &group.done);
    let (mut waiting, mut unread) = (Vec::new(), Vec::new());
    log.each_record(number, (state.floor, state.next), |offset, record| {
        if done.is_some_and(|done| done.contains(offset)) {
            return Ok::<(), LogError>(());
        }
        match reader.item(record.millis, None, record.body) {
            Ok(mut item) => {
                let due = Envelope::decode(record.body).ok().and_then(|envelope| envelope.due);
                if let Some(key) = record.key {
                    item.set_dedup(key.into());
                }
                let home = Some(Home { schedule: number, offset });
                item.set_record(Beside { bytes: record.body.to_vec(), confirm: None, home });
                waiting.push((due.unwrap_or(0), item));
            }
            Err(_) => unread.push((offset, record.millis, record.body.to_vec())),
        }
        Ok(())
    })?;
    // Why here: what was due before now has one moment from now on.
    waiting.sort_by_key(|(due, _)| *due);
    let waiting = waiting.into_iter().map(|(due, item)| (reader.clocks.moment(due), item));
    Ok((waiting.collect(), unread))
}

/// Moves what can't be read into the topic, each in one commit.
async fn give_up(disk: &Arc<Disk>, name: &Name, unread: Vec<Unread>) -> Result<(), LogError> {
    let _alone = disk.gives_up.lock().await;
    // Somebody who went away may have begun it: that is known behind this.
    let (done, known) = answered();
    disk.log.sync(done);
    known.await.unwrap_or(Err(LogError::Closed))?;
    for (offset, millis, bytes) in unread {
        let both = disk.find(name.as_str()).zip(disk.find_schedule(name));
        let (topic, schedule) = both.ok_or(LogError::Missing)?;
        let is_done =
            schedule.state.groups.get(&Home::GROUP).is_some_and(|group| group.done.contains(offset));
        if is_done {
            continue;
        }
        // Times in a log only grow. Where ids are given it takes none: it lies at the last that was, as what comes back does.
        let seq = topic.state.seq;
        let millis = if seq.is_some() { topic.state.millis } else { millis.max(topic.state.millis) };
        let mut records = Records::default();
        records.push(&Record { millis, seq, key: None, body: &bytes });
        let run = (offset, offset + 1);
        let settles = Settles { topic: schedule.number, group: Home::GROUP, done: vec![run] };
        let (done, moved) = answered();
        let (own, of) = (Arc::downgrade(disk), name.clone());
        // Why in there: it is known also if whoever opens the topic goes away before.
        let note = Done::new(move |result: Result<u64, LogError>| {
            if let (Ok(at), Some(disk)) = (&result, own.upgrade()) {
                disk.note_moved(&of, (*at, millis), run);
            }
            done.tell(result);
        });
        disk.log.append((topic.number, records), Some(settles), true, note);
        moved.await.unwrap_or(Err(LogError::Closed))?;
    }
    Ok(())
}

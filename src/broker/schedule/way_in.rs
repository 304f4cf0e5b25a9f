//! The schedule as its topic knows it: started when it is first needed.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use super::{Door, Found, Numbered, ScheduleActor, ScheduleWord};
use crate::base::sync::{Mutex, MutexGuard, Ordering, PoisonError};
use crate::broker::Overflow;
use crate::broker::agenda::Agenda;
use crate::broker::topic::TopicShared;
use crate::mailbox::{Answer, mailbox, reply};

/// A topic's schedule, as the topic knows it.
pub(crate) struct Schedule<T>(Mutex<State<T>>);

enum State<T> {
    /// Nothing was ever delayed.
    Unused,
    /// With its number among all schedules.
    Open(Door<T>, u64),
    /// The topic is at its end.
    Closed,
}

impl<T> Default for Schedule<T> {
    fn default() -> Schedule<T> {
        Schedule(Mutex::new(State::Unused))
    }
}

impl<T> Schedule<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_unused(&self) -> bool {
        matches!(*self.lock(), State::Unused)
    }

    /// The way in, if there is a schedule, and its number.
    pub(crate) fn open(&self) -> Option<(Door<T>, u64)> {
        match &*self.lock() {
            State::Open(door, id) => Some((door.clone(), *id)),
            State::Unused | State::Closed => None,
        }
    }

    /// Tells it to end. From now on it accepts nothing.
    pub(crate) fn begin_stop(&self) -> Option<Answer<u64>> {
        match std::mem::replace(&mut *self.lock(), State::Closed) {
            State::Unused | State::Closed => None,
            State::Open(door, _) => {
                let (port, left) = reply();
                drop(door.close_with(ScheduleWord::Stop(port)));
                Some(left)
            }
        }
    }
}

impl<T: Send + Sync + 'static> TopicShared<T> {
    /// The way into the schedule, which is started if need be; `None`: the topic is at its end.
    ///
    /// `found`: of a durable topic, what the schedule has on the disk.
    pub(crate) fn schedule_door(&self, found: impl FnOnce() -> Found<T>) -> Option<(Door<T>, u64)> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut state = self.schedule.lock();
        if let State::Unused = *state {
            let id = NEXT.fetch_add(1, Ordering::Relaxed);
            *state = State::Open(self.start_schedule(id, found()), id);
        }
        match &*state {
            State::Open(door, id) => Some((door.clone(), *id)),
            State::Unused | State::Closed => None,
        }
    }

    fn start_schedule(&self, id: u64, (disk, waiting): Found<T>) -> Door<T> {
        let (sender, receiver) = mailbox(self.settings.delay_capacity, Numbered);
        let rt = self.core.rt.clone();
        let mut actor = ScheduleActor {
            id,
            topic: self.name.clone(),
            agenda: Agenda::new(),
            now: rt.now(),
            clock: rt.clock(),
            rt,
            mailbox: receiver,
            entry: self.sender.sink(),
            weight: 0,
            line: self.sender.downgrade(),
            waits: self.waits.clone(),
            evicts: self.settings.overflow == Overflow::DropOldest,
            asked_for: None,
            asked: BTreeMap::new(),
            moved: Vec::new(),
            look_at: None,
            over: None,
            watched: self.core.watched.clone(),
            disk,
        };
        actor.recover(waiting);
        self.core.rt.spawn(&format!("schedule {}", self.name), actor.run());
        sender
    }

    /// Messages that wait for their moment.
    pub(crate) fn scheduled(&self) -> u64 {
        self.schedule.open().map_or(0, |(door, _)| door.held())
    }

    /// Waits until everything that is due has moved, or finds no room; answers the number of the first that does not.
    pub(crate) async fn when_moved(&self) -> Option<u64> {
        let (door, _) = self.schedule.open()?;
        let (port, moved) = reply();
        drop(door.control(ScheduleWord::WhenMoved(port)));
        // An error means that it has ended.
        self.core.rt.awaiting("for what is due in topic", &self.name, moved).await.unwrap_or(None)
    }
}

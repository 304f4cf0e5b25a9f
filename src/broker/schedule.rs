//! The topic's schedule: the actor with whom delayed messages wait for their moment.
//!
//! ```text
//!   publish_after ──▶ [schedule mailbox] ──▶ Schedule ──a place, got in line──▶ [topic mailbox] ──▶ Topic
//!                      delay_capacity         one timer                          capacity
//! ```
//!
//! A delayed message is not in its topic: it holds a place of `delay_capacity` here, and none of `capacity`. When its
//! moment has come it gets a place there by the line in which publishers wait, and then its id. While the topic is
//! full, what is due waits here, in the order of the moments; what is not due waits no longer for that.
//!
//! The actor is started by the first delayed message: a topic without any has none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};
use std::time::Duration;

use super::agenda::Agenda;
use super::blocked::Waits;
use super::message::{IdStamp, Item};
use super::topic::TopicShared;
use super::topic_actor::TopicWord;
use super::witness::{Sight, Watched};
use super::{Overflow, Published};
use crate::base::sync::{Mutex, MutexGuard, Ordering, PoisonError};
use crate::base::{Bug, Moment, Name, drop_each, planted};
use crate::mailbox::{
    Answer, Event, Receiver, Reply, SendError, SendSink, Sender, Stamp, WeakSender, mailbox, reply,
};
use crate::runtime::{Clock, Rt};

/// How often somebody who stands in the way is looked after, while others wait for quiet.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A message on its way to the schedule.
pub(crate) struct Due<T> {
    pub(crate) at: Moment,
    number: u64,
    item: Item<T>,
}

impl<T> Due<T> {
    pub(crate) fn new(at: Moment, item: Item<T>) -> Due<T> {
        Due { at, number: 0, item }
    }

    pub(crate) fn into_value(self) -> T {
        self.item.into_value()
    }
}

/// Numbers the messages of a schedule, under the lock of its mailbox.
pub(crate) struct Numbered;

impl<T: 'static> Stamp<Due<T>> for Numbered {
    type Receipt = u64;

    fn stamp(&mut self, due: &mut Due<T>, sequence: u64, _first: bool) -> u64 {
        due.number = sequence;
        sequence
    }
}

/// What others say to a schedule.
pub(crate) enum ScheduleWord<T> {
    /// Give this message back, if it is still here.
    Cancel { at: Moment, number: u64, answer: Reply<Option<T>> },
    /// Answer when everything that is due by now has moved, or when the topic has no room for it: then with the number
    /// of the first that waits.
    WhenMoved(Reply<Option<u64>>),
    /// End; answer how many messages were left.
    Stop(Reply<u64>),
}

pub(crate) type Door<T> = Sender<Due<T>, ScheduleWord<T>, Numbered>;

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
    pub(super) fn schedule_door(&self) -> Option<(Door<T>, u64)> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut state = self.schedule.lock();
        if let State::Unused = *state {
            *state = State::Open(self.start_schedule(), NEXT.fetch_add(1, Ordering::Relaxed));
        }
        match &*state {
            State::Open(door, id) => Some((door.clone(), *id)),
            State::Unused | State::Closed => None,
        }
    }

    fn start_schedule(&self) -> Door<T> {
        let (sender, receiver) = mailbox(self.settings.delay_capacity, Numbered);
        let rt = self.core.rt.clone();
        let actor = ScheduleActor {
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
        };
        self.core.rt.spawn(&format!("schedule {}", self.name), actor.run());
        sender
    }

    /// Messages that wait for their moment.
    pub(super) fn scheduled(&self) -> u64 {
        self.schedule.open().map_or(0, |(door, _)| door.held())
    }

    /// Waits until everything that is due has moved, or finds no room; answers the number of the first that does not.
    pub(super) async fn when_moved(&self) -> Option<u64> {
        let (door, _) = self.schedule.open()?;
        let (port, moved) = reply();
        drop(door.control(ScheduleWord::WhenMoved(port)));
        // An error means that it has ended.
        self.core.rt.awaiting("for what is due in topic", &self.name, moved).await.unwrap_or(None)
    }
}

struct ScheduleActor<T: 'static> {
    topic: Name,
    rt: Rt,
    mailbox: Receiver<Due<T>, ScheduleWord<T>, Numbered>,
    agenda: Agenda<Item<T>>,
    entry: SendSink<Item<T>, TopicWord<T>, IdStamp>,
    /// What the place that it waits for is to bear.
    weight: u64,
    line: WeakSender<Item<T>, TopicWord<T>, IdStamp>,
    waits: Arc<Waits>,
    /// The topic evicts its oldest for what is due.
    evicts: bool,
    /// The message that it was last asked to do so for.
    asked_for: Option<u64>,
    clock: Clock,
    /// The time when it was last read.
    now: Moment,
    /// Those who cancel what is still in the mailbox, by its number. Limit: each is a future somewhere.
    asked: BTreeMap<u64, (Moment, Reply<Option<T>>)>,
    /// Those who wait until what is due has moved. Limit: each is a future somewhere.
    moved: Vec<Reply<Option<u64>>>,
    /// When to look again at who stands in the way.
    look_at: Option<Moment>,
    over: Option<Reply<u64>>,
    watched: Watched,
}

impl<T: Send + Sync + 'static> ScheduleActor<T> {
    async fn run(mut self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
        self.end();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.mailbox.poll_next(cx) {
                Poll::Ready(Event::Message(due)) => self.take_in(due),
                Poll::Ready(Event::Control(word)) => self.hear(word),
                // The topic is gone, by a runtime that shuts down.
                Poll::Ready(Event::Closed) => return Poll::Ready(()),
                Poll::Pending => {
                    self.move_what_is_due(cx);
                    return Poll::Pending;
                }
            }
            if self.over.is_some() {
                return Poll::Ready(());
            }
        }
    }

    fn take_in(&mut self, due: Due<T>) {
        let Due { at, number, item } = due;
        let topic = &self.topic;
        self.watched.show(|| Sight::Scheduled { topic, number, due: at });
        self.agenda.on_message(at, number, item);
        if let Some((at, answer)) = self.asked.remove(&number) {
            self.cancel(at, number, answer);
        }
    }

    fn hear(&mut self, word: ScheduleWord<T>) {
        match word {
            ScheduleWord::Cancel { at, number, answer } if self.agenda.has_seen(number) => {
                self.cancel(at, number, answer)
            }
            ScheduleWord::Cancel { at, number, answer } => drop(self.asked.insert(number, (at, answer))),
            ScheduleWord::WhenMoved(reply) => {
                // Why: a timer may be late, and whoever asks counts from now.
                self.now = self.now.max(self.rt.now());
                self.moved.retain(|reply| !reply.is_abandoned());
                self.moved.push(reply);
            }
            ScheduleWord::Stop(reply) => self.over = Some(reply),
        }
    }

    fn cancel(&mut self, at: Moment, number: u64, answer: Reply<Option<T>>) {
        let item = self.agenda.on_cancel(at, number);
        if item.is_some() {
            self.mailbox.settle(1);
            let topic = &self.topic;
            self.watched.show(|| Sight::Unscheduled { topic, number });
        }
        // Whoever asked may be gone; it is cancelled all the same.
        if let Err(Some(value)) = answer.send(item.map(Item::into_value))
            && let Err(text) = drop_each([value])
        {
            tracing::error!(target: "callboard::broker", topic = %self.topic, panic = %text, "a payload's drop panicked");
        }
    }

    /// Moves what is due, as far as there is room, and sets the timer for what is not.
    fn move_what_is_due(&mut self, cx: &mut Context<'_>) {
        loop {
            // The bug of that name takes it for due before it is.
            let early = Duration::from_millis(if planted(Bug::EarlyMessage) { 1 } else { 0 });
            let Some(first) = self.agenda.due(self.now + early) else {
                self.entry.give_up();
                let next = self.agenda.first().map(|(at, _)| at - early);
                match self.clock.poll_alarm(next, cx) {
                    Poll::Ready(now) => self.now = self.now.max(now),
                    Poll::Pending => return self.answer(None),
                }
                continue;
            };
            match self.poll_entry(cx) {
                Poll::Ready(Ok(())) => self.move_one(first),
                // The topic is at its end, and will say so here.
                Poll::Ready(Err(_)) => return self.answer(Some(first.1)),
                // It is to make way for other tasks.
                Poll::Pending if !self.entry.is_in_line() => return,
                Poll::Pending if self.entry.is_stuck() => {
                    self.ask_for_room(first.1);
                    self.rt.waits(format_args!("for room in topic {}", self.topic));
                    return self.answer(Some(first.1));
                }
                // Whoever stands before it in the line was told that there is room, and has not looked yet.
                Poll::Pending => {
                    if self.moved.is_empty() || !self.look_again(cx) {
                        return;
                    }
                }
            }
        }
    }

    /// Gets a place for the first message.
    fn poll_entry(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError<()>>> {
        let weight = self.agenda.peek().map_or(0, Item::weight);
        // Another message came first meanwhile: what was asked for is not what it needs.
        if self.weight != weight {
            self.entry.give_up();
            self.weight = weight;
        }
        self.entry.poll_reserve(weight, cx)
    }

    fn move_one(&mut self, (at, number): (Moment, u64)) {
        let Some(item) = self.agenda.pop() else { return };
        if planted(Bug::ForgottenDelayed) && number % 5 == 4 {
            return self.mailbox.settle(1);
        }
        match self.entry.fill(item) {
            Ok(Published { id, .. }) => {
                // Why after it is in the topic: it is never in neither.
                self.mailbox.settle(1);
                let topic = &self.topic;
                self.watched.show(|| Sight::Due { topic, number, due: at, id });
            }
            // The topic was closed in between: it stays here, and is counted here.
            Err(SendError(item)) => self.agenda.put_back((at, number), item),
        }
    }

    /// Tells the topic that somebody waits; and, if it evicts, that it is to do so for the message with this number. Where
    /// there is nothing to evict, that waits like everybody.
    fn ask_for_room(&mut self, number: u64) {
        if self.waits.raise() {
            drop(self.line.control(TopicWord::Waits));
        }
        if self.evicts && self.asked_for.replace(number) != Some(number) {
            drop(self.line.control(TopicWord::MakeRoom(reply().0)));
        }
    }

    /// Whether it is time to look again.
    fn look_again(&mut self, cx: &mut Context<'_>) -> bool {
        let at = *self.look_at.get_or_insert_with(|| self.rt.now() + LOOK_AGAIN);
        let over = self.clock.poll_alarm(Some(at), cx).is_ready();
        if over {
            self.look_at = None;
        }
        over
    }

    /// Tells those who wait that what is due has moved, but for what finds no room.
    fn answer(&mut self, waits: Option<u64>) {
        self.look_at = None;
        // Why look: a mailbox whose budget is spent is pending too.
        if self.mailbox.waiting() == 0 {
            for reply in self.moved.drain(..) {
                let _ = reply.send(waits);
            }
        }
    }

    fn end(mut self) {
        self.mailbox.close();
        let rest = self.mailbox.take_rest();
        let left = self.agenda.len() + rest.len() as u64;
        let reply = self.over.take();
        // Why before the answer: whoever is told of the end must find the messages gone.
        drop(drop_each(rest));
        drop(self);
        if let Some(reply) = reply {
            let _ = reply.send(left);
        }
    }
}

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
//! The actor is started by the first delayed message: a topic without any has none. That of a durable topic keeps what it
//! has on the disk (`schedule/on_disk.rs`).

mod found;
mod on_disk;
mod way_in;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::agenda::Agenda;
use super::blocked::Waits;
use super::message::{IdStamp, Item};
use super::record::NotStored;
use super::scheduled::CancelError;
use super::topic_actor::TopicWord;
use super::witness::{Sight, Watched};
use super::{MessageId, Published};
use crate::base::{Bug, Moment, Name, drop_each, planted};
use crate::log::LogError;
use crate::mailbox::{Event, Receiver, Reply, SendError, SendSink, Sender, Stamp, WeakSender, reply};
use crate::runtime::{Clock, Rt};

pub(crate) use found::{FoundDelayed, find_delayed};
pub(crate) use on_disk::OnDisk;
pub(crate) use way_in::Schedule;

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

    /// Gives it back to who waits for the disk, if somebody does.
    fn unless_given_back(mut self) -> Option<Due<T>>
    where
        T: Send + 'static,
    {
        let Some(confirm) = self.item.take_confirm() else { return Some(self) };
        let value = Box::new(self.into_value());
        drop(confirm.send(Err(NotStored { value, why: LogError::Closed.into() })));
        None
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
    Cancel { at: Moment, number: u64, answer: Reply<Result<T, CancelError>> },
    /// Answer when everything that is due by now has moved, or when the topic has no room for it: then with the number
    /// of the first that waits.
    WhenMoved(Reply<Option<u64>>),
    /// End; answer how many messages were left.
    Stop(Reply<u64>),
    /// From the log: where the oldest message that was to be written lies.
    Written(Result<u64, LogError>),
    /// From the log: the oldest message that was cancelled is gone.
    StruckOut(Result<(), LogError>),
}

pub(crate) type Door<T> = Sender<Due<T>, ScheduleWord<T>, Numbered>;

/// What a durable topic's schedule has on the disk, and what of it waits; for one in memory nothing.
pub(crate) type Found<T> = (Option<OnDisk<T>>, Vec<(Moment, Item<T>)>);

struct ScheduleActor<T: 'static> {
    /// Its number among all schedules.
    id: u64,
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
    /// Those who cancel what is still in the mailbox, or just on its way, by its number. Limit: each is a future somewhere.
    asked: BTreeMap<u64, (Moment, Reply<Result<T, CancelError>>)>,
    /// Those who wait until what is due has moved. Limit: each is a future somewhere.
    moved: Vec<Reply<Option<u64>>>,
    /// When to look again at who stands in the way.
    look_at: Option<Moment>,
    over: Option<Reply<u64>>,
    watched: Watched,
    /// Present in a durable topic.
    disk: Option<OnDisk<T>>,
}

impl<T: Send + Sync + 'static> ScheduleActor<T> {
    async fn run(mut self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
        self.end();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.over.is_none() {
            match self.mailbox.poll_next(cx) {
                Poll::Ready(Event::Message(due)) if self.disk.is_some() => self.write(due),
                Poll::Ready(Event::Message(due)) => self.put_in(due),
                Poll::Ready(Event::Control(word)) => self.hear(word),
                // The topic is gone, by a runtime that shuts down.
                Poll::Ready(Event::Closed) => return Poll::Ready(()),
                Poll::Pending => {
                    self.move_what_is_due(cx);
                    // Why behind it: what has just moved is to be heard of too.
                    if !self.end_moves(cx) {
                        return Poll::Pending;
                    }
                }
            }
        }
        // What the log, or the topic, was asked for has its answer before the end.
        loop {
            self.end_moves(cx);
            if self.disk.as_ref().is_none_or(OnDisk::is_idle) {
                return Poll::Ready(());
            }
            let word = std::task::ready!(self.mailbox.poll_control(cx));
            self.hear(word);
        }
    }

    fn put_in(&mut self, due: Due<T>) {
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
            ScheduleWord::Written(result) => self.on_written(result),
            ScheduleWord::StruckOut(result) => self.on_struck_out(result),
        }
    }

    fn cancel(&mut self, at: Moment, number: u64, answer: Reply<Result<T, CancelError>>) {
        if self.disk.as_ref().is_some_and(|disk| disk.is_rewritten((at, number))) {
            self.asked.insert(number, (at, answer));
            return;
        }
        match self.agenda.on_cancel(at, number) {
            // Why: it has not moved if the disk refuses that.
            None if self.disk.as_ref().is_some_and(|disk| disk.moves((at, number))) => {
                self.asked.insert(number, (at, answer));
            }
            None => drop(answer.send(Err(CancelError::Moved))),
            Some(item) if self.disk.is_some() => self.strike_out((at, number), item, answer),
            Some(item) => self.on_cancelled(number, item, answer),
        }
    }

    fn on_cancelled(&mut self, number: u64, item: Item<T>, answer: Reply<Result<T, CancelError>>) {
        self.mailbox.settle(1);
        let topic = &self.topic;
        self.watched.show(|| Sight::Unscheduled { topic, number });
        // Whoever asked may be gone; it is cancelled all the same.
        if let Err(Ok(value)) = answer.send(Ok(item.into_value()))
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
            if let Some(until) = self.disk.as_ref().and_then(|disk| disk.stuck(self.now)) {
                self.entry.give_up();
                match self.clock.poll_alarm(Some(until), cx) {
                    Poll::Ready(now) => self.now = self.now.max(now),
                    Poll::Pending => return self.answer(Some(first.1)),
                }
                continue;
            }
            if self.disk.as_ref().is_some_and(|disk| disk.is_rewritten(first)) {
                return;
            }
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

    fn move_one(&mut self, key: (Moment, u64)) {
        let Some(mut item) = self.agenda.pop() else { return };
        if planted(Bug::ForgottenDelayed) && key.1 % 5 == 4 {
            return self.mailbox.settle(1);
        }
        let home = item.home().map(|home| {
            let (confirm, answer) = reply();
            item.set_confirm(confirm);
            (home.offset, answer)
        });
        match (self.entry.fill(item), home) {
            // It is not there before the disk has it.
            (Ok(_), Some((offset, answer))) => self.begin_move(key, offset, answer),
            (Ok(Published { id, .. }), None) => self.on_moved(key, id),
            // The topic was closed in between: it stays here, and is counted here.
            (Err(SendError(item)), _) => self.agenda.put_back(key, item),
        }
    }

    /// A message is in its topic. Why only then: it is never in neither.
    fn on_moved(&mut self, (due, number): (Moment, u64), id: MessageId) {
        self.mailbox.settle(1);
        let topic = &self.topic;
        self.watched.show(|| Sight::Due { topic, number, due, id });
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
        let moves = self.disk.as_ref().is_some_and(OnDisk::is_moving);
        if self.mailbox.waiting() == 0 && !moves {
            for reply in self.moved.drain(..) {
                let _ = reply.send(waits);
            }
        }
    }

    fn end(mut self) {
        self.mailbox.close();
        let rest = self.mailbox.take_rest();
        let left = match &self.disk {
            None => self.agenda.len() + rest.len() as u64,
            // Whoever published the rest has it back.
            Some(disk) => self.agenda.len() + disk.astray,
        };
        let reply = self.over.take();
        // Why before the answer: whoever is told of the end must find the messages gone.
        drop(drop_each(rest.into_iter().filter_map(Due::unless_given_back)));
        drop(self);
        if let Some(reply) = reply {
            let _ = reply.send(left);
        }
    }
}

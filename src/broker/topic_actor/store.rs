//! What a durable topic does with its messages before its groups see them, and what it tells the log of its groups.
//!
//! ```text
//!   mailbox ──burst──▶ on its way: append ──▶ log ──Stored──▶ batch, groups; whoever published hears the id
//!                            └──────────── refused: the place is free, and the message goes back
//! ```
//! Several bursts may be on their way; the log answers in turn. Offsets are given by the log, so what it refuses leaves no
//! gap. What repeats a message that is on its way waits to hear what becomes of that. An id is given, or looked at, when a message is on
//! its way, so that a repeat takes none.

mod back;

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};

use super::{Life, TopicWord};
use crate::base::{Bug, planted};
use crate::broker::bits::Bits;
use crate::broker::books::GroupId;
use crate::broker::dedup::DedupKey;
use crate::broker::disk::Keeper;
use crate::broker::message::Item;
use crate::broker::record::{ComesBack, Confirm, Home, NotStored, Record as Stored, WhyNot};
use crate::broker::start::Begin;
use crate::broker::window::Window;
use crate::broker::{Dedup, Durability, MessageId, Published, Start};
use crate::log::{Done, LogError, Marks, Record, Records, Settles};

/// The topic's side of the log.
pub(crate) struct Store {
    pub(crate) keeper: Keeper,
    pub(crate) durability: Durability,
    pub(crate) dedup: Dedup,
    pub(crate) window: Window,
    /// The id of the last message that is stored.
    pub(crate) last: Option<MessageId>,
}

/// Messages on their way into the log, and who waits for each.
pub(super) struct OnTheWay<T> {
    /// The oldest first. Limit: each message has a place.
    appends: VecDeque<Append<T>>,
    /// Keys of those, and the repeats that wait for them. Limit: each is, or was, in the mailbox.
    keys: BTreeMap<DedupKey, Vec<Repeat<T>>>,
    messages: usize,
}

/// A message with the key of one that is on its way, and who waits for it.
type Repeat<T> = (Item<T>, Option<Confirm>);

enum Append<T> {
    Published(Vec<Waiting<T>>),
    /// From the dead letters.
    Back(Box<ComesBack<T>>),
}

impl<T> Append<T> {
    fn items(&self) -> impl Iterator<Item = &Item<T>> {
        let (published, back) = match self {
            Append::Published(waiting) => (waiting.as_slice(), None),
            Append::Back(back) => (&[][..], Some(&back.item)),
        };
        published.iter().map(|waiting| &waiting.item).chain(back)
    }
}

impl<T> Append<T> {
    /// The last that was published.
    fn last(&self) -> Option<&Item<T>> {
        match self {
            Append::Published(waiting) => waiting.last().map(|waiting| &waiting.item),
            Append::Back(_) => None,
        }
    }
}

struct Waiting<T> {
    item: Item<T>,
    confirm: Option<Confirm>,
    key: Option<DedupKey>,
    /// Of its record.
    bytes: usize,
}

impl<T> Default for OnTheWay<T> {
    fn default() -> OnTheWay<T> {
        OnTheWay { appends: VecDeque::new(), keys: BTreeMap::new(), messages: 0 }
    }
}

impl<T> OnTheWay<T> {
    /// Messages that are on their way.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// Counts them, and what they weigh, one by one.
    pub(super) fn counted(&self) -> (usize, u64) {
        let repeats = self.keys.values().flatten().map(|(item, _)| item.weight());
        let weights = self.appends.iter().flat_map(Append::items).map(Item::weight).chain(repeats);
        weights.fold((0, 0), |(count, load), weight| (count + 1, load + weight))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.appends.is_empty()
    }
}

impl<T: Send + Sync + 'static> Life<T> {
    /// Messages that were accepted and are in no batch yet.
    pub(super) fn waiting(&self) -> usize {
        let line = usize::try_from(self.in_line()).unwrap_or(usize::MAX);
        self.actor.mailbox.waiting() + self.on_the_way.messages() + line
    }

    /// Begins to store a burst, in as many appends as it needs.
    pub(super) fn store(&mut self, items: Vec<Item<T>>) {
        self.changes += 1;
        let Some(most) = self.actor.store.as_ref().map(|store| store.keeper.disk.log.most_bytes()) else {
            return;
        };
        let (mut records, mut waiting) = (Records::default(), Vec::new());
        let mut last = self.last_on_its_way();
        for item in items {
            let Some((mut item, stored)) = self.unless_repeated(item) else { continue };
            let Stored { bytes, confirm, home } = stored;
            if let Err(above) = item.come_after(last) {
                self.keep_out(item, confirm, above);
                continue;
            }
            last = Some((item.millis(), item.seq()));
            if item.seq().is_some() {
                self.actor.tally.on_named();
            }
            let key = item.dedup_key().cloned();
            if let Some(key) = &key {
                self.on_the_way.keys.insert(key.clone(), Vec::new());
            }
            // Why twice the key: its length, and the other numbers of a record.
            let more = bytes.len() + key.as_ref().map_or(0, |key| key.len()) + 64;
            if records.count() > 0 && records.bytes().len() + more > most {
                self.append(std::mem::take(&mut records), std::mem::take(&mut waiting));
            }
            records.push(&Record {
                millis: item.millis(),
                seq: item.seq(),
                key: key.as_deref(),
                body: &bytes,
            });
            let len = bytes.len();
            if home.is_some() {
                // Why its bytes too: what is refused goes back as it came.
                item.set_record(Stored { bytes, confirm: None, home });
            }
            waiting.push(Waiting { item, confirm, key, bytes: len });
        }
        if records.count() > 0 {
            self.append(records, waiting);
        }
    }

    fn append(&mut self, records: Records, mut waiting: Vec<Waiting<T>>) {
        if planted(Bug::UnstoredConfirm) {
            let next = self.books.next_offset() + self.on_the_way.messages as u64;
            for (offset, one) in (next..).zip(&mut waiting) {
                let id = one.item.id_at(offset);
                answer(one.confirm.take(), Ok(Published { id, repeated: false }));
            }
        }
        self.on_the_way.messages += waiting.len();
        self.begin(records, Append::Published(waiting));
    }

    fn begin(&mut self, records: Records, append: Append<T>) {
        let Some(store) = &self.actor.store else { return };
        // What was delayed leaves its schedule as it comes in here.
        let homes: Vec<Home> =
            append.items().filter_map(Item::home).filter(|_| !planted(Bug::MovedTwice)).collect();
        let settles = homes.first().map(|home| Settles {
            topic: home.schedule,
            group: Home::GROUP,
            done: homes.iter().map(|home| home.run()).collect(),
        });
        self.on_the_way.appends.push_back(append);
        let own = self.actor.mailbox.sender();
        // An error: the topic has ended, and with it all who wait.
        let done = Done::new(move |result| drop(own.control(TopicWord::Stored(result))));
        let Keeper { disk, number } = &store.keeper;
        let sync = store.durability == Durability::EveryPublish;
        disk.log.append((*number, records), settles, sync, done);
        disk.wrote(store.durability);
    }

    /// Answers for a message that repeats another one, or lets that be waited for.
    fn unless_repeated(&mut self, mut item: Item<T>) -> Option<(Item<T>, Stored)> {
        let mut stored = item.take_record();
        let Some(key) = item.dedup_key().cloned() else { return Some((item, stored)) };
        let store = self.actor.store.as_mut()?;
        let now = self.actor.watch.rt().now();
        if let Some(id) = store.window.find(&store.dedup, &key, now) {
            answer(stored.confirm.take(), Ok(Published { id, repeated: true }));
            self.on_repeat(item.weight(), stored.home);
            return None;
        }
        if let Some(repeats) = self.on_the_way.keys.get_mut(&key) {
            let confirm = stored.confirm.take();
            item.set_record(stored);
            repeats.push((item, confirm));
            self.on_the_way.messages += 1;
            return None;
        }
        Some((item, stored))
    }

    /// It might have repeated another one, and does not: its id keeps it out.
    fn keep_out(&mut self, item: Item<T>, confirm: Option<Confirm>, above: MessageId) {
        let (weight, value) = (item.weight(), Box::new(item.into_value()));
        answer(confirm, Err(NotStored { value, why: WhyNot::Id { above } }));
        self.give_back(1, weight);
        self.disown(1);
    }

    /// A message is the repeat of one that is stored.
    fn on_repeat(&mut self, weight: u64, home: Option<Home>) {
        self.actor.tally.on_repeat();
        if let (Some(home), Some(store)) = (home, &self.actor.store) {
            let marks = Marks { done: vec![home.run()], notes: Vec::new() };
            store.keeper.disk.log.mark(home.schedule, Home::GROUP, marks, Done::unheard());
        }
        self.give_back(1, weight);
        self.disown(1);
    }

    /// The log has answered for the oldest append.
    pub(super) fn on_stored(&mut self, result: Result<u64, LogError>) {
        self.changes += 1;
        match (self.on_the_way.appends.pop_front(), result) {
            (Some(Append::Published(waiting)), result) => {
                self.on_the_way.messages -= waiting.len();
                match result {
                    Ok(base) => self.on_kept(base, waiting),
                    Err(why) => self.on_refused(waiting, &why),
                }
            }
            (Some(Append::Back(back)), result) => self.on_back(*back, result),
            (None, _) => {}
        }
        self.hear_what_is_due();
    }

    fn on_kept(&mut self, base: u64, waiting: Vec<Waiting<T>>) {
        debug_assert_eq!(base, self.books.next_offset(), "the log and the books count alike");
        let (mut items, mut heard) = (Vec::with_capacity(waiting.len()), Vec::new());
        for (offset, Waiting { mut item, confirm, key, bytes }) in (base..).zip(waiting) {
            self.note_stored(offset + 1, bytes, item.millis());
            let id = item.id_at(offset);
            let repeats = key.and_then(|key| self.remember(key, id)).unwrap_or_default();
            for (repeat, confirm) in repeats {
                self.on_the_way.messages -= 1;
                self.on_repeat(repeat.weight(), repeat.home());
                heard.push((confirm, Published { id, repeated: true }));
            }
            item.accept(self.actor.watch.rt());
            items.push(item);
            heard.push((confirm, Published { id, repeated: false }));
        }
        if let (Some(store), Some((_, last))) = (&mut self.actor.store, heard.last()) {
            store.last = Some(last.id);
        }
        self.take_in(items);
        // Why last: whoever hears of it finds it in the topic.
        heard.into_iter().for_each(|(confirm, published)| answer(confirm, Ok(published)));
    }

    fn remember(&mut self, key: DedupKey, id: MessageId) -> Option<Vec<Repeat<T>>> {
        let repeats = self.on_the_way.keys.remove(&key);
        let now = self.actor.watch.rt().now();
        if let Some(store) = &mut self.actor.store {
            store.window.insert(&store.dedup, key, id, now);
        }
        repeats
    }

    /// Hands back what was not stored. The first of its repeats takes its place.
    fn on_refused(&mut self, waiting: Vec<Waiting<T>>, why: &LogError) {
        let mut again = Vec::new();
        let refused = waiting.len() as u64;
        for Waiting { item, confirm, key, .. } in waiting {
            if let Some(mut repeats) = key.and_then(|key| self.on_the_way.keys.remove(&key)) {
                self.on_the_way.messages -= repeats.len();
                again.append(&mut repeats);
            }
            self.hand_back(item, confirm, why);
        }
        self.disown(refused);
        for (mut item, confirm) in again {
            let record = item.take_record();
            item.set_record(Stored { confirm, ..record });
            self.store(vec![item]);
        }
    }

    /// So many that were accepted, and would have come next, don't count.
    fn disown(&mut self, messages: u64) {
        self.actor.mailbox.disown(messages);
        let next = self.books.next_offset();
        for (upto, _) in self.later.iter_mut().filter(|(upto, _)| *upto > next) {
            *upto = upto.saturating_sub(messages).max(next);
        }
        for link in self.links.iter_mut().filter(|link| link.latest) {
            if let Start::Offset(upto) = &mut link.start
                && *upto > next
            {
                *upto = upto.saturating_sub(messages).max(next);
            }
        }
    }

    /// Where a group is to begin. What did not count in the meantime does not count here.
    pub(super) fn known_start(&self, Begin { start, latest }: Begin) -> Start {
        match start {
            Start::Offset(upto) if latest => {
                Start::Offset(upto.min(self.books.next_offset() + self.waiting() as u64))
            }
            start => start,
        }
    }

    fn hand_back(&mut self, item: Item<T>, confirm: Option<Confirm>, why: &LogError) {
        let weight = item.weight();
        refuse(item, confirm, why.clone());
        self.give_back(1, weight);
    }

    /// Hands back what is in the mailbox, since the topic has ended.
    pub(super) fn refuse_rest(&mut self) {
        for mut item in self.actor.mailbox.take_rest() {
            let confirm = item.take_confirm();
            refuse(item, confirm, LogError::Closed);
        }
    }

    /// Tells the log that a group has nothing to do with these, by the topic's own doing.
    pub(super) fn note_done(&self, group: GroupId, base: u64, which: Bits) {
        if let Some(store) = &self.actor.store {
            store.keeper.done(group, base, which);
        }
    }

    /// Tells the log what nobody is there for.
    pub(super) fn note_gone(&self) {
        let none = self.links.is_empty() && self.history.is_none();
        let Some(store) = self.actor.store.as_ref().filter(|_| none) else { return };
        let oldest = self.books.oldest().map(|(batch, at)| batch.base() + u64::from(at));
        let oldest = oldest.into_iter().chain(self.unread.first()).min();
        store.keeper.disk.log.trim(store.keeper.number, oldest.unwrap_or(self.books.next_offset()));
    }
}

/// Whoever went away hears nothing.
fn answer(confirm: Option<Confirm>, result: Result<Published, NotStored>) {
    if let Some(confirm) = confirm {
        drop(confirm.send(result));
    }
}

/// Gives the payload back to whoever waits; to a schedule, all of the message.
fn refuse<T: Send + Sync + 'static>(item: Item<T>, confirm: Option<Confirm>, why: LogError) {
    let value: Box<dyn Any + Send> = match item.home() {
        Some(_) => Box::new(item.without_id()),
        None => Box::new(item.into_value()),
    };
    answer(confirm, Err(NotStored { value, why: why.into() }));
}

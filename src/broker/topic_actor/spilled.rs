//! What a topic that spills accepted, and has no room for in memory: a line in which parts are on the disk.
//!
//! ```text
//!  mailbox ──▶ [ here | being written | on disk | on disk | .. | being read ] ──▶ books, groups     as long as the line is not empty;
//!                 a place each                places given back                    places taken again    else straight on
//! ```
//! The order is that of acceptance, whatever is where. Offsets are given in it, so what is in the line has its offsets already.
//! Places: the mailbox has a reserve of them beside the capacity, for what is on its way to the disk. A disk that is slow, or full, or
//! at its limit leaves these taken, and then publishers wait. What comes back takes places whether or not there are any, so that the
//! line moves: in memory are at most the capacity in the books, and the capacity and the reserve in the line.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Life, TopicWord};
use crate::base::{Bug, planted};
use crate::broker::message::{BATCH, Item};
use crate::broker::spill::{Block, Tail, Written};
use crate::broker::witness::Sight;

/// A block has so many messages at most; and no more than a quarter of the capacity, so that there is room for one early.
const BLOCK: usize = 2048;
/// So long after it failed a read is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Places for what is on its way to the disk: so many, beside the capacity.
pub(crate) fn reserve(capacity: usize) -> usize {
    capacity.clamp(64, 4 * BLOCK)
}

/// The line. Limit: of what is here the places that there are, and of blocks the bytes that may be on the disk.
pub(super) struct Spilled<T> {
    parts: VecDeque<Part<T>>,
    messages: u64,
    bytes: u64,
    most_bytes: u64,
    tail: Option<Tail>,
    writes: bool,
    /// So many messages are being written.
    written: u64,
    reads: bool,
    /// The disk has refused: nothing more goes there until what is there is read.
    refused: bool,
}

enum Part<T> {
    Here(Vec<Item<T>>),
    /// It becomes a block, or is here again; what it weighs.
    Written(u64),
    /// And what it weighs.
    Disk(Block, u64),
    /// The first one, on its way back.
    Read,
}

impl<T> Spilled<T> {
    pub(super) fn new(most_bytes: u64) -> Spilled<T> {
        Spilled {
            parts: VecDeque::new(),
            messages: 0,
            bytes: 0,
            most_bytes,
            tail: None,
            writes: false,
            written: 0,
            reads: false,
            refused: false,
        }
    }

    /// Messages in the line, and bytes on the disk.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.messages, self.bytes)
    }

    fn push(&mut self, mut items: Vec<Item<T>>) {
        self.messages += items.len() as u64;
        match self.parts.back_mut() {
            Some(Part::Here(there)) => there.append(&mut items),
            _ => self.parts.push_back(Part::Here(items)),
        }
    }

    /// Takes the first messages that are here, if they are the first of the line.
    fn pop(&mut self, most: usize) -> Option<Vec<Item<T>>> {
        let Some(Part::Here(items)) = self.parts.front_mut() else { return None };
        let rest = items.split_off(items.len().min(most));
        let first = std::mem::replace(items, rest);
        if items.is_empty() {
            self.parts.pop_front();
        }
        self.messages -= first.len() as u64;
        Some(first)
    }

    /// Takes what is to be written next: of what is here the first that has something on the disk before it, or is behind
    /// what memory has room for.
    fn take_for_writing(&mut self, most: usize) -> Option<Vec<Item<T>>> {
        if self.writes || self.refused || self.bytes >= self.most_bytes {
            return None;
        }
        let at = self.parts.iter().position(|part| matches!(part, Part::Here(items) if !items.is_empty()))?;
        let Some(Part::Here(items)) = self.parts.get_mut(at) else { return None };
        let rest = items.split_off(items.len().min(most));
        let first = std::mem::replace(items, rest);
        if items.is_empty() {
            self.parts.remove(at);
        }
        self.parts.insert(at, Part::Written(weight(&first)));
        (self.writes, self.written) = (true, first.len() as u64);
        Some(first)
    }

    /// What was to be written has become what `part` makes of its weight; answers that.
    fn written(&mut self, part: impl FnOnce(u64) -> Part<T>) -> u64 {
        self.writes = false;
        let weights = self.parts.iter_mut().find_map(|there| match there {
            Part::Written(weight) => Some((*weight, there)),
            _ => None,
        });
        let Some((weight, there)) = weights else { return 0 };
        *there = part(weight);
        weight
    }

    /// What of it holds places: how many, and what that weighs.
    fn held(&self) -> (u64, u64) {
        self.parts.iter().fold((0, 0), |(many, load), part| match part {
            Part::Here(items) => (many + items.len() as u64, load + weight(items)),
            Part::Written(weight) => (many + self.written, load + weight),
            Part::Disk(..) | Part::Read => (many, load),
        })
    }

    fn plant_swap(&mut self) {
        let is_block = |part: &Part<T>| matches!(part, Part::Disk(..));
        let first = self.parts.iter().position(is_block);
        if planted(Bug::SwappedBlocks)
            && let Some(first) = first
            && self.parts.get(first + 1).is_some_and(is_block)
        {
            self.parts.swap(first, first + 1);
        }
    }

    /// Takes the first block, to be read, if it weighs no more than this.
    fn take_for_reading(&mut self, most: u64) -> Option<(Block, u64)> {
        let fits = |first: &Part<T>| matches!(first, Part::Disk(_, weight) if *weight <= most);
        let first = self.parts.front_mut().filter(|first| fits(first) && !self.reads)?;
        let Part::Disk(block, weight) = std::mem::replace(first, Part::Read) else { return None };
        self.reads = true;
        Some((block, weight))
    }
}

fn weight<T>(items: &[Item<T>]) -> u64 {
    items.iter().map(Item::weight).sum()
}

/// A block that was read, or is to be read again.
pub(crate) struct BlockRead<T> {
    block: Block,
    weight: u64,
    read: std::io::Result<Vec<Option<Item<T>>>>,
}

impl<T: Send + Sync + 'static> Life<T> {
    /// Takes in what was accepted: now, or in its turn.
    pub(super) fn take_in_or_spill(&mut self, items: Vec<Item<T>>) {
        if self.spilled.is_none() {
            return self.take_in(items);
        }
        let room = self.room();
        match &mut self.spilled {
            Some(spilled) if spilled.messages > 0 || items.len() as u64 > room => spilled.push(items),
            _ => return self.take_in(items),
        }
        self.changes += 1;
        self.pump();
        self.hear_what_is_due();
    }

    /// Messages that were accepted and wait for room in the books.
    pub(super) fn in_line(&self) -> u64 {
        self.spilled.as_ref().map_or(0, |spilled| spilled.messages)
    }

    /// What of these holds places, and what it weighs.
    pub(super) fn held_in_line(&self) -> (u64, u64) {
        self.spilled.as_ref().map(Spilled::held).unwrap_or_default()
    }

    /// A block that weighs so much has room in the books. If these are empty, any: it was in the topic once.
    fn room_in_bytes(&self) -> u64 {
        match self.actor.settings.capacity_bytes {
            Some(most) if self.books.load() > 0 => (most as u64).saturating_sub(self.books.load()),
            _ => u64::MAX,
        }
    }

    /// So many more may be in the books.
    fn room(&self) -> u64 {
        let capacity = self.actor.settings.capacity as u64;
        let full = self.actor.settings.capacity_bytes.is_some_and(|most| self.books.load() >= most as u64);
        if full { 0 } else { capacity.saturating_sub(self.books.unsettled()) }
    }

    /// Moves the line on: into the books what there is room for, to the disk what there is none for.
    pub(super) fn pump(&mut self) {
        if self.in_line() == 0 {
            return;
        }
        let block = BLOCK.min((self.actor.settings.capacity / 4).max(1));
        loop {
            let (room, burst) = (self.room(), self.burst());
            let Some(spilled) = &mut self.spilled else { return };
            // As small as those that come straight in, while too much is kept by neighbours alone.
            let most = usize::try_from(room).unwrap_or(BATCH).min(burst);
            if most == 0 {
                break;
            }
            let Some(items) = spilled.pop(most) else { break };
            self.take_in(items);
        }
        let (room, light) = (self.room(), self.room_in_bytes());
        let Some((spilled, spiller)) = self.spilled.as_mut().zip(self.actor.spiller.clone()) else { return };
        let rt = self.actor.watch.rt();
        // Half of the capacity is room for what is read ahead.
        if room * 2 >= self.actor.settings.capacity as u64
            && let Some((block, weight)) = spilled.take_for_reading(light)
        {
            let (own, spiller) = (self.actor.mailbox.sender(), spiller.clone());
            rt.spawn_blocking(
                "read what was spilled",
                Box::new(move || {
                    let read = spiller.read(&block);
                    // An error: the topic has ended.
                    drop(own.control(TopicWord::BlockRead(BlockRead { block, weight, read })));
                }),
            );
        }
        if let Some(items) = spilled.take_for_writing(block) {
            let (own, tail) = (self.actor.mailbox.sender(), spilled.tail.take());
            rt.spawn_blocking(
                "spill",
                Box::new(move || {
                    let written = spiller.write(tail, items);
                    drop(own.control(TopicWord::BlockWritten(written)));
                }),
            );
        }
    }

    pub(super) fn on_block_written(&mut self, written: Written<T>) {
        let Some(spilled) = &mut self.spilled else { return };
        match written {
            Ok((block, tail)) => {
                let places = block.messages as u64;
                spilled.bytes += block.bytes();
                spilled.tail = Some(tail);
                let weight = spilled.written(|weight| Part::Disk(block, weight));
                spilled.plant_swap();
                self.give_back(places, weight);
            }
            Err((items, error)) => {
                let topic = &self.actor.name;
                tracing::error!(target: "callboard::broker", %topic, %error, "nothing more can be spilled: publishers wait");
                spilled.refused = true;
                spilled.written(|_| Part::Here(items));
            }
        }
        self.pump();
    }

    pub(super) fn on_block_read(&mut self, BlockRead { block, weight, read }: BlockRead<T>) {
        let Some(spilled) = &mut self.spilled else { return };
        spilled.reads = false;
        let first = spilled.parts.pop_front();
        debug_assert!(matches!(first, Some(Part::Read)), "only the first one is read");
        let items = match read {
            Ok(items) => items,
            Err(error) => {
                // It stays the first, so nothing is passed over.
                let topic = &self.actor.name;
                tracing::error!(target: "callboard::broker", %topic, %error, "what was spilled can't be read");
                spilled.parts.push_front(Part::Disk(block, weight));
                spilled.reads = true;
                let (rt, own) = (self.actor.watch.rt().clone(), self.actor.mailbox.sender());
                let again = rt.now() + AGAIN;
                rt.clone().spawn("read what was spilled again", async move {
                    rt.sleep_until(again).await;
                    drop(own.control(TopicWord::ReadAgain));
                });
                return;
            }
        };
        if planted(Bug::BlockTwice) && self.changes.is_multiple_of(2) {
            spilled.parts.push_front(Part::Disk(block, weight));
            self.take_back_in(items.into_iter().flatten().collect());
            return self.pump();
        }
        let items = if planted(Bug::ForgottenBlock) { Vec::new() } else { items };
        spilled.bytes -= block.bytes();
        spilled.refused &= spilled.bytes > 0;
        spilled.messages -= block.messages as u64;
        let mut run = Vec::new();
        for item in items {
            match item {
                Some(item) => run.push(item),
                None => {
                    self.take_back_in(std::mem::take(&mut run));
                    self.pass_over();
                }
            }
        }
        self.take_back_in(run);
        self.pump();
    }

    pub(super) fn on_read_again(&mut self) {
        if let Some(spilled) = &mut self.spilled {
            spilled.reads = false;
        }
        self.pump();
    }

    /// Takes in what was on the disk: it holds places again.
    fn take_back_in(&mut self, items: Vec<Item<T>>) {
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let some: Vec<Item<T>> = items.by_ref().take(self.burst()).collect();
            self.actor.mailbox.preload(0, some.len() as u64, some.iter().map(Item::weight).sum());
            self.take_in(some);
        }
    }

    /// A codec can't read what it wrote: that message is lost, and its offset stays empty.
    fn pass_over(&mut self) {
        let (topic, offset) = (&self.actor.name, self.books.next_offset());
        tracing::error!(target: "callboard::broker", %topic, offset, "a message was lost: its codec can't read what it wrote");
        self.lost += 1;
        self.actor.watched.show(|| Sight::Lost { topic, offset });
        self.books.resume(offset + 1, []);
    }
}

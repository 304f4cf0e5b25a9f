//! Clients that wait for something to come into a stream. Whoever has waited longest is served first.
//!
//! A command that changes a key marks it; once that command, or its whole transaction, is done, those who wait for marked keys
//! are served, still under the world's lock: nobody comes between what woke them and what they get.
//!
//! What is left lying is there to be claimed without anybody doing anything. So whoever waits to claim looks by itself at the time when that
//! may be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::client::Client;
use super::command::Failure;
use super::commands::{claims_after, left_at, serve};
use super::resp::{Protocol, Replies};
use super::stream::Id;
use super::world::World;

/// Who waits, and for which keys.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// In the order in which they came. Limit: one for each client.
    waiters: BTreeMap<u64, Waiter>,
    keys: BTreeMap<(usize, Vec<u8>), BTreeSet<u64>>,
    next: u64,
    /// Those that were changed, and that somebody waits for.
    marked: Vec<(usize, Vec<u8>)>,
}

/// A client that waits, and what it asked for.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) client: Arc<Client>,
    pub(super) protocol: Protocol,
    pub(super) db: usize,
    /// Each key, and behind which id.
    pub(super) keys: Vec<(Vec<u8>, Id)>,
    pub(super) group: Option<GroupRead>,
    /// At most so many entries.
    pub(super) most: usize,
}

/// In whose name entries are read.
#[derive(Clone, Debug)]
pub(super) struct GroupRead {
    pub(super) group: Vec<u8>,
    pub(super) consumer: Vec<u8>,
    pub(super) no_ack: bool,
    /// Also what others have left lying for so many milliseconds.
    pub(super) claim: Option<u64>,
}

impl GroupRead {
    /// What it may be handed depends on.
    fn wants(&self) -> (Option<u64>, bool) {
        (self.claim, self.no_ack)
    }
}

/// Where nothing is pending yet that could be claimed, it is looked for so often, in milliseconds.
const LOOK: u64 = 100;

impl Waiter {
    /// How long it takes until there may be something for it to claim, if it asks for such. `now`: milliseconds since 1970.
    pub(super) fn next_look(&self, world: &World, now: u64) -> Option<Duration> {
        let group = self.group.as_ref()?;
        let places = || self.keys.iter().map(|(key, _)| (self.db, key.as_slice()));
        let min_idle = places().filter_map(|place| claims_after(world, place, group)).min()?;
        let left = places().filter_map(|place| left_at(world, place, group)).min();
        // What is handed over from now on is left lying no sooner.
        let next = left.unwrap_or(u64::MAX).min(now.saturating_add(min_idle.max(LOOK)));
        Some(Duration::from_millis(next.saturating_sub(now).max(1)))
    }

    /// Lets it go on with nothing, or with an error.
    pub(super) fn give_up(&self, error: bool) {
        let mut out = Vec::new();
        let mut replies = Replies::new(&mut out, self.protocol);
        match error {
            true => replies.error("UNBLOCKED", "client unblocked via CLIENT UNBLOCK"),
            false => replies.null_array(),
        }
        self.client.answer(out, None);
    }
}

impl Waiting {
    /// The numbers of clients that wait.
    pub(super) fn clients(&self) -> BTreeSet<u64> {
        self.waiters.values().map(|waiter| waiter.client.id).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Answers the number by which it can be taken out again.
    pub(super) fn add(&mut self, waiter: Waiter) -> u64 {
        let number = self.next;
        self.next += 1;
        for (key, _) in &waiter.keys {
            self.keys.entry((waiter.db, key.clone())).or_default().insert(number);
        }
        self.waiters.insert(number, waiter);
        number
    }

    /// It waits no more. `None`: it was served before.
    pub(super) fn remove(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&number)?;
        for (key, _) in &waiter.keys {
            let place = (waiter.db, key.clone());
            if let Some(numbers) = self.keys.get_mut(&place) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.keys.remove(&place);
                }
            }
        }
        Some(waiter)
    }

    /// The number of what a client waits with.
    pub(super) fn of(&self, client: u64) -> Option<u64> {
        self.waiters.iter().find(|(_, waiter)| waiter.client.id == client).map(|(number, _)| *number)
    }

    /// A key was changed.
    pub(super) fn mark(&mut self, db: usize, key: &[u8]) {
        if !self.keys.is_empty() && self.keys.contains_key(&(db, key.to_vec())) {
            self.marked.push((db, key.to_vec()));
        }
    }

    /// Something else counts for who waits for a key: it is to look once more when there may be something for it.
    pub(super) fn nudge(&self, db: usize, key: &[u8]) {
        let numbers = self.keys.get(&(db, key.to_vec())).into_iter().flatten();
        numbers.filter_map(|number| self.waiters.get(number)).for_each(|waiter| waiter.client.nudge());
    }

    /// All keys may have been, and what groups do by themselves.
    pub(super) fn mark_all(&mut self) {
        self.marked.extend(self.keys.keys().cloned());
        self.waiters.values().for_each(|waiter| waiter.client.nudge());
    }

    pub(super) fn is_marked(&self) -> bool {
        !self.marked.is_empty()
    }
}

/// Serves whoever has waited longest, if there is something by now for one of them to claim. Answers how long it takes until there may be
/// something more for this one, if it waits on.
pub(super) fn look(world: &mut World, number: u64, now: u64) -> Option<Duration> {
    // Nothing changes hands while that can't be written down.
    if world.refuses().is_some() {
        return Some(Duration::from_millis(LOOK));
    }
    let waiter = world.waiting.waiters.get(&number)?;
    let group = waiter.group.as_ref()?;
    let is_due = |key: &[u8]| left_at(world, (waiter.db, key), group).is_some_and(|at| at <= now);
    let due = waiter.keys.iter().filter(|(key, _)| is_due(key)).map(|(key, _)| (waiter.db, key.clone()));
    let due: Vec<(usize, Vec<u8>)> = due.collect();
    world.waiting.marked.extend(due);
    if world.waiting.is_marked() {
        serve_marked(world, now);
    }
    let waiter = world.waiting.waiters.get(&number)?;
    // What is left is there when it looks again by itself: others have their turn before.
    waiter.client.take_nudge();
    waiter.next_look(world, now)
}

/// Serves those who wait for keys that were changed. `now`: milliseconds since 1970.
pub(super) fn serve_marked(world: &mut World, now: u64) {
    // Serving one may make dead letters, for which others wait.
    while world.waiting.is_marked() {
        serve_once(world, now);
    }
}

fn serve_once(world: &mut World, now: u64) {
    let (marked, mut seen) = (std::mem::take(&mut world.waiting.marked), BTreeSet::new());
    // In the order in which they were changed, each once: nobody adds to them here.
    for (db, key) in marked {
        if !seen.insert((db, key.clone())) {
            continue;
        }
        let numbers = world.waiting.keys.get(&(db, key.clone())).cloned().unwrap_or_default();
        // Groups that have nothing more for who asks so: thousands may wait in the name of one.
        let mut empty = BTreeMap::<(Option<u64>, bool), BTreeSet<Vec<u8>>>::new();
        for number in numbers {
            let group = world.waiting.waiters.get(&number).and_then(|waiter| waiter.group.as_ref());
            let is_empty = |group: &GroupRead| {
                empty.get(&group.wants()).is_some_and(|groups| groups.contains(&group.group))
            };
            if group.is_some_and(is_empty) {
                continue;
            }
            let Some(waiter) = world.waiting.waiters.remove(&number) else { continue };
            let mut out = Vec::new();
            let mut replies = Replies::new(&mut out, waiter.protocol);
            let served = match serve(world, (&waiter, &key), now, &mut replies) {
                Ok(served) => served,
                Err(failure) => {
                    answer_failure(world, (&waiter, &failure), &mut replies);
                    true
                }
            };
            // Put back, so that it is taken out with its keys.
            let client = waiter.client.clone();
            if !served && let Some(group) = &waiter.group {
                // There were more dead letters than are buried at a time: what is behind them is for it.
                if left_at(world, (db, &key), group).is_some_and(|at| at <= now) {
                    client.nudge();
                }
                empty.entry(group.wants()).or_default().insert(group.group.clone());
            }
            world.waiting.waiters.insert(number, waiter);
            if served {
                world.waiting.remove(number);
                client.answer(out, Some(world.barrier()));
            }
        }
    }
}

fn answer_failure(world: &mut World, (waiter, failure): (&Waiter, &Failure), replies: &mut Replies<'_>) {
    let command = if waiter.group.is_some() { "xreadgroup" } else { "xread" };
    world.stats.command(command).failed += 1;
    world.stats.on_error(failure.code);
    replies.error(failure.code, &failure.text);
}

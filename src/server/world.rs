//! What all sessions of a server share, behind one lock that is held for one command, or for one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::client::{Client, Doom};
use super::config::{Config, Remembered};
use super::keep::{Barrier, DataError, Keeper, Now};
use super::keys::Keys;
use super::notify::Class;
use super::pubsub::PubSub;
use super::scans::Scans;
use super::stats::Stats;
use super::waiting::{Waiting, serve_marked};
use super::watch::Watched;
use crate::base::Moment;
use crate::runtime::Rt;

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) keys: Keys,
    /// Where streams are on the disk.
    pub(super) keeper: Option<Keeper>,
    pub(super) pubsub: PubSub,
    pub(super) scans: Scans,
    pub(super) waiting: Waiting,
    pub(super) watched: Watched,
    pub(super) config: Config,
    pub(super) remembered: Remembered,
    /// Limit: `Config::max_clients`, and those who wait within the process: one for each of its futures.
    pub(super) clients: BTreeMap<u64, Arc<Client>>,
    pub(super) stats: Stats,
    pub(super) started: Moment,
    pub(super) next_client: u64,
}

impl World {
    /// A key was changed: for those who wait for it, and those who watch it.
    pub(super) fn mark(&mut self, db: usize, key: &[u8]) {
        self.waiting.mark(db, key);
        self.watched.mark(db, key);
    }

    /// The number of the next client.
    pub(super) fn number(&mut self) -> u64 {
        self.next_client += 1;
        self.next_client
    }

    /// Tells of a change of a key, to whoever asked for such; before that, of the keys that it made.
    pub(super) fn notify(&mut self, class: Class, event: &str, db: usize, key: &[u8]) {
        self.tell_created();
        self.tell(class, event, db, key);
    }

    /// Tells of the keys that were made.
    pub(super) fn tell_created(&mut self) {
        for (db, key) in self.keys.take_created() {
            self.tell(Class::New, "new", db, &key);
        }
    }

    fn tell(&self, class: Class, event: &str, db: usize, key: &[u8]) {
        let (by_key, by_event) = self.config.events.of(class);
        if by_key {
            let channel = [format!("__keyspace@{db}__:").as_bytes(), key].concat();
            self.pubsub.publish(&channel, event.as_bytes());
        }
        if by_event {
            self.pubsub.publish(format!("__keyevent@{db}__:{event}").as_bytes(), key);
        }
    }

    /// Writes what happened to streams since; answers what a reply waits for that tells of it.
    pub(super) fn write_down(&mut self, rt: &Rt) -> Barrier {
        let now = Now::of(rt);
        self.keeper.as_mut().map_or(Barrier::default(), |keeper| keeper.write(&mut self.keys, now))
    }

    /// As [`World::write_down`], for one who helps the log, or wakes it, once this is unlocked.
    pub(super) fn leave_to_log(&mut self, rt: &Rt) -> Barrier {
        let now = Now::of(rt);
        self.keeper.as_mut().map_or(Barrier::default(), |keeper| keeper.leave(&mut self.keys, now))
    }

    /// What a reply waits for that tells of what there is by now.
    pub(super) fn barrier(&self) -> Barrier {
        let touched = self.keys.untold().is_some();
        self.keeper.as_ref().map_or(Barrier::default(), |keeper| keeper.barrier(touched))
    }

    /// Writes what happened to streams if that is much: one command more, and it is still written in one.
    pub(super) fn write_much(&mut self, rt: &Rt) {
        let bytes = self.keys.untold();
        if self.keeper.as_ref().zip(bytes).is_some_and(|(keeper, bytes)| keeper.is_due(bytes)) {
            self.write_down(rt);
        }
    }

    /// Looks after what is on the disk.
    ///
    /// # Errors
    /// Nothing can be written any more.
    pub(super) fn keep_up(&mut self, now: Now) -> Result<(), DataError> {
        let nodes = self.config.nodes;
        let refused = self.refuses().is_some();
        let Some(keeper) = &mut self.keeper else { return Ok(()) };
        if keeper.tick(&mut self.keys, nodes, now)? {
            self.watched.mark_all();
            self.clients.values().for_each(|client| client.go_back());
        }
        if refused && self.refuses().is_none() {
            // What came back with memory is there for those who waited by then, and nobody has told them.
            self.waiting.mark_all();
            serve_marked(self, now.millis);
        }
        Ok(())
    }

    /// Why commands that write are refused, if they are.
    pub(super) fn refuses(&self) -> Option<&str> {
        self.keeper.as_ref()?.refuses()
    }

    /// Takes away the keys that are over by now, and those for which there is no memory.
    pub(super) fn tidy(&mut self, now: Moment) {
        if self.refuses().is_some() {
            return;
        }
        while let Some((db, key)) = self.keys.take_expired(now) {
            self.stats.expired += 1;
            self.mark(db, &key);
            self.notify(Class::Expired, "expired", db, &key);
        }
        while self.config.evicts
            && self.is_out_of_memory()
            && let Some((db, key)) = self.keys.take_some()
        {
            self.stats.evicted += 1;
            self.mark(db, &key);
            self.notify(Class::Evicted, "evicted", db, &key);
        }
    }

    /// Whether no more memory may be taken.
    pub(super) fn is_out_of_memory(&self) -> bool {
        self.config.max_memory > 0 && self.keys.used() as u64 > self.config.max_memory
    }

    /// Sends away clients that have been silent for too long, and listen to nothing, and wait for nothing.
    pub(super) fn send_idle_away(&self, now: Moment) {
        let limit = Duration::from_secs(self.config.timeout);
        let waiting = if limit.is_zero() { BTreeSet::new() } else { self.waiting.clients() };
        for client in self.clients.values().filter(|_| !limit.is_zero()) {
            let shown = client.shown();
            let waits = waiting.contains(&client.id) || client.has_answer();
            let listens = shown.listens() > 0 || waits;
            let idle = now.since(shown.active);
            drop(shown);
            if idle > limit && !listens {
                client.doom(Doom::Killed);
            }
        }
    }
}

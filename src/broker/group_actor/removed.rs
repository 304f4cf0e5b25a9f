//! What leaves a group by a limit, and not by an outcome.

use std::sync::Arc;

use super::Life;
use crate::base::{Bug, planted};
use crate::broker::bits::Bits;
use crate::broker::dying::Gone;
use crate::broker::group_word::Handout;
use crate::broker::ledger::{Remembered, Slice};
use crate::broker::message::Batch;
use crate::broker::note;
use crate::broker::record::Clocks;
use crate::broker::topic_actor::TopicWord;
use crate::broker::unread::Unread;
use crate::broker::witness::Sight;
use crate::log::{Done, LogError};
use crate::mailbox::{Reply, reply};

impl<T: Send + Sync + 'static> Life<T> {
    pub(super) fn take_in(&mut self, handout: Handout<T>) {
        let (base, batch) = (handout.batch.base(), handout.batch);
        let evicted = match handout.redrives {
            0 => batch.claims().evicted(handout.open),
            _ => Bits::default(),
        };
        if !evicted.is_empty() {
            self.ledger.on_evicted_before(base, evicted, &mut self.effects);
        }
        for (from, to) in handout.open.without(evicted).runs() {
            let slice = Slice::new(batch.clone(), base, from, to);
            match handout.redrives {
                0 => self.ledger.on_batch(slice),
                redrives => self.ledger.on_redriven(slice, redrives),
            }
        }
    }

    /// The topic evicted these.
    pub(super) fn on_evicted(&mut self, batch: &Arc<Batch<T>>, which: Bits) {
        for (slice, past) in self.actor.dying.take(batch.base(), which) {
            self.ledger.on_parked_evicted(&slice, &past, &mut self.effects);
        }
        self.ledger.on_evicted(batch, batch.base(), which, &mut self.effects);
    }

    /// Nobody can read it: it goes to the dead letters at once.
    pub(super) fn on_unread(&mut self, unread: Arc<Unread>) {
        let past = self.ledger.on_unread(unread.id.offset());
        let reason = unread.reason();
        self.actor.dying.push(Gone::Bytes(unread), past, reason);
    }

    /// What was let go of can be evicted; the topic is told, if somebody waits for that.
    pub(super) fn tell_let_go(&self) {
        if self.actor.lacks.is_to_be_told() {
            drop(self.actor.topic.control(TopicWord::MakeRoom(reply().0)));
        }
    }

    pub(super) fn tell_removed(&self, base: u64, which: Bits) {
        let (topic, group) = (&self.actor.topic_name, &self.actor.name);
        self.actor.watched.show(|| Sight::Removed { topic, group, base, which });
        self.actor.watched.show(|| Sight::Settled { topic, group, base, which });
        self.keep_done(base, which);
        drop(self.actor.topic.control(TopicWord::Settled { group: self.actor.id, base, which }));
    }

    /// Lets the log know what the group is done with. Why not the topic: it ends before its groups do.
    pub(super) fn keep_done(&self, base: u64, which: Bits) {
        if let Some(keeper) = &self.actor.keeper {
            keeper.done(self.actor.id, base, which);
        }
    }

    /// Answers once the disk has all that was said of the group by now.
    pub(super) fn tell_kept(&mut self, port: Reply<Result<(), LogError>>) {
        let now = self.actor.rt.now();
        // What was reported just before this is to be among it.
        self.carry_out(now);
        match &self.actor.keeper {
            None => drop(port.send(Ok(()))),
            Some(keeper) => keeper.disk.log.sync(Done::new(move |result| drop(port.send(result)))),
        }
    }

    /// Lets the log keep what is to be known of a message, in wall time.
    pub(super) fn tell_note(&self, offset: u64, remembered: Remembered) {
        let Some(keeper) = self.actor.keeper.as_ref().filter(|_| !planted(Bug::ForgottenNotes)) else {
            return;
        };
        let clocks = Clocks::of(&self.actor.rt);
        keeper.note(self.actor.id, offset, note::to_note(&remembered, clocks));
    }

    pub(super) fn tell_removed_again(&self, base: u64, at: u16) {
        let (topic, group) = (&self.actor.topic_name, &self.actor.name);
        let which = Bits::range(at, at + 1);
        self.actor.watched.show(|| Sight::Removed { topic, group, base, which });
        self.actor.watched.show(|| Sight::SettledAgain { topic, group, base, at });
        self.keep_done(base, which);
        drop(self.actor.topic.control(TopicWord::SettledAgain { group: self.actor.id, base, at }));
    }
}

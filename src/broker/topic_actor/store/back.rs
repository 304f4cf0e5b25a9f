//! What comes back from the dead letters of a durable topic's groups: it is stored once more.

use std::sync::Arc;

use super::super::{Handout, Life, Redriven};
use super::Append;
use crate::base::sync::Ordering;
use crate::base::{Bug, planted};
use crate::broker::bits::Bits;
use crate::broker::books::GroupId;
use crate::broker::message::Batch;
use crate::broker::record::ComesBack;
use crate::broker::witness::Sight;
use crate::broker::{Event, MessageId};
use crate::log::{LogError, Record, Records};

impl<T: Send + Sync + 'static> Life<T> {
    /// A message comes back from the dead letters: it is stored anew, for its group alone.
    pub(in crate::broker::topic_actor) fn on_comes_back(&mut self, mut back: ComesBack<T>) {
        self.changes += 1;
        let there = self.links.iter().any(|link| link.group == back.group);
        let weight = back.item.weight();
        // Ordering: it is only ever set here, and whoever sees it set learns nothing else by that.
        if !there || back.mark.swap(true, Ordering::AcqRel) {
            self.give_back(1, weight);
            let _ = back.answer.send(if there { Redriven::Before } else { Redriven::NoGroup });
            return;
        }
        let (mut records, record) = (Records::default(), back.item.take_record());
        let (millis, seq) = self.behind_the_last();
        records.push(&Record { millis, seq, key: None, body: &record.bytes });
        self.actor.mailbox.own(1);
        self.on_the_way.messages += 1;
        self.begin(records, Append::Back(Box::new(back)));
    }

    /// The milliseconds of the last message that is stored, or is to be; and the sequence of its id, if that does not count offsets.
    pub(super) fn last_on_its_way(&self) -> Option<(u64, Option<u64>)> {
        let published = self.on_the_way.appends.iter().rev().find_map(Append::last);
        let stored = || self.actor.store.as_ref().and_then(|store| store.last);
        let named = self.actor.tally.is_named();
        let of_stored = |last: MessageId| (last.unix_millis(), named.then(|| last.sequence()));
        published.map(|item| (item.millis(), item.seq())).or_else(|| stored().map(of_stored))
    }

    /// Where what comes back lies among the ids, of which it takes none: as the last that was given.
    ///
    /// Why not by the clock: ids in a log only grow, and whoever gives the next one knows nothing of this. It must be above those that
    /// were given, and no more.
    fn behind_the_last(&self) -> (u64, Option<u64>) {
        if planted(Bug::BackAtItsTime) {
            return (self.actor.watch.rt().wall_millis(), None);
        }
        // What comes back was here, so there is one.
        self.last_on_its_way().unwrap_or_default()
    }

    pub(super) fn on_back(&mut self, back: ComesBack<T>, result: Result<u64, LogError>) {
        let ComesBack { group, item, mark, answer } = back;
        self.on_the_way.messages -= 1;
        if let Err(error) = result {
            let topic = &self.actor.name;
            tracing::warn!(target: "callboard::broker", %topic, %error, "a dead letter was not brought back");
            mark.store(false, Ordering::Release);
            self.give_back(1, item.weight());
            self.disown(1);
            let _ = answer.send(Redriven::NotStored);
            return;
        }
        let base = self.books.next_offset();
        self.note_stored(base + 1, 0, item.millis());
        let batch = Arc::new(Batch::recovered(&self.origin, base, vec![item], false));
        let (all, id) = (Bits::range(0, 1), batch.id(0));
        let redrives = batch.again(0).map_or(1, |again| again.redrives);
        let others = self.links.iter().map(|link| link.group).chain(self.dormant.keys().copied());
        let others: Vec<GroupId> = others.filter(|other| *other != group).collect();
        others.into_iter().for_each(|other| self.note_done(other, base, all));
        self.books.on_batch(batch.clone(), 1, |whose| if whose == group { all } else { Bits::default() });
        let said = match self.links.iter_mut().find(|link| link.group == group) {
            None => {
                let freed = self.books.let_go(base, all);
                self.free(freed);
                Redriven::NoGroup
            }
            Some(link) => {
                let (topic, name) = (self.actor.name.clone(), link.name.clone());
                self.actor.teller.tell(Event::Redriven { topic, group: name, id, redrives });
                let (topic, group) = (&self.actor.name, &link.name);
                self.actor.watched.show(|| Sight::Redriven { topic, group, base, at: 0 });
                link.hand(Handout { batch, open: all, redrives }, self.actor.held);
                Redriven::Now
            }
        };
        let _ = answer.send(said);
    }
}

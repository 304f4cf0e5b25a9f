//! Messages that come back from the dead letters: how a topic takes them in, and lets them be found.

use super::{Handout, Life};
use crate::base::sync::Ordering;
use crate::broker::Event;
use crate::broker::bits::Bits;
use crate::broker::books::GroupId;
use crate::broker::dead_letter::WayBack;
use crate::broker::witness::Sight;
use crate::mailbox::Reply;

/// What a topic says of a message that is to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redriven {
    /// Its group has it.
    Now,
    /// It had come back before.
    Before,
    /// Its group is gone.
    NoGroup,
    /// Too many settled payloads are kept by others of their batches.
    Later,
    /// The disk refused it.
    NotStored,
}

/// Who waits until a message of a batch may come back.
pub(super) struct Redriver {
    pub(super) base: u64,
    pub(super) len: u16,
    pub(super) answer: Reply<()>,
}

impl<T: Send + Sync + 'static> Life<T> {
    /// Takes the message in, or frees the place that was got for it.
    ///
    /// Why all of this is decided here: whoever asks may be gone before the answer, and the letter must then tell
    /// truly whether the message came back.
    pub(super) fn on_redrive(&mut self, group: GroupId, message: WayBack<T>, answer: Reply<Redriven>) {
        self.changes += 1;
        let weight = message.weight();
        let said = self.take_in_again(group, message);
        if said != Redriven::Now {
            self.give_back(1, weight);
        }
        let _ = answer.send(said);
    }

    fn take_in_again(&mut self, group: GroupId, message: WayBack<T>) -> Redriven {
        let weight = message.weight();
        let WayBack { batch, index, redrives, redriven } = message;
        let Some(link) = self.links.iter_mut().find(|link| link.group == group) else {
            return Redriven::NoGroup;
        };
        if redriven.load(Ordering::Acquire) {
            return Redriven::Before;
        }
        let (base, len, capacity) = (batch.base(), batch.len(), self.actor.settings.capacity as u64);
        if !self.books.admits_again(base, len, capacity) {
            return Redriven::Later;
        }
        // Ordering: it is only ever set here, and whoever sees it set learns nothing else by that.
        redriven.store(true, Ordering::Release);
        self.books.on_redriven(group, base, len, (index, weight));
        let open = Bits::range(index, index + 1);
        let (topic, group, id) = (self.actor.name.clone(), link.name.clone(), batch.id(index));
        self.actor.teller.tell(Event::Redriven { topic, group, id, redrives });
        let (topic, group, at) = (&self.actor.name, &link.name, index);
        self.actor.watched.show(|| Sight::Redriven { topic, group, base, at });
        link.hand(Handout { batch, open, redrives }, self.actor.held);
        Redriven::Now
    }

    /// Calls those who may try again.
    pub(super) fn call_redrivers(&mut self) {
        if self.redrivers.is_empty() {
            return;
        }
        let (books, capacity) = (&self.books, self.actor.settings.capacity as u64);
        for redriver in self
            .redrivers
            .extract_if(.., |redriver| books.admits_again(redriver.base, redriver.len, capacity))
        {
            let _ = redriver.answer.send(());
        }
        self.redrivers.retain(|redriver| !redriver.answer.is_abandoned());
    }
}

//! What comes in by one place: a message, a run of them, or the right to send one later.

use std::task::Waker;

use super::shared::{BUDGET, Locked, Stamp};

/// What waits for a place, and what it does there.
pub(super) trait Entrant<M, C, S: Stamp<M>> {
    type Entered;

    /// What its place is to bear; the same until it has it.
    fn weight(&self) -> u64;

    /// Need not come in: it is answered for. Under the lock, so it is not dropped here.
    fn known(&mut self, locked: &mut Locked<M, C, S>) -> Option<Self::Entered>;

    /// May not come in, whatever room there is.
    fn is_kept_out(&mut self, _locked: &mut Locked<M, C, S>) -> bool {
        false
    }

    /// Comes in; its place is taken, and so many were given back before.
    fn enter(&mut self, locked: &mut Locked<M, C, S>, done: u64) -> Self::Entered;
}

/// One message, which stays where it was if it is known.
pub(super) struct One<'a, M>(pub(super) &'a mut Option<M>);

impl<M, C, S: Stamp<M>> Entrant<M, C, S> for One<'_, M> {
    /// The receipt, and whom to wake.
    type Entered = Option<(S::Receipt, Option<Waker>)>;

    #[inline]
    fn weight(&self) -> u64 {
        self.0.as_ref().map_or(0, S::weight)
    }

    #[inline]
    fn known(&mut self, locked: &mut Locked<M, C, S>) -> Option<Self::Entered> {
        let receipt = locked.stamp.known(self.0.as_ref()?)?;
        Some(Some((receipt, None)))
    }

    #[inline]
    fn is_kept_out(&mut self, locked: &mut Locked<M, C, S>) -> bool {
        self.0.as_mut().is_some_and(|message| locked.stamp.keeps_out(message))
    }

    #[inline]
    fn enter(&mut self, locked: &mut Locked<M, C, S>, _done: u64) -> Self::Entered {
        self.0.take().map(|message| locked.push(message))
    }
}

/// As many of some messages as there is room for that nobody waits for, as far as one turn goes.
pub(super) struct Many<'a, M, R> {
    pub(super) rest: &'a mut std::vec::IntoIter<M>,
    pub(super) receipts: &'a mut Vec<R>,
    /// Those that are known, to be dropped outside of the lock.
    pub(super) known: &'a mut Vec<M>,
}

impl<M, R> Many<'_, M, R> {
    /// Answers for the next message if it is known.
    fn pass<C, S: Stamp<M, Receipt = R>>(&mut self, locked: &mut Locked<M, C, S>) -> bool {
        let Some(receipt) = self.rest.as_slice().first().and_then(|next| locked.stamp.known(next)) else {
            return false;
        };
        self.receipts.push(receipt);
        self.known.extend(self.rest.next());
        true
    }

    /// Puts the next message in a place that is taken for it.
    fn push<C, S: Stamp<M, Receipt = R>>(&mut self, locked: &mut Locked<M, C, S>) -> Option<Waker> {
        let (receipt, receiver) = locked.push(self.rest.next()?);
        self.receipts.push(receipt);
        receiver
    }
}

impl<M, C, S: Stamp<M>> Entrant<M, C, S> for Many<'_, M, S::Receipt> {
    /// Whom to wake.
    type Entered = Option<Waker>;

    /// Of the next one.
    fn weight(&self) -> u64 {
        self.rest.as_slice().first().map_or(0, S::weight)
    }

    fn known(&mut self, locked: &mut Locked<M, C, S>) -> Option<Self::Entered> {
        self.pass(locked).then_some(None)
    }

    fn enter(&mut self, locked: &mut Locked<M, C, S>, done: u64) -> Self::Entered {
        let mut wake = self.push(locked);
        while locked.row < BUDGET
            && let Some(weight) = self.rest.as_slice().first().map(S::weight)
        {
            if !self.pass(locked) {
                if !locked.line.admits(None, weight, done) {
                    break;
                }
                locked.line.take(weight);
                wake = self.push(locked).or(wake);
            }
            locked.row += 1;
        }
        wake
    }
}

/// A place for a message that comes later.
pub(super) struct Place {
    pub(super) weight: u64,
}

impl<M, C, S: Stamp<M>> Entrant<M, C, S> for Place {
    type Entered = ();

    fn weight(&self) -> u64 {
        self.weight
    }

    fn known(&mut self, _: &mut Locked<M, C, S>) -> Option<()> {
        None
    }

    fn enter(&mut self, _: &mut Locked<M, C, S>, _done: u64) {}
}

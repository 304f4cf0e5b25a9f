//! The batches of the model: what each message has, and who claims it.

use std::sync::{Arc, Mutex};

use super::*;
use crate::broker::KeyHash;
use crate::broker::bits::Bits;

/// What a claim is once its message is evicted.
pub(super) const EVICTED: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Lot {
    pub(super) keys: Vec<u64>,
    pub(super) expires: Option<Moment>,
    pub(super) own: Vec<Option<Moment>>,
    pub(super) claims: Mutex<Vec<u32>>,
}

#[derive(Clone, Debug)]
pub(super) struct Handle(pub(super) Arc<Lot>);

impl BatchHandle for Handle {
    fn key(&self, index: u16) -> KeyHash {
        KeyHash::from_number(self.0.keys[usize::from(index)])
    }

    fn may_be_unwanted(&self) -> bool {
        true
    }

    fn claim(&self, which: Bits) -> Bits {
        let (mut claims, mut not) = (self.0.claims.lock().unwrap(), Bits::default());
        for at in which.iter() {
            match &mut claims[usize::from(at)] {
                &mut EVICTED => not.insert(at),
                claims => *claims += 1,
            }
        }
        not
    }

    fn let_go(&self, which: Bits) {
        let mut claims = self.0.claims.lock().unwrap();
        which.iter().for_each(|at| claims[usize::from(at)] -= 1);
    }

    fn expires(&self) -> Option<Moment> {
        self.0.expires
    }

    fn has_own_times(&self) -> bool {
        self.0.own.iter().any(Option::is_some)
    }

    fn own_time(&self, index: u16) -> Option<Moment> {
        self.0.own[usize::from(index)]
    }

    fn expired(&self, which: Bits, now: Moment) -> Bits {
        let mut over = Bits::default();
        which.iter().filter(|at| self.is_over(*at, now)).for_each(|at| over.insert(at));
        over
    }
}

impl Handle {
    pub(super) fn is_over(&self, at: u16, now: Moment) -> bool {
        self.0.expires.into_iter().chain(self.own_time(at)).any(|over| over <= now)
    }
}

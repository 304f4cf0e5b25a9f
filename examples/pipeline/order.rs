//! Watches that the lines of each key begin in the order in which they were published, one at a time.
//!
//! Whatever crashes and is tried again: the deliveries of a key, each told by the line's offset and its attempt, must
//! only ever grow. A later line that overtakes one that waits for its next attempt is found out when that attempt
//! comes. A line that was given up or evicted comes no more, and so has no say in it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use callboard::prelude::*;

use crate::count::lock;
use crate::line::Line;

#[derive(Default)]
pub(crate) struct Order(Mutex<State>);

#[derive(Default)]
struct State {
    /// One for each key that there is, as there is one count for each word.
    keys: BTreeMap<Box<str>, Key>,
    violations: u64,
    first: Option<String>,
}

#[derive(Default)]
struct Key {
    /// The offset and the attempt of the last delivery.
    last: (u64, u32),
    busy: bool,
}

/// One delivery, from its beginning to its end, be that a crash.
pub(crate) struct Turn<'a> {
    order: &'a Order,
    token: &'a str,
}

impl Order {
    pub(crate) fn begin<'a>(&'a self, line: &'a Message<Line>) -> Turn<'a> {
        let (token, now) = (line.token(), (line.id().offset(), line.attempt()));
        let mut state = lock(&self.0);
        let State { keys, violations, first } = &mut *state;
        // Why not `entry`: it wants a key of its own each time.
        if !keys.contains_key(token) {
            keys.insert(token.into(), Key::default());
        }
        if let Some(key) = keys.get_mut(token) {
            if key.busy || now <= key.last {
                let how = if key.busy { "while another was handled" } else { "too late" };
                let ((line, attempt), last) = (now, key.last);
                *violations += 1;
                first.get_or_insert_with(|| {
                    format!("{token:?}: line {line}, attempt {attempt}, began {how}, after {last:?}")
                });
            }
            *key = Key { last: now, busy: true };
        }
        Turn { order: self, token }
    }

    /// How many keys there are.
    pub(crate) fn keys(&self) -> u64 {
        lock(&self.0).keys.len() as u64
    }

    /// How often it was not as it should be, and the first time.
    pub(crate) fn violations(&self) -> Option<(u64, String)> {
        let state = lock(&self.0);
        state.first.clone().map(|first| (state.violations, first))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(key) = lock(&self.order.0).keys.get_mut(self.token) {
            key.busy = false;
        }
    }
}

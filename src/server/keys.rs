//! Keys and what is in them. Pure; time is an argument.
//!
//! Streams are what this server is for. A few values of Redis's other types are kept beside them, in memory only, since
//! programs that use streams set a flag or push to a list now and then, and suites ask what a stream says to a key of
//! another type.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::keep::{Place, Tracked};
use super::stream::Stream;
use crate::base::Moment;

/// How many numbered sets of keys there are.
pub(super) const DATABASES: usize = 16;

/// What a key costs beside its bytes and its value's.
const KEY_COST: usize = 64;
/// What each piece of a value costs beside its bytes.
const PIECE_COST: usize = 32;

/// What is in a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    String(Vec<u8>),
    List(VecDeque<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    SortedSet(BTreeMap<Vec<u8>, f64>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    Stream(Box<Stream>),
}

impl Value {
    /// Its type's name.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "string",
            Value::List(_) => "list",
            Value::Set(_) => "set",
            Value::SortedSet(_) => "zset",
            Value::Hash(_) => "hash",
            Value::Stream(_) => "stream",
        }
    }

    /// Whether nothing is left in it, so that its key goes.
    fn is_empty(&self) -> bool {
        match self {
            // A stream is there also when it is empty: its ids go on.
            Value::String(_) | Value::Stream(_) => false,
            Value::List(list) => list.is_empty(),
            Value::Set(set) => set.is_empty(),
            Value::SortedSet(set) => set.is_empty(),
            Value::Hash(hash) => hash.is_empty(),
        }
    }

    fn cost(&self) -> usize {
        let piece = |bytes: &Vec<u8>| bytes.len() + PIECE_COST;
        match self {
            Value::String(bytes) => bytes.len(),
            Value::Stream(stream) => stream.cost(),
            Value::List(list) => list.iter().map(piece).sum(),
            Value::Set(set) => set.iter().map(piece).sum(),
            Value::SortedSet(set) => set.keys().map(piece).sum(),
            Value::Hash(hash) => hash.iter().map(|(field, value)| piece(field) + value.len()).sum(),
        }
    }
}

/// Says that what is in a key is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoStream;

/// What a value costs while it is changed.
#[derive(Debug)]
pub(super) struct Cost(usize);

impl Cost {
    /// A piece with so many bytes was added.
    pub(super) fn add(&mut self, bytes: usize) {
        self.0 += bytes + PIECE_COST;
    }

    /// All that the value costs was so much, and is so much now.
    pub(super) fn change(&mut self, before: usize, now: usize) {
        self.0 = (self.0 + now).saturating_sub(before);
    }

    /// A piece with so many bytes was taken out.
    pub(super) fn take(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes + PIECE_COST);
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    value: Value,
    expires: Option<Moment>,
    cost: usize,
    /// The name that it had before it took that of a stream, which may come back.
    before: Option<Vec<u8>>,
}

/// All keys.
#[derive(Debug)]
pub(super) struct Keys {
    databases: Vec<BTreeMap<Vec<u8>, Entry>>,
    /// When keys are over, the first one first. Limit: one for each key.
    expiries: BTreeSet<(Moment, usize, Vec<u8>)>,
    /// How many of them are of each database.
    timed: [usize; DATABASES],
    used: usize,
    /// Those that were not there before, and were not told of. Limit: one command's.
    created: Vec<(usize, Vec<u8>)>,
    /// The streams among them, where they are written down.
    tracked: Tracked,
}

impl Default for Keys {
    fn default() -> Keys {
        let databases = std::iter::repeat_with(BTreeMap::new).take(DATABASES).collect();
        let timed = [0; DATABASES];
        let (expiries, created, tracked) = (BTreeSet::new(), Vec::new(), Tracked::default());
        Keys { databases, expiries, timed, used: 0, created, tracked }
    }
}

impl Keys {
    fn db(&self, db: usize) -> Option<&BTreeMap<Vec<u8>, Entry>> {
        self.databases.get(db)
    }

    pub(super) fn get(&self, db: usize, key: &[u8]) -> Option<&Value> {
        self.db(db)?.get(key).map(|entry| &entry.value)
    }

    /// Puts a value into a key, and what was there goes, its time included.
    pub(super) fn set(&mut self, db: usize, key: &[u8], mut value: Value, expires: Option<Moment>) {
        let was_there = self.remove(db, key).is_some();
        if value.is_empty() {
            return;
        }
        if let Value::Stream(stream) = &mut value {
            self.tracked.put((db, key), stream);
        }
        let cost = key.len() + KEY_COST + value.cost();
        if let Some(keys) = self.databases.get_mut(db) {
            self.used += cost;
            if !was_there {
                self.created.push((db, key.to_vec()));
            }
            keys.insert(key.to_vec(), Entry { value, expires, cost, before: None });
            self.remind(db, key, expires);
        }
    }

    /// Notes when a key is over.
    fn remind(&mut self, db: usize, key: &[u8], expires: Option<Moment>) {
        if let (Some(at), Some(timed)) = (expires, self.timed.get_mut(db)) {
            *timed += usize::from(self.expiries.insert((at, db, key.to_vec())));
        }
    }

    /// It is over at another time, or gone.
    fn remind_no_more(&mut self, db: usize, key: &[u8], expires: Option<Moment>) {
        if let (Some(at), Some(timed)) = (expires, self.timed.get_mut(db)) {
            *timed -= usize::from(self.expiries.remove(&(at, db, key.to_vec())));
        }
    }

    /// Changes a value in its place; if nothing is left in it its key goes. `None`: there is none.
    ///
    /// `change` says what it makes of what the value costs, so that a long list is not counted anew for each of its pieces.
    pub(super) fn change<R>(
        &mut self,
        db: usize,
        key: &[u8],
        change: impl FnOnce(&mut Value, &mut Cost) -> R,
    ) -> Option<R> {
        let entry = self.databases.get_mut(db)?.get_mut(key)?;
        let mut cost = Cost(entry.cost);
        let answer = change(&mut entry.value, &mut cost);
        self.used = self.used + cost.0 - std::mem::replace(&mut entry.cost, cost.0);
        if entry.value.is_empty() {
            self.remove(db, key);
        }
        Some(answer)
    }

    /// The keys that were made since it was asked last.
    pub(super) fn take_created(&mut self) -> Vec<(usize, Vec<u8>)> {
        std::mem::take(&mut self.created)
    }

    /// The stream in a key. An error: there is something else.
    pub(super) fn stream(&self, db: usize, key: &[u8]) -> Result<Option<&Stream>, NoStream> {
        match self.get(db, key) {
            None => Ok(None),
            Some(Value::Stream(stream)) => Ok(Some(stream)),
            Some(_) => Err(NoStream),
        }
    }

    /// Changes a stream in its place. `None`: there is none.
    pub(super) fn change_stream<R>(
        &mut self,
        db: usize,
        key: &[u8],
        change: impl FnOnce(&mut Stream) -> R,
    ) -> Option<R> {
        let (answer, number, bytes) = self.change(db, key, |value, cost| match value {
            Value::Stream(stream) => {
                let (before, untold) = (stream.cost(), stream.untold());
                let answer = change(stream);
                cost.change(before, stream.cost());
                Some((answer, stream.number, stream.untold() - untold))
            }
            _ => None,
        })??;
        self.tracked.touch(number, bytes);
        Some(answer)
    }

    pub(super) fn remove(&mut self, db: usize, key: &[u8]) -> Option<Value> {
        let entry = self.databases.get_mut(db)?.remove(key)?;
        self.used -= entry.cost;
        self.remind_no_more(db, key, entry.expires);
        if let Value::Stream(stream) = &entry.value {
            self.tracked.take(stream);
        }
        Some(entry.value)
    }

    /// Gives a key another name; what had that one goes. Answers whether there is such a key.
    pub(super) fn rename(&mut self, db: usize, from: &[u8], to: &[u8]) -> bool {
        let Some(expires) = self.expires(db, from) else { return false };
        let ousts = from != to && matches!(self.get(db, to), Some(Value::Stream(_)));
        let Some(value) = self.remove(db, from) else { return false };
        self.set(db, to, value, expires);
        if ousts && let Some(entry) = self.databases.get_mut(db).and_then(|keys| keys.get_mut(to)) {
            entry.before = Some(from.to_vec());
        }
        true
    }

    /// Sets when a key is over, or that it never is. Answers whether there is such a key.
    pub(super) fn expire(&mut self, db: usize, key: &[u8], at: Option<Moment>) -> bool {
        let Some(entry) = self.databases.get_mut(db).and_then(|keys| keys.get_mut(key)) else { return false };
        let before = std::mem::replace(&mut entry.expires, at);
        if let Value::Stream(stream) = &entry.value {
            self.tracked.touch(stream.number, 0);
        }
        self.remind_no_more(db, key, before);
        self.remind(db, key, at);
        true
    }

    /// When a key is over. `None`: there is no such key; `Some(None)`: never.
    pub(super) fn expires(&self, db: usize, key: &[u8]) -> Option<Option<Moment>> {
        self.db(db)?.get(key).map(|entry| entry.expires)
    }

    /// Takes away a key that is over by now, if there is one.
    pub(super) fn take_expired(&mut self, now: Moment) -> Option<(usize, Vec<u8>)> {
        let (_, db, key) = self.expiries.first().filter(|(at, ..)| *at <= now).cloned()?;
        self.remove(db, &key);
        Some((db, key))
    }

    #[cfg(test)]
    fn next_expiry(&self) -> Option<Moment> {
        self.expiries.first().map(|(at, ..)| *at)
    }

    /// Takes away a key to make room, if there is one that is no stream: what was published is not dropped for others.
    pub(super) fn take_some(&mut self) -> Option<(usize, Vec<u8>)> {
        let mut all = self.databases.iter().enumerate();
        let other = |(_, entry): &(&Vec<u8>, &Entry)| !matches!(entry.value, Value::Stream(_));
        let (db, key) = all.find_map(|(db, keys)| Some((db, keys.iter().find(other)?.0.clone())))?;
        self.remove(db, &key);
        Some((db, key))
    }

    /// The names of keys behind one, in order.
    pub(super) fn names(&self, db: usize, behind: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = behind.map_or(Unbounded, Excluded);
        self.db(db)
            .into_iter()
            .flat_map(move |keys| keys.range::<[u8], _>((from, Unbounded)).map(|(key, _)| key.as_slice()))
    }

    /// How many keys a database has.
    pub(super) fn len(&self, db: usize) -> usize {
        self.db(db).map_or(0, BTreeMap::len)
    }

    /// How many keys of a database are over at some time.
    pub(super) fn timed(&self, db: usize) -> usize {
        self.timed.get(db).copied().unwrap_or(0)
    }

    /// Takes away all keys of a database.
    pub(super) fn clear(&mut self, db: usize) {
        if let (Some(keys), Some(timed)) = (self.databases.get_mut(db), self.timed.get_mut(db)) {
            for entry in std::mem::take(keys).into_values() {
                self.used -= entry.cost;
                if let Value::Stream(stream) = &entry.value {
                    self.tracked.take(stream);
                }
            }
            if std::mem::take(timed) > 0 {
                self.expiries.retain(|(_, of, _)| *of != db);
            }
        }
    }

    /// About how many bytes of what happened to streams are to be written, if anything did.
    pub(super) fn untold(&self) -> Option<usize> {
        self.tracked.untold()
    }

    /// Which of them are streams, and which of these something has happened to.
    pub(super) fn tracked(&mut self) -> &mut Tracked {
        &mut self.tracked
    }

    /// Puts streams that were written down in the place of all there are, and follows what happens to them.
    pub(super) fn replace_streams(&mut self, streams: Vec<(Place, Stream, Option<Moment>)>, last: u64) {
        let places: Vec<Place> = self.tracked.places().values().cloned().collect();
        places.iter().for_each(|(db, key)| _ = self.remove(*db, key));
        self.tracked.begin(last);
        for ((db, key), stream, ends) in streams {
            self.make_room(db, &key);
            self.set(db, &key, Value::Stream(Box::new(stream)), ends);
        }
        // Nothing happened, and nothing is new.
        self.tracked.take_touched();
        self.created.clear();
    }

    /// A stream comes back to a key. What had taken its name goes back to its own one, unless that is in use again: the stream was to be
    /// gone by then, and as it is not, nothing was renamed.
    fn make_room(&mut self, db: usize, key: &[u8]) {
        let entry = self.databases.get_mut(db).and_then(|keys| keys.get_mut(key));
        let Some(before) = entry.and_then(|entry| entry.before.take()) else { return };
        if self.get(db, &before).is_none() {
            self.rename(db, key, &before);
        }
    }

    /// The stream of that number, with where it is and when it is over.
    pub(super) fn numbered(&mut self, number: u64) -> Option<(&Place, &mut Stream, Option<Moment>)> {
        let place @ (db, key) = self.tracked.place(number)?;
        let entry = self.databases.get_mut(*db)?.get_mut(key)?;
        match &mut entry.value {
            Value::Stream(stream) => Some((place, stream, entry.expires)),
            _ => None,
        }
    }

    /// Whether any key ends by itself.
    #[cfg(test)]
    pub(super) fn has_ends(&self) -> bool {
        !self.expiries.is_empty()
    }

    /// About how many bytes of memory they take.
    pub(super) fn used(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Value {
        Value::String(text.into())
    }

    fn at(nanos: u64) -> Moment {
        Moment::ZERO + Duration::from_nanos(nanos)
    }

    #[test]
    fn a_key_is_gone_when_nothing_is_left_in_it() {
        let mut keys = Keys::default();
        keys.set(0, b"set", Value::Set([b"a".to_vec()].into()), None);
        keys.change(0, b"set", |value, cost| match value {
            Value::Set(set) => {
                set.clear();
                cost.take(1);
            }
            _ => unreachable!(),
        });
        assert_eq!((keys.get(0, b"set"), keys.used(), keys.len(0)), (None, 0, 0));
    }

    #[test]
    fn a_key_is_over_at_its_time_and_not_before() {
        let mut keys = Keys::default();
        keys.set(0, b"one", text("1"), Some(at(10)));
        keys.set(1, b"two", text("2"), Some(at(5)));
        keys.set(0, b"never", text("3"), None);
        assert_eq!((keys.take_expired(at(4)), keys.next_expiry()), (None, Some(at(5))));
        assert_eq!(keys.take_expired(at(20)), Some((1, b"two".to_vec())));
        // What is set anew has another time.
        keys.set(0, b"one", text("1"), None);
        assert_eq!((keys.take_expired(at(20)), keys.next_expiry()), (None, None));
        assert!(keys.expire(0, b"never", Some(at(30))) && !keys.expire(0, b"nobody", None));
        assert!(keys.rename(0, b"never", b"ever") && !keys.rename(0, b"never", b"ever"));
        assert_eq!(keys.take_expired(at(30)), Some((0, b"ever".to_vec())));
    }

    proptest! {
        /// The model: a map, and what it costs counted anew at each step.
        #[test]
        fn what_is_used_is_what_the_keys_cost(steps in prop::collection::vec((0..5_u8, 0..4_u8, 0..40_usize), 0..60)) {
            let mut keys = Keys::default();
            for (step, key, len) in steps {
                let name = [key];
                match step {
                    0 => keys.set(0, &name, Value::String(vec![0; len]), None),
                    1 => keys.set(0, &name, Value::List([vec![1; len]].into()), Some(at(len as u64))),
                    2 => drop(keys.remove(0, &name)),
                    3 => drop(keys.rename(0, &name, &[3 - key])),
                    _ => drop(keys.change(0, &name, |value, cost| {
                        if let Value::List(list) = value {
                            list.push_back(vec![2; len]);
                            cost.add(len);
                        }
                    })),
                }
                let counted: usize = keys.databases[0]
                    .iter().map(|(key, entry)| key.len() + KEY_COST + entry.value.cost()).sum();
                prop_assert_eq!(keys.used(), counted);
                let timed = keys.databases[0].values().filter(|entry| entry.expires.is_some()).count();
                prop_assert_eq!(keys.expiries.len(), timed);
            }
            keys.clear(0);
            prop_assert_eq!((keys.used(), keys.next_expiry()), (0, None));
        }
    }
}

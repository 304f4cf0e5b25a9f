//! Draws what is asked of a log, so that it can be asked of many, in other company each time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::collection::vec;
use proptest::prelude::*;

use crate::log::request::{Chain, Done, Request};
use crate::log::state::State;
use crate::log::{LogError, Marks, Note, Record, Records, Settles, Terms};

/// The most that an append may have in a log whose slots are as small as can be.
const MOST: usize = (12 << 10) / 4 - 200;

/// A request to be. Numbers are taken modulo what there is by then.
#[derive(Clone, Debug)]
pub(super) enum Draw {
    Append {
        topic: usize,
        lens: Vec<usize>,
        keyed: bool,
        sync: bool,
    },
    /// To two topics.
    All {
        topics: (usize, usize),
        lens: Vec<usize>,
        sync: bool,
    },
    /// With what takes their place, or alone.
    Settle {
        into: Option<usize>,
        topic: usize,
        group: usize,
        runs: Vec<(u64, u64)>,
    },
    Mark {
        topic: usize,
        group: usize,
        runs: Vec<(u64, u64)>,
        notes: Vec<(u64, u32, usize)>,
        heard: bool,
    },
    Trim {
        topic: usize,
        floor: u64,
    },
    Topic {
        name: usize,
        len: usize,
    },
    Group {
        topic: usize,
        number: u32,
        name: usize,
        start: u64,
    },
    Terms {
        topic: usize,
        keeps: bool,
        most_keys: u64,
    },
    Seek {
        topic: usize,
        group: usize,
        to: u64,
    },
    DeleteTopic(usize),
    DeleteGroup {
        topic: usize,
        group: usize,
    },
    Sync,
    Seal,
    Turn,
}

pub(super) fn draw() -> impl Strategy<Value = Draw> {
    let len = prop_oneof![6 => 0..60_usize, 2 => 0..700_usize, 3 => Just(MOST)];
    let lens = prop_oneof![9 => vec(len, 1..3), 1 => Just(Vec::new())];
    let note = (any::<u64>(), 1..9_u32, prop_oneof![5 => 0..20_usize, 1 => 0..900_usize]);
    let (many, topic, group) = (any::<u64>(), any::<usize>(), any::<usize>());
    prop_oneof![
        24 => (topic, lens, any::<bool>(), any::<bool>())
            .prop_map(|(topic, lens, keyed, sync)| Draw::Append { topic, lens, keyed, sync }),
        4 => ((topic, topic), vec(0..300_usize, 1..3), any::<bool>())
            .prop_map(|(topics, lens, sync)| Draw::All { topics, lens, sync }),
        18 => (topic, group, vec((many, 0..6_u64), 0..3), vec(note, 0..4), any::<bool>())
            .prop_map(|(topic, group, runs, notes, heard)| Draw::Mark { topic, group, runs, notes, heard }),
        4 => (proptest::option::of(topic), topic, group, vec((many, 0..6_u64), 0..3))
            .prop_map(|(into, topic, group, runs)| Draw::Settle { into, topic, group, runs }),
        4 => (topic, many).prop_map(|(topic, floor)| Draw::Trim { topic, floor }),
        2 => (0..5_usize, prop_oneof![3 => Just(0_usize), 1 => 0..MOST])
            .prop_map(|(name, len)| Draw::Topic { name, len }),
        4 => (topic, 0..3_u32, 0..6_usize, many)
            .prop_map(|(topic, number, name, start)| Draw::Group { topic, number, name, start }),
        1 => (topic, any::<bool>(), 0..4_u64)
            .prop_map(|(topic, keeps, most_keys)| Draw::Terms { topic, keeps, most_keys }),
        2 => (topic, group, many).prop_map(|(topic, group, to)| Draw::Seek { topic, group, to }),
        1 => topic.prop_map(Draw::DeleteTopic),
        1 => (topic, group).prop_map(|(topic, group)| Draw::DeleteGroup { topic, group }),
        1 => Just(Draw::Sync),
        1 => Just(Draw::Seal),
        1 => Just(Draw::Turn),
    ]
}

/// What each request was answered, each time it was.
pub(super) type Heard = Arc<Mutex<BTreeMap<usize, Vec<Result<u64, String>>>>>;

/// What is asked for, so that it can be asked of many logs.
pub(super) struct Ask {
    pub(super) topic: Option<u32>,
    /// It is on the disk once it is answered, and so is all before it.
    pub(super) confirms: bool,
    pub(super) heard: bool,
    pub(super) make: Box<dyn Fn(Ear) -> Request>,
}

pub(super) struct Ear(pub(super) usize, pub(super) Heard);

impl Ear {
    pub(super) fn done<T: Into<u64> + 'static>(self) -> Done<T> {
        let Ear(at, heard) = self;
        Done::new(move |result: Result<T, LogError>| {
            let result = result.map(T::into).map_err(|error| error.to_string());
            heard.lock().unwrap().entry(at).or_default().push(result);
        })
    }

    pub(super) fn unit(self) -> Done<()> {
        let Ear(at, heard) = self;
        Done::new(move |result: Result<(), LogError>| {
            let result = result.map(|()| 0).map_err(|error| error.to_string());
            heard.lock().unwrap().entry(at).or_default().push(result);
        })
    }
}

/// What a drawn request is where the log is in this state.
pub(super) fn ask(draw: &Draw, at: usize, state: &State) -> Ask {
    // One more than there are, so that some are asked for what is not there.
    let number = |topic: usize| (topic % (state.next_topic as usize + 1)) as u32;
    let next = |topic| state.topics.get(&topic).map_or(0, |topic| topic.next);
    let group = |topic, group: usize| {
        let next = state.topics.get(&topic).map_or(0, |topic| topic.next_group);
        (group % (next as usize + 1)) as u32
    };
    let of = |topic, confirms, heard, make: Box<dyn Fn(Ear) -> Request>| Ask { topic, confirms, heard, make };
    match draw.clone() {
        Draw::Append { topic, lens, keyed, sync } => {
            let (topic, records) = (number(topic), records(at, &lens, keyed));
            let make = move |ear: Ear| Request::Append {
                topic,
                records: records.clone(),
                sync,
                settles: None,
                done: ear.done(),
            };
            of(Some(topic), sync, true, Box::new(make))
        }
        Draw::All { topics, lens, sync } => {
            let (one, other) = (number(topics.0), number(topics.1));
            let parts = [one, other].map(|topic| (topic, records(at, &lens, false))).to_vec();
            let make = move |ear: Ear| {
                let (parts, chain) = (parts.clone(), Chain::default());
                Request::AppendAll { parts, sync, chain, done: ear.unit() }
            };
            of(Some(one.max(other)), sync, true, Box::new(make))
        }
        Draw::Settle { into, topic, group: which, runs } => {
            let topic = number(topic);
            let (group, next) = (group(topic, which), next(topic));
            let done: Vec<_> = runs.into_iter().map(|some| run(some, next)).collect();
            let (into, records) = (into.map(number), records(at, &[9], false));
            let make = move |ear: Ear| {
                let settles = Settles { topic, group, done: done.clone() };
                let Some(topic) = into else { return Request::Settle { settles, done: ear.unit() } };
                let (settles, records) = (Some(settles), records.clone());
                Request::Append { topic, records, sync: true, settles, done: ear.done() }
            };
            of(Some(topic.max(into.unwrap_or(0))), true, true, Box::new(make))
        }
        Draw::Mark { topic, group: which, runs, notes, heard } => {
            let topic = number(topic);
            let (group, next) = (group(topic, which), next(topic));
            let note = |(offset, attempts, more): (u64, u32, usize)| {
                (offset % next.max(1), Note { attempts, due: at as u64, more: vec![7; more] })
            };
            let done = runs.into_iter().map(|some| run(some, next)).collect();
            let marks = Marks { done, notes: notes.into_iter().map(note).collect() };
            let make = move |ear: Ear| {
                let done = if heard { ear.unit() } else { Done::unheard() };
                Request::Mark { topic, group, marks: marks.clone(), done }
            };
            of(Some(topic), heard, heard, Box::new(make))
        }
        Draw::Trim { topic, floor } => {
            let topic = number(topic);
            let floor = floor % (next(topic) + 1);
            of(Some(topic), false, false, Box::new(move |_| Request::Trim { topic, floor }))
        }
        Draw::Topic { name, len } => {
            let terms = Terms { about: vec![1; len], most_keys: 3, key_millis: 40, ..Terms::default() };
            let make = move |ear: Ear| Request::CreateTopic {
                topic: None,
                name: format!("topic {name}"),
                terms: terms.clone(),
                done: ear.done(),
            };
            of(None, true, true, Box::new(make))
        }
        Draw::Group { topic, number: group, name, start } => {
            let topic = number(topic);
            let last = state.topics.get(&topic).map_or(0, |topic| topic.next_group);
            let (group, start) = ((last + group).saturating_sub(1), start % (next(topic) + 1));
            let make = move |ear: Ear| {
                let (name, about) = (format!("group {name}"), vec![2; name * 9]);
                Request::CreateGroup { topic, group, name, about, start, done: ear.unit() }
            };
            of(Some(topic), true, true, Box::new(make))
        }
        Draw::Terms { topic, keeps, most_keys } => {
            let topic = number(topic);
            let terms = Terms { about: vec![3; 9], keeps, most_keys, key_millis: 30 };
            let make = move |ear: Ear| Request::SetTerms { topic, terms: terms.clone(), done: ear.unit() };
            of(Some(topic), true, true, Box::new(make))
        }
        Draw::Seek { topic, group: which, to } => {
            let topic = number(topic);
            let (group, to) = (group(topic, which), to % (next(topic) + 1));
            let about = if to % 2 == 0 { Vec::new() } else { vec![at as u8; 5] };
            let make =
                move |ear: Ear| Request::Seek { topic, group, to, about: about.clone(), done: ear.unit() };
            of(Some(topic), true, true, Box::new(make))
        }
        Draw::DeleteTopic(topic) => {
            let topic = number(topic);
            of(Some(topic), true, true, Box::new(move |ear| Request::DeleteTopic { topic, done: ear.unit() }))
        }
        Draw::DeleteGroup { topic, group: which } => {
            let topic = number(topic);
            let group = group(topic, which);
            let make = move |ear: Ear| Request::DeleteGroup { topic, group, done: ear.unit() };
            of(Some(topic), true, true, Box::new(make))
        }
        Draw::Sync => of(None, true, true, Box::new(|ear| Request::Sync { done: ear.unit() })),
        Draw::Seal => of(None, true, true, Box::new(|ear| Request::Seal { done: ear.unit() })),
        Draw::Turn => of(None, true, true, Box::new(|ear| Request::Turn { done: ear.unit() })),
    }
}

/// Of messages that there are.
fn run((from, len): (u64, u64), next: u64) -> (u64, u64) {
    (from % (next + 1), (from % (next + 1) + len).min(next))
}

/// The records of the request at this place: later ones are not older.
pub(super) fn records(at: usize, lens: &[usize], keyed: bool) -> Records {
    let mut records = Records::default();
    for (nth, len) in lens.iter().enumerate() {
        let (body, key) = (vec![at as u8; *len], format!("{at} {nth}"));
        let (key, seq) = (keyed.then_some(key.as_bytes()), at.is_multiple_of(3).then_some(at as u64));
        records.push(&Record { millis: (at * 5 + nth) as u64, seq, key, body: &body });
    }
    records
}

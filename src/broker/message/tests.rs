//! Do ids only grow, however the clock goes, and does one payload's panic stay its own? (G15)

use crate::broker::settings::TopicSettings;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::broker::Dedup;
use crate::broker::extra::Extra;
use crate::mailbox::Stamp as _;
use crate::runtime::Rt;
use crate::sim::Sim;

/// Stamps as the mailbox does; the wall clock shows what `clock` says for each offset.
fn ids(messages: u64, clock: impl Fn(u64) -> u64, first: impl Fn(u64) -> bool) -> Vec<MessageId> {
    let sim = Sim::new(1);
    let mut stamp = IdStamp::new(Rt::new(sim.clone()), Dedup::default(), Arc::default());
    let ids = (0..messages).map(|offset| {
        sim.set_wall_clock(UNIX_EPOCH + Duration::from_millis(clock(offset)));
        let mut item = Item::new(());
        let id = stamp.stamp(&mut item, offset, first(offset)).id;
        assert_eq!(item.millis(), id.unix_millis(), "the message knows its id");
        id
    });
    ids.collect()
}

#[test]
fn the_clock_is_read_for_the_first_of_a_burst_and_for_each_256th_message() {
    let ids = ids(1000, |offset| offset + 1, |offset| offset == 300);
    let read: Vec<u64> =
        ids.iter().filter(|id| id.unix_millis() == id.offset() + 1).map(|id| id.offset()).collect();
    assert_eq!(read, [0, 256, 300, 512, 768]);
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn ids_grow_while_the_clock_goes_back() {
    let clock = |offset| match offset {
        0..10 => 5000,
        10..20 => 1000,
        20..30 => 0,
        _ => 5001,
    };
    let ids = ids(40, clock, |_| true);
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    let millis: Vec<u64> = ids.iter().step_by(10).map(|id| id.unix_millis()).collect();
    assert_eq!(millis, [5000, 5000, 5000, 5001]);
}

proptest! {
    /// Against the rule: an id that is given is taken if it is above all that went before, and the topic's own are.
    #[test]
    fn given_or_not_ids_only_grow(
        steps in prop::collection::vec((0..4_u64, prop::option::of((0..6_u64, prop_oneof![0..4_u64, Just(u64::MAX)]))), 1..60),
    ) {
        let sim = Sim::new(1);
        let mut stamp = IdStamp::new(Rt::new(sim.clone()), Dedup::default(), Arc::default());
        let (mut last, mut offset, mut named) = (None::<MessageId>, 0, false);
        for (clock, given) in steps {
            sim.set_wall_clock(UNIX_EPOCH + Duration::from_millis(clock));
            let extra = Extra { id: given, ..Extra::default() };
            let mut item = Item::made((), KeyHash::default(), extra.boxed());
            let out = stamp.keeps_out(&mut item);
            let free = given.is_none_or(|given| match last {
                None => true,
                Some(last) if named => given > last.parts(),
                Some(last) => given.0 > last.unix_millis(),
            });
            prop_assert_eq!(out, !free);
            prop_assert_eq!(item.take_behind().is_some(), out);
            if out {
                continue;
            }
            let id = stamp.stamp(&mut item, offset, true).id;
            prop_assert!(last.is_none_or(|last| last < id), "{:?} < {}", last, id);
            prop_assert_eq!((id.offset(), item.id_at(offset)), (offset, id));
            if let Some(given) = given {
                prop_assert_eq!(id.parts(), given);
            }
            named |= given.is_some();
            (last, offset) = (Some(id), offset + 1);
        }
    }
}

static DROPPED: AtomicU32 = AtomicU32::new(0);

/// Panics when it is dropped, if it says so; the panic's own payload may panic too.
struct Bomb(u8);

impl Drop for Bomb {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
        match self.0 {
            0 => {}
            1 => panic!("as told"),
            fuse => std::panic::panic_any(Bomb(fuse - 1)),
        }
    }
}

#[test]
fn a_payload_whose_drop_panics_takes_no_other_with_it() {
    let items = [0, 1, 0, 3, 1, 0].map(|fuse| Item::new(Bomb(fuse)));
    let batch = Arc::new(Batch::new(
        &Origin::new(Name::new("t").unwrap(), &TopicSettings::default()),
        0,
        items.into(),
        None,
    ));
    let message = Message { batch: batch.clone(), index: 1, redrives: 0, attempt: 1 };
    drop(batch);
    assert_eq!(DROPPED.load(Ordering::Relaxed), 0, "a kept message keeps its batch");
    drop(message);
    assert!(DROPPED.load(Ordering::Relaxed) >= 6, "each payload is dropped, and nothing unwinds into here");
}

#[test]
fn a_message_knows_where_it_came_from() {
    let items = vec![Item::stamped(7, "a"), Item::stamped(7, "b")];
    let batch = Arc::new(Batch::new(
        &Origin::new(Name::new("t").unwrap(), &TopicSettings::default()),
        40,
        items,
        None,
    ));
    let message = Message { batch, index: 1, redrives: 0, attempt: 3 };
    let copy = message.clone();
    assert_eq!(
        (*copy, copy.id(), copy.attempt(), copy.topic().as_str()),
        ("b", MessageId::new(7, 41), 3, "t")
    );
    assert_eq!(format!("{copy:?}"), r#"Message { id: 7-41, attempt: 3, payload: "b" }"#);
    assert!(Arc::ptr_eq(&message.batch, &copy.batch), "a copy shares the payload");
}

#[test]
#[should_panic(expected = "callboard bug")]
fn a_place_behind_the_batch_is_a_bug_and_says_so() {
    Batch::<()>::new(&Origin::new(Name::new("t").unwrap(), &TopicSettings::default()), 0, Vec::new(), None)
        .value(0);
}

/// It moves with each message that is handled.
#[test]
fn a_message_is_no_larger_than_two_words() {
    assert_eq!(size_of::<Message<String>>(), 2 * size_of::<u64>());
}

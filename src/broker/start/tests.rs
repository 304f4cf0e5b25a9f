//! Which messages of a batch does a new group see, for each place to begin? (G4)

use super::*;
use crate::base::Name;
use crate::broker::message::{Item, Origin};
use crate::broker::settings::TopicSettings;

/// Offsets 10 to 15; two messages of each of the milliseconds 100, 200 and 200 again.
fn batch() -> Batch<u32> {
    let items = [100, 100, 200, 200, 200, 300].map(|millis| Item::stamped(millis, 0));
    Batch::new(&Origin::new(Name::new("t").unwrap(), &TopicSettings::default()), 10, items.into(), None)
}

#[test]
fn each_start_picks_the_messages_from_its_place_on() {
    let after = |offset| Start::After(MessageId::new(200, offset));
    let cases = [
        (Start::Earliest, 0),
        (Start::Latest, 6),
        (Start::Offset(0), 0),
        (Start::Offset(10), 0),
        (Start::Offset(13), 3),
        (Start::Offset(15), 5),
        (Start::Offset(16), 6),
        (Start::Offset(u64::MAX), 6),
        (after(0), 0),
        (after(9), 0),
        (after(10), 1),
        (after(15), 6),
        (after(u64::MAX), 6),
        (Start::UnixMillis(0), 0),
        (Start::UnixMillis(100), 0),
        (Start::UnixMillis(101), 2),
        (Start::UnixMillis(200), 2),
        (Start::UnixMillis(300), 5),
        (Start::UnixMillis(301), 6),
        (Start::UnixMillis(u64::MAX), 6),
    ];
    let batch = batch();
    for (start, first) in cases {
        assert_eq!(start.pick(&batch, Bits::range(0, 6)), Bits::range(first, 6), "{start:?}");
    }
}

#[test]
fn what_has_left_is_not_picked() {
    let kept = Bits::range(0, 6).without(Bits::range(2, 4));
    let picked = |start: Start| start.pick(&batch(), kept).runs().collect::<Vec<_>>();
    assert_eq!(picked(Start::Earliest), [(0, 2), (4, 6)]);
    assert_eq!(picked(Start::Offset(13)), [(4, 6)]);
    assert_eq!(picked(Start::UnixMillis(101)), [(4, 6)]);
}

#[test]
fn of_what_waits_those_from_its_place_on_are_expected() {
    let after = |offset| Start::After(crate::broker::MessageId::new(0, offset));
    let cases = [
        (Start::Earliest, 5),
        (Start::Latest, 5),
        (Start::UnixMillis(u64::MAX), 5),
        (Start::Offset(3), 5),
        (Start::Offset(12), 3),
        (Start::Offset(15), 0),
        (Start::Offset(u64::MAX), 0),
        (after(8), 5),
        (after(12), 2),
        (after(u64::MAX), 0),
    ];
    for (start, expected) in cases {
        assert_eq!(start.among((10, 5), false), expected, "{start:?} of 10..15");
    }
}

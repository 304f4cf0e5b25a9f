//! Bytes that nobody wrote.

use proptest::prelude::*;

use crate::server::keep::note::{NoRecord, Note, Reader, What, Writer, put_entry, take_entry};
use crate::server::stream::{Change, Fields, GroupChange, Id, Policy};

fn change() -> impl Strategy<Value = Change> {
    let (name, id) = (prop::collection::vec(any::<u8>(), 0..9), (any::<u64>(), any::<u64>()));
    let id = id.prop_map(|(millis, seq)| Id { millis, seq });
    prop_oneof![
        Just(Change::Anew),
        (any::<u64>(), any::<u64>()).prop_map(|(from, to)| Change::Gone(from, to)),
        (id.clone(), id.clone(), any::<u64>()).prop_map(|(last, max_deleted, added)| Change::Counts {
            last,
            max_deleted,
            added
        }),
        (name.clone(), prop::collection::vec(id.clone(), 0..9)).prop_map(|(name, ids)| {
            Change::Group { name: name.into(), change: GroupChange::TakenBack { ids } }
        }),
        (name.clone(), any::<[u64; 2]>(), name.clone()).prop_map(|(name, [time, most], key)| {
            let dead_letter = (!key.is_empty()).then(|| key.into());
            let [ack_timeout, max_deliveries] = [time, most].map(|number| (number > 0).then_some(number));
            let policy = Policy { ack_timeout, max_deliveries, dead_letter };
            Change::Group { name: name.into(), change: GroupChange::Told(policy) }
        }),
        (name, prop::collection::vec(id, 0..9), any::<u64>()).prop_map(|(name, ids, count)| {
            Change::Group { name: name.into(), change: GroupChange::Released { count, ids } }
        }),
    ]
}

proptest! {
    #[test]
    fn notes_are_read_as_they_were_written_however_they_are_cut(
        most in 1..200_usize,
        all in prop::collection::vec((1..5_u64, prop::option::of(any::<u64>()), prop::collection::vec(change(), 0..6)), 0..8),
    ) {
        let mut writer = Writer::new(most);
        let mut wanted = Vec::new();
        for (number, ends, changes) in all {
            let (ends, place) = (ends.map(|ends| ends.min(u64::MAX - 1)), (number as usize, vec![number as u8; 3]));
            writer.placed(number, 7, &place, ends);
            writer.changed(number, 9, &changes);
            writer.gone(number);
            wanted.push(Note { number, what: What::Placed { topic: 7, place, ends } });
            // It may come in several.
            wanted.extend(changes.into_iter().map(|one| Note { number, what: What::Changed { offset: 9, changes: vec![one] } }));
            wanted.push(Note { number, what: What::Gone });
        }
        let bodies = writer.finish();
        prop_assert!(bodies.is_empty() == wanted.is_empty());
        let (mut reader, mut read) = (Reader::default(), Vec::new());
        // Something was begun before, and had no end.
        if bodies.len() > 1 {
            prop_assert_eq!(reader.take(90, &bodies[0]), Ok(None));
        }
        for (at, body) in bodies.iter().enumerate() {
            let whole = reader.take(100 + at as u64, body).unwrap();
            prop_assert_eq!(whole.is_some(), at + 1 == bodies.len());
            if let Some((first, notes)) = whole {
                prop_assert_eq!(first, 100);
                read = notes;
            }
        }
        let singly = read.into_iter().flat_map(|Note { number, what }| match what {
            What::Changed { offset, changes } => {
                let one = |one| Note { number, what: What::Changed { offset, changes: vec![one] } };
                changes.into_iter().map(one).collect::<Vec<_>>()
            }
            what => vec![Note { number, what }],
        });
        prop_assert!(singly.eq(wanted));
    }

    /// What is read is refused or understood, and never more than there is.
    #[test]
    fn noise_is_refused_or_is_notes(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut reader = Reader::default();
        if let Ok(Some((_, notes))) = reader.take(0, &bytes) {
            prop_assert!(notes.len() <= bytes.len());
        }
        if let Some((id, fields)) = take_entry(&bytes) {
            let mut again = Vec::new();
            put_entry(&mut again, id, &fields);
            prop_assert_eq!(again, bytes);
        }
    }
}

#[test]
fn a_record_that_says_nothing_is_read_as_such() {
    for bytes in [0, 2, 5, 3000] {
        let nothing = Writer::nothing(bytes);
        assert_eq!(
            (nothing.len(), Reader::default().take(7, &nothing)),
            (bytes.max(2), Ok(Some((7, Vec::new()))))
        );
    }
}

#[test]
fn an_entry_is_read_as_it_was_written() {
    let parts: [&[u8]; 4] = [b"a", b"", b"\0\r\n", &[0xff; 200]];
    let (mut bytes, id) = (Vec::new(), Id { millis: u64::MAX, seq: 300 });
    put_entry(&mut bytes, id, &Fields::new(parts.into_iter()));
    assert_eq!(take_entry(&bytes), Some((id, Fields::new(parts.into_iter()))));
    (0..bytes.len()).for_each(|end| assert_eq!(take_entry(&bytes[..end]), None));
    assert_eq!(Reader::default().take(0, &[9]), Err(NoRecord));
}

//! Does a dead letter come back from its bytes, with or without the codec that can read what it carries?

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::codec::{AnyCodec, Homes, Letters};
use super::letter::Letter;
use super::*;
use crate::base::Fault;
use crate::broker::codec::{decode, encode};
use crate::broker::envelope::tests::{example, headers, hex, id, name};
use crate::broker::envelope::{Envelope, EnvelopeError};
use crate::broker::extra::Extra;
use crate::broker::message::{Item, Origin};
use crate::broker::redrive::Boxed;
use crate::broker::settings::TopicSettings;
use crate::broker::{Codec, KeyHash, Raw};

struct Nowhere;

impl Home for Nowhere {
    fn bring_back<'a>(&'a self, _: &'a DeadLetter) -> Boxed<'a, Result<bool, RedriveError>> {
        Box::pin(async { Err(RedriveError::GroupGone) })
    }
}

#[derive(Default)]
struct Open(BTreeMap<&'static str, AnyCodec>);

impl Homes for Open {
    fn codec(&self, topic: &Name) -> Option<AnyCodec> {
        self.0.get(topic.as_str()).cloned()
    }

    fn home(&self, _: &Name, _: &Name) -> Arc<dyn Home> {
        Arc::new(Nowhere)
    }
}

fn letters<const N: usize>(open: [(&'static str, AnyCodec); N]) -> Letters {
    Letters { homes: Arc::new(Open(open.into_iter().collect())) }
}

fn codec<T: 'static>(codec: impl Codec<T>) -> AnyCodec {
    AnyCodec::new::<T>(Arc::new(codec)).unwrap()
}

fn named(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// The second one of a batch of two.
fn in_memory() -> DeadLetter {
    let settings = TopicSettings { keyed: true, ..TopicSettings::default() };
    let mut headers = Headers::new();
    headers.append("Tenant", "acme").unwrap();
    let extra = Extra { headers, ..Extra::default() }.boxed();
    let key = KeyHash::from_number(7);
    let items =
        vec![Item::new("rope".to_string()), Item::read(1_699_999_999_999, "anvil".to_string(), key, extra)];
    let batch = Arc::new(Batch::new(&Origin::new(named("orders"), &settings), 299, items, None));
    let past = Past { attempts: 3, failures: 3, redrives: 1, no_room: 0, error: Some("jammed".into()) };
    let reason = DeadReason::Rejected("no good".into());
    DeadLetter::new(batch, 1, named("billing"), past, reason, Arc::new(Nowhere))
}

fn written(letters: &Letters, letter: &DeadLetter) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert_eq!(encode(letters, letter, &mut bytes), Ok(0));
    bytes
}

/// G11, G21.
#[test]
fn a_dead_letter_comes_back_from_the_disk_with_all_that_it_tells() {
    let open = letters([("orders", codec::<String>(Raw))]);
    let bytes = written(&open, &in_memory());
    let letter = decode(&open, &bytes, 0).unwrap();
    assert_eq!(format!("{letter:?}"), format!("{:?}", in_memory()));
    assert_eq!(letter.original_headers().text("tenant"), Some("acme"));
    assert_eq!(letter.stored_payload(), Some(&b"anvil"[..]));
    let message = letter.message::<String>().unwrap();
    assert_eq!((&**message, message.id(), message.attempt()), ("anvil", letter.original_id(), 3));
    assert_eq!((message.key(), message.topic().as_str()), (Some(KeyHash::from_number(7)), "orders"));
    assert_eq!(message.headers(), letter.original_headers());
    assert!(letter.message::<u8>().is_none() && in_memory().stored_payload().is_none());
    assert_eq!(written(&open, &letter), bytes, "and goes to the disk again as it is");
}

/// G21.
#[test]
fn a_letter_that_nobody_can_open_keeps_its_bytes() {
    let bytes = written(&letters([("orders", codec::<String>(Raw))]), &in_memory());
    let others = [
        letters([]),
        letters([("orders", codec::<u32>(Other))]),
        letters([("orders", codec::<String>(Other))]),
    ];
    for other in others {
        let letter = decode(&other, &bytes, 0).unwrap();
        assert!(letter.message::<String>().is_none());
        assert_eq!((letter.stored_payload(), letter.error()), (Some(&b"anvil"[..]), Some("jammed")));
        assert_eq!(written(&other, &letter), bytes);
    }
    let refused = encode(&letters([]), &in_memory(), &mut Vec::new()).unwrap_err();
    assert!(refused.to_string().ends_with("the topic orders has no codec"), "{refused}");
}

/// A codec that refuses, or panics at, all there is.
struct Other;

impl<T> Codec<T> for Other {
    fn name(&self) -> &str {
        "raw/1"
    }

    fn encode(&self, _: &T, _: &mut Vec<u8>) -> Result<(), Fault> {
        Err(Fault::new("no"))
    }

    fn decode(&self, _: &[u8], _: u32) -> Result<T, Fault> {
        panic!("no")
    }
}

/// G21. Whoever changes this makes the dead letters of all topics on disk unreadable.
#[test]
fn the_bytes_are_those_of_the_format() {
    let mut headers = Headers::new();
    headers.append("Tenant", "acme").unwrap();
    let letter = Letter {
        reason: DeadReason::Rejected("no good".into()),
        attempts: 3,
        redrives: 0,
        error: Some("jammed".into()),
        topic: named("orders"),
        group: named("billing"),
        id: MessageId::new(1_699_999_999_999, 300),
        codec: named("raw/1"),
        message: Envelope { headers: Cow::Owned(headers), ..Envelope::of(b"anvil") },
    };
    let mut bytes = Vec::new();
    letter.encode(&mut bytes);
    assert_eq!(hex(&bytes), example("01 "));
    for end in 0..bytes.len() - b"anvil".len() {
        assert!(matches!(Letter::decode(&bytes[..end]), Err(EnvelopeError::Malformed { .. })), "{end}");
    }
    bytes[0] = 0x05;
    assert_eq!(Letter::decode(&bytes), Err(EnvelopeError::Newer { flags: 5 }));
    let named = Letter { id: MessageId::at(300, 7, Some(1)), ..letter };
    let mut bytes = Vec::new();
    named.encode(&mut bytes);
    let id = Letter::decode(&bytes).unwrap().id;
    assert_eq!((id.parts(), id.offset()), ((7, 1), 300));
    let unknown = Letter::decode(&[0, 5, 0, 0]);
    assert_eq!(unknown, Err(EnvelopeError::Malformed { part: "reason", at: 1 }));
}

fn reason() -> impl Strategy<Value = DeadReason> {
    prop_oneof![
        Just(DeadReason::TooManyAttempts),
        Just(DeadReason::KeyFull),
        Just(DeadReason::Expired),
        any::<String>().prop_map(|text| DeadReason::Rejected(text.into())),
        any::<String>().prop_map(|text| DeadReason::Undecodable(text.into())),
    ]
}

proptest! {
    #[test]
    fn a_letter_reads_back_as_it_was_and_no_bytes_panic(
        (reason, attempts, redrives, error) in (reason(), any::<u32>(), any::<u16>(), any::<Option<String>>()),
        (topic, group, codec, id) in (name(), name(), name(), id()),
        (headers, version, payload) in (headers(), any::<u32>(), any::<Vec<u8>>()),
        flip in prop::option::of((any::<prop::sample::Index>(), 1..=255_u8)),
    ) {
        let message = Envelope { headers: Cow::Owned(headers), version, ..Envelope::of(&payload) };
        let error = error.map(Arc::from);
        let letter = Letter { reason, attempts, redrives, error, topic, group, id, codec, message };
        let mut bytes = Vec::new();
        letter.encode(&mut bytes);
        let Some((at, mask)) = flip else {
            prop_assert_eq!(Letter::decode(&bytes), Ok(letter));
            return Ok(());
        };
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        if let Ok(other) = Letter::decode(&bytes) {
            let mut again = Vec::new();
            other.encode(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }
}

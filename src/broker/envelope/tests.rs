//! Are the bytes those of the format, does each message read back, and is all else refused?

use proptest::prelude::*;

use super::*;

fn encoded(envelope: &Envelope<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    envelope.encode(&mut bytes);
    bytes
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One with all there is.
fn full() -> Envelope<'static> {
    let mut headers = Headers::new();
    headers.append("Tenant", "acme").unwrap();
    headers.append("sig", [0xff, 0x00]).unwrap();
    headers.append("empty", "").unwrap();
    Envelope {
        key: Some(KeyHash::from_number(0x0102_0304_0506_0708)),
        headers: Cow::Owned(headers),
        expires: Some(1_700_000_000_000),
        due: Some(1),
        again: Some(Again {
            group: Name::new("billing").unwrap(),
            original: MessageId::new(1_699_999_999_999, 300),
            redrives: 2,
        }),
        version: 3,
        payload: b"{}",
    }
}

/// One whose publisher gave it its id.
fn named() -> Envelope<'static> {
    let (group, original) = (Name::new("billing").unwrap(), MessageId::at(300, 5, Some(1)));
    Envelope { again: Some(Again { group, original, redrives: 1 }), ..Envelope::of(b"x") }
}

const DOCUMENT: &str = include_str!("../../../docs/record-format.md");

/// The bytes of the document's example that begins with these: the left column of its block.
pub(crate) fn example(begins: &str) -> String {
    let mut blocks = DOCUMENT.split("```").skip(1).step_by(2);
    let block = blocks.find_map(|block| block.strip_prefix("text\n").filter(|text| text.starts_with(begins)));
    let left = |line: &str| line.chars().take(26).filter(|c| *c != ' ').collect::<String>();
    block.unwrap().lines().map(left).collect()
}

/// G21. Whoever changes this makes the messages of all topics on disk unreadable.
#[test]
fn the_bytes_are_those_of_the_format() {
    assert_eq!(hex(&encoded(&Envelope::of(b"anvil"))), "00616e76696c");
    assert_eq!(hex(&encoded(&Envelope::of(b""))), "00");
    let keyed = Envelope { key: Some(KeyHash::from_number(7)), ..Envelope::of(b"x") };
    assert_eq!(hex(&encoded(&keyed)), "01070000000000000078");
    assert_eq!(hex(&encoded(&full())), example("3f "));
    let bytes = encoded(&named());
    assert_eq!(hex(&bytes), example("50 "));
    let original = Envelope::decode(&bytes).unwrap().again.unwrap().original;
    assert_eq!((original.parts(), original.offset()), ((5, 1), 300));
}

#[test]
fn a_message_that_ends_early_is_refused_and_says_where() {
    let bytes = encoded(&full());
    let head = bytes.len() - full().payload.len();
    for end in 0..head {
        let refused = Envelope::decode(&bytes[..end]).unwrap_err();
        let EnvelopeError::Malformed { part, at } = refused else { panic!("{refused:?}") };
        assert!(at <= end, "{part} at {at} of {end}");
    }
    assert_eq!(Envelope::decode(&bytes[..4]), Err(EnvelopeError::Malformed { part: "key", at: 1 }));
    // What is left of a payload can't be told from a shorter one: the log's checksum does.
    assert_eq!(Envelope::decode(&bytes[..head]).unwrap().payload, b"");
}

#[test]
fn what_a_newer_version_wrote_is_refused_and_not_misread() {
    for flags in (7..64).map(|bit| 1_u64 << bit) {
        let mut bytes = Vec::new();
        put_u64(&mut bytes, flags);
        bytes.extend_from_slice(b"payload");
        assert_eq!(Envelope::decode(&bytes), Err(EnvelopeError::Newer { flags }));
    }
    assert_eq!(
        EnvelopeError::Newer { flags: 0x40 }.to_string(),
        "the message was written by a newer version of callboard (flags 0x40)"
    );
}

#[test]
fn what_has_another_form_than_its_own_is_refused() {
    let refused = |bytes: &[u8]| match Envelope::decode(bytes) {
        Err(EnvelopeError::Malformed { part, .. }) => part,
        other => panic!("{other:?}"),
    };
    let table: [(&[u8], &str); 8] = [
        (&[0x80, 0x00], "flags"),
        (&[0x02, 0x00], "headers"),                                           // none
        (&[0x02, 0x01, 0x01, b' ', 0x00], "headers"),                         // a name that can't be one
        (&[0x02, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x01, b'a', 0x00], "headers"), // more than there are
        (&[0x10, 0x00, 0x01, 0x01, 0x01], "again"),                           // a group without a name
        (&[0x10, 0x01, b'g', 0x01, 0x01, 0x80, 0x80, 0x04], "again"),         // 65,536 redrives
        (&[0x20, 0x00], "version"),
        (&[0x20, 0x80, 0x80, 0x80, 0x80, 0x10], "version"), // over 32 bits
    ];
    for (bytes, part) in table {
        assert_eq!(refused(bytes), part, "{bytes:02x?}");
    }
}

pub(crate) fn name() -> impl Strategy<Value = Name> {
    "[a-zäß.]{1,20}".prop_map(|text| Name::new(&text).unwrap())
}

pub(crate) fn headers() -> impl Strategy<Value = Headers> {
    let one = ("[a-zA-Z-]{1,9}", prop::collection::vec(any::<u8>(), 0..20));
    prop::collection::vec(one, 0..5).prop_map(|all| {
        let mut headers = Headers::new();
        all.into_iter().for_each(|(name, value)| headers.append(&name, value).unwrap());
        headers
    })
}

pub(crate) fn id() -> impl Strategy<Value = MessageId> {
    let parts = (any::<u64>(), any::<u64>(), prop::option::of(any::<u64>()));
    parts.prop_map(|(millis, offset, seq)| MessageId::at(offset, millis, seq))
}

prop_compose! {
    fn an_again()(group in name(), original in id(), redrives: u16) -> Again {
        Again { group, original, redrives }
    }
}

prop_compose! {
    fn envelope()(
        key: Option<u64>,
        headers in headers(),
        expires: Option<u64>,
        due: Option<u64>,
        again in prop::option::of(an_again()),
        version: u32,
    ) -> Envelope<'static> {
        let key = key.map(KeyHash::from_number);
        Envelope { key, headers: Cow::Owned(headers), expires, due, again, version, payload: b"" }
    }
}

proptest! {
    #[test]
    fn a_message_reads_back_as_it_was(envelope in envelope(), payload: Vec<u8>, before: Vec<u8>) {
        let envelope = Envelope { payload: &payload, ..envelope };
        let mut bytes = before.clone();
        envelope.encode(&mut bytes);
        prop_assert_eq!(&bytes[..before.len()], &before[..]);
        prop_assert_eq!(Envelope::decode(&bytes[before.len()..]), Ok(envelope));
    }

    /// G21. And what it keeps is no more than came in.
    #[test]
    fn bytes_by_chance_are_refused_or_are_a_message_in_its_one_form(
        flags in 0..0x80_u8,
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            prop::collection::vec(0..4_u8, 0..80),
            prop::collection::vec(b'a'..b'c', 0..80),
        ],
        whole: bool,
    ) {
        let bytes = if whole { bytes } else { [vec![flags], bytes].concat() };
        if let Ok(envelope) = Envelope::decode(&bytes) {
            prop_assert!(envelope.headers.bytes() + envelope.payload.len() <= bytes.len());
            prop_assert_eq!(encoded(&envelope), bytes);
        }
    }

    #[test]
    fn a_message_with_a_bit_flipped_never_panics(envelope in envelope(), at: prop::sample::Index, bit in 0..8_u8) {
        let mut bytes = encoded(&envelope);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(other) = Envelope::decode(&bytes) {
            prop_assert_eq!(encoded(&other), bytes);
        }
    }
}

//! Frames: all that is ever written. Pure.
//!
//! ```text
//!  0      4      8         12    13     14  16   24       32     36     40           48      56
//!  magic  crc32c body len  kind  flags  0   lsn  durable  topic  count  base offset  millis  body, zeros up to 8
//! ```
//! Numbers are little-endian. The checksum is CRC-32C, begun with the seed of where the frame lies, over everything
//! behind it, the zeros at the end included.

use crc32c::crc32c_append;

/// The first bytes of every frame. Not zero, so that emptiness is no frame.
pub(crate) const MAGIC: [u8; 4] = *b"CBf1";
/// The bytes of a header.
pub(crate) const HEADER: usize = 56;
/// Where frames begin, and what their length is a multiple of.
pub(crate) const ALIGN: usize = 8;
/// The last of its commit.
const LAST: u8 = 1;
/// Some record has a dedup key.
const KEYS: u8 = 2;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Records of a topic.
    Data = 1,
    /// A topic begins.
    Topic = 2,
    /// A topic ends.
    TopicGone = 3,
    /// A group begins.
    Group = 4,
    /// A group ends.
    GroupGone = 5,
    /// What a group is done with, and what it notes of what it is not.
    Marks = 6,
    /// Nothing of a topic below an offset is of use.
    Trim = 7,
    /// The journal has one more slot.
    Slot = 8,
    /// Nothing happened; what is before it is on the disk.
    Idle = 9,
    /// The log was closed in order.
    Close = 10,
    /// The state as of an lsn: a file of its own.
    Checkpoint = 11,
    /// The first of a segment: whose it is.
    Segment = 12,
    /// What a topic says of itself has changed.
    About = 13,
    /// A group goes to another offset.
    Seek = 14,
    /// The first of a slot: which turn of it this is.
    Turn = 15,
}

impl Kind {
    const ALL: [Kind; 15] = [
        Kind::Data,
        Kind::Topic,
        Kind::TopicGone,
        Kind::Group,
        Kind::GroupGone,
        Kind::Marks,
        Kind::Trim,
        Kind::Slot,
        Kind::Idle,
        Kind::Close,
        Kind::Checkpoint,
        Kind::Segment,
        Kind::About,
        Kind::Seek,
        Kind::Turn,
    ];

    fn of(byte: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What stands before a frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// The last of its commit.
    pub(crate) last: bool,
    /// Some record has a dedup key.
    pub(crate) keys: bool,
    /// The frame's number in the journal.
    pub(crate) lsn: u64,
    /// When it was written, all frames with a lower number than this were on the disk.
    pub(crate) durable: u64,
    pub(crate) topic: u32,
    /// Records in the body.
    pub(crate) count: u32,
    pub(crate) offset: u64,
    pub(crate) millis: u64,
}

impl Header {
    pub(crate) fn new(kind: Kind) -> Header {
        let (last, keys) = (false, false);
        Header { kind, last, keys, lsn: 0, durable: 0, topic: 0, count: 0, offset: 0, millis: 0 }
    }
}

/// A frame that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) header: Header,
    pub(crate) body: &'a [u8],
    /// All of it, header and zeros included.
    pub(crate) len: usize,
}

/// Why there is no frame here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoFrame {
    /// The bytes end before it does: it would have so many.
    Short(usize),
    /// It does not begin like one.
    NoMagic,
    /// The checksum is not that of the bytes. If the number in it is right, it is this.
    Checksum { lsn: u64 },
    /// The checksum is right, and the kind or a flag is none that this version knows.
    Unknown,
}

/// How long a frame with such a body is.
pub(crate) fn frame_len(body: usize) -> usize {
    (HEADER + body).next_multiple_of(ALIGN)
}

/// Adds a frame to `out`.
pub(crate) fn push(out: &mut Vec<u8>, header: &Header, body: &[u8], seed: u32) {
    push_head(out, header, body, seed);
    out.extend(body);
    push_end(out, body.len());
}

/// Adds what stands before a frame's body, which must come behind it, and [`push_end`].
///
/// # Panics
/// If the body has 4 GiB or more, which the limits of records, and of what is kept of groups, don't let happen.
pub(crate) fn push_head(out: &mut Vec<u8>, header: &Header, body: &[u8], seed: u32) {
    let Ok(len) = u32::try_from(body.len()) else { panic!("callboard bug: a frame of {} bytes", body.len()) };
    let start = out.len();
    out.extend(MAGIC);
    out.extend([0; 4]);
    out.extend(len.to_le_bytes());
    let flags = u8::from(header.last) * LAST + u8::from(header.keys) * KEYS;
    out.extend([header.kind as u8, flags, 0, 0]);
    out.extend(header.lsn.to_le_bytes());
    out.extend(header.durable.to_le_bytes());
    out.extend(header.topic.to_le_bytes());
    out.extend(header.count.to_le_bytes());
    out.extend(header.offset.to_le_bytes());
    out.extend(header.millis.to_le_bytes());
    let head = crc32c_append(seed, out.get(start + 8..).unwrap_or_default());
    let sum = crc32c_append(crc32c_append(head, body), end_of(body.len()));
    if let Some(place) = out.get_mut(start + 4..start + 8) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}

/// Adds the zeros behind a body of so many bytes.
pub(crate) fn push_end(out: &mut Vec<u8>, body: usize) {
    out.extend(end_of(body));
}

fn end_of(body: usize) -> &'static [u8] {
    const ZEROS: [u8; ALIGN] = [0; ALIGN];
    ZEROS.get(..frame_len(body) - HEADER - body).unwrap_or_default()
}

/// Reads the frame that `bytes` begin with.
pub(crate) fn read(bytes: &[u8], seed: u32) -> Result<Frame<'_>, NoFrame> {
    let Some((head, _)) = bytes.split_first_chunk::<HEADER>() else {
        let begins = bytes.iter().zip(&MAGIC).all(|(byte, magic)| byte == magic);
        return Err(if begins { NoFrame::Short(HEADER) } else { NoFrame::NoMagic });
    };
    if head.get(..4) != Some(MAGIC.as_slice()) {
        return Err(NoFrame::NoMagic);
    }
    let body_len = usize::try_from(u32_at(head, 8)).unwrap_or(usize::MAX);
    let len = body_len.checked_add(HEADER + ALIGN - 1).map_or(usize::MAX, |sum| sum / ALIGN * ALIGN);
    let Some(summed) = bytes.get(8..len) else { return Err(NoFrame::Short(len)) };
    if crc32c_append(seed, summed) != u32_at(head, 4) {
        return Err(NoFrame::Checksum { lsn: u64_at(head, 16) });
    }
    let (byte, flags) = (u32_at(head, 12) & 0xff, u32_at(head, 12) >> 8);
    let known = u8::try_from(byte).ok().and_then(Kind::of);
    let (Some(kind), true) = (known, flags <= u32::from(LAST | KEYS)) else { return Err(NoFrame::Unknown) };
    let header = Header {
        kind,
        last: flags & u32::from(LAST) != 0,
        keys: flags & u32::from(KEYS) != 0,
        lsn: u64_at(head, 16),
        durable: u64_at(head, 24),
        topic: u32_at(head, 32),
        count: u32_at(head, 36),
        offset: u64_at(head, 40),
        millis: u64_at(head, 48),
    };
    let body = bytes.get(HEADER..HEADER + body_len).unwrap_or_default();
    Ok(Frame { header, body, len })
}

/// Whether a frame may begin here: the magic, and nothing else, is looked at.
pub(crate) fn may_begin(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

fn u32_at(head: &[u8; HEADER], at: usize) -> u32 {
    head.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(head: &[u8; HEADER], at: usize) -> u64 {
    head.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        let marks = Header::new(Kind::Data);
        Header { last: true, lsn: 7, durable: 6, topic: 3, count: 2, offset: 40, millis: 9, ..marks }
    }

    #[test]
    fn a_frame_is_written_as_it_always_was() {
        let mut out = Vec::new();
        push(&mut out, &header(), b"body", 0x1234_5678);
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        let known = "43426631717df64f040000000101000007000000000000000600000000000000\
                     03000000020000002800000000000000090000000000000\
                     0626f647900000000";
        assert_eq!(hex, known);
    }

    #[test]
    fn every_byte_of_a_frame_counts() {
        let mut out = Vec::new();
        push(&mut out, &header(), b"some body", 5);
        assert_eq!(read(&out, 5).unwrap().header, header());
        assert_eq!(read(&out, 6), Err(NoFrame::Checksum { lsn: 7 }), "a frame of another turn of its slot");
        for at in 0..out.len() {
            for bit in 0..8 {
                let mut bad = out.clone();
                bad[at] ^= 1 << bit;
                assert!(read(&bad, 5).is_err(), "byte {at}, bit {bit}");
            }
        }
        for len in 0..out.len() {
            assert!(matches!(read(&out[..len], 5), Err(NoFrame::Short(_))), "cut at {len}");
        }
    }

    #[test]
    fn emptiness_is_no_frame() {
        assert_eq!(read(&[0; 4096], 0), Err(NoFrame::NoMagic));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(body in proptest::collection::vec(any::<u8>(), 0..200), seed: u32, n: u64, last: bool) {
            let header = Header { last, lsn: n, offset: !n, topic: n as u32, ..header() };
            let mut out = vec![1, 2, 3, 4, 5, 6, 7, 8];
            push(&mut out, &header, &body, seed);
            prop_assert_eq!(out.len() % ALIGN, 0);
            let frame = read(&out[8..], seed).unwrap();
            prop_assert_eq!(frame.header, header);
            prop_assert_eq!(frame.body, &body[..]);
            prop_assert_eq!(frame.len, out.len() - 8);
        }

        #[test]
        fn noise_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), seed: u32) {
            let mut bytes = bytes;
            let _ = read(&bytes, seed);
            bytes.splice(0..0, MAGIC);
            prop_assert!(read(&bytes, seed).is_err());
        }
    }
}

//! Does it matter in which pieces a request arrives: to what is read, or to the work?

use std::mem;

use proptest::collection::vec;
use proptest::prelude::*;

use super::support::{Reads, decoder, read, read_pieces, request};
use crate::server::resp::{Decoder, ProtocolError, Request};

/// Forgets a request that did not come in one piece.
struct Forgetful(Decoder);

impl Reads for Forgetful {
    fn read(&mut self, input: &mut &[u8]) -> Result<Option<Request>, ProtocolError> {
        let read = self.0.read(input)?;
        if read.is_none() {
            self.0 = decoder();
        }
        Ok(read)
    }

    fn work(&self) -> usize {
        self.0.work()
    }
}

/// Keeps what came, and begins anew with each piece.
#[derive(Default)]
struct Anew {
    kept: Vec<u8>,
    work: usize,
}

impl Reads for Anew {
    fn read(&mut self, input: &mut &[u8]) -> Result<Option<Request>, ProtocolError> {
        self.kept.extend(mem::take(input));
        let (mut fresh, mut rest) = (decoder(), &self.kept[..]);
        let read = fresh.read(&mut rest)?;
        self.work += fresh.work();
        if read.is_some() {
            self.kept = rest.to_vec();
        }
        Ok(read)
    }

    fn work(&self) -> usize {
        self.work
    }
}

/// Says whether the bytes are read the same when they are cut at each place, and when each is a piece.
fn same_in_pieces<R: Reads>(bytes: &[u8], new: impl Fn() -> R) -> bool {
    let whole = read(bytes);
    let cut = |at| {
        let (before, behind) = bytes.split_at(at);
        read_pieces(&mut new(), [before, behind]) == whole
    };
    (0..=bytes.len()).all(cut) && read_pieces(&mut new(), bytes.chunks(1)) == whole
}

/// Work per byte of bytes that come in pieces of a length.
fn work_per_byte<R: Reads>(bytes: &[u8], piece: usize, mut from: R) -> usize {
    let (requests, error) = read_pieces(&mut from, bytes.chunks(piece));
    assert!(!requests.is_empty(), "{error:?}");
    from.work().div_ceil(bytes.len())
}

/// Large requests of each kind: one large value; many small ones; a large one among small ones; a line.
fn large() -> [Vec<u8>; 5] {
    let (value, key) = (vec![b'v'; 300_000], b"k".to_vec());
    let line = [&b"ECHO "[..], &[b'x'; 60_000], b" \"", &[b'y'; 5000], b"\"\r\n"].concat();
    let among = [vec![key.clone(); 5000], vec![value.clone()], vec![key.clone(); 5000]].concat();
    [
        request(&[&key, &value]),
        request(&vec![key; 60_000]),
        request(&among),
        line,
        request(&vec![""; 100_000]),
    ]
}

/// Every byte is looked at and copied once, in a line twice; moves to where there is more room copy it some eight
/// times more.
const MOST_WORK: usize = 13;

#[test]
fn the_work_is_that_of_the_bytes_and_not_of_the_pieces() {
    for bytes in large() {
        for piece in [1, 2, 7, 1000, 16_384, bytes.len()] {
            let work = work_per_byte(&bytes, piece, decoder());
            assert!(work <= MOST_WORK, "{work} in pieces of {piece}");
        }
    }
}

#[test]
fn a_decoder_that_begins_anew_is_caught() {
    let [value, ..] = large();
    let work = work_per_byte(&value[..], 1000, Anew::default());
    assert!(work > 10 * MOST_WORK, "{work}");
    assert!(same_in_pieces(b"*1\r\n$4\r\nPING\r\nPING\r\n", Anew::default), "it reads what it should");
}

#[test]
fn a_decoder_that_forgets_is_caught() {
    assert!(!same_in_pieces(b"*1\r\n$4\r\nPING\r\n", || Forgetful(decoder())));
    assert!(!same_in_pieces(b"PING x\r\n", || Forgetful(decoder())));
}

/// Pieces of requests, and what is none.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let word = || vec(any::<u8>(), 0..12);
    let numbers =
        prop::sample::select(vec!["0", "1", "2", "-1", "12", "007", "+2", "", "99999999999999999999"]);
    prop_oneof![
        6 => vec(word(), 1..6).prop_map(|words| request(&words)),
        3 => "[a-c \"'\\\\x0-9\t]{0,12}\r?\n".prop_map(String::into_bytes),
        2 => Just(b"*0\r\n".to_vec()),
        1 => (prop::sample::select(vec!['*', '$', ':']), numbers)
            .prop_map(|(kind, number)| format!("{kind}{number}\r\n").into_bytes()),
        1 => word(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_are_the_same_wherever_they_are_cut(fragments in vec(fragment(), 0..6)) {
        prop_assert!(same_in_pieces(&fragments.concat(), decoder));
    }

    #[test]
    fn what_is_asked_is_read(requests in vec(vec(vec(any::<u8>(), 0..40), 1..20), 0..8), piece in 1..50_usize) {
        let bytes: Vec<u8> = requests.iter().flat_map(|words| request(words)).collect();
        prop_assert_eq!(read_pieces(&mut decoder(), bytes.chunks(piece)), (requests, None));
    }
}

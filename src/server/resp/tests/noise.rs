//! Does anything that a client may send make the decoder panic, hold more than came, or depend on its pieces?
//!
//! `CB_SEEDS=100000` asks for more of it; a failure names its seed.

use fastrand::Rng;

use super::memory::bound;
use super::support::{Read, Reads, decoder, read, read_pieces, request, seeds, words};
use crate::server::resp::{Decoder, Limits, ProtocolError};

const SEEDS: u64 = 400;

/// What may be kept of one request for the next one.
const KEPT: usize = 8 * 1024 + 256 * size_of::<usize>();

/// What headers say, sense and nonsense.
const NUMBERS: [&str; 22] = [
    "0",
    "1",
    "2",
    "3",
    "5",
    "16",
    "-1",
    "-0",
    "+1",
    "01",
    " 1",
    "",
    "1 ",
    "4294967295",
    "4294967296",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "1048576",
    "0x10",
];

/// What lines are made of.
const CHARS: &[u8] = b"abc \"'\\x4f\t\r\0\xff*$\x0b";

/// Bytes that are nearly requests.
fn noise(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rng.usize(1..12) {
        match rng.u8(0..14) {
            0..=5 => {
                bytes.extend(request(&(0..rng.usize(1..8)).map(|_| random(rng, 40)).collect::<Vec<_>>()))
            }
            6..=7 => {
                let kind = ["*", "$", "*1\r\n$", "*2\r\n$1\r\nx\r\n$"][rng.usize(0..4)];
                bytes.extend([kind, NUMBERS[rng.usize(0..NUMBERS.len())], "\r\n"].concat().bytes());
            }
            8..=9 => {
                bytes.extend((0..rng.usize(0..30)).map(|_| CHARS[rng.usize(0..CHARS.len())]));
                bytes.extend(b"\r\n");
            }
            10 => bytes.extend(b"*1\r\n".repeat(rng.usize(1..2000))),
            11 => bytes.extend(random(rng, 50)),
            12 => bytes.extend(request(&[random(rng, 9000), random(rng, 9000)])),
            _ => bytes.extend([b"*+-:(,_#$%~>=!|"[rng.usize(0..15)], b'\r', b'\n']),
        }
    }
    for _ in 0..rng.usize(0..4) {
        let at = rng.usize(0..bytes.len().max(1));
        match rng.u8(0..4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), rng.u8(..)),
            _ => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << rng.u8(0..8)),
        }
    }
    bytes
}

fn random(rng: &mut Rng, most: usize) -> Vec<u8> {
    (0..rng.usize(0..most)).map(|_| rng.u8(..)).collect()
}

/// Pieces of random lengths, now and then of one byte each.
fn pieces<'a>(rng: &mut Rng, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let most = [1, 3, 40, 5000][rng.usize(0..4)];
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(rng.usize(1..=most).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// Feeds pieces, and holds what the decoder holds against what came since the last request.
fn read_watched(seed: u64, decoder: &mut Decoder, pieces: Vec<&[u8]>) -> Read {
    let (mut requests, mut came) = (Vec::new(), 0);
    for mut piece in pieces {
        loop {
            let before = piece.len();
            let read = decoder.decode(&mut piece);
            came += before - piece.len();
            // An argument has six bytes at least. What is kept of a small request is in no proportion to the next one.
            let most = bound(came, came / 6).max(KEPT);
            assert!(decoder.memory() <= most, "seed {seed}: {} held of {came}", decoder.memory());
            match read {
                Ok(Some(request)) => {
                    assert!(
                        request.memory() <= bound(came, request.len()).max(KEPT),
                        "seed {seed}: {request:?}"
                    );
                    requests.push(words(&request));
                    decoder.recycle(request);
                    came = 0;
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.memory(), 0, "seed {seed}");
                    assert_eq!(decoder.read(&mut &b"PING\r\n"[..]), Err(error), "seed {seed}");
                    return (requests, Some(error));
                }
            }
        }
    }
    (requests, None)
}

#[test]
fn noise_is_read_or_refused_within_bounds_and_alike_in_all_pieces() {
    let (mut whole, mut refused) = (0, 0);
    for seed in 0..seeds(SEEDS) {
        let mut rng = Rng::with_seed(seed);
        let bytes = noise(&mut rng);
        let at_once = read(&bytes);
        let pieces = pieces(&mut rng, &bytes);
        assert_eq!(read_watched(seed, &mut decoder(), pieces), at_once, "seed {seed}");
        whole += at_once.0.len();
        refused += usize::from(at_once.1.is_some());
    }
    // Noise that is refused at its first byte would show nothing.
    assert!(whole > SEEDS as usize / 2 && refused > SEEDS as usize / 8, "{whole} read, {refused} refused");
}

#[test]
fn noise_from_a_guest_is_within_a_guests_bounds() {
    for seed in 0..seeds(SEEDS) {
        let mut rng = Rng::with_seed(seed);
        let bytes = noise(&mut rng);
        let pieces = pieces(&mut rng, &bytes);
        let (requests, _) = read_watched(seed, &mut Decoder::new(Limits::default()), pieces);
        let within = |words: &Vec<Vec<u8>>| words.iter().all(|word| word.len() <= 65_536);
        assert!(requests.iter().all(within), "seed {seed}");
    }
}

#[test]
fn brackets_do_not_nest_however_many_there_are() {
    let deep = b"*1\r\n".repeat(100_000);
    assert_eq!(read(&deep), (vec![], Some(ProtocolError::ExpectedBulk(b'*'))));
    assert_eq!(read(&b"*0\r\n".repeat(100_000)), (vec![], None));
    assert_eq!(read_pieces(&mut decoder(), b"\r\n".repeat(100_000).chunks(3)), (vec![], None));
}

//! How much can a client make the decoder hold?

use super::support::{decoder, request};
use crate::server::resp::{Decoder, Limits};

/// What is held beyond the bytes that came, an eighth of them, and 16 for each argument.
pub(super) const SLACK: usize = 4096 + 128;

/// What may be held of so many bytes of so many arguments.
pub(super) fn bound(bytes: usize, args: usize) -> usize {
    bytes + bytes / 8 + 16 * args + SLACK
}

/// Feeds bytes that end before the request does.
fn hold(decoder: &mut Decoder, bytes: &[u8]) -> usize {
    let mut input = bytes;
    assert_eq!(decoder.decode(&mut input), Ok(None));
    decoder.memory()
}

#[test]
fn what_is_only_announced_costs_next_to_nothing() {
    for silent in [
        "*1048576\r\n",
        "*2\r\n$4\r\nXADD\r\n$536870912\r\n",
        "*1048576\r\n$536870912\r\nx",
        "*",
        "*1\r\n$",
        "P",
    ] {
        let held = hold(&mut decoder(), silent.as_bytes());
        assert!(held <= bound(silent.len(), 2), "{held} for {silent:?}");
    }
}

#[test]
fn a_large_value_holds_what_came_and_an_eighth() {
    let (mut decoder, mut came) = (decoder(), 0);
    hold(&mut decoder, b"*2\r\n$4\r\nXADD\r\n$20000000\r\n");
    for piece in (1..20_000).cycle().step_by(977).take(1500) {
        came += piece;
        if came >= 20_000_000 {
            break;
        }
        let held = hold(&mut decoder, &vec![0; piece]);
        assert!(held <= bound(came + 4, 2), "{held} of {came}");
    }
    assert!(came > 10_000_000, "{came}");
}

#[test]
fn a_last_value_has_no_room_behind_it() {
    let (bytes, mut decoder) = (request(&[&b"XADD"[..], &[7; 3_000_000]]), decoder());
    let mut whole = None;
    for mut piece in bytes.chunks(16_384) {
        whole = decoder.decode(&mut piece).unwrap();
    }
    let held = whole.unwrap().memory();
    assert!(held <= 3_000_000 + 4 + 16 * 8, "{held}");
}

#[test]
fn a_small_request_has_no_room_for_what_is_behind_it() {
    let small = request(&["XADD", "orders"]);
    let (bytes, mut decoder) = (small.repeat(10_000), decoder());
    let held = decoder.decode(&mut &bytes[..]).unwrap().unwrap().memory();
    assert!(held <= bound(small.len(), 2), "{held}");
}

#[test]
fn many_small_arguments_hold_what_came_and_their_ends() {
    let (bytes, mut decoder, mut came) = (request(&vec!["ab"; 100_000]), decoder(), 0);
    for piece in bytes[..bytes.len() - 1].chunks(1000) {
        came += piece.len();
        let args = came / 8;
        let held = hold(&mut decoder, piece);
        assert!(held <= bound(2 * args, args), "{held} of {args}");
    }
}

#[test]
fn the_memory_of_a_large_request_is_given_back() {
    let bytes = request(&[vec![0; 1_000_000], vec![1; 100]]);
    let (mut decoder, mut input) = (decoder(), &bytes[..]);
    let large = decoder.decode(&mut input).unwrap().unwrap();
    assert_eq!(decoder.memory(), 0, "it is the request's");
    decoder.recycle(large);
    assert_eq!(decoder.memory(), 0, "too large to be kept");
    let mut input = &b"*x\r\n"[..];
    decoder.decode(&mut &b"*1\r\n$1000000\r\nabc"[..]).unwrap();
    assert!(decoder.memory() > 0);
    decoder.decode(&mut &[0; 999_997][..]).unwrap();
    decoder.decode(&mut input).unwrap_err();
    assert_eq!(decoder.memory(), 0, "nothing is kept of what ends in an error");
}

#[test]
fn the_memory_of_a_small_request_is_used_again() {
    let bytes = request(&["XADD", "orders", "*", "field", "value"]);
    let mut decoder = decoder();
    let small = decoder.decode(&mut &bytes[..]).unwrap().unwrap();
    let place = small.get(0).unwrap().as_ptr();
    decoder.recycle(small);
    for _ in 0..3 {
        let next = decoder.decode(&mut &bytes[..]).unwrap().unwrap();
        assert_eq!((next.len(), next.get(0).unwrap().as_ptr()), (5, place));
        decoder.recycle(next);
    }
    hold(&mut decoder, b"*2\r\n$3\r\nabc");
    decoder.recycle(decoder_request());
    assert_eq!(decoder.decode(&mut &b"\r\n$1\r\nd\r\n"[..]).unwrap().unwrap().get(0), Some(&b"abc"[..]));
}

fn decoder_request() -> crate::server::resp::Request {
    decoder().decode(&mut &b"PING\r\n"[..]).unwrap().unwrap()
}

#[test]
fn a_guest_can_make_it_hold_little() {
    let mut guest = Decoder::new(Limits::default());
    let bytes = request(&vec![[0; 16_384]; 10]);
    let held = hold(&mut guest, &bytes[..bytes.len() - 1]);
    assert!(held <= 185_000, "{held}");
    let mut guest = Decoder::new(Limits::default());
    let held = hold(&mut guest, &vec![b'x'; 64 * 1024]);
    assert!(held <= bound(64 * 1024, 0), "{held}");
    let request = guest.decode(&mut &b"\n"[..]).unwrap().unwrap();
    assert!(request.memory() <= bound(64 * 1024, 1), "{request:?}");
}

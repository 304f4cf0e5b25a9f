//! Does anything that a client may send, sense or nonsense, make the server panic, answer too much, too little or what is no answer?
//!
//! Each round is a world of its own, with a disk under it or without, and some clients. `CB_FUZZ_SECONDS=60` asks for more than a second of
//! it; a failure names its seed, and `CB_FUZZ_SEED=7` begins with that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fastrand::Rng;

use super::desk::{Desk, Guest};
use crate::log::tests::crash::Dice;
use crate::server::command::Command;
use crate::server::commands::all;
use crate::server::keep::tests::crash::line;
use crate::server::keep::tests::view::view;
use crate::server::resp::{Decoder, Limits};
use crate::sim::{CrashKind, SimDisk};

/// Commands of a round.
const COMMANDS: u64 = 250;
/// What a reply may have beside what is stored, for each argument of what was asked: the table of all commands is the most.
const MOST: usize = 128 << 10;

/// What arguments are made of: few names, so that they meet, and all that some command has a meaning for.
const WORDS: &str = "a b c a b c s g h g h one two 0 1 2 3 0-0 1-1 2-0 5 7-* * $ > - + ~ = (1 (2-1 ( 10 100 -1 -0 +1 01 0x1 1.5 1e3 nan inf -inf \
    9223372036854775807 9223372036854775808 -9223372036854775808 18446744073709551615 18446744073709551616 4294967295 4294967296 \
    18446744073709551615-18446744073709551615 STREAMS STREAMS GROUP COUNT BLOCK NOACK CLAIM MAXLEN MINID LIMIT NOMKSTREAM MKSTREAM KEEPREF \
    DELREF ACKED IDS FAIL SILENT FATAL FORCE JUSTID LASTID IDLE TIME RETRYCOUNT ENTRIESREAD ACKTIMEOUT MAXDELIVERIES DEADLETTER ENTRIESADDED MAXDELETEDID FULL REV EX PX EXAT PXAT \
    KEEPTTL GET NX XX GT LT MATCH TYPE stream string SETNAME AUTH LIB-NAME ON OFF SKIP ID ADDR LADDR USER SKIPME yes no normal pubsub ALL * ? [a-c] \
    maxmemory maxclients timeout stream-node-max-entries stream-node-max-bytes proto-max-bulk-len notify-keyspace-events KEA 1mb 0 3 2";

fn any<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(0..of.len())]
}

fn bytes(rng: &mut Rng, most: usize) -> Vec<u8> {
    (0..rng.usize(0..most)).map(|_| rng.u8(..)).collect()
}

/// Some command, with arguments that may fit; or one that makes sense.
fn command(rng: &mut Rng, commands: &[&Command], at: u64) -> Vec<Vec<u8>> {
    if rng.u8(0..3) == 0 {
        let line = line(&mut Dice(rng.u64(..)), at + 1);
        let first = line.split("\r\n").next().unwrap_or_default();
        return first.split(' ').filter(|word| !word.is_empty()).map(|word| word.into()).collect();
    }
    let all: Vec<&str> = WORDS.split_ascii_whitespace().collect();
    // Streams are what it is for.
    let command = loop {
        let command = any(rng, commands);
        if command.name.starts_with('x') || command.name.starts_with("cb") || rng.u8(0..3) == 0 {
            break command;
        }
    };
    let mut words: Vec<Vec<u8>> = command.name.split('|').map(|name| name.into()).collect();
    let least = usize::try_from(command.arity.unsigned_abs()).unwrap();
    let many = if command.arity > 0 && rng.u8(0..8) > 0 { least } else { least + rng.usize(0..8) };
    while words.len() < many {
        words.push(match rng.u8(0..40) {
            0 => bytes(rng, 40),
            1 => vec![b'x'; any(rng, &[0, 1, 300, 5000])],
            2 => rng.i64(..).to_string().into(),
            _ => any(rng, &all).into(),
        });
    }
    // The key comes first nearly everywhere.
    if let (true, Some(key)) = (rng.bool(), words.get_mut(command.name.split('|').count())) {
        *key = vec![any(rng, b"abc")];
    }
    match rng.u8(0..20) {
        0 => drop(words.pop()),
        1 => words.push(any(rng, &all).into()),
        2 => words = words.iter().map(|word| word.to_ascii_uppercase()).collect(),
        3 => {
            let (one, other) = (rng.usize(0..words.len()), rng.usize(0..words.len()));
            words.swap(one, other);
        }
        _ => {}
    }
    if words.is_empty() { vec![b"PING".to_vec()] } else { words }
}

fn as_array(words: &[Vec<u8>]) -> Vec<u8> {
    let mut array = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        array.extend(format!("${}\r\n", word.len()).bytes().chain(word.iter().copied()).chain(*b"\r\n"));
    }
    array
}

fn as_line(words: &[Vec<u8>]) -> Vec<u8> {
    let quoted = |word: &Vec<u8>| {
        let inner: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("\"{inner}\"")
    };
    let line: Vec<String> = words.iter().map(quoted).collect();
    format!("{}\r\n", line.join(" ")).into_bytes()
}

fn read_alone(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new(Limits::default());
    decoder.set_authenticated(true);
    let mut input = bytes;
    let request = decoder.decode(&mut input).unwrap().unwrap();
    assert!(input.is_empty() && decoder.is_between_requests());
    request.args().map(<[u8]>::to_vec).collect()
}

/// Bytes that are nearly what they were.
fn mangle(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(0..=bytes.len());
        match rng.u8(0..6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.u8(..)),
            2 => drop(bytes.splice(
                at..at,
                any(rng, &[&b"\r\n"[..], b"*1\r\n", b"$-1\r\n", b"\"", b"*99999999\r\n"]).to_vec(),
            )),
            3 => drop(bytes.drain(at..(at + rng.usize(0..20)).min(bytes.len()))),
            _ => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << rng.u8(0..8)),
        }
    }
}

/// Takes a whole reply from the front. Panics if there is none.
fn take_reply(bytes: &[u8], depth: usize) -> &[u8] {
    assert!(depth < 12, "a reply as deep as {depth}");
    let end = bytes.windows(2).position(|two| two == b"\r\n").expect("a line that has not ended");
    let (line, mut rest) = (std::str::from_utf8(&bytes[1..end]), &bytes[end + 2..]);
    let number = || line.unwrap().parse::<i64>().unwrap();
    match bytes[0] {
        b'$' | b'=' if number() < 0 => assert_eq!(number(), -1),
        b'$' | b'=' => {
            let len = usize::try_from(number()).unwrap();
            assert_eq!(&rest[len..len + 2], b"\r\n");
            rest = &rest[len + 2..];
        }
        mark @ (b'*' | b'~' | b'>' | b'%') => {
            let times = if mark == b'%' { 2 } else { 1 };
            (0..number().max(0) * times).for_each(|_| rest = take_reply(rest, depth + 1));
        }
        b':' => drop(number()),
        b'+' | b'-' | b'_' | b',' | b'#' | b'(' => {}
        other => panic!("no reply begins with {:?}", char::from(other)),
    }
    rest
}

fn replies(mut out: &[u8]) -> usize {
    let mut many = 0;
    while !out.is_empty() {
        out = take_reply(out, 0);
        many += 1;
    }
    many
}

/// What came of what was done.
#[derive(Default)]
struct Counts {
    rounds: u64,
    asked: u64,
    errors: u64,
    unread: u64,
    most: usize,
}

/// Feeds bytes in pieces, and looks at each answer.
fn feed(rng: &mut Rng, desk: &mut Desk, guest: &mut Guest, stream: &[u8], counts: &mut Counts) {
    let (mut rest, longest) = (stream, any(rng, &[1, 7, 100, 100_000]));
    while !rest.is_empty() {
        let (mut piece, after) = rest.split_at(rng.usize(1..=longest).min(rest.len()));
        rest = after;
        loop {
            let before = guest.is_plain();
            let answered = match desk.answer(guest, &mut piece) {
                Ok(Some(answered)) => answered,
                Ok(None) => break,
                Err(_) => {
                    counts.unread += 1;
                    return desk.renew(guest);
                }
            };
            counts.asked += 1;
            counts.errors += u64::from(answered.out.first() == Some(&b'-'));
            counts.most = counts.most.max(answered.out.len());
            let room = answered.args * (MOST + 4 * desk.world.keys.used());
            assert!(answered.out.len() <= room, "{} bytes, and not {room}", answered.out.len());
            let many = replies(&answered.out);
            let is_plain = before && guest.is_plain() && !guest.quits() && !answered.pushes;
            assert!(!is_plain || many == 1, "{many} replies: {:?}", String::from_utf8_lossy(&answered.out));
            if guest.quits() || guest.doomed().is_some() {
                return desk.renew(guest);
            }
        }
    }
}

fn round(seed: u64, counts: &mut Counts) {
    let mut rng = Rng::with_seed(seed);
    let commands: Vec<&Command> = all().collect();
    let disk = SimDisk::new(seed);
    // In memory; on a disk; on one that is full at times. Why a thread for the log: there are commands that block until it has done something.
    let kind = rng.u8(0..8);
    let mut desk = match kind {
        0..=3 => Desk::new(),
        _ => Desk::kept_by_thread(&disk).unwrap(),
    };
    let mut guests = [desk.guest(), desk.guest(), desk.guest()];
    for at in 0..COMMANDS {
        let words = command(&mut rng, &commands, at);
        let forms = [as_array(&words), as_line(&words)];
        assert_eq!((read_alone(&forms[0]), read_alone(&forms[1])), (words.clone(), words));
        let mut stream = forms[rng.usize(0..2)].clone();
        if rng.u8(0..8) == 0 {
            mangle(&mut rng, &mut stream);
        }
        let guest = &mut guests[rng.usize(0..3)];
        feed(&mut rng, &mut desk, guest, &stream, counts);
        if kind > 6 && rng.u8(0..20) == 0 {
            disk.set_free(any(&mut rng, &[0, 20 << 10, 1 << 20]));
        }
        if kind > 3 && rng.u8(0..3) == 0 {
            let barrier = desk.write();
            if desk.wait(barrier).is_err() {
                assert!(kind > 6, "it is refused though there is room");
                desk.try_again();
            }
        }
    }
    if (4..=6).contains(&kind) {
        let barrier = desk.write();
        assert!(desk.wait(barrier).is_ok(), "it is refused though there is room");
        let (before, ends) = (view(&desk.world.keys), desk.world.keys.has_ends());
        desk.close();
        let again = Desk::kept(&disk.crash(CrashKind::LoseAll)).unwrap();
        // What is over by now is gone.
        assert!(ends || view(&again.world.keys) == before, "what it wrote is not what it reads");
    } else if kind > 6 {
        desk.close();
    }
    counts.rounds += 1;
}

#[test]
fn whatever_is_sent_is_answered_or_refused() {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let budget = Duration::from_secs(number("CB_FUZZ_SECONDS").unwrap_or(1));
    let (clock, mut counts) = (Desk::new(), Counts::default());
    let began = clock.now();
    let mut seed = number("CB_FUZZ_SEED").unwrap_or(0);
    loop {
        let done = catch_unwind(AssertUnwindSafe(|| round(seed, &mut counts)));
        assert!(done.is_ok(), "CB_FUZZ_SEED={seed} shows it again");
        if clock.now().since(began) >= budget {
            break;
        }
        seed += 1;
    }
    let Counts { rounds, asked, errors, unread, most } = counts;
    println!(
        "{rounds} rounds: {asked} commands, {errors} errors, {unread} not readable; {most} bytes in the longest answer"
    );
    // Nonsense alone would show nothing.
    assert!(asked > 100 && errors < asked * 9 / 10, "{asked} commands, {errors} errors");
}

//! A process that ends in any of its calls, and a disk that keeps what it likes of what was not synced.

use super::view::{View, view};
use crate::log::tests::crash::{Dice, seeds};
use crate::server::tests::desk::{Desk, Guest};
use crate::sim::{CrashKind, SimDisk};

/// What some client asks for next.
pub(in crate::server) fn line(dice: &mut Dice, at: u64) -> String {
    let key = ["a", "b", "c"][dice.below(3) as usize];
    let other = ["a", "b", "c"][dice.below(3) as usize];
    let group = ["g", "h"][dice.below(2) as usize];
    let consumer = ["one", "two"][dice.below(2) as usize];
    let id = 1 + dice.below(at);
    let value = "v".repeat([1, 30, 700][dice.below(3) as usize]);
    let [few, time] = [4, 2].map(|most| dice.below(most));
    match dice.below(65) {
        0 => format!("DEL {key}"),
        1 => format!("RENAME {key} {other}"),
        2 => format!("EXPIRE {key} 1000"),
        3 => format!("PERSIST {key}"),
        4 => "SELECT 1".into(),
        5 => "SELECT 0".into(),
        6 => format!("XGROUP DESTROY {key} {group}"),
        7 => format!("XGROUP DELCONSUMER {key} {group} {consumer}"),
        8 => format!("XGROUP SETID {key} {group} {id}"),
        9 => format!("XGROUP CREATECONSUMER {key} {group} {consumer}"),
        10 => format!("XTRIM {key} MAXLEN {}", dice.below(6)),
        11 => format!("XTRIM {key} MINID {id}"),
        12 => format!("XSETID {key} {}", at + 1),
        13 => format!("SET {key} no-stream"),
        14 => "BGREWRITEAOF".into(),
        15 => format!("XCLAIM {key} {group} {consumer} 0 {id} FORCE RETRYCOUNT 4"),
        16 => format!("XAUTOCLAIM {key} {group} {consumer} 0 0 COUNT 3"),
        17 if dice.below(6) == 0 => "FLUSHALL".into(),
        18..=21 => format!("XGROUP CREATE {key} {group} {} MKSTREAM", ["0", "$"][dice.below(2) as usize]),
        22..=25 => format!("XREADGROUP GROUP {group} {consumer} COUNT 3 STREAMS {key} >"),
        26..=28 => format!("XACK {key} {group} {id} {} {}", id + 1, id + 2),
        29 | 30 => format!("XDEL {key} {id} {}", id + 1),
        32 => format!("XADD {key} MAXLEN {few} {at} f {value}"),
        33 => format!("XADD {key} NOMKSTREAM MINID {id} {at}-* f {value}"),
        34 => format!("XSETID {key} {} ENTRIESADDED {} MAXDELETEDID {id}", at + 1, 100 + few),
        35 => format!("XGROUP SETID {key} {group} {id} ENTRIESREAD {few}"),
        36 => format!("RENAME {key} {key}"),
        37 if few == 0 => format!("EXPIRE {key} -1"),
        38 => format!("XREADGROUP GROUP {group} {consumer} NOACK COUNT 2 STREAMS {key} >"),
        39 => format!("XREADGROUP GROUP {group} {consumer} STREAMS {key} {}", time * id),
        40 => format!("XCLAIM {key} {group} {consumer} 0 {id} {} IDLE 5 JUSTID", id + 1),
        41 => format!("XCLAIM {key} {group} {consumer} 0 {id} TIME 77 RETRYCOUNT {few} FORCE"),
        42 => format!(
            "XADD {key} {at}-1 f v\r\nXDEL {key} {at}-1\r\nXSETID {key} {at}\r\nXADD {key} {at}-1 f w"
        ),
        43 => format!("DEL {key}\r\nXADD {key} {at} f v\r\nXGROUP CREATE {key} {group} 0"),
        44 => format!("XGROUP DESTROY {key} {group}\r\nXGROUP CREATE {key} {group} {id}"),
        45 => format!("RENAME {key} t\r\nRENAME {other} {key}\r\nRENAME t {other}"),
        46 if few == 0 => "FLUSHDB".into(),
        47 => format!("XTRIM {key} MAXLEN ~ {few}"),
        48 => format!("XTRIM {key} {} MAXLEN {few}", ["DELREF", "ACKED"][dice.below(2) as usize]),
        49 => format!("XADD {key} DELREF MAXLEN {few} {at} f {value}"),
        50 => format!("XACKDEL {key} {group} DELREF IDS 2 {id} {}", id + 1),
        51 | 52 => format!("XREADGROUP GROUP {group} {consumer} COUNT 2 CLAIM {few} STREAMS {key} >"),
        53 => format!("XNACK {key} {group} FATAL IDS 1 {id} FORCE"),
        54 => format!("XNACK {key} {group} FAIL RETRYCOUNT {few} IDS 2 {} {id}", id + 1),
        62 | 63 => format!("CB.GROUP SET {key} {group} MAXDELIVERIES {few} ACKTIMEOUT {time}"),
        64 => format!("CB.GROUP SET {key} {group} DEADLETTER d"),
        55..=57 => format!("XNACK {key} {group} SILENT IDS 3 {} {id} {}", id + 1, id + 2),
        31 => {
            let all = (0..3).map(|_| line(dice, at)).filter(|line| line.starts_with('X')).collect::<Vec<_>>();
            format!("MULTI\r\n{}\r\nEXEC", all.join("\r\n")).replace("\r\n\r\n", "\r\n")
        }
        _ => format!("XADD {key} {at} f {value}"),
    }
}

/// Lines, of which some are written together.
struct Script(Vec<(String, bool)>);

fn script(seed: u64, len: u64) -> Script {
    let mut dice = Dice(seed ^ 0xca11);
    Script((1..=len).map(|at| (line(&mut dice, at), dice.below(3) > 0)).collect())
}

/// Runs it, until the disk ends. What could be seen after each write, and how many of these were confirmed.
fn run(script: &Script, desk: &mut Desk, disk: &SimDisk) -> (Vec<View>, usize) {
    let mut guest: Guest = desk.guest();
    let (mut views, mut confirmed) = (vec![view(&desk.world.keys)], 0);
    for (line, writes) in &script.0 {
        desk.say(&mut guest, line);
        if !writes {
            continue;
        }
        let barrier = desk.write();
        views.push(view(&desk.world.keys));
        desk.work();
        if desk.is_confirmed(barrier) {
            confirmed = views.len() - 1;
        }
        if disk.is_stopped() {
            break;
        }
    }
    (views, confirmed)
}

fn kinds(seed: u64) -> [CrashKind; 3] {
    [CrashKind::LoseAll, CrashKind::KeepAll, CrashKind::Random(seed)]
}

/// Of what there was after some write, none before the last one that was confirmed.
fn check(disk: &SimDisk, views: &[View], confirmed: usize, what: &str) {
    for kind in kinds(7) {
        let disk = disk.crash(kind);
        let desk = Desk::kept(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = view(&desk.world.keys);
        let is_one = views.iter().skip(confirmed).any(|view| *view == found);
        assert!(is_one, "{what}: {found:?}\nis none of\n{:?}", views.get(confirmed..));
        // Recovering twice is as recovering once.
        drop(desk);
        let again = Desk::kept(&disk.crash(CrashKind::LoseAll)).unwrap();
        assert_eq!(view(&again.world.keys), found, "{what}");
    }
}

#[test]
fn what_is_confirmed_is_there_after_the_end_in_any_call() {
    for seed in 0..seeds(6) {
        let script = script(seed, 60);
        let disk = SimDisk::new(seed);
        let mut desk = Desk::kept(&disk).unwrap();
        let (views, confirmed) = run(&script, &mut desk, &disk);
        assert_eq!(confirmed, views.len() - 1, "seed {seed}");
        drop(desk);
        check(&disk, &views, confirmed, &format!("seed {seed}, whole"));
        for call in 1..=disk.calls() {
            let disk = SimDisk::new(seed);
            disk.stop_at(call);
            // It may end before it has begun.
            let Ok(mut desk) = Desk::kept(&disk) else { continue };
            let (views, confirmed) = run(&script, &mut desk, &disk);
            drop(desk);
            check(&disk, &views, confirmed, &format!("seed {seed}, call {call}"));
        }
    }
}

/// Processes one after the other, on one disk.
#[test]
fn a_server_that_is_killed_again_and_again_goes_on_where_it_was() {
    for seed in 0..seeds(6) {
        let mut disk = SimDisk::new(seed);
        let mut dice = Dice(seed);
        let mut before = View::new();
        for round in 0..12 {
            let mut desk = Desk::kept(&disk).unwrap();
            assert_eq!(view(&desk.world.keys), before, "seed {seed}, round {round}");
            // Whoever was killed had told nobody of what was not confirmed.
            let script = script(seed * 100 + round, 40 + dice.below(60));
            let (views, confirmed) = run(&script, &mut desk, &disk);
            assert_eq!(confirmed, views.len() - 1);
            before = views.into_iter().next_back().unwrap();
            drop(desk);
            disk = disk.crash(if round % 2 == 0 { CrashKind::KeepAll } else { CrashKind::LoseAll });
        }
    }
}

/// However much is written with it, and wherever that ends.
#[test]
fn a_transaction_is_there_as_a_whole_or_not_at_all() {
    let mut cuts = 0;
    for call in 1.. {
        let disk = SimDisk::new(1);
        let mut desk = Desk::kept(&disk).unwrap();
        let mut guest = desk.guest();
        desk.say(&mut guest, "XADD a 1 f v\r\nXADD b 1 f v\r\nXADD c 1 f v");
        desk.write();
        desk.work();
        disk.stop_at(disk.calls() + call);
        let [large, small] = [3_000, 1_700].map(|len| "v".repeat(len));
        for at in 2..6 {
            desk.say(&mut guest, &format!("XADD a {at} f {large}"));
        }
        desk.say(&mut guest, &format!("MULTI\r\nXADD b 2 f {small}\r\nXADD c 2 f {small}\r\nEXEC"));
        desk.write();
        desk.work();
        let is_cut = disk.is_stopped();
        drop(desk);
        for kind in kinds(call) {
            let mut desk = Desk::kept(&disk.crash(kind)).unwrap();
            let mut guest = desk.guest();
            let found = desk.say(&mut guest, "XLEN b\r\nXLEN c");
            assert!([":1 :1", ":2 :2"].contains(&found.as_str()), "{found} after call {call}");
        }
        if !is_cut {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 3, "{cuts}");
}

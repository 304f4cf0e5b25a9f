//! What is kept, one thing at a time.

use super::view::{shown, view};
use crate::log::{Done, Terms};
use crate::server::keep::DataError;
use crate::server::stream::{Fields, Id, Limits, Read, Stream};
use crate::server::tests::desk::Desk;
use crate::sim::{CrashKind, DiskCall, DiskFault, SimDisk};

/// Says some lines, writes, and begins again on the same disk.
fn after(lines: &[&str]) -> Desk {
    let disk = SimDisk::new(1);
    let mut desk = Desk::kept(&disk).unwrap();
    let mut guest = desk.guest();
    for line in lines {
        let heard = desk.say(&mut guest, line);
        assert!(!heard.starts_with('-'), "{line}: {heard}");
        desk.write();
        desk.work();
    }
    let before = view(&desk.world.keys);
    drop(desk);
    let desk = Desk::kept(&disk.crash(CrashKind::LoseAll)).unwrap();
    assert_eq!(view(&desk.world.keys), before);
    desk
}

#[test]
fn entries_groups_and_what_is_pending_are_there_again() {
    let mut desk = after(&[
        "XADD s 5-1 a 1 b 2",
        "XADD s 5-2 a 1",
        "XADD s 6-0 c 3",
        "XGROUP CREATE s g 0",
        "XREADGROUP GROUP g one COUNT 2 STREAMS s >",
        "XACK s g 5-1",
        "XDEL s 6-0",
    ]);
    let wanted = "*2 *2 $3 5-1 *4 $1 a $1 1 $1 b $1 2 *2 $3 5-2 *2 $1 a $1 1 *1 *4 $3 5-2 $3 one";
    assert!(shown(&mut desk, "s").starts_with(wanted), "{}", shown(&mut desk, "s"));
    let mut guest = desk.guest();
    // It goes on where it was: the last one that was deleted counts.
    let heard =
        desk.say(&mut guest, "XADD s 6-0 d 4\r\nXADD s 7-0 d 4\r\nXREADGROUP GROUP g two STREAMS s >");
    assert!(
        heard.starts_with("-ERR The ID specified in XADD is equal or smaller") && heard.contains("$3 7-0"),
        "{heard}"
    );
}

/// What a stream counts, and where it goes on, is not in its entries.
#[test]
fn a_stream_with_nothing_in_it_is_there_again() {
    let mut desk = after(&[
        "XADD s 5-1 a 1",
        "XTRIM s MAXLEN 0",
        "XGROUP CREATE t g $ MKSTREAM",
        "XADD u MAXLEN 0 9-9 a 1",
    ]);
    let mut guest = desk.guest();
    let heard =
        desk.say(&mut guest, "XLEN s\r\nXADD s 5-1 a 1\r\nXINFO GROUPS t\r\nXLEN u\r\nXADD u 9-* a 1");
    assert!(
        heard.starts_with(":0 -ERR The ID") && heard.ends_with(":0 $4 9-10") && heard.contains("$1 g"),
        "{heard}"
    );
}

#[test]
fn keys_go_are_renamed_and_end_as_they_did() {
    let mut desk = after(&[
        "XADD a 1-1 f 1",
        "XADD b 1-1 f 2",
        "XADD c 1-1 f 3",
        "DEL a",
        "RENAME b c",
        "XADD d 1-1 f 4",
        "EXPIRE d 1000",
        "SELECT 1",
        "XADD a 2-2 f 5",
        "SET e 1",
        "SELECT 2",
        "XADD a 3-3 f 6",
        "FLUSHDB",
    ]);
    let mut guest = desk.guest();
    let heard = desk
        .say(&mut guest, "EXISTS a b\r\nXRANGE c - +\r\nTTL c\r\nTTL d\r\nSELECT 1\r\nXLEN a\r\nEXISTS e");
    assert_eq!(heard, ":0 *1 *2 $3 1-1 *2 $1 f $1 2 :-1 :1000 +OK :1 :0");
}

/// What happens to a stream between two writes is one thing: in order, and nothing of one that is gone by then.
#[test]
fn what_happens_together_is_written_together() {
    after(&["XADD s 1-1 f 1\r\nXADD s 1-2 f 2\r\nXDEL s 1-1\r\nXADD s 1-3 f 3\r\nXTRIM s MAXLEN 1"]);
    after(&["XADD s 1-1 f 1\r\nDEL s\r\nXADD s 1-1 f 2\r\nXADD t 1-1 f 3\r\nDEL t"]);
    after(&[
        "XADD s 1-1 f 1\r\nXGROUP CREATE s g 0\r\nXGROUP DESTROY s g\r\nXGROUP CREATE s g $\r\nRENAME s t\r\nRENAME t s",
    ]);
    after(&[
        "MULTI\r\nXADD s 1-1 f 1\r\nXADD t 1-1 f 1\r\nXGROUP CREATE s g 0\r\nXREADGROUP GROUP g c STREAMS s >\r\nEXEC",
    ]);
}

/// Ids that go back are not the log's: it has its own order.
#[test]
fn a_stream_whose_ids_go_back_is_there_again() {
    let lines = [
        "XADD s 9-9 f 1",
        "XTRIM s MAXLEN 0",
        "XSETID s 1-1",
        "XADD s 2-1 f 2",
        "XADD s 2-2 f 3",
        "BGREWRITEAOF",
    ];
    after(&lines);
    after(&lines[..5]);
}

/// Trimming is what keeps it short: on the disk too, and of what is noted.
#[test]
fn what_is_of_no_use_is_not_kept() {
    let disk = SimDisk::new(1);
    let mut desk = Desk::kept(&disk).unwrap();
    let mut guest = desk.guest();
    desk.say(&mut guest, "XGROUP CREATE s g 0 MKSTREAM");
    let value = "x".repeat(400);
    for at in 1..6_000 {
        desk.say(
            &mut guest,
            &format!(
                "XADD s MAXLEN 10 {at} f {value}\r\nXREADGROUP GROUP g c STREAMS s >\r\nXACK s g {at}-0"
            ),
        );
        desk.write();
        desk.work();
    }
    let before = view(&desk.world.keys);
    let bytes: u64 = disk.files().into_iter().map(|(_, len)| len).sum();
    // Slots, the notes that are kept in any case, and a few segments.
    assert!(bytes < 2 << 20, "{bytes}");
    drop(desk);
    let desk = Desk::kept(&disk.crash(CrashKind::LoseAll)).unwrap();
    assert_eq!(view(&desk.world.keys), before);
}

/// One that nobody deletes holds up nothing but itself.
#[test]
fn what_is_deleted_from_the_middle_does_not_stay_on_the_disk() {
    let disk = SimDisk::new(1);
    let mut desk = Desk::kept(&disk).unwrap();
    let mut guest = desk.guest();
    desk.say(&mut guest, "XADD s 1-1 stays 1\r\nXGROUP CREATE s g 0");
    let value = "x".repeat(400);
    for at in 2..12_000 {
        let mut lines = format!("XADD s {at} f {value}\r\nXDEL s {at}-0");
        if at == 9_000 {
            lines += "\r\nXADD s 9000-7 stays 2\r\nXREADGROUP GROUP g c STREAMS s >";
        }
        desk.say(&mut guest, &lines);
        desk.write();
        desk.work();
    }
    let before = view(&desk.world.keys);
    let bytes: u64 = disk.files().into_iter().map(|(_, len)| len).sum();
    // Of the 4.8 MB that were added.
    assert!(bytes < 3 << 20, "{bytes}");
    assert_eq!(desk.topics().len(), 2);
    drop(desk);
    let mut desk = Desk::kept(&disk.crash(CrashKind::LoseAll)).unwrap();
    assert_eq!(view(&desk.world.keys), before);
    let mut guest = desk.guest();
    let heard = desk.say(&mut guest, "XRANGE s - +\r\nXLEN s\r\nXADD s * last 1");
    assert!(heard.starts_with("*2 *2 $3 1-1 *2 $5 stays $1 1 *2 $6 9000-7"), "{heard}");
}

#[test]
fn all_is_written_whole_when_asked() {
    let disk = SimDisk::new(1);
    let mut desk = Desk::kept(&disk).unwrap();
    let mut guest = desk.guest();
    for at in 1..50 {
        desk.say(&mut guest, &format!("XADD s{} {at} f v\r\nXGROUP CREATE s{} g 0", at % 7, at % 7));
        desk.write();
    }
    desk.say(&mut guest, "XREADGROUP GROUP g c STREAMS s1 s2 > >");
    assert_eq!(desk.say(&mut guest, "BGREWRITEAOF"), "+Background append only file rewriting started");
    desk.work();
    let before = view(&desk.world.keys);
    drop(desk);
    let desk = Desk::kept(&disk.crash(CrashKind::LoseAll)).unwrap();
    assert_eq!(view(&desk.world.keys), before);
}

/// Streams that were made and are gone leave nothing behind, and numbers go on.
#[test]
fn what_is_gone_leaves_nothing() {
    let disk = SimDisk::new(1);
    for round in 0..5 {
        let mut desk = Desk::kept(&disk.durable_copy()).unwrap();
        let mut guest = desk.guest();
        for at in 0..20 {
            desk.say(&mut guest, &format!("XADD s{at} {round}-1 f v\r\nXADD kept * f v"));
            desk.write();
        }
        desk.work();
        desk.say(&mut guest, "DEL s0\r\nRENAME s1 s2\r\nFLUSHALL");
        desk.write();
        desk.work();
        // Deletions come once that is confirmed.
        desk.work();
        assert!(view(&desk.world.keys).is_empty());
        assert_eq!(desk.topics(), ["server"]);
    }
}

#[test]
fn a_directory_of_a_broker_is_refused_and_nothing_in_it_changes() {
    use crate::log::hand::{Hand, small};
    let disk = SimDisk::new(1);
    let mut log =
        Hand::open(std::sync::Arc::new(disk.clone()), std::path::Path::new("/data"), small(1)).unwrap();
    log.topic("orders").unwrap();
    log.close().unwrap();
    let disk = disk.durable_copy();
    match Desk::kept(&disk).map(drop) {
        Err(error @ DataError::NotAServers { .. }) => {
            assert_eq!(
                error.to_string(),
                "it is no server's: topic 'orders' is a broker's; name another directory"
            );
        }
        other => panic!("{other:?}"),
    }
}

/// A group that is handed much is told of shortly: how far it is once, and what it has in runs.
#[test]
fn what_is_read_together_is_noted_together() {
    let mut stream = Stream::default();
    stream.record(true);
    for millis in 1..=5_000 {
        let fields = Fields::new([&b"f"[..], b"v"].into_iter());
        stream.add(Id { millis, seq: 0 }, fields, Limits { node_entries: 100, node_bytes: 0 });
    }
    stream.create_group(b"g", Id::ZERO, Some(0));
    stream.take_changes();
    stream.read_new(b"g", Read { consumer: b"one", most: 5_000, no_ack: false }, 7).unwrap();
    let group = &stream.groups[&b"g"[..]];
    assert_eq!((group.last, group.read), (Id { millis: 5_000, seq: 0 }, Some(5_000)));
    let (changes, _) = stream.take_changes();
    assert_eq!(changes.len(), 4, "a consumer, two runs of what it has, and how far the group is");
}

/// Offsets are counted from one entry to the next, across those that are gone.
#[test]
fn entries_behind_one_that_is_gone_are_still_known_apart() {
    let disk = SimDisk::new(1);
    let mut desk = Desk::kept(&disk).unwrap();
    let mut guest = desk.guest();
    desk.say(
        &mut guest,
        "XADD s 1 f v\r\nXADD s 2 f v\r\nXADD s 3 f v\r\nXADD s 4 f v\r\nXADD s 5 f v\r\nXDEL s 2",
    );
    desk.write();
    desk.work();
    let mut disk = disk;
    for gone in [3, 4] {
        disk = disk.crash(CrashKind::LoseAll);
        desk = Desk::kept(&disk).unwrap();
        guest = desk.guest();
        assert_eq!(desk.say(&mut guest, &format!("XDEL s {gone}")), ":1");
        desk.write();
        desk.work();
    }
    let mut desk = Desk::kept(&disk.crash(CrashKind::LoseAll)).unwrap();
    assert!(shown(&mut desk, "s").starts_with("*2 *2 $3 1-0 *2 $1 f $1 v *2 $3 5-0 *2"));
}

/// One that is gone, and another one with its id, since ids went back.
#[test]
fn an_id_that_comes_again_is_that_of_the_one_that_is_there() {
    let mut desk = after(&[
        "XADD s 1 f v",
        "XADD s 3 f v",
        "XDEL s 3",
        "XSETID s 1",
        "XADD s 2 f w",
        "XADD s 3 f w",
        "XDEL s 3",
        "XSETID s 2",
        "XADD s 3 f x",
    ]);
    let mut guest = desk.guest();
    assert_eq!(desk.say(&mut guest, "XRANGE s 3 3\r\nXDEL s 3\r\nXLEN s"), "*1 *2 $3 3-0 *2 $1 f $1 x :1 :2");
}

/// What nobody has is there again as that, in the order in which it was released; and so from a snapshot.
#[test]
fn what_was_released_is_there_again_in_its_order() {
    let lines = [
        "XADD s 1 f v\r\nXADD s 2 f v\r\nXADD s 3 f v\r\nXADD s 4 f v\r\nXGROUP CREATE s g 0",
        "XREADGROUP GROUP g one COUNT 3 STREAMS s >",
        "XNACK s g FAIL IDS 1 3",
        "XNACK s g FATAL IDS 1 1",
        "XNACK s g SILENT IDS 1 4 FORCE",
        "XGROUP DELCONSUMER s g nobody",
    ];
    for more in ["PING", "BGREWRITEAOF"] {
        let mut desk = after(&[&lines[..], &[more]].concat());
        let mut guest = desk.guest();
        let pending = desk.say(&mut guest, "XPENDING s g - + 9");
        let nobody = ["*4 $3 1-0 $0  :-1 :9223372036854775807", "*4 $3 3-0 $0  :-1 :1 *4 $3 4-0 $0  :-1 :0"];
        assert!(nobody.iter().all(|lines| pending.contains(lines)), "{pending}");
        for wanted in ["3-0", "1-0", "4-0"] {
            let claimed = desk.say(&mut guest, "XREADGROUP GROUP g two COUNT 1 CLAIM 99999 STREAMS s >");
            assert!(claimed.contains(wanted), "{claimed}");
        }
    }
}

/// It is written again with each snapshot.
#[test]
fn a_name_that_is_too_long_is_refused() {
    let disk = SimDisk::new(1);
    let mut desk = Desk::kept(&disk).unwrap();
    let mut guest = desk.guest();
    desk.say(&mut guest, "XADD s 1 f v\r\nXGROUP CREATE s g 0");
    let before = view(&desk.world.keys);
    let (long, fits) = ("x".repeat(4097), "x".repeat(4096));
    let lines = |name: &str| {
        [
            format!("XGROUP CREATE s {name} 0"),
            format!("XGROUP CREATECONSUMER s g {name}"),
            format!("XREADGROUP GROUP g {name} STREAMS s >"),
            format!("XREADGROUP GROUP g {name} CLAIM 0 STREAMS s >"),
            format!("XCLAIM s g {name} 0 1 FORCE"),
            format!("XAUTOCLAIM s g {name} 0 0"),
        ]
    };
    let refused = "-ERR the name of a group or consumer has at most 4096 bytes where it is written to disk";
    for line in lines(&long) {
        assert_eq!(desk.say(&mut guest, &line), refused);
    }
    assert_eq!(view(&desk.world.keys), before);
    let mut other = Desk::new();
    let mut elsewhere = other.guest();
    other.say(&mut elsewhere, "XADD s 1 f v\r\nXGROUP CREATE s g 0");
    for (line, fitting) in lines(&long).iter().zip(lines(&fits)) {
        assert!(!other.say(&mut elsewhere, line).starts_with('-'));
        assert!(!desk.say(&mut guest, &fitting).starts_with('-'));
    }
}

/// In the middle of what is to be there as a whole, memory does not become what is on the disk.
#[test]
fn the_disk_is_not_read_again_in_a_transaction() {
    let disk = SimDisk::new(1);
    let mut desk = Desk::kept_by_thread(&disk).unwrap();
    let mut guest = desk.guest();
    for reads in ["DEBUG RELOAD", "debug loadaof"] {
        let heard =
            desk.say(&mut guest, &format!("MULTI\r\nXADD s * f v\r\n{reads}\r\nXADD s * f v\r\nEXEC"));
        let refused = "-ERR Command not allowed inside a transaction";
        let end = "-EXECABORT Transaction discarded because of previous errors.";
        assert_eq!(heard, format!("+OK +QUEUED {refused} +QUEUED {end}"));
        assert_eq!(desk.say(&mut guest, &format!("EXISTS s\r\n{reads}")), ":0 +OK");
    }
    desk.close();
}

/// A topic of the name that a stream's would have: nothing is written to that, and the stream is there with the next try.
#[test]
fn a_topic_that_nobody_knows_of_stands_in_nobodys_way() {
    let disk = SimDisk::new(1);
    let mut desk = Desk::kept_by_thread(&disk).unwrap();
    let mut guest = desk.guest();
    desk.say(&mut guest, "XADD s 1 f v");
    let barrier = desk.write();
    desk.wait(barrier).unwrap();
    let keeper = desk.world.keeper.as_mut().unwrap();
    keeper.next_topic += 1;
    let (topic, name) = (keeper.next_topic - 1, "stream.2".to_string());
    keeper.log().create_numbered(topic, name, Terms::default(), Done::unheard());
    desk.say(&mut guest, "XADD t 1 f v");
    let barrier = desk.write();
    desk.wait(barrier).unwrap_err();
    desk.tick().unwrap();
    assert_eq!(desk.say(&mut guest, "EXISTS s t"), ":1");
    desk.try_again();
    assert_eq!(desk.say(&mut guest, "XADD t 1 f v"), "$3 1-0");
    let barrier = desk.write();
    desk.wait(barrier).unwrap();
    let before = view(&desk.world.keys);
    assert_eq!(desk.topics(), ["server", "stream.1", "stream.3"]);
    desk.close();
    assert_eq!(view(&Desk::kept(&disk.crash(CrashKind::LoseAll)).unwrap().world.keys), before);
}

/// Also where those of one command are more than a commit has room for.
#[test]
fn an_entry_is_pending_or_a_dead_letter_whatever_was_written_of_them() {
    const ALL: usize = 100;
    for nth in 1.. {
        let disk = SimDisk::new(1);
        let mut desk = Desk::kept(&disk).unwrap();
        let mut guest = desk.guest();
        desk.say(&mut guest, "XGROUP CREATE s g 0 MKSTREAM\r\nXGROUP CREATE s.g.dead u 0 MKSTREAM");
        desk.say(&mut guest, "CB.GROUP SET s g ACKTIMEOUT 1 MAXDELIVERIES 1");
        for id in 1..=ALL {
            desk.say(&mut guest, &format!("XADD s {id} f {}", "v".repeat(1000)));
            desk.write();
            desk.work();
        }
        desk.say(&mut guest, "XREADGROUP GROUP g a STREAMS s >");
        desk.write();
        desk.work();
        let full = std::io::ErrorKind::StorageFull;
        disk.fail(DiskFault::nth(nth).of(DiskCall::Write).with(full).lasting());
        desk.say(&mut guest, "XAUTOCLAIM s g a 0 0 COUNT 1000 JUSTID");
        desk.write();
        desk.work();
        let done = desk.is_confirmed(desk.world.keeper.as_ref().unwrap().written());
        drop(desk);
        let desk = Desk::kept(&disk.crash(CrashKind::LoseAll)).unwrap();
        let Ok(Some(stream)) = desk.world.keys.stream(0, b"s") else { panic!("it is gone") };
        let pending = stream.groups[&b"g"[..]].pending();
        let dead = desk.world.keys.stream(0, b"s.g.dead").unwrap().unwrap().len();
        assert_eq!(pending + dead, ALL, "{nth}: {dead} are dead letters");
        if done {
            assert!(dead > 0);
            break;
        }
    }
}

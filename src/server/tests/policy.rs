//! Does a group do by itself what `CB.GROUP` told it, and nothing unless it was told?

use super::commands::check;
use super::desk::{Desk, Guest};
use super::waiting::{until_waiting, with};
use crate::sim::SimDisk;

const NEVER: &str = "it was handed over as often as its group allows, and never acknowledged";

/// A desk whose stream `s` has an entry, and a group that was told this.
fn told(options: &str) -> (Desk, Guest) {
    let mut desk = Desk::new();
    let mut guest = desk.guest();
    desk.say(&mut guest, "XADD s 1 f v\r\nXGROUP CREATE s g 0");
    assert_eq!(desk.say(&mut guest, &format!("CB.GROUP SET s g {options}")), "+OK");
    (desk, guest)
}

#[track_caller]
fn says(desk: &mut Desk, guest: &mut Guest, table: &[(&str, &str)]) {
    for (line, wanted) in table {
        assert_eq!(desk.say(guest, line), *wanted, "{line}");
    }
}

/// All that was buried in a stream: the parts of each entry, without its id, and as a person reads them.
fn buried(desk: &mut Desk, guest: &mut Guest, key: &str) -> String {
    let reply = desk.say(guest, &format!("XRANGE {key} - +"));
    // What tells lengths, and ids that the clock gave.
    let words = reply.split(' ').filter(|word| !word.starts_with(['*', '$']) && word.len() != 15);
    words.collect::<Vec<_>>().join(" ")
}

const ENTRY: &str = "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $1 v";

#[test]
fn a_group_is_told_and_says_what_it_was_told() {
    let no_group = "-NOGROUP No such key 's' or consumer group 'h'";
    check(&[
        ("XADD s 1 f v", "$3 1-0"),
        ("XGROUP CREATE s g 0", "+OK"),
        ("CB.GROUP GET s g", "*6 $11 ack-timeout :0 $14 max-deliveries :0 $11 dead-letter $8 s.g.dead"),
        ("CB.GROUP SET s g ACKTIMEOUT 1500 maxdeliveries 3", "+OK"),
        ("CB.GROUP GET s g", "*6 $11 ack-timeout :1500 $14 max-deliveries :3 $11 dead-letter $8 s.g.dead"),
        // What is not named stays.
        ("CB.GROUP SET s g DEADLETTER lost ACKTIMEOUT 0", "+OK"),
        ("CB.GROUP GET s g", "*6 $11 ack-timeout :0 $14 max-deliveries :3 $11 dead-letter $4 lost"),
        ("CB.GROUP SET s g DEADLETTER \"\" MAXDELIVERIES 0", "+OK"),
        ("CB.GROUP GET s g", "*6 $11 ack-timeout :0 $14 max-deliveries :0 $11 dead-letter $8 s.g.dead"),
        ("CB.GROUP SET s h ACKTIMEOUT 1", no_group),
        ("CB.GROUP GET s h", no_group),
        ("CB.GROUP SET nothing g ACKTIMEOUT 1", "-NOGROUP No such key 'nothing' or consumer group 'g'"),
        ("CB.GROUP SET s g ACKTIMEOUT", "-ERR wrong number of arguments for 'cb.group|set' command"),
        ("CB.GROUP SET s g ACKTIMEOUT 1 MAXDELIVERIES", "-ERR syntax error"),
        ("CB.GROUP SET s g SPEED 1", "-ERR syntax error"),
        ("CB.GROUP SET s g ACKTIMEOUT -1", "-ERR ACKTIMEOUT is not an integer or out of range"),
        ("CB.GROUP SET s g MAXDELIVERIES x", "-ERR MAXDELIVERIES is not an integer or out of range"),
        (
            "CB.GROUP SET s g DEADLETTER s",
            "-ERR a group's dead letters can't go to the stream that they come from",
        ),
        ("SET word 1", "+OK"),
        (
            "CB.GROUP SET s g DEADLETTER word",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("CB.GROUP", "-ERR wrong number of arguments for 'cb.group' command"),
        ("CB.GROUP NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CB.GROUP HELP."),
        // What was refused changed nothing; and another group of that name is another one.
        ("CB.GROUP GET s g", "*6 $11 ack-timeout :0 $14 max-deliveries :0 $11 dead-letter $8 s.g.dead"),
        ("CB.GROUP SET s g ACKTIMEOUT 7", "+OK"),
        ("XGROUP DESTROY s g", ":1"),
        ("XGROUP CREATE s g 0", "+OK"),
        ("CB.GROUP GET s g", "*6 $11 ack-timeout :0 $14 max-deliveries :0 $11 dead-letter $8 s.g.dead"),
    ]);
}

#[test]
fn who_reads_what_is_new_is_handed_what_nobody_acknowledged_in_time() {
    let (mut desk, mut guest) = told("ACKTIMEOUT 1000000");
    let table = [
        ("XREADGROUP GROUP g a STREAMS s >", ENTRY),
        ("XREADGROUP GROUP g b STREAMS s >", "*-1"),
        ("XCLAIM s g a 0 1 IDLE 1000000 JUSTID", "*1 $3 1-0"),
        // Who acknowledges by reading has no use for it.
        ("XREADGROUP GROUP g b NOACK STREAMS s >", "*-1"),
        // Who asks for what is older than that does not get it.
        ("XREADGROUP GROUP g b CLAIM 100000000 STREAMS s >", "*-1"),
        ("XADD s 2 f w", "$3 2-0"),
        // In the form that any client knows, and before what is new.
        ("XREADGROUP GROUP g b STREAMS s >", "*1 *2 $1 s *2 *2 $3 1-0 *2 $1 f $1 v *2 $3 2-0 *2 $1 f $1 w"),
        ("XPENDING s g", "*4 :2 $3 1-0 $3 2-0 *1 *2 $1 b $1 2"),
        // What was let go of is there at once, and however often: there is no limit.
        ("XNACK s g FATAL IDS 1 1", ":1"),
        ("XREADGROUP GROUP g c STREAMS s >", ENTRY),
        // Another group was told nothing.
        ("XGROUP CREATE s h 0", "+OK"),
        ("XREADGROUP GROUP h a COUNT 1 STREAMS s >", ENTRY),
        ("XCLAIM s h a 0 1 IDLE 100000000 JUSTID", "*1 $3 1-0"),
        ("XREADGROUP GROUP h b COUNT 1 STREAMS s >", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 w"),
        ("EXISTS s.g.dead s.h.dead", ":0"),
    ];
    says(&mut desk, &mut guest, &table);
}

#[test]
fn what_comes_back_too_often_is_a_dead_letter() {
    let (mut desk, mut guest) = told("ACKTIMEOUT 1000000 MAXDELIVERIES 2");
    let old = ("XCLAIM s g a 0 1 IDLE 1000000 JUSTID", "*1 $3 1-0");
    let table = [
        ("XREADGROUP GROUP g a STREAMS s >", ENTRY),
        old,
        ("XREADGROUP GROUP g b STREAMS s >", ENTRY),
        ("EXISTS s.g.dead", ":0"),
        old,
        ("XREADGROUP GROUP g c STREAMS s >", "*-1"),
        ("XPENDING s g", "*4 :0 $-1 $-1 *-1"),
        // It was not deleted: other groups may have it.
        ("XLEN s", ":1"),
        ("XLEN s.g.dead", ":1"),
    ];
    says(&mut desk, &mut guest, &table);
    let letter = format!("f v dead.reason {NEVER} dead.id 1-0 dead.attempts 2");
    assert_eq!(buried(&mut desk, &mut guest, "s.g.dead"), letter);
}

/// By whatever way somebody would have it once more.
#[test]
fn whoever_claims_finds_no_dead_letters() {
    for claims in ["XAUTOCLAIM s g b 0 0 JUSTID", "XREADGROUP GROUP g b CLAIM 0 STREAMS s >"] {
        let (mut desk, mut guest) = told("MAXDELIVERIES 1 DEADLETTER lost");
        desk.say(&mut guest, "XADD s 2 f w\r\nXREADGROUP GROUP g a STREAMS s >\r\nXNACK s g SILENT IDS 1 1");
        // The first one was let go of at no cost, so that it comes; the second one is spent.
        let claimed = desk.say(&mut guest, claims);
        assert!(claimed.contains("1-0") && !claimed.contains("2-0"), "{claimed}");
        let letter = format!("f w dead.reason {NEVER} dead.id 2-0 dead.attempts 1");
        assert_eq!(buried(&mut desk, &mut guest, "lost"), letter, "{claims}");
        let pending = "*4 :1 $3 1-0 $3 1-0 *1 *2 $1 b $1 1";
        says(&mut desk, &mut guest, &[("XPENDING s g", pending)]);
        // Whoever names it has it: clients count as they like.
        let takes = [("XCLAIM s g c 0 1 JUSTID", "*1 $3 1-0"), ("XREADGROUP GROUP g c STREAMS s 0", ENTRY)];
        says(&mut desk, &mut guest, &takes);
    }
}

/// Where a dead letter has no place it is handed over once more, and not held back.
#[test]
fn without_a_place_for_dead_letters_there_is_no_limit() {
    let hindered = [
        ("SET s.g.dead word", "DEL s.g.dead"),
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("XADD s.g.dead 18446744073709551615-18446744073709551615 f v", "DEL s.g.dead"),
        ("CB.GROUP SET s g DEADLETTER t\r\nRENAME s t\r\nXADD s 1 f v\r\nXGROUP CREATE s g 0", "RENAME t s"),
    ];
    for (hinders, mends) in hindered {
        let (mut desk, mut guest) = told("MAXDELIVERIES 1");
        desk.say(&mut guest, "XREADGROUP GROUP g a STREAMS s >");
        desk.say(&mut guest, hinders);
        let key = if hinders.contains("RENAME") { "t" } else { "s" };
        let again = desk.say(&mut guest, &format!("XREADGROUP GROUP g a CLAIM 0 STREAMS {key} >"));
        assert!(again.contains("$3 1-0 *2 $1 f $1 v"), "{hinders}: {again}");
        let length = desk.say(&mut guest, &format!("XLEN {key}"));
        assert_eq!(length, ":1", "{hinders}");
        desk.say(&mut guest, mends);
        says(&mut desk, &mut guest, &[("XREADGROUP GROUP g a CLAIM 0 STREAMS s >", "*-1")]);
        says(&mut desk, &mut guest, &[("XPENDING s g", "*4 :0 $-1 $-1 *-1")]);
    }
}

/// What was deleted from its stream is nothing that anybody could be handed: who has no code for it is not to look at it for ever.
#[test]
fn what_is_gone_is_pending_no_more_once_somebody_would_have_had_it() {
    let (mut desk, mut guest) = told("ACKTIMEOUT 1000000");
    let ids: String = (1..=1500).map(|id| format!(" {id}")).collect();
    for id in 2..=1501 {
        desk.say(&mut guest, &format!("XADD s {id} f v"));
    }
    desk.say(&mut guest, "XREADGROUP GROUP g a STREAMS s >");
    desk.say(&mut guest, &format!("XCLAIM s g a 0{ids} 1501 IDLE 1000000 JUSTID\r\nXDEL s{ids}"));
    // Some at a time, and who names its own time leaves them be, as with Redis.
    let count = |desk: &mut Desk, guest: &mut Guest| {
        desk.say(guest, "XPENDING s g").split(' ').nth(1).unwrap().to_string()
    };
    desk.say(&mut guest, "XREADGROUP GROUP g b CLAIM 100000000 STREAMS s >");
    assert_eq!(count(&mut desk, &mut guest), ":1501");
    says(&mut desk, &mut guest, &[("XREADGROUP GROUP g b STREAMS s >", "*-1")]);
    assert_eq!(count(&mut desk, &mut guest), ":501");
    let last = "*1 *2 $1 s *1 *2 $6 1501-0 *2 $1 f $1 v";
    says(&mut desk, &mut guest, &[("XREADGROUP GROUP g b STREAMS s >", last)]);
    assert_eq!(count(&mut desk, &mut guest), ":1");
}

/// However many there are, one command buries some of them, and none is handed over meanwhile.
#[test]
fn many_dead_letters_are_buried_some_at_a_time() {
    let (mut desk, mut guest) = told("MAXDELIVERIES 1");
    for id in 2..=600 {
        desk.say(&mut guest, &format!("XADD s {id} f v"));
    }
    desk.say(&mut guest, "XREADGROUP GROUP g a STREAMS s >");
    let claims = "XREADGROUP GROUP g b COUNT 10 CLAIM 0 STREAMS s >";
    let table = [
        (claims, "*-1"),
        ("XLEN s.g.dead", ":256"),
        (claims, "*-1"),
        (claims, "*-1"),
        ("XLEN s.g.dead", ":600"),
        ("XPENDING s g", "*4 :0 $-1 $-1 *-1"),
        (claims, "*-1"),
        ("XLEN s.g.dead", ":600"),
    ];
    says(&mut desk, &mut guest, &table);
}

/// Those who wait are woken when its time is over, also if that was said while they waited; and so are those who wait for dead letters.
#[test]
fn who_waits_is_told_what_the_group_does_by_itself() {
    with::<4>(async |place, [mut a, mut b, mut dead, mut writer]| {
        writer.asks("XADD s 1 f v", "$3 1-0").await;
        writer.asks("XGROUP CREATE s g 0", "+OK").await;
        writer.asks("XGROUP CREATE s.g.dead undertaker $ MKSTREAM", "+OK").await;
        a.asks("XREADGROUP GROUP g a STREAMS s >", ENTRY).await;
        b.say("XREADGROUP GROUP g b BLOCK 0 STREAMS s >").await;
        dead.say("XREADGROUP GROUP undertaker d BLOCK 0 NOACK STREAMS s.g.dead >").await;
        until_waiting(place, 2).await;
        writer.asks("CB.GROUP SET s g ACKTIMEOUT 20 MAXDELIVERIES 2", "+OK").await;
        b.hears(ENTRY).await;
        // It is handed over a second time, and then it is over.
        b.say("XREADGROUP GROUP g b BLOCK 0 STREAMS s >").await;
        dead.hears("*1 *2 $8 s.g.dead *1 *2 $15").await;
        until_waiting(place, 1).await;
        writer.asks("XADD s 2 f w", "$3 2-0").await;
        b.hears("*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 w").await;
    });
}

#[test]
fn who_watches_a_stream_hears_of_dead_letters() {
    for claims in ["XAUTOCLAIM s g b 0 0 JUSTID", "XREADGROUP GROUP g b CLAIM 0 STREAMS s >"] {
        for watched in ["s", "s.g.dead"] {
            let (mut desk, mut guest) = told("MAXDELIVERIES 1");
            let mut other = desk.guest();
            desk.say(&mut other, "XREADGROUP GROUP g a STREAMS s >");
            desk.say(&mut guest, &format!("WATCH {watched}\r\nMULTI\r\nPING"));
            desk.say(&mut other, claims);
            assert_eq!(desk.say(&mut guest, "EXEC"), "*-1", "{claims} {watched}");
        }
    }
}

#[test]
fn no_dead_letter_key_is_none_whatever_is_in_the_empty_one() {
    let (mut desk, mut guest) = told("DEADLETTER lost");
    let table = [
        ("SET \"\" word", "+OK"),
        ("CB.GROUP SET s g DEADLETTER \"\"", "+OK"),
        ("CB.GROUP GET s g", "*6 $11 ack-timeout :0 $14 max-deliveries :0 $11 dead-letter $8 s.g.dead"),
        ("DEL \"\"", ":1"),
        ("RENAME s \"\"", "+OK"),
        ("CB.GROUP SET \"\" g DEADLETTER \"\"", "+OK"),
    ];
    says(&mut desk, &mut guest, &table);
}

#[test]
fn who_makes_dead_letters_as_it_begins_to_wait_is_handed_them() {
    with::<1>(async |_, [mut a]| {
        a.asks("XADD s 1 f v", "$3 1-0").await;
        a.asks("XGROUP CREATE s g 0", "+OK").await;
        a.asks("XGROUP CREATE s.g.dead g 0 MKSTREAM", "+OK").await;
        a.asks("CB.GROUP SET s g ACKTIMEOUT 1000000 MAXDELIVERIES 1", "+OK").await;
        a.asks("XREADGROUP GROUP g a STREAMS s >", ENTRY).await;
        a.asks("XCLAIM s g a 0 1 IDLE 1000000 JUSTID", "*1 $3 1-0").await;
        a.say("XREADGROUP GROUP g a BLOCK 0 STREAMS s.g.dead s > >").await;
        a.hears("*1 *2 $8 s.g.dead *1 *2 $15").await;
    });
}

#[test]
fn who_waits_is_told_what_another_group_does_that_takes_the_place_of_its_own() {
    with::<2>(async |place, [mut b, mut writer]| {
        writer.asks("XGROUP CREATE s g $ MKSTREAM", "+OK").await;
        writer.asks("XADD t 1 f v", "$3 1-0").await;
        writer.asks("XGROUP CREATE t g 0", "+OK").await;
        writer.asks("CB.GROUP SET t g ACKTIMEOUT 50", "+OK").await;
        b.say("XREADGROUP GROUP g b BLOCK 0 STREAMS s >").await;
        until_waiting(place, 1).await;
        writer.asks("XREADGROUP GROUP g a STREAMS t >", "*1 *2 $1 t *1 *2 $3 1-0 *2 $1 f $1 v").await;
        writer.asks("RENAME t s", "+OK").await;
        b.hears(ENTRY).await;
    });
}

#[test]
fn who_waits_is_handed_what_is_made_older_than_its_time() {
    with::<2>(async |place, [mut b, mut writer]| {
        writer.asks("XADD s 1 f v", "$3 1-0").await;
        writer.asks("XGROUP CREATE s g 0", "+OK").await;
        writer.asks("CB.GROUP SET s g ACKTIMEOUT 1000000", "+OK").await;
        writer.asks("XREADGROUP GROUP g a STREAMS s >", ENTRY).await;
        b.say("XREADGROUP GROUP g b BLOCK 0 STREAMS s >").await;
        until_waiting(place, 1).await;
        writer.asks("XCLAIM s g a 0 1 IDLE 1000000 JUSTID", "*1 $3 1-0").await;
        b.hears(ENTRY).await;
    });
}

#[test]
fn who_waits_is_handed_what_is_behind_many_dead_letters() {
    with::<2>(async |place, [mut b, mut writer]| {
        writer.asks("XGROUP CREATE s g 0 MKSTREAM", "+OK").await;
        writer.asks("CB.GROUP SET s g ACKTIMEOUT 1000000 MAXDELIVERIES 1", "+OK").await;
        b.say("XREADGROUP GROUP g b BLOCK 0 STREAMS s >").await;
        until_waiting(place, 1).await;
        writer.asks("MULTI", "+OK").await;
        let mut ids = String::new();
        for id in 1..=600 {
            writer.asks(&format!("XADD s {id} f v"), "+QUEUED").await;
            ids += &format!(" {id}");
        }
        writer.asks("XGROUP SETID s g 600", "+QUEUED").await;
        writer.asks(&format!("XNACK s g FATAL FORCE IDS 599{}", &ids[..ids.len() - 4]), "+QUEUED").await;
        writer.asks("XNACK s g FAIL FORCE IDS 1 600", "+QUEUED").await;
        writer.say("EXEC").await;
        b.hears("*1 *2 $1 s *1 *2 $5 600-0 *2 $1 f $1 v").await;
        writer.say("PING").await;
    });
}

/// A transaction that has written as much as has room in a commit leaves them to the next one who reads.
#[test]
fn no_stream_is_made_for_dead_letters_before_there_is_room_for_one() {
    let mut desk = Desk::kept(&SimDisk::new(1)).unwrap();
    let (mut guest, value) = (desk.guest(), "v".repeat(3000));
    desk.say(&mut guest, "XADD s 1 f v\r\nXGROUP CREATE s g 0\r\nCB.GROUP SET s g MAXDELIVERIES 1");
    desk.say(&mut guest, "XREADGROUP GROUP g a STREAMS s >\r\nMULTI");
    desk.say(&mut guest, &format!("XADD t 1 f {value}\r\nXADD t 2 f {value}\r\nXADD t 3 f {value}"));
    let claims = "XREADGROUP GROUP g b CLAIM 0 STREAMS s >";
    let table = [
        (claims, "+QUEUED"),
        ("EXISTS s.g.dead", "+QUEUED"),
        ("EXEC", "*5 $3 1-0 $3 2-0 $3 3-0 *-1 :0"),
        ("XPENDING s g", "*4 :1 $3 1-0 $3 1-0 *1 *2 $1 a $1 1"),
        (claims, "*-1"),
        ("XLEN s.g.dead", ":1"),
        ("XPENDING s g", "*4 :0 $-1 $-1 *-1"),
    ];
    says(&mut desk, &mut guest, &table);
}

/// What a stream of dead letters makes dead letters of goes on to the next one, and whoever waits there has it.
#[test]
fn dead_letters_have_dead_letters() {
    with::<4>(async |place, [mut a, mut b, mut c, mut writer]| {
        writer.asks("XADD s 1 f v", "$3 1-0").await;
        for key in ["s", "t", "u"] {
            writer.asks(&format!("XGROUP CREATE {key} g 0 MKSTREAM"), "+OK").await;
        }
        a.asks("XREADGROUP GROUP g a STREAMS s >", ENTRY).await;
        a.say("XREADGROUP GROUP g a BLOCK 0 STREAMS s >").await;
        until_waiting(place, 1).await;
        b.say("XREADGROUP GROUP g b BLOCK 0 STREAMS t >\r\nXREADGROUP GROUP g b BLOCK 0 STREAMS t >").await;
        until_waiting(place, 2).await;
        c.say("XREADGROUP GROUP g c BLOCK 0 STREAMS u >\r\nXREADGROUP GROUP g c BLOCK 0 STREAMS u >").await;
        until_waiting(place, 3).await;
        writer.asks("CB.GROUP SET t g ACKTIMEOUT 10 MAXDELIVERIES 1 DEADLETTER u", "+OK").await;
        writer.asks("CB.GROUP SET u g ACKTIMEOUT 10 MAXDELIVERIES 1 DEADLETTER s", "+OK").await;
        writer.asks("CB.GROUP SET s g ACKTIMEOUT 10 MAXDELIVERIES 1 DEADLETTER t", "+OK").await;
        b.hears("*1 *2 $1 t *1 *2 $15").await;
        c.hears("*1 *2 $1 u *1 *2 $15").await;
        // Round again.
        a.hears("*1 *2 $1 s *1 *2 $15").await;
    });
}

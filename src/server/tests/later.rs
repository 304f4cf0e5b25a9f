//! Does what later versions of Redis have go as it does there? (8.2's replies were taken from one; of 8.4 and 8.8 from their suites.)

use super::commands::check;
use super::desk::{Desk, Guest};

#[test]
fn entries_are_deleted_with_regard_to_what_groups_hold() {
    check(&[
        ("XADD s 1 a 1", "$3 1-0"),
        ("XADD s 2 a 1", "$3 2-0"),
        ("XADD s 3 a 1", "$3 3-0"),
        ("XADD s 4 a 1", "$3 4-0"),
        ("XADD s 5 a 1", "$3 5-0"),
        ("XDELEX s IDS 2 1 9", "*2 :1 :-1"),
        ("XGROUP CREATE s g 0", "+OK"),
        ("XGROUP CREATE s h 0", "+OK"),
        (
            "XREADGROUP GROUP g c COUNT 3 STREAMS s >",
            "*1 *2 $1 s *3 *2 $3 2-0 *2 $1 a $1 1 *2 $3 3-0 *2 $1 a $1 1 *2 $3 4-0 *2 $1 a $1 1",
        ),
        // The other group was not handed it.
        ("XACKDEL s g ACKED IDS 1 2", "*1 :2"),
        (
            "XREADGROUP GROUP h c COUNT 2 STREAMS s >",
            "*1 *2 $1 s *2 *2 $3 2-0 *2 $1 a $1 1 *2 $3 3-0 *2 $1 a $1 1",
        ),
        // It has it pending; and here it is pending no more.
        ("XDELEX s ACKED IDS 1 2", "*1 :2"),
        ("XACKDEL s g IDS 1 2", "*1 :-1"),
        ("XACKDEL s h ACKED IDS 1 2", "*1 :1"),
        ("XDELEX s IDS 1 3 DELREF", "*1 :1"),
        ("XPENDING s h", "*4 :0 $-1 $-1 *-1"),
        ("XPENDING s g", "*4 :1 $3 4-0 $3 4-0 *1 *2 $1 c $1 1"),
        // What is gone from the stream stays pending unless told otherwise, and can be acknowledged.
        ("XDELEX s KEEPREF IDS 1 4", "*1 :1"),
        ("XPENDING s g", "*4 :1 $3 4-0 $3 4-0 *1 *2 $1 c $1 1"),
        ("XACKDEL s g IDS 1 4", "*1 :1"),
        ("XLEN s", ":1"),
        ("XACKDEL s nobody IDS 1 5", "*1 :-1"),
        ("XDELEX other IDS 2 1 2", "*2 :-1 :-1"),
        // What is gone, or was never there, may be held all the same; what groups hold of it goes without it.
        ("XADD u 1 a 1", "$3 1-0"),
        ("XADD u 2 a 1", "$3 2-0"),
        ("XGROUP CREATE u g 0", "+OK"),
        ("XDELEX u ACKED IDS 2 0-5 99", "*2 :2 :2"),
        ("XREADGROUP GROUP g c STREAMS u >", "*1 *2 $1 u *2 *2 $3 1-0 *2 $1 a $1 1 *2 $3 2-0 *2 $1 a $1 1"),
        ("XDEL u 1 2", ":2"),
        ("XDELEX u ACKED IDS 2 0-5 1", "*2 :-1 :2"),
        ("XDELEX u DELREF IDS 1 1", "*1 :-1"),
        ("XPENDING u g", "*4 :1 $3 2-0 $3 2-0 *1 *2 $1 c $1 1"),
        ("XACKDEL u g DELREF IDS 1 2", "*1 :1"),
        ("XDELEX u IDS 1 7 IDS 2 8 9", "*2 :-1 :-1"),
        ("XDELEX nothing IDS 1 x", "*1 :-1"),
        ("XACKDEL u nobody IDS 1 x", "*1 :-1"),
        ("XACKDEL u g IDS 1 x", "-ERR Invalid stream ID specified as stream command argument"),
        ("XDELEX s ACKED DELREF 1", "-ERR syntax error"),
        ("XDELEX s IDS 2 1", "-ERR The `numids` parameter must match the number of arguments"),
        ("XDELEX s IDS 0 1", "-ERR Number of IDs must be a positive integer"),
        ("XDELEX s IDS 1 1 1", "-ERR syntax error"),
        ("XDELEX s KEEPREF ACKED IDS 1 1", "-ERR syntax error"),
        ("XDELEX s IDS 1 x", "-ERR Invalid stream ID specified as stream command argument"),
        ("SET t 1", "+OK"),
        ("XDELEX t FOO IDS 1 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XDELEX t IDS 1 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

/// 8.2's, with `=`; and with `~`, as of 8.8: there it is no reason to stop.
#[test]
fn streams_are_kept_short_with_regard_to_what_groups_hold() {
    let mut table: Vec<(String, &str)> = vec![("CONFIG SET stream-node-max-entries 3".into(), "+OK")];
    let ids = ["$3 1-0", "$3 2-0", "$3 3-0", "$3 4-0", "$3 5-0", "$3 6-0", "$3 7-0", "$3 8-0"];
    table.extend((1..).zip(ids).map(|(id, reply)| (format!("XADD s {id} f v"), reply)));
    let mut say = |line: &str, reply: &'static str| table.push((line.into(), reply));
    say("XGROUP CREATE s g 0", "+OK");
    say("XGROUP CREATE s h 0", "+OK");
    say("XGROUP SETID s g 8", "+OK");
    say("XGROUP SETID s h 4", "+OK");
    say("XCLAIM s g c 0 1 3 7 8 FORCE JUSTID", "*4 $3 1-0 $3 3-0 $3 7-0 $3 8-0");
    // 1, 3, 7 and 8 are pending, and one group was not handed 5 to 8.
    say("XADD s ACKED MAXLEN 4 9 f v", "$3 9-0");
    say("XLEN s", ":7");
    say("XTRIM s ACKED MINID 9", ":0");
    say("XGROUP SETID s h 9", "+OK");
    say("XTRIM s MINID ~ 7 ACKED LIMIT 1", ":0");
    say("XTRIM s MINID ~ 7 ACKED LIMIT 2", ":2");
    say("XLEN s", ":5");
    say("XTRIM s MAXLEN ~ 4 DELREF", ":1");
    say("XPENDING s g", "*4 :3 $3 3-0 $3 8-0 *1 *2 $1 c $1 3");
    say("XADD s DELREF NOMKSTREAM MAXLEN = 1 10 f v", "$4 10-0");
    say("XPENDING s g", "*4 :0 $-1 $-1 *-1");
    say("XTRIM s ACKED MAXLEN 0", ":0");
    say("XGROUP DESTROY s g", ":1");
    say("XGROUP DESTROY s h", ":1");
    say("XTRIM s ACKED MAXLEN 0", ":1");
    say("XADD s KEEPREF 12 f v", "$4 12-0");
    say("XADD s MAXLEN 1 ACKED DELREF 13 f v", "-ERR Invalid stream ID specified as stream command argument");
    say("XADD s ACKED 14", "-ERR wrong number of arguments for 'xadd' command");
    say("XTRIM s ACKED MAXLEN", "-ERR syntax error");
    say("XTRIM s MAXLEN 1 KEEPREF DELREF", "-ERR syntax error");
    say(
        "XTRIM s ACKED MAXLEN 0 LIMIT 1",
        "-ERR syntax error, LIMIT cannot be used without the special ~ option",
    );
    say(
        "XTRIM s ACKED LIMIT 1",
        "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
    );
    check(&table.iter().map(|(line, reply)| (line.as_str(), *reply)).collect::<Vec<_>>());
}

/// What is answered, with times that are long as words.
#[track_caller]
fn steady(desk: &mut Desk, guest: &mut Guest, table: &[(&str, &str)]) {
    for (line, wanted) in table {
        let reply = desk.say(guest, line);
        let word = |word: &str| match word.strip_prefix(':').filter(|digits| digits.len() == 13) {
            Some(_) => ":ever".to_string(),
            None => word.to_string(),
        };
        let reply: Vec<String> = reply.split(' ').map(word).collect();
        assert_eq!(reply.join(" "), *wanted, "{line}");
    }
}

#[test]
fn a_reader_is_handed_what_others_left_lying_before_what_is_new() {
    let mut desk = Desk::new();
    let mut guest = desk.guest();
    steady(
        &mut desk,
        &mut guest,
        &[
            ("XADD s 1 f v", "$3 1-0"),
            ("XADD s 2 f v", "$3 2-0"),
            ("XADD s 3 f v", "$3 3-0"),
            ("XADD s 4 f v", "$3 4-0"),
            ("XGROUP CREATE s g 0", "+OK"),
            // Nothing is pending yet.
            (
                "XREADGROUP GROUP g a COUNT 1 CLAIM 1000 STREAMS s >",
                "*1 *2 $1 s *1 *4 $3 1-0 *2 $1 f $1 v :0 :0",
            ),
            (
                "XREADGROUP GROUP g a COUNT 2 STREAMS s >",
                "*1 *2 $1 s *2 *2 $3 2-0 *2 $1 f $1 v *2 $3 3-0 *2 $1 f $1 v",
            ),
            // The one that was handed over first is claimed first.
            ("XCLAIM s g a 0 2 TIME 9 JUSTID", "*1 $3 2-0"),
            ("XCLAIM s g a 0 1 TIME 10 JUSTID", "*1 $3 1-0"),
            (
                "XREADGROUP GROUP g b CLAIM 1000000 STREAMS s >",
                "*1 *2 $1 s *3 *4 $3 2-0 *2 $1 f $1 v :ever :1 *4 $3 1-0 *2 $1 f $1 v :ever :1 *4 $3 4-0 *2 $1 f $1 v :0 :0",
            ),
            ("XREADGROUP GROUP g b CLAIM 1000000 STREAMS s >", "*-1"),
            ("XPENDING s g", "*4 :4 $3 1-0 $3 4-0 *2 *2 $1 a $1 1 *2 $1 b $1 3"),
            // No more than asked for; who was not there is there; what is claimed is so whatever becomes of what is new.
            ("XCLAIM s g a 0 1 TIME 9 JUSTID", "*1 $3 1-0"),
            ("XCLAIM s g a 0 2 TIME 9 JUSTID", "*1 $3 2-0"),
            ("XADD s 5 f v", "$3 5-0"),
            (
                "XREADGROUP GROUP g new NOACK COUNT 1 CLAIM 1000000 STREAMS s >",
                "*1 *2 $1 s *1 *4 $3 1-0 *2 $1 f $1 v :ever :2",
            ),
            (
                "XREADGROUP GROUP g new NOACK CLAIM 1000000 STREAMS s >",
                "*1 *2 $1 s *2 *4 $3 2-0 *2 $1 f $1 v :ever :2 *4 $3 5-0 *2 $1 f $1 v :0 :0",
            ),
            ("XPENDING s g", "*4 :4 $3 1-0 $3 4-0 *3 *2 $1 a $1 1 *2 $1 b $1 1 *2 $3 new $1 2"),
            // What is gone is passed over, and stays pending.
            ("XCLAIM s g a 0 1 2 TIME 9 JUSTID", "*2 $3 1-0 $3 2-0"),
            ("XDEL s 1", ":1"),
            (
                "XREADGROUP GROUP g b COUNT 1 CLAIM 1000000 STREAMS s >",
                "*1 *2 $1 s *1 *4 $3 2-0 *2 $1 f $1 v :ever :3",
            ),
            ("XREADGROUP GROUP g b CLAIM 1000000 STREAMS s >", "*-1"),
            ("XPENDING s g - + 1", "*1 *4 $3 1-0 $1 a :ever :3"),
            ("XREADGROUP GROUP g b CLAIM 9223372036854775807 STREAMS s >", "*-1"),
        ],
    );
}

#[test]
fn what_is_claimed_is_told_of_each_stream_and_in_a_transaction() {
    let mut desk = Desk::new();
    let mut guest = desk.guest();
    steady(
        &mut desk,
        &mut guest,
        &[
            ("XADD s 1 f v", "$3 1-0"),
            ("XADD t 1 f v", "$3 1-0"),
            ("XADD t 2 f v", "$3 2-0"),
            ("XGROUP CREATE s g $", "+OK"),
            ("XGROUP CREATE t g 1", "+OK"),
            ("XCLAIM s g a 0 1 TIME 9 FORCE JUSTID", "*1 $3 1-0"),
            ("XCLAIM t g a 0 1 TIME 9 FORCE JUSTID", "*1 $3 1-0"),
            ("MULTI", "+OK"),
            ("XREADGROUP GROUP g b BLOCK 0 CLAIM 5000 STREAMS s t > >", "+QUEUED"),
            ("XREADGROUP GROUP g b BLOCK 0 CLAIM 5000 STREAMS s t > >", "+QUEUED"),
            (
                "EXEC",
                "*2 *2 *2 $1 s *1 *4 $3 1-0 *2 $1 f $1 v :ever :1 *2 $1 t *2 *4 $3 1-0 *2 $1 f $1 v :ever :1 *4 $3 2-0 *2 $1 f $1 v :0 :0 *-1",
            ),
            // Who reads what it has claims nothing, there and behind.
            ("XCLAIM s g a 0 1 TIME 9 JUSTID", "*1 $3 1-0"),
            ("XADD t 3 f v", "$3 3-0"),
            (
                "XREADGROUP GROUP g a CLAIM 5000 STREAMS s t 0 >",
                "*2 *2 $1 s *1 *2 $3 1-0 *2 $1 f $1 v *2 $1 t *1 *2 $3 3-0 *2 $1 f $1 v",
            ),
            ("HELLO 3 SETNAME x", desk_hello()),
            ("XADD t 4 f v", "$3 4-0"),
            (
                "XREADGROUP CLAIM 7000 CLAIM 5000 GROUP g a STREAMS t >",
                "%1 $1 t *1 *4 $3 4-0 *2 $1 f $1 v :0 :0",
            ),
        ],
    );
    let not_whole = "-ERR min-idle-time is not an integer or out of range";
    let negative = "-ERR min-idle-time must be a positive integer";
    check(&[
        ("XADD s 1 f v", "$3 1-0"),
        ("XGROUP CREATE s g 0", "+OK"),
        ("XREADGROUP GROUP g a CLAIM x STREAMS s >", not_whole),
        ("XREADGROUP GROUP g a CLAIM 5.5 STREAMS s >", not_whole),
        ("XREADGROUP GROUP g a CLAIM +10 STREAMS s >", not_whole),
        ("XREADGROUP GROUP g a CLAIM -0 STREAMS s >", not_whole),
        ("XREADGROUP GROUP g a CLAIM -10 STREAMS s >", negative),
        ("XREADGROUP GROUP g a CLAIM STREAMS s >", not_whole),
        ("XREADGROUP GROUP g a CLAIM 10 CLAIM COUNT 1 STREAMS s >", not_whole),
        ("XREADGROUP GROUP g CLAIM 50 a STREAMS s >", "-ERR syntax error"),
        (
            "XREADGROUP GROUP no a CLAIM 50 STREAMS s >",
            "-NOGROUP No such key 's' or consumer group 'no' in XREADGROUP with GROUP option",
        ),
        (
            "XREAD COUNT 2 CLAIM 10 STREAMS s 0",
            "-ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.",
        ),
    ]);
}

fn desk_hello() -> &'static str {
    "%7 $6 server $5 redis $7 version $6 7.0.15 $5 proto :3 $2 id :1 $4 mode $10 standalone $4 role $6 master $7 modules *0"
}

#[test]
fn what_is_released_is_nobodys_and_claimed_in_its_turn() {
    let mut desk = Desk::new();
    let mut guest = desk.guest();
    steady(
        &mut desk,
        &mut guest,
        &[
            ("XADD s 1 f v", "$3 1-0"),
            ("XADD s 2 f v", "$3 2-0"),
            ("XADD s 3 f v", "$3 3-0"),
            ("XGROUP CREATE s g 0", "+OK"),
            ("XCLAIM s g a 0 1 2 3 TIME 9 FORCE JUSTID LASTID 3", "*3 $3 1-0 $3 2-0 $3 3-0"),
            ("XNACK s g FAIL IDS 1 3", ":1"),
            ("XNACK s g SILENT IDS 3 9 1 8", ":1"),
            ("XPENDING s g", "*4 :3 $3 1-0 $3 3-0 *1 *2 $1 a $1 1"),
            ("XPENDING s g IDLE 9223372036854775807 - + 9", "*2 *4 $3 1-0 $0  :-1 :0 *4 $3 3-0 $0  :-1 :1"),
            ("XPENDING s g - + 9 a", "*1 *4 $3 2-0 $1 a :ever :1"),
            ("XREADGROUP GROUP g a STREAMS s 0", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 v"),
            (
                "XINFO GROUPS s",
                "*1 *12 $4 name $1 g $9 consumers :1 $7 pending :3 $17 last-delivered-id $3 3-0 $12 entries-read $-1 $3 lag :0",
            ),
            // In the order in which they were released; one that is so again is the last.
            ("XNACK s g FATAL IDS 1 2", ":1"),
            ("XNACK s g FAIL IDS 1 3", ":1"),
            (
                "XREADGROUP GROUP g b COUNT 1 CLAIM 100000 STREAMS s >",
                "*1 *2 $1 s *1 *4 $3 1-0 *2 $1 f $1 v :ever :0",
            ),
            (
                "XREADGROUP GROUP g b COUNT 1 CLAIM 100000 STREAMS s >",
                "*1 *2 $1 s *1 *4 $3 2-0 *2 $1 f $1 v :ever :9223372036854775807",
            ),
            (
                "XREADGROUP GROUP g b COUNT 1 CLAIM 100000 STREAMS s >",
                "*1 *2 $1 s *1 *4 $3 3-0 *2 $1 f $1 v :ever :1",
            ),
            // There is no more than that.
            ("XNACK s g SILENT IDS 1 2", ":1"),
            ("XPENDING s g 2 2 1", "*1 *4 $3 2-0 $0  :-1 :9223372036854775806"),
            // Whoever claims has it, however long ago it was to be touched last.
            ("XNACK s g FAIL RETRYCOUNT 5 IDS 3 1 2 3", ":3"),
            ("XCLAIM s g c 100000 1", "*1 *2 $3 1-0 *2 $1 f $1 v"),
            ("XDEL s 3", ":1"),
            ("XAUTOCLAIM s g d 100000 0", "*3 $3 0-0 *1 *2 $3 2-0 *2 $1 f $1 v *1 $3 3-0"),
            ("XPENDING s g", "*4 :2 $3 1-0 $3 2-0 *2 *2 $1 c $1 1 *2 $1 d $1 1"),
            // A consumer that goes takes along what it has, and no more.
            ("XNACK s g FAIL IDS 1 1", ":1"),
            ("XGROUP DELCONSUMER s g c", ":0"),
            ("XGROUP DELCONSUMER s g d", ":1"),
            ("XPENDING s g", "*4 :1 $3 1-0 $3 1-0 *0"),
            ("XACK s g 1", ":1"),
            ("XPENDING s g", "*4 :0 $-1 $-1 *-1"),
        ],
    );
}

#[test]
fn what_was_never_handed_over_is_released_if_it_is_there() {
    let mut desk = Desk::new();
    let mut guest = desk.guest();
    desk.say(&mut guest, "CONFIG SET stream-node-max-entries 100");
    steady(
        &mut desk,
        &mut guest,
        &[
            ("XADD s 1 f v", "$3 1-0"),
            ("XADD s 2 f v", "$3 2-0"),
            ("XGROUP CREATE s g 0", "+OK"),
            ("XNACK s g FAIL IDS 2 1 9 FORCE", ":1"),
            ("XNACK s g FORCE IDS 1 1 FORCE", "-ERR mode must be SILENT, FAIL, or FATAL"),
            ("XPENDING s g - + 9", "*1 *4 $3 1-0 $0  :-1 :0"),
            (
                "XINFO STREAM s FULL",
                "*18 $6 length :2 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id $3 2-0 $20 max-deleted-entry-id $3 0-0 $13 entries-added :2 $23 recorded-first-entry-id $3 1-0 $7 entries *2 *2 $3 1-0 *2 $1 f $1 v *2 $3 2-0 *2 $1 f $1 v $6 groups *1 *16 $4 name $1 g $17 last-delivered-id $3 0-0 $12 entries-read $-1 $3 lag :2 $9 pel-count :1 $12 nacked-count :1 $7 pending *1 *4 $3 1-0 $0  :0 :0 $9 consumers *0",
            ),
            ("XNACK s g FATAL FORCE RETRYCOUNT 7 IDS 1 2", ":1"),
            ("XNACK s g SILENT IDS 1 1 FORCE", ":1"),
            ("XPENDING s g - + 9", "*2 *4 $3 1-0 $0  :-1 :0 *4 $3 2-0 $0  :-1 :7"),
            // It is new to the group all the same.
            (
                "XREADGROUP GROUP g a COUNT 3 STREAMS s >",
                "*1 *2 $1 s *2 *2 $3 1-0 *2 $1 f $1 v *2 $3 2-0 *2 $1 f $1 v",
            ),
            ("XPENDING s g", "*4 :2 $3 1-0 $3 2-0 *1 *2 $1 a $1 2"),
        ],
    );
    check(&[
        ("XADD s 1 f v", "$3 1-0"),
        ("XGROUP CREATE s g 0", "+OK"),
        ("XNACK s g FAIL IDS 1", "-ERR wrong number of arguments for 'xnack' command"),
        ("XNACK s no FAIL IDS 1 1", "-NOGROUP No such key 's' or consumer group 'no'"),
        ("XNACK no g FAIL IDS 1 1", "-NOGROUP No such key 'no' or consumer group 'g'"),
        ("XNACK s g BAD IDS 1 1", "-ERR mode must be SILENT, FAIL, or FATAL"),
        ("XNACK s g FAIL FATAL IDS 1 1", "-ERR Unrecognized XNACK option 'FATAL'"),
        ("XNACK s g FAIL IDS 1 1 2", "-ERR Unrecognized XNACK option '2'"),
        ("XNACK s g FAIL IDS 1 1 RETRYCOUNT", "-ERR Unrecognized XNACK option 'RETRYCOUNT'"),
        ("XNACK s g SILENT FORCE RETRYCOUNT 5", "-ERR syntax error, expected IDS keyword"),
        ("XNACK s g FAIL IDS abc 1", "-ERR numids must be a positive integer"),
        ("XNACK s g FAIL IDS 0 1", "-ERR numids must be a positive integer"),
        ("XNACK s g FAIL IDS 2 1", "-ERR number of IDs doesn't match numids"),
        ("XNACK s g FAIL IDS 1 x", "-ERR Invalid stream ID specified as stream command argument"),
        ("XNACK s g FAIL IDS 1 1 RETRYCOUNT x", "-ERR value is not an integer or out of range"),
        ("XNACK s g FAIL IDS 1 1 RETRYCOUNT -1", "-ERR Invalid RETRYCOUNT value, must be >= 0"),
        ("XNACK s g FAIL IDS 1 1", ":0"),
        ("SET t 1", "+OK"),
        ("XNACK t g FAIL IDS 1 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

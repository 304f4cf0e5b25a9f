//! Does each command of streams answer as Redis 7.0 does? (The replies were taken from one.)

use super::commands::check;

#[test]
fn entries_are_added_read_and_deleted_by_id() {
    check(&[
        ("XADD s 1-1 a 1 b 2", "$3 1-1"),
        (
            "XADD s 1-1 a 1",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top item",
        ),
        ("XADD s 1-* a 1", "$3 1-2"),
        ("XADD s 1 a 1", "-ERR The ID specified in XADD is equal or smaller than the target stream top item"),
        ("XADD s 0-0 a 1", "-ERR The ID specified in XADD must be greater than 0-0"),
        ("XADD s x a 1", "-ERR Invalid stream ID specified as stream command argument"),
        ("XADD s 2 a", "-ERR wrong number of arguments for 'xadd' command"),
        ("XADD s MAXLEN 1 a", "-ERR Invalid stream ID specified as stream command argument"),
        ("XADD other NOMKSTREAM 1-1 a 1", "$-1"),
        ("XADD s 3-0 c 3", "$3 3-0"),
        ("XLEN s", ":3"),
        ("XLEN other", ":0"),
        ("XRANGE s - +", "*3 *2 $3 1-1 *4 $1 a $1 1 $1 b $1 2 *2 $3 1-2 *2 $1 a $1 1 *2 $3 3-0 *2 $1 c $1 3"),
        ("XRANGE s 1-2 3 COUNT 1", "*1 *2 $3 1-2 *2 $1 a $1 1"),
        ("XRANGE s (1-1 (3-0", "*1 *2 $3 1-2 *2 $1 a $1 1"),
        ("XREVRANGE s + - COUNT 2", "*2 *2 $3 3-0 *2 $1 c $1 3 *2 $3 1-2 *2 $1 a $1 1"),
        ("XRANGE s - + COUNT 0", "*-1"),
        ("XRANGE s - + COUNT", "-ERR syntax error"),
        ("XRANGE s x +", "-ERR Invalid stream ID specified as stream command argument"),
        ("XRANGE s - (0-0", "-ERR invalid end ID for the interval"),
        ("XRANGE s (18446744073709551615-18446744073709551615 +", "-ERR invalid start ID for the interval"),
        ("XRANGE other - +", "*0"),
        ("XDEL s 1-1 1-1 9-9", ":1"),
        ("XDEL s x", "-ERR Invalid stream ID specified as stream command argument"),
        ("XDEL other x", ":0"),
        ("XRANGE s - +", "*2 *2 $3 1-2 *2 $1 a $1 1 *2 $3 3-0 *2 $1 c $1 3"),
        ("XINFO STREAM other", "-ERR no such key"),
        ("TYPE s", "+stream"),
        ("EXISTS s", ":1"),
        ("XDEL s 1-2 3-0", ":2"),
        ("EXISTS s", ":1"),
        ("XADD s 2 a 1", "-ERR The ID specified in XADD is equal or smaller than the target stream top item"),
        ("XADD s 3-* a 1", "$3 3-1"),
        ("DEL s", ":1"),
        ("XADD s 2 a 1", "$3 2-0"),
        ("SET str v", "+OK"),
        ("XADD str * a 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XLEN str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XRANGE str - +", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XTRIM str MAXLEN 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XGROUP CREATE str g 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XREAD STREAMS str 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XINFO STREAM str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn streams_are_kept_short() {
    check(&[
        ("XADD s MAXLEN 2 1 a 1", "$3 1-0"),
        ("XADD s MAXLEN 2 2 a 1", "$3 2-0"),
        ("XADD s MAXLEN = 2 3 a 1", "$3 3-0"),
        ("XLEN s", ":2"),
        ("XADD s MINID 3 4 a 1", "$3 4-0"),
        ("XRANGE s - +", "*2 *2 $3 3-0 *2 $1 a $1 1 *2 $3 4-0 *2 $1 a $1 1"),
        ("XADD s MAXLEN ~ 0 5 a 1", "$3 5-0"),
        ("XLEN s", ":0"),
        ("XTRIM s MAXLEN 1", ":0"),
        ("XTRIM s MINID ~ 9", ":0"),
        ("XTRIM s MINID 9", ":0"),
        ("XLEN s", ":0"),
        ("XADD s * a 1 MAXLEN 2 x", "-ERR wrong number of arguments for 'xadd' command"),
        ("XTRIM s", "-ERR wrong number of arguments for 'xtrim' command"),
        ("XTRIM s COUNT 1", "-ERR syntax error"),
        ("XTRIM s MAXLEN x", "-ERR value is not an integer or out of range"),
        ("XTRIM s MAXLEN -1", "-ERR The MAXLEN argument must be >= 0."),
        ("XTRIM s MINID x", "-ERR Invalid stream ID specified as stream command argument"),
        ("XTRIM s MAXLEN 1 LIMIT 2", "-ERR syntax error, LIMIT cannot be used without the special ~ option"),
        ("XTRIM s LIMIT 2", "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"),
        ("XTRIM s MAXLEN ~ 1 LIMIT -1", "-ERR The LIMIT argument must be >= 0."),
        (
            "XTRIM s MAXLEN 1 MINID 1",
            "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
        ),
        ("XTRIM nothing MAXLEN 1", ":0"),
        ("XADD s MAXLEN 0 6 a 1", "$3 6-0"),
        ("XLEN s", ":0"),
        ("XSETID s 9-9", "+OK"),
        (
            "XADD s 9-9 a 1",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top item",
        ),
        ("XADD s 9-* a 1", "$4 9-10"),
        ("XSETID s 3", "-ERR The ID specified in XSETID is smaller than the target stream top item"),
        ("XSETID s 12 ENTRIESADDED 7 MAXDELETEDID 11", "+OK"),
        (
            "XSETID s 12 ENTRIESADDED 0",
            "-ERR The entries_added specified in XSETID is smaller than the target stream length",
        ),
        ("XSETID s 12 ENTRIESADDED -1", "-ERR entries_added must be positive"),
        (
            "XSETID s 12 MAXDELETEDID 13",
            "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
        ),
        ("XSETID s 12 FOO", "-ERR syntax error"),
        ("XSETID nothing 1", "-ERR no such key"),
    ]);
}

#[test]
fn groups_are_handed_what_is_new_and_what_is_theirs() {
    check(&[
        ("XADD s 1 a 1", "$3 1-0"),
        ("XADD s 2 b 2", "$3 2-0"),
        ("XADD s 3 c 3", "$3 3-0"),
        ("XGROUP CREATE s g 0", "+OK"),
        ("XGROUP CREATE s g 0", "-BUSYGROUP Consumer Group name already exists"),
        (
            "XGROUP CREATE no g 0",
            "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
        ),
        ("XGROUP CREATE new g $ MKSTREAM", "+OK"),
        ("XLEN new", ":0"),
        ("XGROUP CREATE s h x", "-ERR Invalid stream ID specified as stream command argument"),
        ("XGROUP CREATE s h 1-0 ENTRIESREAD -2", "-ERR value for ENTRIESREAD must be positive or -1"),
        (
            "XGROUP CREATE s h 1 FOO",
            "-ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.",
        ),
        ("XREADGROUP GROUP g x COUNT 1 STREAMS s >", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1"),
        ("XREADGROUP GROUP g y COUNT 1 STREAMS s >", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 b $1 2"),
        ("XREADGROUP GROUP g x NOACK STREAMS s >", "*1 *2 $1 s *1 *2 $3 3-0 *2 $1 c $1 3"),
        ("XREADGROUP GROUP g x STREAMS s >", "*-1"),
        ("XREADGROUP GROUP g x STREAMS s 0", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1"),
        ("XREADGROUP GROUP g y STREAMS s 0", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 b $1 2"),
        ("XREADGROUP GROUP g z STREAMS s 0", "*1 *2 $1 s *0"),
        (
            "XREADGROUP GROUP g x STREAMS s $",
            "-ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
        ),
        ("XREADGROUP GROUP g x STREAMS s", "-ERR wrong number of arguments for 'xreadgroup' command"),
        (
            "XREADGROUP GROUP no x STREAMS s >",
            "-NOGROUP No such key 's' or consumer group 'no' in XREADGROUP with GROUP option",
        ),
        (
            "XREADGROUP GROUP g x STREAMS no >",
            "-NOGROUP No such key 'no' or consumer group 'g' in XREADGROUP with GROUP option",
        ),
        ("XREADGROUP COUNT 1 COUNT 1 STREAMS s >", "-ERR Missing GROUP option for XREADGROUP"),
        (
            "XREAD GROUP g x STREAMS s 0",
            "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
        ),
        (
            "XREAD NOACK STREAMS s 0",
            "-ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
        ),
        (
            "XREAD STREAMS s >",
            "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        ),
        ("XREAD STREAMS s 2 new 0", "-ERR Invalid stream ID specified as stream command argument"),
        ("XREAD COUNT 1 STREAMS s 0", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1"),
        ("XREAD STREAMS s $", "*-1"),
        ("XREAD COUNT x STREAMS s 0", "-ERR value is not an integer or out of range"),
        ("XREAD BLOCK x STREAMS s 0", "-ERR timeout is not an integer or out of range"),
        ("XREAD BLOCK -1 STREAMS s 0", "-ERR timeout is negative"),
        (
            "XREAD COUNT 1 STREAMS s new 0",
            "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
        ),
        ("XREAD COUNT 1 s 0", "-ERR syntax error"),
        ("XPENDING s g", "*4 :2 $3 1-0 $3 2-0 *2 *2 $1 x $1 1 *2 $1 y $1 1"),
        ("XPENDING s g - + 10 z", "*0"),
        ("XPENDING s g - + 10 nobody", "*0"),
        ("XPENDING s g - +", "-ERR syntax error"),
        ("XPENDING s g x + 1", "-ERR Invalid stream ID specified as stream command argument"),
        ("XPENDING s no", "-NOGROUP No such key 's' or consumer group 'no'"),
        ("XDEL s 1", ":1"),
        ("XREADGROUP GROUP g x STREAMS s 0", "*1 *2 $1 s *1 *2 $3 1-0 *-1"),
        ("XACK s g 1 1 9", ":1"),
        ("XACK s no 1", ":0"),
        ("XACK no g 1", ":0"),
        ("XACK s g x", "-ERR Invalid stream ID specified as stream command argument"),
        ("XPENDING s g", "*4 :1 $3 2-0 $3 2-0 *1 *2 $1 y $1 1"),
        ("XGROUP CREATECONSUMER s g w", ":1"),
        ("XGROUP CREATECONSUMER s g w", ":0"),
        ("XGROUP CREATECONSUMER s no w", "-NOGROUP No such consumer group 'no' for key name 's'"),
        ("XGROUP DELCONSUMER s g y", ":1"),
        ("XGROUP DELCONSUMER s g y", ":0"),
        ("XPENDING s g", "*4 :0 $-1 $-1 *-1"),
        ("XGROUP SETID s g 0", "+OK"),
        ("XREADGROUP GROUP g x STREAMS s >", "*1 *2 $1 s *2 *2 $3 2-0 *2 $1 b $1 2 *2 $3 3-0 *2 $1 c $1 3"),
        ("XGROUP SETID s no 0", "-NOGROUP No such consumer group 'no' for key name 's'"),
        ("XGROUP SETID s g x", "-ERR Invalid stream ID specified as stream command argument"),
        ("XGROUP DESTROY s g", ":1"),
        ("XGROUP DESTROY s g", ":0"),
        (
            "XGROUP DESTROY no g",
            "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
        ),
        ("XGROUP NOSUCH s g", "-ERR unknown subcommand 'NOSUCH'. Try XGROUP HELP."),
        ("XGROUP", "-ERR wrong number of arguments for 'xgroup' command"),
    ]);
}

#[test]
fn what_is_pending_changes_hands() {
    check(&[
        ("XADD s 1 a 1", "$3 1-0"),
        ("XADD s 2 b 2", "$3 2-0"),
        ("XADD s 3 c 3", "$3 3-0"),
        ("XGROUP CREATE s g 0", "+OK"),
        (
            "XREADGROUP GROUP g x STREAMS s >",
            "*1 *2 $1 s *3 *2 $3 1-0 *2 $1 a $1 1 *2 $3 2-0 *2 $1 b $1 2 *2 $3 3-0 *2 $1 c $1 3",
        ),
        ("XCLAIM s g y 0 1", "*1 *2 $3 1-0 *2 $1 a $1 1"),
        ("XCLAIM s g y 100000 2", "*0"),
        ("XCLAIM s g y 0 2 JUSTID", "*1 $3 2-0"),
        ("XCLAIM s g y 0 2 3 RETRYCOUNT 7 JUSTID", "*2 $3 2-0 $3 3-0"),
        ("XPENDING s g", "*4 :3 $3 1-0 $3 3-0 *1 *2 $1 y $1 3"),
        ("XCLAIM s g y 0 9 FORCE", "*0"),
        ("XCLAIM s g y x 1", "-ERR Invalid min-idle-time argument for XCLAIM"),
        ("XCLAIM s g y 0 1 FOO", "-ERR Unrecognized XCLAIM option 'FOO'"),
        ("XCLAIM s g y 0 1 IDLE x", "-ERR Invalid IDLE option argument for XCLAIM"),
        ("XCLAIM s g y 0 1 TIME x", "-ERR Invalid TIME option argument for XCLAIM"),
        ("XCLAIM s g y 0 1 RETRYCOUNT x", "-ERR Invalid RETRYCOUNT option argument for XCLAIM"),
        ("XCLAIM s g y 0 1 LASTID x", "-ERR Invalid stream ID specified as stream command argument"),
        ("XCLAIM s no y 0 1", "-NOGROUP No such key 's' or consumer group 'no'"),
        ("XACK s g 1", ":1"),
        ("XCLAIM s g z 0 1 FORCE JUSTID", "*1 $3 1-0"),
        ("XDEL s 2", ":1"),
        ("XCLAIM s g z 0 2", "*0"),
        ("XPENDING s g", "*4 :2 $3 1-0 $3 3-0 *2 *2 $1 y $1 1 *2 $1 z $1 1"),
        ("XAUTOCLAIM s g w 0 - COUNT 1", "*3 $3 3-0 *1 *2 $3 1-0 *2 $1 a $1 1 *0"),
        ("XAUTOCLAIM s g w 0 (1 JUSTID", "*3 $3 0-0 *1 $3 3-0 *0"),
        ("XAUTOCLAIM s g w 100000 0", "*3 $3 0-0 *0 *0"),
        ("XDEL s 3", ":1"),
        ("XAUTOCLAIM s g w 0 0", "*3 $3 0-0 *1 *2 $3 1-0 *2 $1 a $1 1 *1 $3 3-0"),
        ("XAUTOCLAIM s g w x 0", "-ERR Invalid min-idle-time argument for XAUTOCLAIM"),
        ("XAUTOCLAIM s g w 0 x", "-ERR Invalid stream ID specified as stream command argument"),
        ("XAUTOCLAIM s g w 0 0 COUNT 0", "-ERR COUNT must be > 0"),
        ("XAUTOCLAIM s g w 0 0 COUNT 1152921504606846976", "-ERR COUNT must be > 0"),
        ("XAUTOCLAIM s g w 0 0 FOO", "-ERR syntax error"),
        ("XAUTOCLAIM s no w 0 0", "-NOGROUP No such key 's' or consumer group 'no'"),
        ("XINFO CONSUMERS s no", "-NOGROUP No such consumer group 'no' for key name 's'"),
        (
            "XINFO GROUPS s",
            "*1 *12 $4 name $1 g $9 consumers :4 $7 pending :1 $17 last-delivered-id $3 3-0 $12 entries-read :3 $3 lag :0",
        ),
        ("XINFO GROUPS no", "-ERR no such key"),
        (
            "XINFO STREAM s BAR",
            "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.",
        ),
        ("XINFO NOSUCH s", "-ERR unknown subcommand 'NOSUCH'. Try XINFO HELP."),
    ]);
}

#[test]
fn what_a_group_has_still_to_read_is_told_where_it_is_known() {
    check(&[
        ("XGROUP CREATE s g $ MKSTREAM", "+OK"),
        (
            "XINFO GROUPS s",
            "*1 *12 $4 name $1 g $9 consumers :0 $7 pending :0 $17 last-delivered-id $3 0-0 $12 entries-read $-1 $3 lag :0",
        ),
        ("XADD s 1 a 1", "$3 1-0"),
        ("XADD s 2 a 1", "$3 2-0"),
        ("XADD s 3 a 1", "$3 3-0"),
        (
            "XINFO GROUPS s",
            "*1 *12 $4 name $1 g $9 consumers :0 $7 pending :0 $17 last-delivered-id $3 0-0 $12 entries-read $-1 $3 lag :3",
        ),
        ("XREADGROUP GROUP g x COUNT 1 STREAMS s >", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1"),
        (
            "XINFO GROUPS s",
            "*1 *12 $4 name $1 g $9 consumers :1 $7 pending :1 $17 last-delivered-id $3 1-0 $12 entries-read :1 $3 lag :2",
        ),
        ("XDEL s 3", ":1"),
        (
            "XINFO GROUPS s",
            "*1 *12 $4 name $1 g $9 consumers :1 $7 pending :1 $17 last-delivered-id $3 1-0 $12 entries-read :1 $3 lag $-1",
        ),
        ("XADD s 4 a 1", "$3 4-0"),
        (
            "XINFO GROUPS s",
            "*1 *12 $4 name $1 g $9 consumers :1 $7 pending :1 $17 last-delivered-id $3 1-0 $12 entries-read :1 $3 lag $-1",
        ),
        ("XREADGROUP GROUP g x STREAMS s >", "*1 *2 $1 s *2 *2 $3 2-0 *2 $1 a $1 1 *2 $3 4-0 *2 $1 a $1 1"),
        (
            "XINFO GROUPS s",
            "*1 *12 $4 name $1 g $9 consumers :1 $7 pending :3 $17 last-delivered-id $3 4-0 $12 entries-read :4 $3 lag :0",
        ),
        ("XTRIM s MAXLEN 0", ":3"),
        (
            "XINFO GROUPS s",
            "*1 *12 $4 name $1 g $9 consumers :1 $7 pending :3 $17 last-delivered-id $3 4-0 $12 entries-read :4 $3 lag :0",
        ),
        ("XGROUP CREATE s h 2", "+OK"),
        (
            "XINFO GROUPS s",
            "*2 *12 $4 name $1 g $9 consumers :1 $7 pending :3 $17 last-delivered-id $3 4-0 $12 entries-read :4 $3 lag :0 *12 $4 name $1 h $9 consumers :0 $7 pending :0 $17 last-delivered-id $3 2-0 $12 entries-read $-1 $3 lag :0",
        ),
    ]);
}

#[test]
fn in_a_transaction_nobody_waits() {
    check(&[
        ("XGROUP CREATE s g $ MKSTREAM", "+OK"),
        ("MULTI", "+OK"),
        ("XREAD BLOCK 0 STREAMS s $", "+QUEUED"),
        ("XREADGROUP GROUP g x BLOCK 0 STREAMS s >", "+QUEUED"),
        ("XADD s 1 a 1", "+QUEUED"),
        ("XREADGROUP GROUP g x BLOCK 0 STREAMS s >", "+QUEUED"),
        ("XLEN s", "+QUEUED"),
        ("EXEC", "*5 *-1 *-1 $3 1-0 *1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1 :1"),
    ]);
}

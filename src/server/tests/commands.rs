//! Does each command answer as Redis 7.0 does? (The replies were taken from one.)

use super::desk::Desk;

#[track_caller]
pub(super) fn check(table: &[(&str, &str)]) {
    let mut desk = Desk::new();
    let mut guest = desk.guest();
    for (line, wanted) in table {
        assert_eq!(desk.say(&mut guest, line), *wanted, "{line}");
    }
}

#[test]
fn a_connection_says_who_it_is() {
    check(&[
        ("PING", "+PONG"),
        ("ping hello", "$5 hello"),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command"),
        ("ECHO hi", "$2 hi"),
        ("ECHO", "-ERR wrong number of arguments for 'echo' command"),
        ("CLIENT ID", ":1"),
        ("CLIENT GETNAME", "$-1"),
        ("CLIENT SETNAME alice", "+OK"),
        ("CLIENT GETNAME", "$5 alice"),
        (
            "CLIENT SETNAME \"a b\"",
            "-ERR Client names cannot contain spaces, newlines or special characters.",
        ),
        ("CLIENT SETINFO LIB-NAME redis-py", "+OK"),
        ("CLIENT SETINFO LIB-AGE 3", "-ERR Unrecognized option 'lib-age'"),
        ("CLIENT NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP."),
        ("SELECT 9", "+OK"),
        ("SELECT 16", "-ERR DB index is out of range"),
        ("SELECT x", "-ERR value is not an integer or out of range"),
        ("NOSUCH a b", "-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b'"),
        ("HELLO 4", "-NOPROTO unsupported protocol version"),
        ("HELLO x", "-ERR Protocol version is not an integer or out of range"),
        ("HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'"),
        (
            "HELLO 3",
            "%7 $6 server $5 redis $7 version $6 7.0.15 $5 proto :3 $2 id :1 $4 mode $10 standalone $4 role $6 master $7 modules *0",
        ),
        ("GET nothing", "_"),
        ("RESET", "+RESET"),
        ("GET nothing", "$-1"),
        ("QUIT", "+OK"),
    ]);
}

/// Once for each key, before what was done to it.
#[test]
fn a_key_that_was_not_there_is_told_as_new() {
    let mut desk = Desk::new();
    let (mut one, mut listener) = (desk.guest(), desk.guest());
    desk.say(&mut one, "CONFIG SET notify-keyspace-events EAn");
    desk.say(&mut listener, "PSUBSCRIBE *");
    for line in ["SET a 1", "SET a 2", "XADD s 1 f v", "XADD s 2 f v", "RENAME a b"] {
        desk.say(&mut one, line);
    }
    let heard = Desk::heard(&listener);
    let events: Vec<&str> =
        heard.split(' ').filter_map(|word| word.strip_prefix("__keyevent@0__:")).collect();
    assert_eq!(events, ["new", "set", "set", "new", "xadd", "xadd", "new", "rename_from", "rename_to"]);
}

/// A key that somebody changed, in whatever way, ends the transaction before it begins; one's own changes do too.
#[test]
fn a_transaction_is_not_run_once_a_watched_key_has_changed() {
    for (change, ends) in [
        ("SET a 1", true),
        ("DEL a", true),
        ("RENAME b a", true),
        ("RENAME a b", true),
        ("FLUSHALL", true),
        ("XADD a * f v", false),
        ("GET a", false),
        ("SET c 1", false),
        ("LPUSH a x", false),
        ("XREADGROUP GROUP g x STREAMS s >", false),
    ] {
        let mut desk = Desk::new();
        let (mut one, mut other) = (desk.guest(), desk.guest());
        desk.say(&mut one, "SET a 0");
        desk.say(&mut one, "SET b 0");
        desk.say(&mut one, "XADD s 1 f v");
        desk.say(&mut one, "XGROUP CREATE s g 0");
        assert_eq!(desk.say(&mut one, "WATCH a d"), "+OK");
        // Wrong types change nothing.
        desk.say(&mut other, change);
        desk.say(&mut one, "MULTI");
        assert_eq!(desk.say(&mut one, "WATCH b"), "-ERR WATCH inside MULTI is not allowed");
        desk.say(&mut one, "SET e 1");
        assert_eq!(desk.say(&mut one, "EXEC"), if ends { "*-1" } else { "*1 +OK" }, "{change}");
        // It was for that one transaction.
        desk.say(&mut other, "SET a 5");
        assert_eq!(desk.say(&mut one, "MULTI"), "+OK");
        assert_eq!(desk.say(&mut one, "EXEC"), "*0");
    }
}

#[test]
fn watching_ends_when_it_is_told_to() {
    for end in ["UNWATCH", "RESET", "MULTI\r\nDISCARD"] {
        let mut desk = Desk::new();
        let mut guest = desk.guest();
        desk.say(&mut guest, "WATCH a");
        desk.say(&mut guest, end);
        assert!(desk.world.watched.is_empty());
        desk.say(&mut guest, "SET a 1");
        desk.say(&mut guest, "MULTI");
        assert_eq!(desk.say(&mut guest, "EXEC"), "*0", "{end}");
    }
    // A stream's own changes count, and so does the end of a key's time.
    let mut desk = Desk::new();
    let mut guest = desk.guest();
    desk.say(&mut guest, "XADD s 1 f v");
    desk.say(&mut guest, "XGROUP CREATE s g 0");
    for change in
        ["XADD s 2 f v", "XREADGROUP GROUP g a STREAMS s >", "XACK s g 1", "XDEL s 1", "PEXPIRE s -1"]
    {
        desk.say(&mut guest, "WATCH s");
        desk.say(&mut guest, change);
        desk.say(&mut guest, "MULTI");
        assert_eq!(desk.say(&mut guest, "EXEC"), "*-1", "{change}");
    }
}

#[test]
fn a_password_is_asked_for_and_nothing_is_told_before() {
    let mut desk = Desk::new();
    desk.world.config.password = Some(b"secret".to_vec());
    let mut guest = desk.guest();
    for (line, wanted) in [
        ("PING", "-NOAUTH Authentication required."),
        ("GET a", "-NOAUTH Authentication required."),
        ("AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled."),
        ("AUTH nobody secret", "-WRONGPASS invalid username-password pair or user is disabled."),
        ("HELLO 2 AUTH default wrong", "-WRONGPASS invalid username-password pair or user is disabled."),
        ("AUTH secret", "+OK"),
        ("PING", "+PONG"),
        ("RESET", "+RESET"),
        ("PING", "-NOAUTH Authentication required."),
        ("AUTH default secret", "+OK"),
    ] {
        assert_eq!(desk.say(&mut guest, line), wanted, "{line}");
    }
    let mut other = desk.guest();
    assert!(desk.say(&mut other, "HELLO 3").starts_with("-NOAUTH HELLO must be called"));
    assert!(desk.say(&mut other, "HELLO 3 AUTH default secret").starts_with("%7"));
}

#[test]
fn values_of_the_other_types_are_kept() {
    check(&[
        ("SET a 1", "+OK"),
        ("SET a 2 NX", "$-1"),
        ("SET a 2 XX GET", "$1 1"),
        ("GET a", "$1 2"),
        ("INCR a", ":3"),
        ("INCR list", ":1"),
        ("TYPE a", "+string"),
        ("LPUSH l b a", ":2"),
        ("RPUSH l c", ":3"),
        ("LRANGE l 0 -1", "*3 $1 a $1 b $1 c"),
        ("LRANGE l -2 5", "*2 $1 b $1 c"),
        ("RPOP l", "$1 c"),
        ("LPOP l", "$1 a"),
        ("LLEN l", ":1"),
        ("GET l", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("LPUSH a x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SADD s x y x", ":2"),
        ("SADD s y z", ":1"),
        ("SREM s q", ":0"),
        ("SREM s x y z", ":3"),
        ("EXISTS s", ":0"),
        ("ZADD z 1 a 2.5 b", ":2"),
        ("ZADD z x a", "-ERR value is not a valid float"),
        ("ZCARD z", ":2"),
        ("ZREM z a", ":1"),
        ("HSET h f 1 g 2", ":2"),
        ("HINCRBY h f 9", ":10"),
        ("HGETALL h", "*4 $1 f $2 10 $1 g $1 2"),
        ("HGET h nothing", "$-1"),
        ("HSET h f", "-ERR wrong number of arguments for 'hset' command"),
        ("EXISTS a l z h a", ":5"),
        ("DEL a l nothing", ":2"),
        ("DBSIZE", ":3"),
        ("RENAME z y", "+OK"),
        ("RENAME z y", "-ERR no such key"),
        ("RENAMENX y h", ":0"),
        ("KEYS ?", "*2 $1 h $1 y"),
        ("SCAN 0 COUNT 2", "*2 $1 1 *2 $1 h $4 list"),
        ("SCAN 1", "*2 $1 0 *1 $1 y"),
        ("SCAN 2", "-ERR invalid cursor"),
        ("SCAN 0 TYPE hash", "*2 $1 0 *1 $1 h"),
        ("SCAN x", "-ERR invalid cursor"),
        ("FLUSHALL", "+OK"),
        ("DBSIZE", ":0"),
    ]);
}

#[test]
fn keys_have_their_time() {
    check(&[
        ("SET a 1 EX 100", "+OK"),
        ("TTL a", ":100"),
        ("PERSIST a", ":1"),
        ("TTL a", ":-1"),
        ("PERSIST a", ":0"),
        ("EXPIRE a 50", ":1"),
        ("SET a 2 KEEPTTL", "+OK"),
        ("TTL a", ":50"),
        ("SET a 3", "+OK"),
        ("TTL a", ":-1"),
        ("EXPIRE a -1", ":1"),
        ("TTL a", ":-2"),
        ("EXPIRE a 1", ":0"),
        ("PSETEX a 0 x", "-ERR invalid expire time in 'psetex' command"),
        ("SET a 1 EX 0", "-ERR invalid expire time in 'set' command"),
        ("EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
        ("SETEX a 1 x", "+OK"),
    ]);
}

#[test]
fn a_transaction_is_done_as_one_or_not_at_all() {
    check(&[
        ("EXEC", "-ERR EXEC without MULTI"),
        ("DISCARD", "-ERR DISCARD without MULTI"),
        ("MULTI", "+OK"),
        ("MULTI", "-ERR MULTI calls can not be nested"),
        ("SET a 1", "+QUEUED"),
        ("INCR a", "+QUEUED"),
        ("LPUSH a x", "+QUEUED"),
        ("EXEC", "*3 +OK :2 -WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("MULTI", "+OK"),
        ("SET a 9", "+QUEUED"),
        ("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with:"),
        ("EXEC", "-EXECABORT Transaction discarded because of previous errors."),
        ("GET a", "$1 2"),
        ("MULTI", "+OK"),
        ("DISCARD", "+OK"),
    ]);
}

#[test]
fn settings_and_counts_are_told() {
    check(&[
        ("CONFIG SET maxclients 12 timeout 5", "+OK"),
        ("CONFIG GET maxcli* timeout", "*4 $10 maxclients $2 12 $7 timeout $1 5"),
        (
            "CONFIG SET timeout 6 maxclients x",
            "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument couldn't be parsed into an integer",
        ),
        ("CONFIG GET timeout", "*2 $7 timeout $1 5"),
        ("CONFIG SET nosuch 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'"),
        ("CONFIG RESETSTAT", "+OK"),
        ("COMMAND INFO get nosuch", "*2 *6 $3 get :2 *2 +readonly +fast :1 :1 :1 $-1"),
        ("FUNCTION FLUSH", "+OK"),
    ]);
    let mut desk = Desk::new();
    let mut guest = desk.guest();
    desk.say(&mut guest, "SET a 1\r\nGET a\r\nLPUSH a\r\nLPUSH a x");
    let info = desk.say(&mut guest, "INFO everything");
    for line in [
        "connected_clients:1",
        "cmdstat_get:calls=1,",
        "rejected_calls=1,failed_calls=1",
        "errorstat_ERR:count=1",
        "errorstat_WRONGTYPE:count=1",
        "total_error_replies:2",
        "db0:keys=1,expires=0,avg_ttl=0",
        "loading:0",
    ] {
        assert!(info.contains(line), "{line} in {info}");
    }
}

/// What one client listens to, another one sends.
#[test]
fn channels_carry_messages_to_who_listens() {
    let mut desk = Desk::new();
    let (mut one, mut two) = (desk.guest(), desk.guest());
    assert_eq!(desk.say(&mut one, "SUBSCRIBE a b"), "*3 $9 subscribe $1 a :1 *3 $9 subscribe $1 b :2");
    assert_eq!(desk.say(&mut one, "PSUBSCRIBE a*"), "*3 $10 psubscribe $2 a* :3");
    assert_eq!(desk.say(&mut two, "PUBLISH a hi"), ":2");
    assert_eq!(Desk::heard(&one), "*3 $7 message $1 a $2 hi *4 $8 pmessage $2 a* $1 a $2 hi");
    assert_eq!(desk.say(&mut one, "PING"), "*2 $4 pong $0");
    let refused = desk.say(&mut one, "GET a");
    assert!(refused.starts_with("-ERR Can't execute 'get': only (P|S)SUBSCRIBE"), "{refused}");
    assert_eq!(desk.say(&mut two, "PUBSUB NUMSUB a b c"), "*6 $1 a :1 $1 b :1 $1 c :0");
    assert_eq!(desk.say(&mut two, "PUBSUB NUMPAT"), ":1");
    assert_eq!(desk.say(&mut two, "PUBSUB CHANNELS b*"), "*1 $1 b");
    let left = "*3 $11 unsubscribe $1 a :2 *3 $11 unsubscribe $1 b :1";
    assert_eq!(desk.say(&mut one, "UNSUBSCRIBE"), left);
    assert_eq!(desk.say(&mut one, "PUNSUBSCRIBE"), "*3 $12 punsubscribe $2 a* :0");
    assert_eq!(desk.say(&mut one, "UNSUBSCRIBE"), "*3 $11 unsubscribe $-1 :0");
    assert_eq!(desk.say(&mut one, "PING"), "+PONG");
    // In RESP3 a listener may do anything else.
    desk.say(&mut two, "HELLO 3");
    assert_eq!(desk.say(&mut two, "SUBSCRIBE a"), ">3 $9 subscribe $1 a :1");
    assert_eq!(desk.say(&mut two, "GET a"), "_");
    assert_eq!(desk.say(&mut one, "PUBLISH a x"), ":1");
    assert_eq!(Desk::heard(&two), ">3 $7 message $1 a $1 x");
}

#[test]
fn replies_can_be_turned_off_and_pushes_come_all_the_same() {
    check(&[
        ("CLIENT REPLY OFF", ""),
        ("SET a 1", ""),
        ("NOSUCH", ""),
        ("SUBSCRIBE c", "*3 $9 subscribe $1 c :1"),
        ("UNSUBSCRIBE c", "*3 $11 unsubscribe $1 c :0"),
        ("CLIENT REPLY ON", "+OK"),
        ("CLIENT REPLY SKIP", ""),
        ("GET a", ""),
        ("GET a", "$1 1"),
        ("CLIENT REPLY MAYBE", "-ERR syntax error"),
    ]);
}

#[test]
fn changes_of_keys_are_told_to_who_asked() {
    let mut desk = Desk::new();
    let (mut one, mut two) = (desk.guest(), desk.guest());
    desk.say(&mut one, "CONFIG SET notify-keyspace-events KEA\r\nPSUBSCRIBE __key*");
    desk.say(&mut two, "SELECT 3\r\nSET a 1");
    let told = "*4 $8 pmessage $6 __key* $16 __keyspace@3__:a $3 set *4 $8 pmessage $6 __key* $18 __keyevent@3__:set $1 a";
    assert_eq!(Desk::heard(&one), told);
    desk.say(&mut two, "CONFIG SET notify-keyspace-events Kg\r\nSET b 1");
    assert_eq!(Desk::heard(&one), "");
    desk.say(&mut two, "DEL b nothing");
    assert_eq!(Desk::heard(&one), "*4 $8 pmessage $6 __key* $16 __keyspace@3__:b $3 del");
}

#[test]
fn where_there_is_no_memory_nothing_more_is_taken_and_keys_can_go() {
    let mut desk = Desk::new();
    let mut guest = desk.guest();
    desk.say(&mut guest, "SET a 1\r\nCONFIG SET maxmemory 1");
    assert_eq!(desk.say(&mut guest, "SET b 1"), "-OOM command not allowed when used memory > 'maxmemory'.");
    assert_eq!(desk.say(&mut guest, "GET a"), "$1 1");
    assert_eq!(desk.say(&mut guest, "CONFIG SET maxmemory-policy allkeys-lru"), "+OK");
    assert_eq!(desk.say(&mut guest, "DBSIZE"), ":0");
    assert_eq!(desk.say(&mut guest, "CONFIG SET maxmemory 0\r\nSET b 1"), "+OK +OK");
}

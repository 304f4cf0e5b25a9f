//! Does what seldom happens go as in Redis 7.0 too, and can nobody hold up the others? (The replies were taken from one.)

use std::time::Duration;

use super::commands::check;
use super::desk::Desk;
use crate::server::client::Doom;
use crate::server::keys::Value;

#[test]
fn a_client_may_quit_in_the_middle_of_a_transaction() {
    check(&[("MULTI", "+OK"), ("SET a 1", "+QUEUED"), ("QUIT", "+OK")]);
}

#[test]
fn a_transaction_whose_end_is_refused_is_gone() {
    check(&[
        ("MULTI", "+OK"),
        (
            "EXEC now",
            "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
        ),
        ("EXEC", "-ERR EXEC without MULTI"),
        ("CONFIG SET requirepass secret", "+OK"),
        ("RESET", "+RESET"),
        ("EXEC", "-EXECABORT Transaction discarded because of: NOAUTH Authentication required."),
    ]);
}

#[test]
fn a_transaction_is_refused_where_there_is_no_memory_left_by_then() {
    let mut desk = Desk::new();
    let (mut one, mut other) = (desk.guest(), desk.guest());
    for line in ["MULTI", "GET a", "SET a 1"] {
        desk.say(&mut one, line);
    }
    desk.say(&mut other, &format!("SET b {}", "x".repeat(1000)));
    desk.say(&mut other, "CONFIG SET maxmemory 100");
    assert_eq!(
        desk.say(&mut one, "EXEC"),
        "-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'."
    );
    assert_eq!(desk.say(&mut one, "EXEC"), "-ERR EXEC without MULTI");
    for line in ["MULTI", "GET a"] {
        desk.say(&mut one, line);
    }
    assert_eq!(desk.say(&mut one, "EXEC"), "*1 $-1");
}

#[test]
fn a_transaction_speaks_what_it_asks_for_from_there_on() {
    let mut desk = Desk::new();
    let mut guest = desk.guest();
    for line in ["MULTI", "GET a", "HELLO 3", "GET a"] {
        desk.say(&mut guest, line);
    }
    let answer = desk.say(&mut guest, "EXEC");
    assert!(answer.starts_with("*3 $-1 %7 ") && answer.ends_with(" _"), "{answer}");
}

#[test]
fn who_wants_no_replies_is_not_told_what_is_queued() {
    check(&[
        ("CLIENT REPLY OFF", ""),
        ("MULTI", ""),
        ("SET a 1", ""),
        ("EXEC", ""),
        ("CLIENT REPLY ON", "+OK"),
        ("MULTI", "+OK"),
        ("GET a", "+QUEUED"),
        ("EXEC", "*1 $1 1"),
    ]);
}

/// Any page can let a browser post to a port of this machine.
#[test]
fn a_browser_is_sent_away_before_what_it_posts_is_read() {
    for (before, line) in [("", "POST / HTTP/1.1"), ("GET / HTTP/1.1", "host: 127.0.0.1:6379")] {
        let mut desk = Desk::new();
        let mut guest = desk.guest();
        desk.say(&mut guest, before);
        assert_eq!((desk.say(&mut guest, line).as_str(), guest.quits()), ("", true), "{line}");
    }
}

#[test]
fn clients_are_of_a_kind() {
    let mut desk = Desk::new();
    let (mut one, mut two) = (desk.guest(), desk.guest());
    desk.say(&mut two, "SUBSCRIBE news");
    assert!(desk.say(&mut one, "CLIENT LIST TYPE pubsub").contains(" id=2 "));
    assert!(!desk.say(&mut one, "CLIENT LIST TYPE normal").contains(" id=2 "));
    for (line, wanted) in [
        ("CLIENT LIST TYPE master", "$0"),
        ("CLIENT KILL TYPE replica", ":0"),
        ("CLIENT KILL TYPE somebody", "-ERR Unknown client type 'somebody'"),
        ("CLIENT KILL TYPE normal", ":0"),
        ("CLIENT KILL TYPE pubsub", ":1"),
    ] {
        assert_eq!(desk.say(&mut one, line), wanted, "{line}");
    }
    assert_eq!((one.doomed(), two.doomed()), (None, Some(Doom::Killed)));
}

/// Most who scan delete what they find.
#[test]
fn a_scan_finds_all_keys_though_those_it_found_go() {
    let mut desk = Desk::new();
    let mut guest = desk.guest();
    for key in 0..100 {
        desk.say(&mut guest, &format!("SET key{key} x"));
    }
    let mut cursor = "0".to_string();
    loop {
        let answer = desk.say(&mut guest, &format!("SCAN {cursor}"));
        let mut words = answer.split(' ').skip(2).map(str::to_string);
        cursor = words.next().unwrap();
        let keys: Vec<String> = words.filter(|word| word.starts_with("key")).collect();
        desk.say(&mut guest, &format!("DEL none {}", keys.join(" ")));
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(desk.say(&mut guest, "DBSIZE"), ":0");
}

#[test]
fn ends_of_keys_have_conditions_and_limits() {
    check(&[
        ("SET a 1", "+OK"),
        ("EXPIRE a 100 XX", ":0"),
        ("EXPIRE a 100 GT", ":0"),
        ("EXPIRE a 100 NX", ":1"),
        ("EXPIRE a 200 NX", ":0"),
        ("EXPIRE a 50 GT", ":0"),
        ("EXPIRE a 50 LT", ":1"),
        ("EXPIRE a 100 LT", ":0"),
        ("EXPIRE a 100 XX GT", ":1"),
        ("TTL a", ":100"),
        ("EXPIRE a 1 FOO", "-ERR Unsupported option FOO"),
        ("EXPIRE a 1 NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible"),
        ("EXPIRE a 1 GT LT", "-ERR GT and LT options at the same time are not compatible"),
        ("PEXPIRE a 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"),
        ("SET a 1 PX 9223372036854775807", "-ERR invalid expire time in 'set' command"),
        ("SET a 1 PX 1125899906842624", "+OK"),
        ("SET a 1 EXAT 99999999999", "+OK"),
        ("SET a 1 PXAT 1", "+OK"),
        ("GET a", "$-1"),
    ]);
}

#[test]
fn several_values_are_taken_from_a_list_at_once() {
    check(&[
        ("RPUSH l a b c d", ":4"),
        ("LPOP l 2", "*2 $1 a $1 b"),
        ("RPOP l 0", "*0"),
        ("LPOP l -1", "-ERR value is out of range, must be positive"),
        ("LPOP l 1 1", "-ERR wrong number of arguments for 'lpop' command"),
        ("RPOP l 9", "*2 $1 d $1 c"),
        ("LPOP l 1", "*-1"),
        ("EXISTS l", ":0"),
    ]);
}

#[test]
fn a_score_that_stays_is_no_change() {
    let mut desk = Desk::new();
    let (mut one, mut two) = (desk.guest(), desk.guest());
    desk.say(&mut one, "CONFIG SET notify-keyspace-events Kz");
    desk.say(&mut two, "PSUBSCRIBE *");
    for score in [1, 1, 2] {
        desk.say(&mut one, &format!("ZADD z {score} m"));
    }
    assert_eq!(Desk::heard(&two).matches("zadd").count(), 2);
}

#[test]
fn what_is_set_twice_at_once_is_refused() {
    check(&[
        (
            "CONFIG SET timeout 1 timeout 2",
            "-ERR CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter",
        ),
        ("CONFIG GET timeout", "*2 $7 timeout $1 0"),
        ("COMMAND INFO nosuch", "*1 $-1"),
        ("SELECT 2147483648", "-ERR value is out of range, value must between -2147483648 and 2147483647"),
    ]);
}

/// As Redis answers where it is no cluster.
#[test]
fn channels_of_shards_are_channels_of_their_own() {
    let mut desk = Desk::new();
    let (mut one, mut two) = (desk.guest(), desk.guest());
    let table = [
        (0, "SSUBSCRIBE a b", "*3 $10 ssubscribe $1 a :1 *3 $10 ssubscribe $1 b :2"),
        (0, "SUBSCRIBE c", "*3 $9 subscribe $1 c :1"),
        (1, "SPUBLISH a hi", ":1"),
        (1, "PUBLISH a hi", ":0"),
        (1, "PUBSUB SHARDCHANNELS", "*2 $1 a $1 b"),
        (1, "PUBSUB CHANNELS", "*1 $1 c"),
        (1, "PUBSUB SHARDNUMSUB a x", "*4 $1 a :1 $1 x :0"),
        (0, "SUNSUBSCRIBE a", "*3 $12 sunsubscribe $1 a :1"),
        (0, "UNSUBSCRIBE", "*3 $11 unsubscribe $1 c :0"),
        (0, "SUNSUBSCRIBE", "*3 $12 sunsubscribe $1 b :0"),
        (0, "SUNSUBSCRIBE", "*3 $12 sunsubscribe $-1 :0"),
        (0, "GET a", "$-1"),
        (0, "MULTI", "+OK"),
        (0, "SSUBSCRIBE a", "+QUEUED"),
        (0, "EXEC", "*1 -ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"),
    ];
    for (who, line, wanted) in table {
        let guest = if who == 0 { &mut one } else { &mut two };
        assert_eq!(desk.say(guest, line), wanted, "{line}");
    }
    assert_eq!(Desk::heard(&one), "*3 $8 smessage $1 a $2 hi");
}

/// While one command is run, nobody else's is.
#[test]
fn watching_many_keys_takes_no_time_to_speak_of() {
    let mut desk = Desk::new();
    let mut guest = desk.guest();
    let start = desk.now();
    for some in 0..20 {
        let keys: Vec<String> = (0..1000).map(|key| format!("{some}-{key}")).collect();
        assert_eq!(desk.say(&mut guest, &format!("WATCH {}", keys.join(" "))), "+OK");
    }
    let took = desk.now().since(start);
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_client_watches_no_more_keys_than_it_may() {
    let mut desk = Desk::new();
    let mut guest = desk.guest();
    for some in 0..100 {
        let keys: Vec<String> = (0..1000).map(|key| format!("{some}-{key}")).collect();
        assert_eq!(desk.say(&mut guest, &format!("WATCH {}", keys.join(" "))), "+OK");
    }
    assert_eq!(desk.say(&mut guest, "WATCH more"), "-ERR a client can't watch more than 100000 keys");
    assert_eq!(desk.say(&mut guest, "UNWATCH\r\nWATCH more"), "+OK +OK");
}

/// Twelve bytes of a transaction may ask for megabytes.
#[test]
fn a_transaction_with_too_large_an_answer_is_run_and_its_client_is_sent_away() {
    let mut desk = Desk::new();
    let mut guest = desk.guest();
    desk.world.keys.set(0, b"large", Value::String(vec![b'x'; 300 << 20]), None);
    desk.say(&mut guest, "MULTI");
    for _ in 0..4 {
        desk.say(&mut guest, "GET large");
    }
    desk.say(&mut guest, "SET done yes");
    assert_eq!(desk.say(&mut guest, "EXEC"), "+OK");
    assert_eq!(guest.doomed(), Some(Doom::Greedy));
    let mut other = desk.guest();
    assert_eq!(desk.say(&mut other, "GET done"), "$3 yes");
}

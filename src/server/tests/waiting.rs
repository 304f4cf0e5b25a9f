//! Do clients that wait for a stream get what comes, in the order in which they came, and nothing else? On one thread, so that
//! what is written first is heard first.

use std::time::Duration;

use futures::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::LocalExecutor;

use super::sessions::{Pipe, Place};

/// A client at the other end of a session's pipe.
pub(super) struct Guest(Pipe);

impl Guest {
    fn new<'a>(place: &'a Place, executor: &LocalExecutor<'a>) -> Guest {
        let (session, _, other) = place.session(1 << 16);
        executor.spawn(session.run()).detach();
        Guest(other)
    }

    pub(super) async fn say(&mut self, line: &str) {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    }

    /// Reads what was wanted; ends of line are shown as blanks.
    pub(super) async fn hears(&mut self, wanted: &str) {
        let mut heard = vec![0; wanted.len() + wanted.matches(' ').count() + 2];
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", " ").trim_end().to_string();
        let mut read = 0;
        while read < heard.len() && text(&heard[..read]) != wanted {
            match self.0.read(&mut heard[read..read + 1]).await.unwrap() {
                0 => break,
                _ => read += 1,
            }
            if !wanted.starts_with(&text(&heard[..read])) {
                break;
            }
        }
        assert_eq!(text(&heard[..read]), wanted);
        // The end of its line.
        if !heard[..read].ends_with(b"\r\n") {
            let mut rest = [0; 2];
            let from = 2 - usize::from(heard[..read].ends_with(b"\r"));
            self.0.read_exact(&mut rest[..from]).await.unwrap();
        }
    }

    /// Reads what was claimed: behind `wanted` comes for how long it was left lying, and then how often it was handed over.
    async fn hears_claimed(&mut self, wanted: &str, count: &str) {
        self.hears(wanted).await;
        let (mut idle, mut byte) = (String::new(), [0]);
        while !idle.ends_with("\r\n") {
            self.0.read_exact(&mut byte).await.unwrap();
            idle.push(char::from(byte[0]));
        }
        assert!(idle.starts_with(':'), "{idle}");
        self.hears(count).await;
    }

    pub(super) async fn asks(&mut self, line: &str, wanted: &str) {
        self.say(line).await;
        self.hears(wanted).await;
    }
}

/// Runs with a place that has so many guests.
pub(super) fn with<const N: usize>(run: impl AsyncFnOnce(&Place, [Guest; N])) {
    let place = Place::new();
    let executor = LocalExecutor::new();
    let guests = std::array::from_fn(|_| Guest::new(&place, &executor));
    smol::block_on(executor.run(run(&place, guests)));
}

pub(super) async fn until_waiting(place: &Place, many: usize) {
    while place.shared.world().waiting.len() != many {
        smol::future::yield_now().await;
    }
}

#[test]
fn whoever_has_waited_longest_is_served_first() {
    with::<3>(async |place, [mut a, mut b, mut writer]| {
        writer.asks("XGROUP CREATE s g $ MKSTREAM", "+OK").await;
        a.say("XREADGROUP GROUP g a COUNT 1 BLOCK 0 STREAMS s >").await;
        until_waiting(place, 1).await;
        b.say("XREADGROUP GROUP g b BLOCK 0 STREAMS other s > >").await;
        // It has no such group, and waits for nothing.
        b.hears("-NOGROUP No such key 'other' or consumer group 'g' in XREADGROUP with GROUP option").await;
        b.say("XREADGROUP GROUP g b BLOCK 0 STREAMS s >").await;
        until_waiting(place, 2).await;
        writer.asks("XADD s 1 f v", "$3 1-0").await;
        a.hears("*1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $1 v").await;
        assert_eq!(place.shared.world().waiting.len(), 1);
        writer.asks("XADD s 2 f w", "$3 2-0").await;
        b.hears("*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 w").await;
        writer.asks("XPENDING s g", "*4 :2 $3 1-0 $3 2-0 *2 *2 $1 a $1 1 *2 $1 b $1 1").await;
    });
}

#[test]
fn all_that_came_in_one_transaction_is_one_answer() {
    with::<3>(async |place, [mut a, mut b, mut writer]| {
        a.say("XREAD BLOCK 0 STREAMS s $").await;
        until_waiting(place, 1).await;
        b.say("XREAD COUNT 1 BLOCK 0 STREAMS t s $ $").await;
        until_waiting(place, 2).await;
        writer.asks("MULTI", "+OK").await;
        for n in 1..4 {
            writer.asks(&format!("XADD s {n} f v"), "+QUEUED").await;
        }
        writer.asks("XDEL s 2", "+QUEUED").await;
        writer.asks("EXEC", "*4 $3 1-0 $3 2-0 $3 3-0 :1").await;
        a.hears("*1 *2 $1 s *2 *2 $3 1-0 *2 $1 f $1 v *2 $3 3-0 *2 $1 f $1 v").await;
        b.hears("*1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $1 v").await;
        assert_eq!(place.shared.world().waiting.len(), 0);
    });
}

#[test]
fn what_is_gone_again_at_the_end_of_a_transaction_wakes_nobody() {
    with::<2>(async |place, [mut a, mut writer]| {
        a.say("XREAD BLOCK 0 STREAMS s $").await;
        until_waiting(place, 1).await;
        writer.asks("MULTI", "+OK").await;
        writer.asks("XADD s 1 f v", "+QUEUED").await;
        writer.asks("DEL s", "+QUEUED").await;
        writer.asks("LPUSH s x", "+QUEUED").await;
        writer.asks("EXEC", "*3 $3 1-0 :1 :1").await;
        writer.asks("DEL s", ":1").await;
        writer.asks("XADD s 2 f v", "$3 2-0").await;
        a.hears("*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 v").await;
    });
}

/// The stream, or the group, that it waits for will not come back.
#[test]
fn a_consumer_hears_that_its_group_is_gone() {
    let gone = "-NOGROUP the consumer group this client was blocked on no longer exists";
    let no_key = "-UNBLOCKED the stream key no longer exists";
    let ways = [
        ("XGROUP DESTROY s g", ":1", gone),
        ("DEL s", ":1", no_key),
        ("SET s x", "+OK", no_key),
        ("FLUSHALL", "+OK", no_key),
        ("RENAME s t", "+OK", no_key),
        ("RENAME u s", "+OK", gone),
    ];
    for (way, answer, error) in ways {
        with::<2>(async |place, [mut a, mut writer]| {
            writer.asks("XGROUP CREATE s g $ MKSTREAM", "+OK").await;
            writer.asks("XADD u 1 f v", "$3 1-0").await;
            a.say("XREADGROUP GROUP g a BLOCK 0 STREAMS s >").await;
            until_waiting(place, 1).await;
            writer.asks(way, answer).await;
            a.hears(error).await;
            // And it goes on.
            a.asks("PING", "+PONG").await;
        });
    }
}

#[test]
fn whose_time_is_over_gets_nothing_and_what_it_sent_behind_is_answered_then() {
    with::<1>(async |place, [mut a]| {
        a.say("XREAD BLOCK 20 STREAMS s $\r\nPING").await;
        a.hears("*-1").await;
        a.hears("+PONG").await;
        a.asks("HELLO 3", &hello_of(1)).await;
        a.asks("XREAD BLOCK 1 STREAMS s 0", "_").await;
        assert_eq!(place.shared.world().waiting.len(), 0);
    });
}

#[test]
fn others_may_end_its_waiting() {
    with::<2>(async |place, [mut a, mut other]| {
        a.asks("CLIENT ID", ":1").await;
        for (unblock, wanted) in [
            ("CLIENT UNBLOCK 1", "*-1"),
            ("CLIENT UNBLOCK 1 TIMEOUT", "*-1"),
            ("CLIENT UNBLOCK 1 ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
        ] {
            a.say("XREAD BLOCK 0 STREAMS s $").await;
            until_waiting(place, 1).await;
            other.asks(unblock, ":1").await;
            a.hears(wanted).await;
            other.asks(unblock, ":0").await;
        }
        other.asks("CLIENT UNBLOCK 1 NOW", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR").await;
    });
}

/// Whoever goes while it waits is forgotten, and what comes then is the next one's.
#[test]
fn a_client_that_goes_while_it_waits_takes_nothing_along() {
    with::<3>(async |place, [mut a, mut b, mut writer]| {
        writer.asks("XGROUP CREATE s g $ MKSTREAM", "+OK").await;
        a.say("XREADGROUP GROUP g a BLOCK 0 STREAMS s >\r\nPING").await;
        until_waiting(place, 1).await;
        b.say("XREADGROUP GROUP g b BLOCK 0 STREAMS s >").await;
        until_waiting(place, 2).await;
        drop(a);
        until_waiting(place, 1).await;
        writer.asks("XADD s 1 f v", "$3 1-0").await;
        b.hears("*1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $1 v").await;
    });
}

/// Pub/Sub goes on while a client of the newer protocol waits; and its own pipeline waits behind.
#[test]
fn what_others_push_comes_while_it_waits() {
    with::<2>(async |place, [mut a, mut writer]| {
        a.asks("HELLO 3", &hello_of(1)).await;
        a.asks("SUBSCRIBE c", ">3 $9 subscribe $1 c :1").await;
        a.say("XREAD BLOCK 0 STREAMS s $\r\nPING").await;
        until_waiting(place, 1).await;
        writer.asks("PUBLISH c hi", ":1").await;
        a.hears(">3 $7 message $1 c $2 hi").await;
        writer.asks("XADD s 1 f v", "$3 1-0").await;
        a.hears("%1 $1 s *1 *2 $3 1-0 *2 $1 f $1 v").await;
        a.hears("+PONG").await;
    });
}

fn hello_of(id: u64) -> String {
    format!(
        "%7 $6 server $5 redis $7 version $6 7.0.15 $5 proto :3 $2 id :{id} $4 mode $10 standalone $4 role $6 master $7 modules *0"
    )
}

/// A server that stops lets nobody wait.
#[test]
fn a_session_that_is_to_end_ends_while_it_waits() {
    let place = Place::new();
    let (session, client, mut other) = place.session(1 << 10);
    let run = futures::future::join(session.run(), async {
        other.write_all(b"XREAD BLOCK 0 STREAMS s $\r\n").await.unwrap();
        until_waiting(&place, 1).await;
        client.doom(crate::server::client::Doom::Stopping);
    });
    smol::block_on(futures::future::select(
        std::pin::pin!(run),
        std::pin::pin!(async {
            smol::Timer::after(Duration::from_secs(20)).await;
            panic!("it waits still");
        }),
    ));
    assert_eq!(place.shared.world().waiting.len(), 0);
}

#[test]
fn who_waits_for_several_streams_gets_the_one_that_came_first() {
    with::<2>(async |place, [mut a, mut writer]| {
        a.say("XREAD BLOCK 0 STREAMS s t $ $").await;
        until_waiting(place, 1).await;
        writer.asks("MULTI", "+OK").await;
        writer.asks("XADD t 1 f v", "+QUEUED").await;
        writer.asks("XADD s 1 f v", "+QUEUED").await;
        writer.asks("EXEC", "*2 $3 1-0 $3 1-0").await;
        a.hears("*1 *2 $1 t *1 *2 $3 1-0 *2 $1 f $1 v").await;
    });
}

/// Not to hand what comes to somebody who is not there.
#[test]
fn one_that_goes_while_it_waits_is_gone_whatever_it_has_sent_behind() {
    with::<2>(async |place, [mut a, mut b]| {
        let behind = "PING\r\n".repeat(20_000);
        a.say(&format!("XREAD BLOCK 0 STREAMS s $\r\n{behind}")).await;
        until_waiting(place, 1).await;
        drop(a);
        until_waiting(place, 0).await;
        // And what one that stays has sent is answered.
        b.say(&format!("XREAD BLOCK 20 STREAMS s $\r\n{behind}ECHO end")).await;
        b.hears("*-1").await;
        for _ in 0..20_000 {
            b.hears("+PONG").await;
        }
        b.hears("$3 end").await;
    });
}

/// Of what is handed over and left lying, a client that waits to claim is told when it may, by nobody but its own clock.
#[test]
fn who_waits_to_claim_is_handed_what_is_left_lying_once_it_is() {
    with::<4>(async |place, [mut a, mut b, mut c, mut writer]| {
        writer.asks("XADD s 1 f v", "$3 1-0").await;
        writer.asks("XGROUP CREATE s g 0", "+OK").await;
        a.asks("XREADGROUP GROUP g a STREAMS s >", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $1 v").await;
        // The one who has waited longest is served, as soon as any may be: the next one may not, then.
        let rt = place.shared.rt();
        let began = rt.now();
        b.say("XREADGROUP GROUP g b BLOCK 0 CLAIM 60 STREAMS s >").await;
        until_waiting(place, 1).await;
        c.say("XREADGROUP GROUP g c BLOCK 400 CLAIM 60 STREAMS s other > >\r\nPING").await;
        c.hears("-NOGROUP No such key 'other' or consumer group 'g' in XREADGROUP with GROUP option").await;
        c.hears("+PONG").await;
        c.say("XREADGROUP GROUP g c BLOCK 5000 CLAIM 100 STREAMS s >").await;
        until_waiting(place, 2).await;
        b.hears_claimed("*1 *2 $1 s *1 *4 $3 1-0 *2 $1 f $1 v", ":1").await;
        assert!(rt.now().since(began) >= Duration::from_millis(55));
        c.hears_claimed("*1 *2 $1 s *1 *4 $3 1-0 *2 $1 f $1 v", ":2").await;
        assert!(rt.now().since(began) >= Duration::from_millis(155));
        writer.asks("XPENDING s g", "*4 :1 $3 1-0 $3 1-0 *1 *2 $1 c $1 1").await;
        // What comes meanwhile is handed over at once, and who has no time left goes without.
        b.say("XREADGROUP GROUP g b BLOCK 0 CLAIM 100000 STREAMS s >").await;
        until_waiting(place, 1).await;
        a.asks("XREADGROUP GROUP g a BLOCK 30 CLAIM 100000 STREAMS s >", "*-1").await;
        writer.asks("XADD s 2 f v", "$3 2-0").await;
        b.hears("*1 *2 $1 s *1 *4 $3 2-0 *2 $1 f $1 v :0 :0").await;
    });
}

#[test]
fn who_waits_to_claim_hears_of_what_is_pending_only_since() {
    with::<3>(async |place, [mut a, mut b, mut writer]| {
        writer.asks("XADD s 1 f v", "$3 1-0").await;
        writer.asks("XGROUP CREATE s g $", "+OK").await;
        b.say("XREADGROUP GROUP g b BLOCK 0 CLAIM 20 STREAMS s >").await;
        until_waiting(place, 1).await;
        a.asks("XCLAIM s g a 0 1 FORCE JUSTID", "*1 $3 1-0").await;
        b.hears_claimed("*1 *2 $1 s *1 *4 $3 1-0 *2 $1 f $1 v", ":1").await;
    });
}

#[test]
fn what_is_released_is_handed_to_who_waits_to_claim_and_to_nobody_else() {
    with::<4>(async |place, [mut a, mut b, mut c, mut writer]| {
        writer.asks("XADD s 1 f v", "$3 1-0").await;
        writer.asks("XGROUP CREATE s g 0", "+OK").await;
        a.asks("XREADGROUP GROUP g a STREAMS s >", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $1 v").await;
        c.say("XREADGROUP GROUP g c BLOCK 0 STREAMS s >").await;
        until_waiting(place, 1).await;
        b.say("XREADGROUP GROUP g b BLOCK 0 CLAIM 100000 STREAMS s >").await;
        until_waiting(place, 2).await;
        a.asks("XNACK s g FAIL IDS 1 1", ":1").await;
        b.hears_claimed("*1 *2 $1 s *1 *4 $3 1-0 *2 $1 f $1 v", ":1").await;
        assert_eq!(place.shared.world().waiting.len(), 1);
        writer.asks("XPENDING s g", "*4 :1 $3 1-0 $3 1-0 *1 *2 $1 b $1 1").await;
        writer.asks("XADD s 2 f v", "$3 2-0").await;
        c.hears("*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 v").await;
    });
}

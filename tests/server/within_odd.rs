//! Is what is consumed from within the process in one pair of hands, whatever is asked for that nobody should ask for?

use std::pin::pin;
use std::time::Duration;

use callboard::server::{Reply, ServedConsumer, ServedDelivery, ServedError, ServedStream};
use futures::future::{Either, ready, select};
use futures::{FutureExt as _, StreamExt as _};

use super::kept::TempDir;
use super::{LIMIT, builder, on_both};

/// What this module tests has nothing to do with time.
const EVER: Duration = Duration::MAX;

async fn consumer(stream: &ServedStream, name: &str) -> ServedConsumer {
    stream.group("g").claim_after(EVER).prefetch(1).consumer(name).await.unwrap()
}

async fn next(consumer: &mut ServedConsumer) -> ServedDelivery {
    consumer.next().await.unwrap().unwrap()
}

#[test]
fn all_is_no_more_than_there_is_and_ever_has_no_end() {
    on_both(async || {
        let server = builder().serve().await.unwrap();
        let stream = server.stream("s");
        let id = stream.publish(&[("f", "v")]).await.unwrap();
        let group = stream.group("g").claim_after(Duration::MAX).prefetch(usize::MAX);
        let mut one = group.consumer("one").await.unwrap();
        assert_eq!(next(&mut one).await.id(), id);
        assert!(one.next().now_or_never().is_some(), "it was dropped, and comes again");
        assert!(one.next().now_or_never().is_some());
        assert_eq!(stream.browse(None, usize::MAX).await.unwrap().len(), 1);
        assert_eq!(stream.browse(None, 0).await.unwrap().len(), 0);
    });
}

/// By then it is in new hands, which the protocol can't tell from the old ones: a consumer of the same name, for the first time.
#[test]
fn who_gave_it_back_does_not_take_it_from_who_has_it_next() {
    on_both(async || {
        let dir = TempDir::new();
        let server = builder().data(&dir.0).serve().await.unwrap();
        let stream = server.stream("s");
        stream.publish(&[("f", "v")]).await.unwrap();
        let mut one = consumer(&stream, "one").await;
        let mut release = Box::pin(next(&mut one).await.release());
        assert!((&mut release).now_or_never().is_none(), "it waits for the disk");
        let again = next(&mut one).await;
        assert_eq!(again.attempt(), 1);
        drop(release);
        assert_eq!(again.ack().await, Ok(()));
        server.stop(LIMIT).await;
    });
}

/// `XNACK .. FATAL` counts as if it had been tried as often as can be.
#[test]
fn what_is_said_to_be_fatal_is_yielded_with_as_many_attempts_as_there_can_be() {
    on_both(async || {
        let server = builder().serve().await.unwrap();
        let stream = server.stream("s");
        let id = stream.publish(&[("f", "v")]).await.unwrap();
        let mut one = consumer(&stream, "one").await;
        let held = next(&mut one).await;
        let fatal = ["XNACK", "s", "g", "FATAL", "IDS", "1", &id.to_string()].map(str::to_owned);
        assert_eq!(server.command(fatal).await, Ok(Reply::Number(1)));
        assert_eq!(held.ack().await, Err(ServedError::Lost));
        let again = one.next().now_or_never().expect("it is at hand").unwrap().unwrap();
        assert_eq!((again.id(), again.attempt()), (id, i64::MAX.cast_unsigned()));
        again.dead_letter("it was fatal").await.unwrap();
        assert!(one.next().now_or_never().is_none());
    });
}

#[test]
fn a_server_that_stops_does_not_wait_for_who_asks_no_more() {
    on_both(async || {
        let server = builder().serve().await.unwrap();
        let mut one = consumer(&server.stream("s"), "one").await;
        assert!(one.next().now_or_never().is_none());
        assert_eq!(server.stop(LIMIT).await.cut_off, 0);
        assert_eq!(one.next().await.unwrap().unwrap_err(), ServedError::Closed);
        assert!(one.next().await.is_none());
    });
}

#[test]
fn who_is_killed_ends_and_who_is_unblocked_goes_on() {
    on_both(async || {
        let server = builder().serve().await.unwrap();
        let stream = server.stream("s");
        let mut one = consumer(&stream, "one").await;
        let client = async || match server.command(["CLIENT", "LIST"]).await.unwrap() {
            Reply::Bytes(line) => {
                let line = String::from_utf8(line).unwrap();
                line.trim_start_matches("id=").split(' ').next().unwrap().to_owned()
            }
            other => panic!("{other:?}"),
        };
        assert!(one.next().now_or_never().is_none());
        let unblocked = server.command(["CLIENT", "UNBLOCK", &client().await]).await;
        assert_eq!(unblocked, Ok(Reply::Number(1)));
        assert!(one.next().now_or_never().is_none());
        // It is answered, and killed before it has heard that: what it was handed goes to others.
        let killed = client().await;
        stream.publish(&[("f", "v")]).await.unwrap();
        assert_eq!(server.command(["CLIENT", "KILL", "ID", &killed]).await, Ok(Reply::Number(1)));
        assert_eq!(one.next().await.unwrap().unwrap_err(), ServedError::Closed);
        assert!(one.next().await.is_none());
        let mut two = consumer(&stream, "two").await;
        assert_eq!(next(&mut two).await.attempt(), 1);
    });
}

#[test]
fn what_is_held_of_a_stream_that_goes_is_lost_and_nobody_hangs() {
    on_both(async || {
        let server = builder().serve().await.unwrap();
        let ways: [&[&str]; 5] = [
            &["DEL", "s"],
            &["FLUSHALL"],
            &["RENAME", "s", "other"],
            &["XGROUP", "DELCONSUMER", "s", "g", "one"],
            &["SET", "s", "a value"],
        ];
        for way in ways {
            server.command(["DEL", "s"]).await.unwrap();
            let stream = server.stream("s");
            let mut one = consumer(&stream, "one").await;
            let mut two = consumer(&stream, "two").await;
            stream.publish(&[("f", "v")]).await.unwrap();
            let held = next(&mut one).await;
            assert!(two.next().now_or_never().is_none());
            server.command(way).await.unwrap();
            assert_eq!(held.extend().await, Err(ServedError::Lost), "{way:?}");
            assert_eq!(held.ack().await, Err(ServedError::Lost), "{way:?}");
            if way[0] != "XGROUP" {
                assert!(matches!(two.next().await.unwrap(), Err(ServedError::Refused { .. })), "{way:?}");
                assert!(two.next().await.is_none());
            }
        }
        assert_eq!(server.command(["CLIENT", "LIST"]).await, Ok(Reply::Bytes(Vec::new())));
    });
}

#[test]
fn what_is_read_again_from_the_disk_is_in_the_same_hands() {
    on_both(async || {
        let dir = TempDir::new();
        let server = builder().data(&dir.0).serve().await.unwrap();
        let stream = server.stream("s");
        let (mut one, mut two) = (consumer(&stream, "one").await, consumer(&stream, "two").await);
        stream.publish(&[("f", "v")]).await.unwrap();
        next(&mut one).await.nack().await.unwrap();
        let held = next(&mut one).await;
        assert!(two.next().now_or_never().is_none());
        for how in ["RELOAD", "LOADAOF"] {
            server.command(["DEBUG", how]).await.unwrap();
            assert_eq!(held.extend().await, Ok(()), "{how}");
        }
        assert_eq!(held.attempt(), 2);
        held.nack().await.unwrap();
        let again = next(&mut two).await;
        assert_eq!(again.attempt(), 3);
        again.ack().await.unwrap();
        server.stop(LIMIT).await;
    });
}

#[test]
fn a_server_that_is_dropped_ends_who_waits_and_who_holds() {
    on_both(async || {
        let server = builder().serve().await.unwrap();
        let stream = server.stream("s");
        let (mut one, mut two) = (consumer(&stream, "one").await, consumer(&stream, "two").await);
        stream.publish(&[("f", "v")]).await.unwrap();
        let held = next(&mut one).await;
        assert!(two.next().now_or_never().is_none());
        drop(server);
        assert_eq!(two.next().await.unwrap().unwrap_err(), ServedError::Closed);
        assert_eq!(held.ack().await, Err(ServedError::Closed));
        assert_eq!(one.next().await.unwrap().unwrap_err(), ServedError::Closed);
        assert!(one.next().await.is_none() && two.next().await.is_none());
        assert_eq!(stream.publish(&[("f", "v")]).await, Err(ServedError::Closed));
    });
}

/// It can be acked as long as nobody claims it, as by a client.
#[test]
fn what_is_held_of_an_entry_that_is_deleted_is_acked_or_lost() {
    on_both(async || {
        let server = builder().serve().await.unwrap();
        let stream = server.stream("s");
        let mut one = stream.group("g").consumer("one").await.unwrap();
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(stream.publish(&[("f", "v")]).await.unwrap().to_string());
        }
        let held = [next(&mut one).await, next(&mut one).await];
        for id in &ids {
            assert_eq!(server.command(["XDEL", "s", id]).await, Ok(Reply::Number(1)));
        }
        let [first, second] = held;
        assert_eq!(first.ack().await, Ok(()));
        assert_eq!(second.extend().await, Err(ServedError::Lost));
        assert_eq!(second.ack().await, Err(ServedError::Lost));
        // Fetched before, and still in this consumer's hands.
        next(&mut one).await.ack().await.unwrap();
        let left = server.command(["XPENDING", "s", "g", "-", "+", "9"]).await;
        assert_eq!(left, Ok(Reply::List(Vec::new())));
    });
}

/// By `XCLAIM`, in whichever way that counts, and in the name of the consumer that has it.
#[test]
fn who_was_not_claimed_from_has_it_still_and_else_has_not() {
    on_both(async || {
        let server = builder().serve().await.unwrap();
        let stream = server.stream("s");
        let mut one = consumer(&stream, "one").await;
        let ways: [(&[&str], bool); 6] = [
            (&["XCLAIM", "s", "g", "one", "0", "ID"], false),
            (&["XCLAIM", "s", "g", "one", "0", "ID", "JUSTID"], true),
            (&["XCLAIM", "s", "g", "one", "0", "ID", "RETRYCOUNT", "9"], false),
            (&["XCLAIM", "s", "g", "other", "0", "ID", "JUSTID"], false),
            (&["XAUTOCLAIM", "s", "g", "other", "0", "-"], false),
            (&["XREADGROUP", "GROUP", "g", "one", "STREAMS", "s", "0"], false),
        ];
        for (way, holds) in ways {
            let id = stream.publish(&[("f", "v")]).await.unwrap().to_string();
            let held = next(&mut one).await;
            let way = way.iter().map(|arg| if *arg == "ID" { id.clone() } else { (*arg).to_owned() });
            let way: Vec<String> = way.collect();
            server.command(&way).await.unwrap();
            let wanted = if holds { Ok(()) } else { Err(ServedError::Lost) };
            assert_eq!(held.ack().await, wanted, "{way:?}");
            // Whoever has it now is not let go of by who had it.
            let pending = server.command(["XPENDING", "s", "g", "-", "+", "9"]).await.unwrap();
            let Reply::List(pending) = pending else { panic!("it is a list") };
            assert_eq!(pending.len(), usize::from(!holds), "{way:?}");
            server.command(["XACK", "s", "g", &id]).await.unwrap();
        }
        assert!(one.next().now_or_never().is_none());
    });
}

/// In memory nothing of it has to wait.
#[test]
fn who_consumes_what_has_gathered_lets_others_have_a_turn() {
    on_both(async || {
        let server = builder().serve().await.unwrap();
        let stream = server.stream("s");
        for _ in 0..1000 {
            stream.publish(&[("f", "v")]).await.unwrap();
        }
        let mut one = stream.group("g").consumer("one").await.unwrap();
        let all = pin!(async {
            for _ in 0..1000 {
                next(&mut one).await.ack().await.unwrap();
            }
        });
        let Either::Right(((), all)) = select(all, ready(())).await else { panic!("nobody had a turn") };
        all.await;
    });
}

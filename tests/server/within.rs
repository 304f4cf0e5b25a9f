//! Do clients and the process that the server runs in see what the other publishes, each entry once, and nothing lost?

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use callboard::broker::{MessageId, Start};
use callboard::server::{Reply, ServedConsumer, ServedDelivery, ServedError, ServedStream, Serving};
use futures::future::{BoxFuture, join};
use futures::{FutureExt as _, StreamExt as _};

use super::kept::TempDir;
use super::{Client, LIMIT, builder, on_both};

/// What this module tests has nothing to do with time, unless it says so.
const EVER: Duration = Duration::from_secs(3600);

async fn serve() -> Serving {
    builder().serve().await.unwrap()
}

async fn consumer(stream: &ServedStream, name: &str) -> ServedConsumer {
    stream.group("g").claim_after(EVER).consumer(name).await.unwrap()
}

async fn next(consumer: &mut ServedConsumer) -> ServedDelivery {
    consumer.next().await.unwrap().unwrap()
}

/// The field that tests here use.
fn text(delivery: &ServedDelivery) -> String {
    String::from_utf8(delivery.field("f").unwrap().to_vec()).unwrap()
}

fn refusal(error: ServedError) -> String {
    match error {
        ServedError::Refused { reply } => reply,
        other => panic!("{other:?}"),
    }
}

/// How many are pending.
async fn pending(server: &Serving) -> Reply {
    match server.command(["XPENDING", "s", "g"]).await.unwrap() {
        Reply::List(mut summary) => summary.swap_remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn clients_and_the_process_see_what_the_other_publishes() {
    on_both(async || {
        let server = serve().await;
        let mut client = Client::connect(&server).await;
        let stream = server.stream("s");
        client.say("XADD s 5-1 f one f two g \"\"\r\n", "$3\r\n5-1\r\n").await;
        let mut here = consumer(&stream, "here").await;
        let one = next(&mut here).await;
        assert_eq!((one.id(), one.attempt()), (MessageId::from_parts(5, 1), 1));
        let fields = [("f", "one"), ("f", "two"), ("g", "")];
        let fields = fields.map(|(field, value)| (field.as_bytes().to_vec(), value.as_bytes().to_vec()));
        assert_eq!(one.fields(), fields);
        one.ack().await.unwrap();
        assert_eq!(pending(&server).await, Reply::Number(0));
        // One that waits is told, whoever publishes.
        let (two, ()) = join(next(&mut here), client.say("XADD s 5-2 f two\r\n", "$3\r\n5-2\r\n")).await;
        assert_eq!(text(&two), "two");
        two.ack().await.unwrap();
        drop(here);
        let id = stream.publish(&[("f", "three")]).await.unwrap();
        let (id, len) = (id.to_string(), id.to_string().len());
        let entry = format!("*2\r\n${len}\r\n{id}\r\n*2\r\n$1\r\nf\r\n$5\r\nthree\r\n");
        let read = format!("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n{entry}");
        client.say("XREADGROUP GROUP g there STREAMS s >\r\n", &read).await;
        assert_eq!(stream.browse(None, 2).await.unwrap().len(), 2);
        let behind = stream.browse(Some(MessageId::from_parts(5, 2)), 9).await.unwrap();
        assert_eq!((behind.len(), behind[0].field("f")), (1, Some(&b"three"[..])));
        assert_eq!(server.stop(LIMIT).await.cut_off, 0);
    });
}

#[test]
fn what_is_not_acked_comes_again_with_its_attempts_counted() {
    on_both(async || {
        let server = serve().await;
        let stream = server.stream("s");
        stream.publish(&[("f", "one")]).await.unwrap();
        let mut one = consumer(&stream, "one").await;
        let mut two = consumer(&stream, "two").await;
        next(&mut one).await.nack().await.unwrap();
        let again = next(&mut two).await;
        assert_eq!((text(&again).as_str(), again.attempt()), ("one", 2));
        // This one does not count, and one that is dropped does.
        again.release().await.unwrap();
        let again = next(&mut one).await;
        assert_eq!(again.attempt(), 2);
        drop(again);
        let again = next(&mut two).await;
        assert_eq!(again.attempt(), 3);
        again.ack().await.unwrap();
        assert_eq!(pending(&server).await, Reply::Number(0));
        assert!(one.next().now_or_never().is_none() && two.next().now_or_never().is_none());
    });
}

#[test]
fn what_was_fetched_and_not_yielded_goes_back_at_no_cost() {
    on_both(async || {
        let server = serve().await;
        let stream = server.stream("s");
        for text in ["one", "two", "three"] {
            stream.publish(&[("f", text)]).await.unwrap();
        }
        let mut one = consumer(&stream, "one").await;
        let held = next(&mut one).await;
        let mut two = consumer(&stream, "two").await;
        assert!(two.next().now_or_never().is_none(), "one consumer has all of them");
        drop(one);
        for text_wanted in ["two", "three"] {
            let delivery = next(&mut two).await;
            assert_eq!((text(&delivery).as_str(), delivery.attempt()), (text_wanted, 1));
            delivery.ack().await.unwrap();
        }
        // In whose hands one is has its own time.
        held.ack().await.unwrap();
        assert_eq!(pending(&server).await, Reply::Number(0));
    });
}

/// It is answered when somebody publishes, and goes before it has heard that.
#[test]
fn what_was_answered_and_not_heard_goes_back_at_no_cost() {
    on_both(async || {
        let server = serve().await;
        let stream = server.stream("s");
        let mut one = consumer(&stream, "one").await;
        assert!(one.next().now_or_never().is_none());
        stream.publish(&[("f", "unheard")]).await.unwrap();
        assert_eq!(pending(&server).await, Reply::Number(1));
        drop(one);
        let mut two = consumer(&stream, "two").await;
        let delivery = next(&mut two).await;
        assert_eq!((text(&delivery).as_str(), delivery.attempt()), ("unheard", 1));
    });
}

#[test]
fn who_waits_no_more_is_no_client_any_more() {
    on_both(async || {
        let server = builder().max_clients(2).serve().await.unwrap();
        let mut one = consumer(&server.stream("s"), "one").await;
        // Nor does it lose what comes later that its future was dropped.
        for _ in 0..3 {
            assert!(one.next().now_or_never().is_none());
        }
        let clients = || async { server.command(["CLIENT", "LIST"]).await.unwrap() };
        let lines = |reply: Reply| match reply {
            Reply::Bytes(lines) => lines.iter().filter(|byte| **byte == b'\n').count(),
            other => panic!("{other:?}"),
        };
        assert_eq!(lines(clients().await), 1);
        drop(one);
        assert_eq!(lines(clients().await), 0);
    });
}

#[test]
fn a_delivery_that_others_have_by_now_is_theirs() {
    on_both(async || {
        let server = serve().await;
        let stream = server.stream("s");
        for text in ["one", "two", "three", "four"] {
            stream.publish(&[("f", text)]).await.unwrap();
        }
        let mut here = consumer(&stream, "here").await;
        let [one, two] = [next(&mut here).await, next(&mut here).await];
        let third = stream.browse(Some(two.id()), 1).await.unwrap().remove(0).id();
        let ids = [one.id(), two.id(), third].map(|id| id.to_string());
        let claim = ["XCLAIM", "s", "g", "thief", "0"].into_iter().chain(ids.iter().map(String::as_str));
        server.command(claim).await.unwrap();
        assert_eq!(two.extend().await, Err(ServedError::Lost));
        assert_eq!(one.ack().await, Err(ServedError::Lost));
        assert_eq!(two.dead_letter("late").await, Err(ServedError::Lost));
        // The third was fetched, and is not yielded any more.
        let four = next(&mut here).await;
        assert_eq!(text(&four), "four");
        drop((four, here));
        let theirs = server.command(["XPENDING", "s", "g", "-", "+", "9", "thief"]).await.unwrap();
        assert!(matches!(theirs, Reply::List(three) if three.len() == 3));
        assert_eq!(server.command(["EXISTS", "s.g.dead"]).await, Ok(Reply::Number(0)));
    });
}

#[test]
fn what_a_consumer_leaves_lying_is_claimed() {
    on_both(async || {
        let server = serve().await;
        let stream = server.stream("s");
        stream.publish(&[("f", "one")]).await.unwrap();
        let lying = next(&mut consumer(&stream, "one").await).await;
        // At once, for this one.
        let mut two = stream.group("g").claim_after(Duration::ZERO).consumer("two").await.unwrap();
        let claimed = next(&mut two).await;
        assert_eq!((text(&claimed).as_str(), claimed.attempt()), ("one", 2));
        claimed.ack().await.unwrap();
        assert_eq!(lying.nack().await, Err(ServedError::Lost));
        assert_eq!(pending(&server).await, Reply::Number(0));
    });
}

#[test]
fn what_is_given_up_is_in_a_stream_of_its_own() {
    on_both(async || {
        let server = serve().await;
        let stream = server.stream("s");
        let id = stream.publish(&[("f", "poison")]).await.unwrap();
        let mut here = consumer(&stream, "here").await;
        next(&mut here).await.dead_letter("no cure").await.unwrap();
        assert_eq!(pending(&server).await, Reply::Number(0));
        let dead = server.stream("s.g.dead").browse(None, 9).await.unwrap();
        let told = [("f", "poison"), ("dead.reason", "no cure"), ("dead.attempts", "1")];
        assert!(told.iter().all(|(field, value)| dead[0].field(field) == Some(value.as_bytes())), "{dead:?}");
        assert_eq!(dead[0].field("dead.id"), Some(id.to_string().as_bytes()));
        // What has no place there stays with its group.
        server.command(["SET", "t.g.dead", "in the way"]).await.unwrap();
        let other = server.stream("t");
        other.publish(&[("f", "poison")]).await.unwrap();
        let mut there = consumer(&other, "there").await;
        let error = next(&mut there).await.dead_letter("no cure").await.unwrap_err();
        assert!(refusal(error).starts_with("WRONGTYPE"));
        assert_eq!(next(&mut there).await.attempt(), 2);
    });
}

#[test]
fn groups_begin_where_they_are_told() {
    on_both(async || {
        let server = serve().await;
        let stream = server.stream("s");
        for id in ["5-1", "5-2", "6-0"] {
            server.command(["XADD", "s", id, "f", id]).await.unwrap();
        }
        let starts = [
            (Start::Earliest, Some("5-1")),
            (Start::After(MessageId::from_parts(5, 1)), Some("5-2")),
            (Start::UnixMillis(5), Some("5-1")),
            (Start::UnixMillis(6), Some("6-0")),
            (Start::UnixMillis(0), Some("5-1")),
            (Start::Latest, None),
        ];
        for (nth, (start, first)) in (0..).zip(starts) {
            let group = stream.group(format!("g{nth}")).start(start).prefetch(1);
            let mut consumer = group.consumer("c").await.unwrap();
            let found = consumer.next().now_or_never().map(|found| text(&found.unwrap().unwrap()));
            assert_eq!(found.as_deref(), first, "{start:?}");
        }
        let error = stream.group("g").start(Start::Offset(1)).consumer("c").await.unwrap_err();
        assert!(refusal(error).contains("no offsets"));
    });
}

#[test]
fn what_a_client_is_refused_is_refused_here() {
    on_both(async || {
        // Who is in the process needs no password.
        let server = builder().password("secret").memory_limit(1 << 20).serve().await.unwrap();
        server.command(["SET", "t", "1"]).await.unwrap();
        let other = server.stream("t");
        let nobody: [(&str, &str); 0] = [];
        let errors = [
            (other.publish(&[("f", "v")]).await.unwrap_err(), "WRONGTYPE"),
            (other.browse(None, 1).await.unwrap_err(), "WRONGTYPE"),
            (other.group("g").consumer("c").await.unwrap_err(), "WRONGTYPE"),
            (other.publish(&nobody).await.unwrap_err(), "ERR an entry has"),
            (server.command(["NONSENSE"]).await.unwrap_err(), "ERR unknown command"),
            (server.command::<&str>([]).await.unwrap_err(), "ERR a command has a name"),
        ];
        for (error, wanted) in errors {
            let text = refusal(error);
            assert!(text.starts_with(wanted), "{text}");
        }
        let big = vec![b'x'; 2 << 20];
        server.stream("s").publish(&[("f", &big)]).await.unwrap();
        let error = server.stream("s").publish(&[("f", "v")]).await.unwrap_err();
        assert!(refusal(error).starts_with("OOM"));
        // It asks, and goes: it hears of nothing later.
        let said = server.command(["SUBSCRIBE", "a", "b"]).await.unwrap();
        assert!(matches!(said, Reply::List(both) if both.len() == 2));
        assert_eq!(server.command(["PUBLISH", "a", "hi"]).await, Ok(Reply::Number(0)));
    });
}

#[test]
fn whoever_waits_is_told_that_the_server_stops_or_the_group_is_gone() {
    on_both(async || {
        let server = serve().await;
        let (stream, other) = (server.stream("s"), server.stream("t"));
        let (mut one, mut two) = (consumer(&stream, "one").await, consumer(&other, "two").await);
        assert!(one.next().now_or_never().is_none() && two.next().now_or_never().is_none());
        server.command(["XGROUP", "DESTROY", "s", "g"]).await.unwrap();
        assert!(refusal(one.next().await.unwrap().unwrap_err()).starts_with("NOGROUP"));
        assert!(one.next().await.is_none());
        let id = other.publish(&[("f", "held")]).await.unwrap();
        let held = next(&mut two).await;
        let (report, end) = {
            let waits = pin!(two.next());
            join(server.stop(LIMIT), waits).await
        };
        assert_eq!((report.cut_off, end.unwrap().unwrap_err()), (0, ServedError::Closed));
        assert!(two.next().await.is_none());
        assert_eq!(held.id(), id);
        assert_eq!(held.ack().await, Err(ServedError::Closed));
        assert_eq!(other.publish(&[("f", "late")]).await, Err(ServedError::Closed));
    });
}

#[test]
fn what_was_confirmed_here_is_there_when_a_server_begins_again() {
    on_both(async || {
        let dir = TempDir::new();
        let server = builder().data(&dir.0).serve().await.unwrap();
        let stream = server.stream("s");
        for text in ["one", "two", "three"] {
            stream.publish(&[("f", text)]).await.unwrap();
        }
        let mut here = consumer(&stream, "here").await;
        next(&mut here).await.ack().await.unwrap();
        let two = next(&mut here).await;
        server.stop(LIMIT).await;
        // Nobody is there to hear of it.
        drop((two, here));
        let server = builder().data(&dir.0).serve().await.unwrap();
        let stream = server.stream("s");
        let mut here = stream.group("g").claim_after(Duration::ZERO).consumer("here").await.unwrap();
        for (wanted, attempt) in [("two", 2), ("three", 2)] {
            let delivery = next(&mut here).await;
            assert_eq!((text(&delivery).as_str(), delivery.attempt()), (wanted, attempt));
            delivery.ack().await.unwrap();
        }
        assert_eq!(pending(&server).await, Reply::Number(0));
        let error = stream.publish(&[("f", vec![0; 17 << 20])]).await.unwrap_err();
        assert!(refusal(error).contains("above the limit"));
        server.stop(LIMIT).await;
    });
}

/// As long as nothing is answered, it was done or not; and whoever holds what it concerned lets go of it.
#[test]
fn whatever_is_dropped_after_however_many_polls_nothing_is_lost_and_nobody_hangs() {
    on_both(async || {
        let dir = TempDir::new();
        let server = builder().data(&dir.0).serve().await.unwrap();
        let stream = server.stream("s");
        let mut rest = consumer(&stream, "rest").await;
        for (polls, what) in (0..4).flat_map(|polls| (0..8).map(move |what| (polls, what))) {
            let id = stream.publish(&[("f", "held")]).await.unwrap();
            let mut one = consumer(&stream, "one").await;
            let held = next(&mut one).await;
            assert_eq!(held.id(), id, "what is left over from before?");
            let of_two = [("f", "dropped")];
            let group = stream.group("g");
            let mut future: BoxFuture<'_, ()> = match what {
                0 => Box::pin(held.ack().map(drop)),
                1 => Box::pin(held.nack().map(drop)),
                2 => Box::pin(held.release().map(drop)),
                3 => Box::pin(held.dead_letter("why").map(drop)),
                4 => Box::pin(async move { held.extend().await.unwrap() }),
                other => {
                    drop(held);
                    match other {
                        5 => Box::pin(stream.publish(&of_two).map(drop)),
                        6 => Box::pin(group.consumer("new").map(drop)),
                        _ => Box::pin(one.next().map(drop)),
                    }
                }
            };
            for _ in 0..polls {
                if poll_fn(|cx| Poll::Ready(future.poll_unpin(cx).is_ready())).await {
                    break;
                }
            }
            drop(future);
            // Whatever is there yet comes to the other one, and then there is nothing more.
            drop(one);
            server.command(["XADD", "s", "*", "f", "last"]).await.unwrap();
            loop {
                let delivery = next(&mut rest).await;
                let last = text(&delivery) == "last";
                delivery.ack().await.unwrap();
                if last {
                    break;
                }
            }
            assert_eq!(pending(&server).await, Reply::Number(0), "{what} after {polls} polls");
        }
        drop(rest);
        assert_eq!(server.stop(LIMIT).await.cut_off, 0);
    });
}

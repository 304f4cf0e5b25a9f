//! Is what the log refused not done, for who asks from within the process either? Does a visit leave anything behind?

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};

use super::refused::Stage;
use super::sessions::Place;
use crate::server::resp::Request;
use crate::server::within::Visit;
use crate::server::{Reply, ServedConsumer, ServedDelivery, ServedError, ServedStream};
use crate::sim::{DiskCall, DiskFault};

const EVER: Duration = Duration::from_secs(3600);

fn stream(place: &Place) -> ServedStream {
    ServedStream::new(Arc::downgrade(&place.shared), b"s")
}

async fn consumer(stream: &ServedStream, name: &str) -> ServedConsumer {
    stream.group("g").claim_after(EVER).consumer(name).await.unwrap()
}

/// What a consumer yields next, and soon.
async fn next(consumer: &mut ServedConsumer) -> Result<ServedDelivery, ServedError> {
    soon(consumer.next()).await.unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    let late = async {
        smol::Timer::after(Duration::from_secs(5)).await;
        panic!("it waits on")
    };
    smol::future::or(future, late).await
}

async fn ask(place: &Place, command: &[&[u8]]) -> Result<Reply, ServedError> {
    let mut visit = Visit::begin(&Arc::downgrade(&place.shared)).unwrap();
    visit.ask(Request::of(command.iter().copied())).await
}

#[test]
fn what_has_no_room_is_not_done_and_a_consumer_goes_on_behind_it() {
    let mut stage = Stage::new();
    let stream = stream(&stage.place);
    smol::block_on(async {
        let group = stream.group("g").claim_after(Duration::ZERO);
        let mut consumer = group.consumer("c").await.unwrap();
        assert!(consumer.next().now_or_never().is_none());
        stage.refuse_next();
        // What it is handed it hears of only if that is so.
        assert_eq!(stream.publish(&[("f", "v")]).await, Err(ServedError::NotWritten));
        assert_eq!(consumer.next().await.unwrap().unwrap_err(), ServedError::NotWritten);
        let full = stream.publish(&[("f", "v")]).await.unwrap_err();
        assert!(matches!(full, ServedError::Refused { reply } if reply.starts_with("MISCONF")));
        let refused = consumer.next().await.unwrap().unwrap_err();
        assert!(matches!(refused, ServedError::Refused { reply } if reply.starts_with("MISCONF")));
        stage.at_desk(|desk| desk.try_again());
        let id = stream.publish(&[("f", "w")]).await.unwrap();
        let delivery = consumer.next().await.unwrap().unwrap();
        assert_eq!((delivery.id(), delivery.attempt()), (id, 1));
        // An ack that is refused is none.
        stage.refuse_next();
        assert_eq!(delivery.ack().await, Err(ServedError::NotWritten));
        stage.at_desk(|desk| desk.try_again());
        let again = consumer.next().await.unwrap().unwrap();
        assert_eq!((again.id(), again.attempt()), (id, 2));
        again.ack().await.unwrap();
        assert_eq!(stream.browse(None, 9).await.unwrap().len(), 1);
    });
    stage.end();
}

/// It was handed to one, which was refused, and by then the other one waited.
#[test]
fn what_comes_back_with_memory_goes_to_who_waits() {
    let mut stage = Stage::new();
    let stream = stream(&stage.place);
    smol::block_on(async {
        let (mut one, mut two) = (consumer(&stream, "one").await, consumer(&stream, "two").await);
        let id = stream.publish(&[("f", "v")]).await.unwrap();
        stage.refuse_next();
        assert!(one.next().now_or_never().is_none() && two.next().now_or_never().is_none());
        assert_eq!(next(&mut one).await.unwrap_err(), ServedError::NotWritten);
        drop(one);
        stage.at_desk(|desk| desk.try_again());
        let delivery = next(&mut two).await.unwrap();
        assert_eq!((delivery.id(), delivery.attempt()), (id, 1));
        delivery.ack().await.unwrap();
    });
    stage.end();
}

/// Who waited when memory went back is handed something that has nothing to do with that.
#[test]
fn who_waited_for_what_was_refused_keeps_what_it_is_handed_later() {
    let mut stage = Stage::new();
    let stream = stream(&stage.place);
    smol::block_on(async {
        let mut one = consumer(&stream, "one").await;
        stage.refuse_next();
        let refused = stream.publish(&[("f", "refused")]);
        let mut refused = Box::pin(refused);
        assert!((&mut refused).now_or_never().is_none());
        ask(&stage.place, &[b"XGROUP", b"SETID", b"s", b"g", b"$"]).now_or_never();
        assert!(one.next().now_or_never().is_none());
        assert_eq!(refused.await, Err(ServedError::NotWritten));
        stage.at_desk(|desk| desk.try_again());
        let id = stream.publish(&[("f", "v")]).await.unwrap();
        let delivery = next(&mut one).await.unwrap();
        assert_eq!((delivery.id(), delivery.attempt()), (id, 1));
        delivery.ack().await.unwrap();
    });
    stage.end();
}

/// A disk that failed to sync may have it.
#[test]
fn what_may_be_on_the_disk_is_not_said_to_be_undone() {
    let stage = Stage::new();
    let stream = stream(&stage.place);
    smol::block_on(async {
        stream.publish(&[("f", "v")]).await.unwrap();
        stage.disk.fail(DiskFault::nth(1).of(DiskCall::Sync));
        let error = stream.publish(&[("f", "w")]).await.unwrap_err();
        assert_eq!(error, ServedError::Unknown);
    });
}

/// It was silent for as long as nothing came, and is not asked whether it has heard what came.
#[test]
fn who_has_an_answer_is_not_sent_away_for_its_silence() {
    let place = Place::new();
    let stream = stream(&place);
    let later = |place: &Place| place.shared.rt().now() + EVER;
    smol::block_on(async {
        place.shared.world().config.timeout = 1;
        let mut one = consumer(&stream, "one").await;
        assert!(one.next().now_or_never().is_none());
        let id = stream.publish(&[("f", "v")]).await.unwrap();
        let late = later(&place);
        place.shared.world().send_idle_away(late);
        assert_eq!(next(&mut one).await.unwrap().id(), id);
    });
}

#[test]
fn a_visit_leaves_nothing_behind() {
    let place = Place::new();
    let big = vec![b'x'; 1 << 20];
    let commands: &[&[&[u8]]] = &[
        &[b"SUBSCRIBE", b"a"],
        &[b"PSUBSCRIBE", b"a*"],
        &[b"SSUBSCRIBE", b"a"],
        &[b"UNSUBSCRIBE"],
        &[b"MULTI"],
        &[b"EXEC"],
        &[b"DISCARD"],
        &[b"WATCH", b"a", b"b"],
        &[b"XREAD", b"BLOCK", b"1", b"STREAMS", b"s", b"$"],
        &[b"CLIENT", b"REPLY", b"OFF"],
        &[b"CLIENT", b"REPLY", b"SKIP"],
        &[b"CLIENT", b"KILL", b"TYPE", b"normal"],
        &[b"CLIENT", b"INFO"],
        &[b"QUIT"],
        &[b"RESET"],
        &[b"HELLO"],
        &[b"HELLO", b"3"],
        &[b"HELLO", b"3", b"AUTH", b"default", b"x"],
        &[b"AUTH", b"x"],
        &[b"SELECT", b"9"],
        &[b"DEBUG"],
        &[b"DEBUG", b"SLEEP", b"9"],
        &[b"DEBUG", b"RELOAD"],
        &[b"CONFIG", b"SET", b"timeout", b"9"],
        &[b"CONFIG", b"GET", b"*"],
        &[b"SHUTDOWN"],
        &[b"FLUSHALL"],
        &[b"POST"],
        &[b"Host:", b"x"],
        &[b"BLPOP", b"a", b"0"],
        &[b"COMMAND"],
        &[b"INFO"],
        &[b"", b""],
        &[b"SET", b"", b""],
        &[b"GET", b""],
        &[b"ECHO", &big],
        &[b"\r\n\r\n", b"\0"],
        &[],
    ];
    for command in commands {
        let reply = smol::block_on(soon(ask(&place, command)));
        let name = || command.iter().map(|arg| arg.escape_ascii().to_string()).collect::<Vec<_>>();
        match &reply {
            Err(ServedError::Refused { reply }) => {
                assert!(!reply.contains("callboard bug"), "{:?}: {reply}", name())
            }
            Err(error) => panic!("{:?}: {error}", name()),
            Ok(Reply::Nothing) => {
                let silent = [&b"CLIENT"[..], b"XREAD", b"GET"];
                assert!(silent.contains(&command[0]), "{:?} was neither done nor refused", name());
            }
            Ok(_) => {}
        }
        let world = place.shared.world();
        let left = (world.clients.len(), world.waiting.len(), world.pubsub.counts());
        assert_eq!(left, (0, 0, (0, 0)), "{:?}", name());
        assert!(world.watched.is_empty(), "{:?}", name());
    }
    assert_eq!(Arc::strong_count(&place.shared), 1);
}

//! Does a session answer what comes in pieces, end when it is to, and take no more memory than it may?

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join;
use futures::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::base::Moment;
use crate::runtime::{Rt, Smol};
use crate::server::client::{Client, Doom};
use crate::server::resp::Request;
use crate::server::serving::{Ends, Shared};
use crate::server::session::{End, Session};
use crate::server::within::Visit;
use crate::server::world::World;

/// One way of a pipe, with room for so many bytes.
#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    room: usize,
    closed: bool,
    wakers: Vec<Waker>,
}

impl Way {
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

/// An end of a pipe in memory.
pub(super) struct Pipe {
    from: Arc<Mutex<Way>>,
    to: Arc<Mutex<Way>>,
}

impl Pipe {
    /// How many bytes wait to be read.
    pub(super) fn waiting(&self) -> usize {
        self.from.lock().unwrap().bytes.len()
    }
}

/// Two ends, with room for so many bytes on each way.
fn pipe(room: usize) -> [Pipe; 2] {
    let way = || Arc::new(Mutex::new(Way { room, ..Way::default() }));
    let (a, b) = (way(), way());
    [Pipe { from: a.clone(), to: b.clone() }, Pipe { from: b, to: a }]
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut way = self.from.lock().unwrap();
        if way.bytes.is_empty() && !way.closed {
            way.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        let many = into.len().min(way.bytes.len());
        way.bytes.drain(..many).zip(into).for_each(|(byte, to)| *to = byte);
        way.wake();
        Poll::Ready(Ok(many))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut way = self.to.lock().unwrap();
        if way.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let many = bytes.len().min(way.room - way.bytes.len());
        if many == 0 {
            way.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        way.bytes.extend(&bytes[..many]);
        way.wake();
        Poll::Ready(Ok(many))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut way = self.to.lock().unwrap();
        way.closed = true;
        way.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        for way in [&self.from, &self.to] {
            let mut way = way.lock().unwrap();
            way.closed = true;
            way.wake();
        }
    }
}

pub(super) struct Place {
    pub(super) shared: Arc<Shared>,
    /// Held, so that nobody is told to stop.
    _ends: Ends,
}

impl Place {
    pub(super) fn new() -> Place {
        Place::with(World::default())
    }

    pub(super) fn with(world: World) -> Place {
        let (shared, _ends) = Shared::new(Rt::new(Smol::global()), world);
        Place { shared, _ends }
    }

    /// A session with a pipe of so much room, and the other end.
    pub(super) fn session(&self, room: usize) -> (Session<Pipe>, Arc<Client>, Pipe) {
        let [own, other] = pipe(room);
        let mut world = self.shared.world();
        let id = world.number();
        let client = Arc::new(Client::new(id, [None, None], Moment::ZERO, world.config.most_pushed));
        world.clients.insert(id, client.clone());
        drop(world);
        (Session::new(own, self.shared.clone(), client.clone()), client, other)
    }
}

#[test]
fn requests_are_answered_in_turn_however_they_are_cut() {
    for cut in 1..40 {
        let place = Place::new();
        let (session, _, other) = place.session(7);
        let sent = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\nhi\r\nGET a\r\n\r\n*1\r\n$4\r\nPING\r\nQUIT\r\n";
        let (end, heard) = smol::block_on(join(session.run(), async move {
            let (mut reads, mut writes) = other.split();
            let (mut heard, (first, rest)) = (Vec::new(), sent.split_at(cut));
            let writing = async {
                writes.write_all(first).await.unwrap();
                smol::future::yield_now().await;
                writes.write_all(rest).await.unwrap();
            };
            join(writing, reads.read_to_end(&mut heard)).await.1.unwrap();
            heard
        }));
        assert!(matches!(end, End::Gone));
        assert_eq!(heard, b"+OK\r\n$2\r\nhi\r\n+PONG\r\n+OK\r\n", "cut at {cut}");
    }
}

#[test]
fn what_is_no_request_is_said_and_ends_the_session() {
    let place = Place::new();
    let (session, _, mut other) = place.session(1 << 10);
    let (end, heard) = smol::block_on(join(session.run(), async move {
        let mut heard = Vec::new();
        other.write_all(b"PING\r\n*1\r\n+OK\r\nPING\r\n").await.unwrap();
        other.read_to_end(&mut heard).await.unwrap();
        heard
    }));
    assert!(matches!(end, End::Protocol(_)));
    assert_eq!(heard, b"+PONG\r\n-ERR Protocol error: expected '$', got '+'\r\n");
}

#[test]
fn a_client_that_goes_leaves_nothing_behind() {
    let place = Place::new();
    let (session, client, mut other) = place.session(1 << 10);
    let (end, ()) = smol::block_on(join(session.run(), async move {
        other.write_all(b"SUBSCRIBE a b\r\nPSUBSCRIBE c*\r\nMULTI\r\n").await.unwrap();
        let mut some = [0; 10];
        other.read_exact(&mut some).await.unwrap();
    }));
    assert!(matches!(end, End::Gone | End::Io(_)));
    assert_eq!(place.shared.world().pubsub.counts(), (0, 0));
    drop(client);
}

/// It sends requests without end and reads no answer: what is not taken is not made.
#[test]
fn a_client_that_does_not_read_is_not_answered_and_takes_no_memory() {
    let place = Place::new();
    place.shared.world().keys.set(0, b"large", crate::server::keys::Value::String(vec![7; 100_000]), None);
    let (session, client, mut other) = place.session(1 << 10);
    let mut session = Box::pin(session.run());
    let waker = Waker::noop();
    let mut cx = Context::from_waker(waker);
    let mut sent = 0;
    for _ in 0..1_000 {
        if let Poll::Ready(Ok(some)) = Pin::new(&mut other).poll_write(&mut cx, b"GET large\r\n") {
            sent += some;
        }
        assert!(session.as_mut().poll(&mut cx).is_pending());
    }
    assert!(sent < 20_000, "it reads on: {sent}");
    assert!(place.shared.world().stats.commands < 10);
    // Somebody may end it all the same.
    client.doom(Doom::Killed);
    assert!(matches!(session.as_mut().poll(&mut cx), Poll::Ready(End::Doomed(Doom::Killed))));
}

#[test]
fn a_listener_that_does_not_read_is_sent_away_and_others_are_not_held_up() {
    let place = Place::new();
    place.shared.world().config.most_pushed = 10_000;
    let (slow, _, mut other) = place.session(64);
    let (quick, _, mut sender) = place.session(1 << 20);
    let talk = async {
        other.write_all(b"SUBSCRIBE a\r\n").await.unwrap();
        let mut confirmed = [0; 30];
        other.read_exact(&mut confirmed).await.unwrap();
        let message = "x".repeat(1_000);
        for _ in 0..100 {
            sender.write_all(format!("PUBLISH a {message}\r\n").as_bytes()).await.unwrap();
        }
        sender.write_all(b"QUIT\r\n").await.unwrap();
        let mut heard = Vec::new();
        sender.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let ((heard, end), _) = smol::block_on(join(join(talk, slow.run()), quick.run()));
    assert!(matches!(end, End::Doomed(Doom::Slow)));
    let heard = String::from_utf8(heard).unwrap();
    assert_eq!((heard.lines().next(), heard.lines().last()), (Some(":1"), Some("+OK")));
    assert!(heard.contains(":0"), "who was sent away hears no more");
}

#[test]
fn what_others_send_comes_between_the_answers_and_wakes_a_session_that_waits() {
    let place = Place::new();
    let (listener, _, mut other) = place.session(1 << 10);
    let (publisher, _, mut sender) = place.session(1 << 10);
    let talk = async move {
        other.write_all(b"SUBSCRIBE a\r\n").await.unwrap();
        let mut confirmed = [0; 30];
        other.read_exact(&mut confirmed).await.unwrap();
        smol::future::yield_now().await;
        sender.write_all(b"PUBLISH a one\r\nPUBLISH a two\r\nQUIT\r\n").await.unwrap();
        let mut messages = [0; 66];
        other.read_exact(&mut messages).await.unwrap();
        String::from_utf8(messages.to_vec()).unwrap()
    };
    let ((heard, _), _) = smol::block_on(join(join(talk, listener.run()), publisher.run()));
    assert_eq!(
        heard,
        "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$3\r\none\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$3\r\ntwo\r\n"
    );
}

/// `CLIENT KILL` of oneself is answered, and nothing behind it is done.
#[test]
fn one_that_kills_itself_gets_its_answer_and_no_more() {
    let place = Place::new();
    let (session, _, mut other) = place.session(1 << 10);
    let (end, heard) = smol::block_on(join(session.run(), async move {
        let mut heard = Vec::new();
        other.write_all(b"PING\r\nCLIENT KILL ID 1 SKIPME no\r\nSET a 1\r\n").await.unwrap();
        other.read_to_end(&mut heard).await.unwrap();
        heard
    }));
    assert!(matches!(end, End::Gone));
    assert_eq!(heard, b"+PONG\r\n:1\r\n");
    assert!(place.shared.world().keys.get(0, b"a").is_none());
}

/// A reply of which a part is sent, and messages that wait.
#[test]
fn who_is_there_when_the_server_stops_gets_what_was_written_for_it() {
    let place = Place::new();
    place.shared.world().keys.set(0, b"large", crate::server::keys::Value::String(vec![7; 100_000]), None);
    let (session, client, mut other) = place.session(64);
    let (end, heard) = smol::block_on(join(session.run(), async move {
        let mut heard = vec![0; 1000];
        other.write_all(b"HELLO 3\r\nSUBSCRIBE c\r\nGET large\r\n").await.unwrap();
        other.read_exact(&mut heard).await.unwrap();
        assert!(client.send(b">1\r\n:7\r\n".to_vec().into()));
        client.doom(Doom::Stopping);
        other.read_to_end(&mut heard).await.unwrap();
        heard
    }));
    assert!(matches!(end, End::Doomed(Doom::Stopping)));
    assert!(heard.len() > 100_000 && heard.ends_with(b"\r\n>1\r\n:7\r\n"), "{}", heard.len());
}

#[test]
fn one_that_takes_nothing_when_the_server_stops_is_cut_off_in_the_end() {
    let place = Place::new();
    place.shared.world().keys.set(0, b"large", crate::server::keys::Value::String(vec![7; 100_000]), None);
    let (session, client, mut other) = place.session(64);
    let (mut session, mut cx) = (Box::pin(session.run()), Context::from_waker(Waker::noop()));
    assert!(Pin::new(&mut other).poll_write(&mut cx, b"GET large\r\n").is_ready());
    assert!(session.as_mut().poll(&mut cx).is_pending());
    client.doom(Doom::Stopping);
    assert!(session.as_mut().poll(&mut cx).is_pending());
    client.doom(Doom::Killed);
    assert!(matches!(session.as_mut().poll(&mut cx), Poll::Ready(End::Doomed(Doom::Killed))));
}

#[test]
fn the_longest_argument_is_what_it_was_set_to_while_one_is_connected() {
    let place = Place::new();
    let (session, _, mut other) = place.session(1 << 10);
    let (_, heard) = smol::block_on(join(session.run(), async move {
        let mut heard = Vec::new();
        other
            .write_all(b"CONFIG SET proto-max-bulk-len 1mb\r\n*2\r\n$4\r\nECHO\r\n$1048577\r\n")
            .await
            .unwrap();
        other.read_to_end(&mut heard).await.unwrap();
        heard
    }));
    assert_eq!(heard, b"+OK\r\n-ERR Protocol error: invalid bulk length\r\n");
}

/// As long as it waits it is silent, and that is no reason to send it away with its answer.
#[test]
fn who_waited_is_silent_since_it_was_answered_and_no_longer() {
    let place = Place::new();
    place.shared.world().config.timeout = 1;
    let (session, client, mut pipe) = place.session(1 << 10);
    let mut session = pin!(session.run());
    pipe.write_all(b"XREAD BLOCK 0 STREAMS s $\r\n").now_or_never().unwrap().unwrap();
    assert!((&mut session).now_or_never().is_none());
    let asked = client.shown().active;
    let add = Request::of([&b"XADD"[..], b"s", b"1", b"f", b"v"]);
    let mut visit = Visit::begin(&Arc::downgrade(&place.shared)).unwrap();
    visit.ask(add).now_or_never().unwrap().unwrap();
    place.shared.world().send_idle_away(asked + Duration::from_secs(3600));
    assert!((&mut session).now_or_never().is_none());
    assert!(client.doomed().is_none() && client.shown().active > asked && pipe.waiting() > 0);
}

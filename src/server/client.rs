//! A client, as others see it: who it is, what waits to be sent to it, and whether it is to go.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::keep::Barrier;
use super::resp::Protocol;
use crate::base::Moment;
use crate::base::sync::{Mutex, MutexGuard, PoisonError};

/// One connection. Its session holds it, and whoever lists clients or sends something to it.
#[derive(Debug)]
pub(super) struct Client {
    /// Never given twice.
    pub(super) id: u64,
    pub(super) peer: Option<SocketAddr>,
    pub(super) own: Option<SocketAddr>,
    pub(super) since: Moment,
    outbox: Mutex<Outbox>,
    shown: Mutex<Shown>,
}

/// What others may know of a client. Its session writes it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) name: Vec<u8>,
    pub(super) lib_name: Vec<u8>,
    pub(super) lib_version: Vec<u8>,
    pub(super) db: usize,
    pub(super) channels: usize,
    pub(super) patterns: usize,
    pub(super) shards: usize,
    /// Commands that wait for `EXEC`.
    pub(super) queued: Option<usize>,
    pub(super) protocol: Protocol,
    pub(super) command: &'static str,
    pub(super) active: Moment,
}

impl Shown {
    /// To how many channels and patterns it listens.
    pub(super) fn listens(&self) -> usize {
        self.channels + self.patterns + self.shards
    }
}

/// What others sent to a client.
#[derive(Debug)]
struct Outbox {
    /// Limit: `most` bytes.
    messages: VecDeque<Arc<[u8]>>,
    bytes: usize,
    most: usize,
    doom: Option<Doom>,
    /// What a command that waited is answered.
    answer: Option<(Vec<u8>, Option<Barrier>)>,
    /// A command that waits is to look whether there is something for it.
    nudged: bool,
    session: Option<Waker>,
}

/// Why a connection is ended by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doom {
    /// It reads too slowly what it asked for.
    Slow,
    /// What waited for it told of what was not written, and has not happened.
    Undone,
    /// Somebody asked for its end.
    Killed,
    /// What it asked for in a transaction is too much.
    Greedy,
    /// The server stops: it gets what was written for it.
    Stopping,
}

impl Client {
    /// `most`: so many bytes may wait for it that others send.
    pub(super) fn new(id: u64, [peer, own]: [Option<SocketAddr>; 2], since: Moment, most: usize) -> Client {
        let (messages, session) = (VecDeque::new(), None);
        Client {
            id,
            peer,
            own,
            since,
            outbox: Mutex::new(Outbox {
                messages,
                bytes: 0,
                most,
                doom: None,
                answer: None,
                nudged: false,
                session,
            }),
            shown: Mutex::new(Shown {
                name: Vec::new(),
                lib_name: Vec::new(),
                lib_version: Vec::new(),
                db: 0,
                channels: 0,
                patterns: 0,
                shards: 0,
                queued: None,
                protocol: Protocol::Resp2,
                command: "NULL",
                active: since,
            }),
        }
    }

    /// Sends something to the client, before what it asks for next. One that has too much waiting already is doomed. Answers whether
    /// it will be sent.
    pub(super) fn send(&self, message: Arc<[u8]>) -> bool {
        let (sent, session) = {
            let mut outbox = self.outbox();
            if outbox.doom.is_some() {
                return false;
            }
            if outbox.bytes.saturating_add(message.len()) > outbox.most {
                outbox.doom = Some(Doom::Slow);
                outbox.messages = VecDeque::new();
                outbox.bytes = 0;
            } else {
                outbox.bytes += message.len();
                outbox.messages.push_back(message);
            }
            (outbox.doom.is_none(), outbox.session.take())
        };
        if let Some(session) = session {
            session.wake();
        }
        sent
    }

    /// Memory went back to what is on the disk: messages that wait may tell of what was not written. Whoever listens is not left with a
    /// gap unseen.
    pub(super) fn go_back(&self) {
        let waits = {
            let mut outbox = self.outbox();
            outbox.bytes = 0;
            !std::mem::take(&mut outbox.messages).is_empty()
        };
        if waits {
            self.doom(Doom::Undone);
        }
    }

    /// Answers the command that it waits with, once all is written that this tells of.
    pub(super) fn answer(&self, answer: Vec<u8>, of: Option<Barrier>) {
        self.tell(|outbox| outbox.answer = Some((answer, of)));
    }

    /// Lets the command that it waits with look whether there is something for it.
    pub(super) fn nudge(&self) {
        self.tell(|outbox| outbox.nudged = true);
    }

    /// Whether it was nudged since it was asked last.
    pub(super) fn take_nudge(&self) -> bool {
        std::mem::take(&mut self.outbox().nudged)
    }

    pub(super) fn has_answer(&self) -> bool {
        self.outbox().answer.is_some()
    }

    pub(super) fn take_answer(&self) -> Option<(Vec<u8>, Option<Barrier>)> {
        self.outbox().answer.take()
    }

    /// Lets its session end. One that ends since the server stops may be cut off all the same.
    pub(super) fn doom(&self, why: Doom) {
        self.tell(|outbox| {
            if outbox.doom.is_none_or(|doom| doom == Doom::Stopping) {
                outbox.doom = Some(why);
            }
        });
    }

    /// Changes what its session looks at, and wakes that.
    fn tell(&self, change: impl FnOnce(&mut Outbox)) {
        let session = {
            let mut outbox = self.outbox();
            change(&mut outbox);
            outbox.session.take()
        };
        if let Some(session) = session {
            session.wake();
        }
    }

    /// Whether it is to go; if not, its session is woken when it is.
    pub(super) fn poll_doom(&self, cx: &mut Context<'_>) -> Poll<Doom> {
        let mut outbox = self.outbox();
        if let Some(doom) = outbox.doom {
            return Poll::Ready(doom);
        }
        let old = outbox.session.replace(cx.waker().clone());
        drop(outbox);
        drop(old);
        Poll::Pending
    }

    /// Whether it is to go without what was written for it.
    pub(super) fn poll_cut_off(&self, cx: &mut Context<'_>) -> Poll<Doom> {
        let mut outbox = self.outbox();
        if let Some(doom) = outbox.doom.filter(|doom| *doom != Doom::Stopping) {
            return Poll::Ready(doom);
        }
        let old = outbox.session.replace(cx.waker().clone());
        drop(outbox);
        drop(old);
        Poll::Pending
    }

    pub(super) fn doomed(&self) -> Option<Doom> {
        self.outbox().doom
    }

    /// Whether others have sent it something; if not, its session is woken when they do.
    pub(super) fn poll_news(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut outbox = self.outbox();
        if !outbox.messages.is_empty() {
            return Poll::Ready(());
        }
        let old = outbox.session.replace(cx.waker().clone());
        drop(outbox);
        drop(old);
        Poll::Pending
    }

    /// Moves what was sent to it behind `out`, until that has about so many bytes.
    pub(super) fn take(&self, out: &mut Vec<u8>, about: usize) {
        let mut outbox = self.outbox();
        while out.len() < about
            && let Some(message) = outbox.messages.pop_front()
        {
            outbox.bytes -= message.len();
            out.extend_from_slice(&message);
        }
    }

    /// How many messages wait for it, and their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let outbox = self.outbox();
        (outbox.messages.len(), outbox.bytes)
    }

    pub(super) fn set_most(&self, most: usize) {
        self.outbox().most = most;
    }

    pub(super) fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the line that `CLIENT LIST` has of it.
    pub(super) fn line(&self, now: Moment) -> Line<'_> {
        Line { client: self, now }
    }
}

/// A client in `CLIENT LIST`'s form.
pub(super) struct Line<'a> {
    client: &'a Client,
    now: Moment,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { client, now } = self;
        let (shown, (messages, bytes)) = (client.shown().clone(), client.waiting());
        let address = |addr: Option<SocketAddr>| addr.map_or(String::new(), |addr| addr.to_string());
        let (peer, own) = (address(client.peer), address(client.own));
        let (age, idle) = (now.since(client.since).as_secs(), now.since(shown.active).as_secs());
        let flags = match (shown.listens(), shown.queued) {
            (0, None) => "N",
            (_, Some(_)) => "x",
            (_, None) => "P",
        };
        let queued = shown.queued.map_or(-1, |queued| i64::try_from(queued).unwrap_or(i64::MAX));
        let protocol = if shown.protocol == Protocol::Resp3 { 3 } else { 2 };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (name, lib, version) = (text(&shown.name), text(&shown.lib_name), text(&shown.lib_version));
        write!(f, "id={} addr={peer} laddr={own} fd=-1 name={name} age={age} idle={idle} ", client.id)?;
        write!(f, "flags={flags} db={} sub={} psub={} ", shown.db, shown.channels, shown.patterns)?;
        write!(f, "ssub={} ", shown.shards)?;
        write!(f, "multi={queued} qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 ")?;
        write!(
            f,
            "oll={messages} omem={bytes} tot-mem={bytes} events=r cmd={} user=default ",
            shown.command
        )?;
        write!(f, "redir=-1 resp={protocol} lib-name={lib} lib-ver={version}")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn client(most: usize) -> Client {
        Client::new(1, [None, None], Moment::ZERO, most)
    }

    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_is_sent_wakes_the_session_once_and_comes_in_order() {
        let (client, count) = (client(100), Arc::new(Count(AtomicUsize::new(0))));
        let waker = Waker::from(count.clone());
        assert!(client.poll_news(&mut Context::from_waker(&waker)).is_pending());
        client.send(b"one".to_vec().into());
        client.send(b"two".to_vec().into());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(client.poll_news(&mut Context::from_waker(&waker)).is_ready());
        let mut out = b"0 ".to_vec();
        client.take(&mut out, 3);
        assert_eq!(out, b"0 one");
        client.take(&mut out, 100);
        assert_eq!((out.as_slice(), client.waiting()), (&b"0 onetwo"[..], (0, 0)));
    }

    #[test]
    fn one_who_reads_too_slowly_is_doomed_and_keeps_no_memory() {
        let client = client(10);
        client.send(vec![0; 6].into());
        client.send(vec![0; 6].into());
        assert_eq!((client.doomed(), client.waiting()), (Some(Doom::Slow), (0, 0)));
        client.send(vec![0; 1].into());
        client.doom(Doom::Killed);
        assert_eq!((client.doomed(), client.waiting()), (Some(Doom::Slow), (0, 0)));
    }
}

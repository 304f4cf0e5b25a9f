//! A session: one connection from its first byte to its last.
//!
//! ```text
//!   socket ──▶ input ──▶ decoder ──▶ execute ──▶ out ──▶ socket
//!                                                 ▲
//!              others' messages: the client's outbox
//! ```
//! It reads no more while what it has written is not taken: a client that does not read is not answered, and takes no memory
//! but one buffer. What others push to it waits in its outbox, which is bounded, and ends the session when it is full.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::io::{AsyncRead, AsyncWrite};

use super::alarms::{Alarms, Next};
use super::client::{Client, Doom};
use super::execute::execute;
use super::keep::{Barrier, Unwritten};
use super::resp::{Decoder, Replies};
use super::serving::Shared;
use super::state::{State, Waits};
use crate::base::Moment;

/// What is read at a time.
const READ: usize = 16 << 10;
/// So much is written before the next request is looked at.
const WRITE: usize = 64 << 10;
/// Memory of a buffer that is kept for the next reply. Every idle connection may hold it.
const KEEP: usize = 16 << 10;
/// So much is read behind a command that waits: whoever goes meanwhile is noticed behind it.
const BEHIND: usize = 1 << 20;
/// So many requests are worked off before others have a turn.
const TURN: usize = 256;
/// What a client hears whose replies depend on something that is not on the disk.
const UNWRITTEN: &str =
    "Errors writing to the disk: what was not answered before this was not done, try it again";

/// The same, where the disk failed in the middle.
const UNSURE: &str = "Errors writing to the disk: whether what was not answered before this was done is known once the server has begun anew";

pub(super) struct Session<S> {
    io: S,
    shared: Arc<Shared>,
    client: Arc<Client>,
    state: State,
    decoder: Decoder,
    /// What is read at a time, or all that came behind a command that waits.
    input: Vec<u8>,
    /// What of the input is to be read: from, to.
    left: (usize, usize),
    out: Vec<u8>,
    /// So much of `out` is sent.
    sent: usize,
    /// What must be written before it is sent, where it tells of anything.
    tells: Option<Barrier>,
}

/// Why a session ends.
pub(super) enum End {
    /// The client went, or asked to go.
    Gone,
    Doomed(Doom),
    /// What its replies depend on could not be written down.
    Unwritten(Unwritten),
    /// What it sent is no request.
    Protocol(super::resp::ProtocolError),
    Io(io::Error),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(super) fn new(io: S, shared: Arc<Shared>, client: Arc<Client>) -> Session<S> {
        let (authenticated, limits) = {
            let world = shared.world();
            (world.config.password.is_none(), world.config.limits())
        };
        let mut decoder = Decoder::new(limits);
        decoder.set_authenticated(authenticated);
        let state = State { authenticated, ..State::default() };
        let (input, out) = (vec![0; READ], Vec::new());
        Session { io, shared, client, state, decoder, input, left: (0, 0), out, sent: 0, tells: None }
    }

    /// Serves the client until one of them goes; answers why that was.
    pub(super) async fn run(mut self) -> End {
        let end = loop {
            match self.work().await {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        if let End::Protocol(error) = &end {
            Replies::new(&mut self.out, self.state.protocol).error("ERR", error);
            drop(self.flush().await);
        }
        if let End::Unwritten(why) = &end {
            let text = if why.is_unsure() { UNSURE } else { UNWRITTEN };
            self.shared.go_back();
            // Nothing of what it was to be told is so.
            self.out.clear();
            self.tells = None;
            Replies::new(&mut self.out, self.state.protocol).error("MISCONF", text);
            drop(self.flush().await);
        }
        if let End::Doomed(doom) = end {
            self.say_goodbye(doom).await;
        }
        drop(std::future::poll_fn(|cx| Pin::new(&mut self.io).poll_close(cx)).await);
        let mut world = self.shared.world();
        world.pubsub.leave_all(&self.client, &mut self.state.interests);
        world.watched.leave(&mut self.state.watch);
        drop(world);
        end
    }

    /// Sends what was written: of one that was killed as far as it is taken at once; when the server stops until it is taken, or the
    /// server waits no more.
    async fn say_goodbye(&mut self, doom: Doom) {
        match doom {
            Doom::Slow | Doom::Undone | Doom::Greedy => return,
            Doom::Killed => {}
            Doom::Stopping => self.take_messages(usize::MAX),
        }
        drop(self.flush().await);
    }

    /// Answers all that has come, and waits for more.
    async fn work(&mut self) -> Result<(), End> {
        let mut turn = 0;
        while let Some(request) = self.next_request()? {
            let (client, state) = (&self.client, &mut self.state);
            let (rest, of) = {
                let mut world = self.shared.world();
                let rest = execute(self.shared.rt(), &mut world, (client, state), request, &mut self.out);
                self.decoder.set_limits(world.config.limits());
                (rest, world.barrier())
            };
            self.tell(of);
            if let Some(request) = rest {
                self.decoder.recycle(request);
            }
            self.decoder.set_authenticated(self.state.authenticated);
            if self.state.quits {
                self.flush().await?;
                return Err(End::Gone);
            }
            if let Some(waits) = self.state.waits.take() {
                self.wait_for_others(waits).await?;
            }
            // What it sent behind that is not looked at.
            if let Some(doom) = self.client.doomed() {
                return Err(End::Doomed(doom));
            }
            self.take_messages(WRITE);
            if self.out.len() >= WRITE {
                self.flush().await?;
            }
            turn += 1;
            if turn >= TURN {
                turn = 0;
                if self.shared.keeps() {
                    self.shared.world().write_down(self.shared.rt());
                }
                give_way().await;
            }
        }
        self.take_messages(WRITE);
        self.flush().await?;
        // All of it was looked at.
        self.input.truncate(READ);
        self.input.shrink_to(READ);
        self.wait().await
    }

    /// Waits for what a command waits for; nothing that the client sent behind it is looked at before.
    async fn wait_for_others(&mut self, waits: Waits) -> Result<(), End> {
        let mut look = waits.look;
        let waited = loop {
            match self.poll_others(waits.until, look).await {
                Ok(Next::Look) => look = waits.look(&self.shared),
                Ok(Next::GoOn) => break Ok(()),
                Err(end) => break Err(end),
            }
        };
        // Why also of one that goes: nobody is to answer it any more.
        let mut answer = Vec::new();
        let of = waits.end((&self.shared, &self.client), self.state.protocol, &mut answer);
        waited?;
        of.into_iter().for_each(|of| self.tell(of));
        self.out.append(&mut answer);
        Ok(())
    }

    /// Waits for an answer, or until it is time to look for one, or to go on without.
    async fn poll_others(&mut self, until: Option<Moment>, look: Option<Moment>) -> Result<Next, End> {
        let mut alarms = Alarms::new(&self.shared, until, look);
        loop {
            self.take_messages(WRITE);
            self.flush().await?;
            let ready = std::future::poll_fn(|cx| {
                if let Poll::Ready(next) = alarms.poll(&self.client, cx) {
                    return Poll::Ready(next.map(Some).map_err(End::Doomed));
                }
                if self.client.poll_news(cx).is_ready() {
                    return Poll::Ready(Ok(None));
                }
                self.poll_more(cx).map_ok(|()| Some(Next::GoOn))
            });
            if let Some(next) = ready.await? {
                return Ok(next);
            }
        }
    }

    /// Reads what the client sends meanwhile, as far as there is room; ready when it goes.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let (from, to) = self.left;
        self.input.copy_within(from..to, 0);
        self.left = (0, to - from);
        loop {
            if self.left.1 == self.input.len() && self.left.1 < BEHIND {
                self.input.resize(2 * self.left.1, 0);
            }
            let Some(room @ [_, ..]) = self.input.get_mut(self.left.1..) else { return Poll::Pending };
            match std::task::ready!(Pin::new(&mut self.io).poll_read(cx, room)) {
                Ok(0) => return Poll::Ready(Err(End::Gone)),
                Ok(read) => self.left.1 += read,
                Err(error) => return Poll::Ready(Err(End::Io(error))),
            }
        }
    }

    fn next_request(&mut self) -> Result<Option<super::resp::Request>, End> {
        let (from, to) = self.left;
        let mut bytes = self.input.get(from..to).unwrap_or_default();
        let request = self.decoder.decode(&mut bytes).map_err(End::Protocol);
        self.left = (to - bytes.len(), to);
        request
    }

    /// Waits until all is in the log that what was written may tell of.
    async fn confirm(&mut self) -> Result<(), End> {
        let Some(of) = self.tells else { return Ok(()) };
        let Some(mut wait) = self.shared.confirming(of).await else { return Ok(()) };
        let client = &self.client;
        let confirming = std::future::poll_fn(|cx| match wait.poll(cx) {
            Poll::Ready(result) => Poll::Ready(result.map_err(End::Unwritten)),
            Poll::Pending => client.poll_cut_off(cx).map(|doom| Err(End::Doomed(doom))),
        });
        confirming.await?;
        self.tells = None;
        Ok(())
    }

    /// What was put behind all else waits for this too.
    fn tell(&mut self, of: Barrier) {
        self.tells = Some(self.tells.map_or(of, |before| before.and(of)));
    }

    /// Moves what others sent behind what was written, until that is about so many bytes. It tells of what they did.
    fn take_messages(&mut self, about: usize) {
        if !self.shared.keeps() || self.client.waiting().0 == 0 {
            return self.client.take(&mut self.out, about);
        }
        // Why under the lock: memory does not go back between these.
        let world = self.shared.world();
        self.client.take(&mut self.out, about);
        let of = world.barrier();
        drop(world);
        self.tell(of);
    }

    /// Sends all that was written. A client that does not take it is waited for, unless it is doomed.
    async fn flush(&mut self) -> Result<(), End> {
        self.confirm().await?;
        let flushed = std::future::poll_fn(|cx| self.poll_flush(cx)).await;
        self.out.clear();
        self.out.shrink_to(KEEP);
        self.sent = 0;
        flushed
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        while let Some(rest @ [_, ..]) = self.out.get(self.sent..) {
            match Pin::new(&mut self.io).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(End::Gone)),
                Poll::Ready(Ok(sent)) => self.sent += sent,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(End::Io(error))),
                // Its messages may come and wait; only its end counts.
                Poll::Pending => return self.client.poll_cut_off(cx).map(|doom| Err(End::Doomed(doom))),
            }
        }
        Pin::new(&mut self.io).poll_flush(cx).map_err(End::Io)
    }

    /// Waits until the client sends something, or others do.
    async fn wait(&mut self) -> Result<(), End> {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(doom) = self.client.poll_doom(cx) {
                return Poll::Ready(Err(End::Doomed(doom)));
            }
            if self.client.poll_news(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            match Pin::new(&mut self.io).poll_read(cx, &mut self.input) {
                Poll::Ready(Ok(0)) => Poll::Ready(Err(End::Gone)),
                Poll::Ready(Ok(read)) => {
                    self.left = (0, read);
                    Poll::Ready(Ok(()))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(End::Io(error))),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

/// Lets other tasks have a turn.
pub(super) fn give_way() -> impl Future<Output = ()> {
    let mut gave = false;
    std::future::poll_fn(move |cx| {
        if std::mem::replace(&mut gave, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Gone => f.write_str("the client went"),
            End::Doomed(Doom::Slow) => f.write_str("the client read too slowly what it listens to"),
            End::Doomed(Doom::Undone) => f.write_str("it was to hear of what could not be written"),
            End::Doomed(Doom::Killed) => f.write_str("somebody, or the time that it was silent, ended it"),
            End::Doomed(Doom::Greedy) => f.write_str("a transaction's answer is above the limit"),
            End::Doomed(Doom::Stopping) => f.write_str("the server stops"),
            End::Unwritten(Unwritten(Some(error))) => {
                write!(f, "what it asked for could not be written: {error}")
            }
            End::Unwritten(Unwritten(None)) => f.write_str("what it asked for could not be written"),
            End::Protocol(error) => error.fmt(f),
            End::Io(error) => error.fmt(f),
        }
    }
}

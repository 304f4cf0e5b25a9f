//! A server without sockets, for tests of its commands.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::base::Moment;
use crate::log::{Done, Log, LogError, Options};
use crate::runtime::{Rt, Smol};
use crate::server::client::{Client, Doom};
use crate::server::command::{Flag, find};
use crate::server::execute::execute;
use crate::server::keep::{Barrier, DataError, Now, Recovered, Unwritten, recover};
use crate::server::resp::{Decoder, Limits, ProtocolError, Replies, Request};
use crate::server::state::{ReplyMode, State, Waits};
use crate::server::world::World;
use crate::sim::SimDisk;

/// A server without sessions: what a client says is executed, and the answer comes back.
pub(in crate::server) struct Desk {
    rt: Rt,
    pub(in crate::server) world: World,
    /// So much later it is than the clock says.
    ahead: Duration,
    /// The log's work, where streams are kept: done when it is asked for.
    log: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// Who stands at a desk.
pub(in crate::server) struct Guest {
    client: Arc<Client>,
    state: State,
    decoder: Decoder,
}

impl Guest {
    /// Whether its session is to end.
    pub(super) fn quits(&self) -> bool {
        self.state.quits
    }

    /// Whether each request has one answer.
    pub(super) fn is_plain(&self) -> bool {
        self.state.replies == ReplyMode::On
    }

    pub(super) fn doomed(&self) -> Option<Doom> {
        self.client.doomed()
    }
}

/// An answer, and what of the question bounds it.
pub(super) struct Answered {
    pub(super) out: Vec<u8>,
    /// Arguments, those of a transaction that it may run included.
    pub(super) args: usize,
    /// It may be none, or more than one.
    pub(super) pushes: bool,
}

impl Desk {
    pub(in crate::server) fn new() -> Desk {
        Desk { rt: Rt::new(Smol::global()), world: World::default(), ahead: Duration::ZERO, log: None }
    }

    /// One that keeps streams on a disk, in a log whose slots are as small as can be.
    pub(in crate::server) fn kept(disk: &SimDisk) -> Result<Desk, DataError> {
        let mut desk = Desk::new();
        let options = Options { slot_bytes: 16 << 10, roll_bytes: 8 << 10, entropy: 3 };
        let (log, driver, state, _) = Log::open(Arc::new(disk.clone()), Path::new("/data"), options)?;
        let now = Now::of(&desk.rt);
        let Recovered { keeper, streams, last } = recover(log, state, desk.world.config.nodes, now)?;
        desk.world.keys.replace_streams(streams, last);
        desk.world.keeper = Some(keeper);
        desk.log = Some(Box::pin(driver.run()));
        desk.work();
        Ok(desk)
    }

    /// As [`Desk::kept`], with a thread that does the log's work.
    pub(in crate::server) fn kept_by_thread(disk: &SimDisk) -> Result<Desk, DataError> {
        let mut desk = Desk::kept(disk)?;
        if let Some(log) = desk.log.take() {
            desk.rt.spawn_blocking("log", Box::new(move || smol::block_on(log)));
        }
        Ok(desk)
    }

    /// Waits until something is in the log, or can't be.
    pub(in crate::server) fn wait(&self, barrier: Barrier) -> Result<(), Unwritten> {
        let confirmed = self.world.keeper.as_ref().unwrap().confirmed().clone();
        let mut wait = confirmed.wait(barrier);
        smol::block_on(std::future::poll_fn(|cx| wait.poll(cx)))
    }

    /// Whether something is in the log by now.
    pub(in crate::server) fn is_confirmed(&self, barrier: Barrier) -> bool {
        let mut wait = self.world.keeper.as_ref().unwrap().confirmed().wait(barrier);
        matches!(wait.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
    }

    /// Lets it try whether there is room on the disk again, and look at how that went.
    pub(in crate::server) fn try_again(&mut self) {
        for _ in 0..2 {
            self.begin_try();
            // Either way is an answer.
            let _ = self.wait(self.world.keeper.as_ref().unwrap().written());
        }
    }

    /// Lets time go by, so that it tries, or looks at how that went.
    pub(in crate::server) fn begin_try(&mut self) {
        self.ahead += Duration::from_secs(1);
        self.tick().unwrap();
    }

    /// The names of the log's topics.
    pub(in crate::server) fn topics(&mut self) -> Vec<String> {
        let (tell, heard) = std::sync::mpsc::sync_channel(1);
        let log = self.world.keeper.as_ref().unwrap().log().clone();
        log.describe(Done::new(move |state: Result<Box<crate::log::State>, LogError>| {
            tell.send(state.unwrap()).unwrap()
        }));
        self.work();
        let state: Box<crate::log::State> = heard.recv().unwrap();
        state.topics.into_values().map(|topic| topic.name).collect()
    }

    /// Ends, and waits until the log has.
    pub(in crate::server) fn close(self) {
        let (tell, heard) = std::sync::mpsc::sync_channel(1);
        self.world.keeper.as_ref().unwrap().log().close(true, Done::new(move |_| tell.send(()).unwrap()));
        heard.recv().unwrap();
    }

    /// Hands to the log what happened since.
    pub(in crate::server) fn write(&mut self) -> Barrier {
        self.world.write_down(&self.rt)
    }

    /// Lets the log do what it was handed.
    pub(in crate::server) fn work(&mut self) {
        if let Some(log) = &mut self.log {
            let _ = log.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// As the server does now and then.
    pub(in crate::server) fn tick(&mut self) -> Result<(), DataError> {
        let now = Now { moment: self.rt.now() + self.ahead, millis: self.rt.wall_millis() };
        self.world.keep_up(now)
    }

    pub(super) fn now(&self) -> Moment {
        self.rt.now()
    }

    pub(in crate::server) fn guest(&mut self) -> Guest {
        let id = self.world.number();
        let client = Arc::new(Client::new(id, [None, None], Moment::ZERO, 1 << 20));
        self.world.clients.insert(id, client.clone());
        let authenticated = self.world.config.password.is_none();
        Guest {
            client,
            state: State { authenticated, ..State::default() },
            decoder: Decoder::new(Limits::default()),
        }
    }

    /// What is answered to lines as a person types them; ends of line are shown as blanks.
    #[track_caller]
    pub(in crate::server) fn say(&mut self, guest: &mut Guest, lines: &str) -> String {
        let (text, mut out) = (format!("{lines}\r\n"), Vec::new());
        let mut input = text.as_bytes();
        while let Some(request) = guest.decoder.decode(&mut input).unwrap() {
            execute(&self.rt, &mut self.world, (&guest.client, &mut guest.state), request, &mut out);
        }
        shown(out)
    }

    /// What is answered to the next request in some bytes, as a session has it, but for one that waits: that is over at once. `None`: none is
    /// whole yet.
    pub(super) fn answer(
        &mut self,
        guest: &mut Guest,
        input: &mut &[u8],
    ) -> Result<Option<Answered>, ProtocolError> {
        let Some(request) = guest.decoder.decode(input)? else { return Ok(None) };
        let queued = guest.state.transaction.as_ref().map_or(&[][..], |transaction| &transaction.queued);
        let asked = || queued.iter().chain([&request]);
        let pushes = asked().any(|request| find(request).is_some_and(|command| command.is(Flag::Pushes)));
        let args = asked().map(Request::len).sum();
        let mut out = Vec::new();
        let rest = execute(&self.rt, &mut self.world, (&guest.client, &mut guest.state), request, &mut out);
        rest.into_iter().for_each(|request| guest.decoder.recycle(request));
        guest.decoder.set_authenticated(guest.state.authenticated);
        if let Some(Waits { number, silent, .. }) = guest.state.waits.take() {
            let left = self.world.waiting.remove(number).is_some();
            match guest.client.take_answer() {
                _ if silent => {}
                Some((answer, _)) => out.extend(answer),
                None if left => Replies::new(&mut out, guest.state.protocol).null_array(),
                None => {}
            }
        }
        // Nobody hears it.
        guest.client.take(&mut Vec::new(), usize::MAX);
        Ok(Some(Answered { out, args, pushes }))
    }

    /// One that goes, and another one that comes.
    pub(super) fn renew(&mut self, guest: &mut Guest) {
        self.world.pubsub.leave_all(&guest.client, &mut guest.state.interests);
        self.world.watched.leave(&mut guest.state.watch);
        self.world.clients.remove(&guest.client.id);
        *guest = self.guest();
    }

    /// What others sent to a guest.
    pub(super) fn heard(guest: &Guest) -> String {
        let mut out = Vec::new();
        guest.client.take(&mut out, usize::MAX);
        shown(out)
    }
}

fn shown(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap().replace("\r\n", " ").trim_end().to_string()
}

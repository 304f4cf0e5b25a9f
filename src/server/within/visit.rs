//! A client without a connection: it comes, asks, and goes.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;

use super::{Reply, ServedError};
use crate::server::alarms::{Alarms, Next};
use crate::server::client::Client;
use crate::server::execute::execute;
use crate::server::keep::Barrier;
use crate::server::resp::Request;
use crate::server::serving::Shared;
use crate::server::state::{State, Waits};
use crate::server::world::World;

/// Something that is asked of the server. Whatever it left behind goes when it is dropped, at whichever await.
pub(in crate::server) struct Visit {
    /// Why not held: a server that stops waits for whoever holds it, and not for a wait that nobody polls.
    shared: Weak<Shared>,
    client: Arc<Client>,
    state: State,
    /// What was answered, and nobody has heard yet.
    out: Vec<u8>,
    waits: Option<Waits>,
}

/// What was said is executed: where, and what its answer waits for.
pub(super) type Said = (Arc<Shared>, Barrier);

impl Visit {
    /// An error: the server has stopped.
    pub(in crate::server) fn begin(shared: &Weak<Shared>) -> Result<Visit, ServedError> {
        let there = shared.upgrade().ok_or(ServedError::Closed)?;
        let client = {
            let mut world = there.world();
            let id = world.number();
            Arc::new(Client::new(id, [None, None], there.rt().now(), world.config.most_pushed))
        };
        // Who is in the process needs no password.
        let state = State { authenticated: true, ..State::default() };
        Ok(Visit { shared: shared.clone(), client, state, out: Vec::new(), waits: None })
    }

    fn shared(&self) -> Result<Arc<Shared>, ServedError> {
        self.shared.upgrade().ok_or(ServedError::Closed)
    }

    /// Asks something, and waits for the answer, and until all that it may tell of is written.
    pub(in crate::server) async fn ask(&mut self, request: Request) -> Result<Reply, ServedError> {
        self.ask_if(|_| true, [request]).await
    }

    /// Asks several things in turn, with nobody between them, if it may, until one is refused; answers what the last one was answered.
    pub(super) async fn ask_if(
        &mut self,
        may: impl FnOnce(&World) -> bool,
        requests: impl IntoIterator<Item = Request>,
    ) -> Result<Reply, ServedError> {
        let said = self.say(may, requests)?;
        self.hear(said).await
    }

    /// Hears what is answered to what was said.
    pub(super) async fn hear(&mut self, (mut shared, mut of): Said) -> Result<Reply, ServedError> {
        if let Some(waits) = self.waits {
            drop(shared);
            // Why no more what it was told of at first: that was nothing. What it is handed later is so, whatever became of that.
            (shared, of) = self.wait(waits).await?;
        }
        if let Some(mut wait) = shared.confirming(of).await {
            let written = poll_fn(|cx| wait.poll(cx)).await;
            drop(wait);
            if let Err(why) = written {
                // What was answered is not so any more once that is done, unless nobody knows.
                shared.go_back();
                return Err(ServedError::unwritten(&why));
            }
        }
        let bug = || ServedError::refused("ERR callboard bug: the answer can't be read");
        let mut replies = Reply::read_all(&std::mem::take(&mut self.out)).ok_or_else(bug)?;
        match (replies.pop(), replies.is_empty()) {
            // So a browser is sent away.
            (None, _) if self.state.quits => Err(ServedError::refused("ERR no command has such a name")),
            (None, _) => Ok(Reply::Nothing),
            (Some(Reply::Error(reply)), true) => Err(ServedError::Refused { reply }),
            (Some(reply), true) => Ok(reply),
            (Some(last), false) => {
                replies.push(last);
                Ok(Reply::List(replies))
            }
        }
    }

    /// As [`Visit::ask_if`], without waiting for anything.
    pub(super) fn say(
        &mut self,
        may: impl FnOnce(&World) -> bool,
        requests: impl IntoIterator<Item = Request>,
    ) -> Result<Said, ServedError> {
        let shared = self.shared()?;
        let mut world = shared.world();
        // Why under the lock: whoever stops the server finds all who wait by then.
        if shared.stop.is_closed() {
            return Err(ServedError::Closed);
        }
        if !may(&world) {
            return Err(ServedError::Lost);
        }
        for request in requests {
            fits(&world, &request)?;
            self.out.clear();
            let who = (&self.client, &mut self.state);
            execute(shared.rt(), &mut world, who, request, &mut self.out);
            if self.is_refused() {
                break;
            }
        }
        self.waits = self.state.waits.take();
        if self.waits.is_some() {
            world.clients.insert(self.client.id, self.client.clone());
        }
        let of = world.barrier();
        drop(world);
        Ok((shared, of))
    }

    /// Whether what was said last was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.out.starts_with(b"-")
    }

    /// Waits for what others are to do.
    async fn wait(&mut self, waits: Waits) -> Result<Said, ServedError> {
        let mut look = waits.look;
        loop {
            let mut alarms = Alarms::new(&*self.shared()?, waits.until, look);
            let next = poll_fn(|cx| match alarms.poll(&self.client, cx) {
                Poll::Ready(next) => Poll::Ready(next.map_err(|_| ServedError::Closed)),
                Poll::Pending => Poll::Pending,
            });
            match next.await? {
                Next::Look => look = waits.look(&*self.shared()?),
                Next::GoOn => break,
            }
        }
        let shared = self.shared()?;
        self.waits = None;
        let of = waits.end((&shared, &self.client), self.state.protocol, &mut self.out);
        let of = of.unwrap_or_else(|| shared.world().barrier());
        Ok((shared, of))
    }

    /// Goes; answers what nobody heard.
    pub(super) fn leave(&mut self) -> Vec<u8> {
        if let Some(shared) = self.shared.upgrade() {
            let mut world = shared.world();
            world.clients.remove(&self.client.id);
            world.pubsub.leave_all(&self.client, &mut self.state.interests);
            world.watched.leave(&mut self.state.watch);
            drop(world);
            if let Some(waits) = self.waits.take() {
                waits.end((&shared, &self.client), self.state.protocol, &mut self.out);
            }
        }
        std::mem::take(&mut self.out)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Whether a client could send it.
fn fits(world: &World, request: &Request) -> Result<(), ServedError> {
    let limits = world.config.limits();
    let longest = request.args().map(<[u8]>::len).max().unwrap_or(0);
    if request.len() == 0 || request.len() > limits.args || request.memory() > limits.request {
        return Err(ServedError::refused(
            "ERR a command has a name, and no more arguments and bytes than a client may send",
        ));
    }
    match longest > limits.bulk {
        true => Err(ServedError::refused(format!(
            "ERR an argument of {longest} bytes is above the limit of {}",
            limits.bulk
        ))),
        false => Ok(()),
    }
}

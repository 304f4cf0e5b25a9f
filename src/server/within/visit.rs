//! A client without a connection: it comes, asks, and goes.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;

use super::{Reply, ServedError};
use crate::server::alarms::{Alarms, Next};
use crate::server::client::Client;
use crate::server::execute::execute;
use crate::server::keep::Barrier;
use crate::server::resp::{Limits, Request};
use crate::server::serving::Shared;
use crate::server::state::{State, Waits};
use crate::server::world::World;

/// Something that is asked of the server. Whatever it left behind goes when it is dropped, at whichever await.
pub(in crate::server) struct Visit {
    shared: Arc<Shared>,
    client: Arc<Client>,
    state: State,
    /// What was answered, and nobody has heard yet.
    out: Vec<u8>,
    waits: Option<Waits>,
}

impl Visit {
    /// An error: the server has stopped.
    pub(in crate::server) fn begin(shared: &Weak<Shared>) -> Result<Visit, ServedError> {
        let shared = shared.upgrade().ok_or(ServedError::Closed)?;
        let client = {
            let mut world = shared.world();
            let id = world.number();
            Arc::new(Client::new(id, [None, None], shared.rt().now(), world.config.most_pushed))
        };
        // Who is in the process needs no password.
        let state = State { authenticated: true, ..State::default() };
        Ok(Visit { shared, client, state, out: Vec::new(), waits: None })
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
        let mut of = self.say(may, requests)?;
        if let Some(waits) = self.waits {
            of = of.and(self.wait(waits).await?);
        }
        if let Some(mut wait) = self.shared.confirming(of).await {
            let written = poll_fn(|cx| wait.poll(cx)).await;
            drop(wait);
            if written.is_err() {
                // Nothing of what was answered is so.
                self.out.clear();
                self.shared.go_back();
                return Err(ServedError::NotWritten);
            }
        }
        let bug = || ServedError::refused("ERR callboard bug: the answer can't be read");
        let mut replies = Reply::read_all(&std::mem::take(&mut self.out)).ok_or_else(bug)?;
        match (replies.pop(), replies.is_empty()) {
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
    ) -> Result<Barrier, ServedError> {
        let mut world = self.shared.world();
        // Why under the lock: whoever stops the server finds all who wait by then.
        if self.shared.stop.is_closed() {
            return Err(ServedError::Closed);
        }
        if !may(&world) {
            return Err(ServedError::Lost);
        }
        for request in requests {
            fits(&world, &request)?;
            self.out.clear();
            let (who, rt) = ((&self.client, &mut self.state), self.shared.rt());
            execute(rt, &mut world, who, request, &mut self.out);
            if self.out.starts_with(b"-") {
                break;
            }
        }
        self.waits = self.state.waits.take();
        if self.waits.is_some() {
            world.clients.insert(self.client.id, self.client.clone());
        }
        Ok(world.barrier())
    }

    /// Waits for what others are to do; answers what that tells of.
    async fn wait(&mut self, waits: Waits) -> Result<Barrier, ServedError> {
        let mut look = waits.look;
        loop {
            let mut alarms = Alarms::new(&self.shared, waits.until, look);
            let next = poll_fn(|cx| match alarms.poll(&self.client, cx) {
                Poll::Ready(next) => Poll::Ready(next.map_err(|_| ServedError::Closed)),
                Poll::Pending => Poll::Pending,
            });
            match next.await? {
                Next::Look => look = waits.look(&self.shared),
                Next::GoOn => break,
            }
        }
        self.waits = None;
        let of = waits.end((&self.shared, &self.client), self.state.protocol, &mut self.out);
        Ok(of.unwrap_or_else(|| self.shared.world().barrier()))
    }

    /// Goes; answers what nobody heard.
    pub(super) fn leave(&mut self) -> Vec<u8> {
        let mut world = self.shared.world();
        world.clients.remove(&self.client.id);
        world.pubsub.leave_all(&self.client, &mut self.state.interests);
        world.watched.leave(&mut self.state.watch);
        drop(world);
        if let Some(waits) = self.waits.take() {
            waits.end((&self.shared, &self.client), self.state.protocol, &mut self.out);
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
    let limits = Limits { bulk: world.config.most_bulk, ..Limits::default() };
    let longest = request.args().map(<[u8]>::len).max().unwrap_or(0);
    if request.len() == 0 || request.len() > limits.args || request.memory() > limits.request {
        return Err(ServedError::refused(
            "ERR a command has a name, and no more arguments than a client may send",
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

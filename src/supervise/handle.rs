//! How a running supervisor is reached.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::office::{Office, ending};
use super::words::{Boss, Event, Request};
use super::{AddError, ChildInfo, ChildSpec, RemoveError, Supervisor, SupervisorEnded};
use crate::actor::{Actor, Address, Ended, Exit, Life, System, Until};
use crate::base::Name;
use crate::mailbox::{Reply, Sender, reply};

/// Reaches a supervisor: stops it, waits for its end, adds and removes children, and shows them.
///
/// Cloning is cheap. Dropping handles, even the last one, changes nothing: the supervisor and its children go on,
/// so that a program may start a tree and forget it.
///
/// A child that awaits one of these in its own handler may wait for itself: a supervisor that stops waits for its
/// children.
///
/// # Examples
/// An actor hears of the end of a supervisor if it attaches it, as a stream of one item:
/// ```
/// use callboard::prelude::*;
/// use callboard::supervise::SupervisorEnded;
/// use futures::stream;
///
/// struct Watcher(SupervisorHandle);
///
/// impl Actor for Watcher {
///     type Message = SupervisorEnded;
///
///     async fn started(&mut self, context: &mut Context<SupervisorEnded>) -> Result<(), Fault> {
///         Ok(context.attach(stream::once(self.0.ended()))?)
///     }
///
///     async fn handle(&mut self, ended: SupervisorEnded, context: &mut Context<SupervisorEnded>) -> Result<(), Fault> {
///         assert!(ended.escalated().is_none());
///         context.stop();
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let system = System::start()?;
/// let handle = Supervisor::one_for_one(&system).start().await?;
/// let watcher = system.spawn(Watcher(handle.clone()));
/// handle.stop().await;
/// assert!(!watcher.ended().await.exit.is_failure());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SupervisorHandle {
    name: Name,
    system: System,
    to: Sender<Request, Event>,
    life: Arc<Life<SupervisorEnded>>,
}

impl SupervisorHandle {
    pub(super) fn of(office: &Office) -> SupervisorHandle {
        SupervisorHandle {
            name: office.name().clone(),
            system: office.system.clone(),
            to: office.to.clone(),
            life: office.life.clone(),
        }
    }

    /// Returns the supervisor's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Stops the supervisor: its children in reverse start order, each within its stop timeout, then by force.
    ///
    /// Takes effect at once, whether or not the future is awaited; that reports the end. A nested supervisor is
    /// started again if its restart rule says so; remove it from its supervisor to end it for good.
    pub fn stop(&self) -> impl Future<Output = SupervisorEnded> + Send + use<> {
        let ending = self.ending(Until::Incarnation);
        drop(self.to.control(Event::Stop));
        ending
    }

    /// Waits until the supervisor has ended, without asking for it; for a nested one, until no restart is planned.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub fn ended(&self) -> impl Future<Output = SupervisorEnded> + Send + use<> {
        self.ending(Until::End)
    }

    /// Adds a child behind the others and waits until it is up.
    ///
    /// Where a start waits its turn, so does this: behind a restart that is under way, and for a nested supervisor
    /// that waits to be restarted itself.
    ///
    /// # Errors
    /// [`AddError`] says what is wrong with it. If its first start fails, it is forgotten, and nothing else changes.
    ///
    /// # Cancel safety
    /// Once the future was polled, the child may be added even if the future is dropped.
    pub async fn add<A: Actor>(&self, spec: ChildSpec<A>) -> Result<Address<A::Message>, AddError> {
        let (newcomer, address) = spec.into_newcomer(&self.system, &self.name, self.boss())?;
        self.request(|reply| Request::Add(newcomer, reply)).await.unwrap_or(Err(AddError::Closed))?;
        Ok(address)
    }

    /// Adds a supervisor behind the other children, and waits until its own children are up.
    ///
    /// # Errors
    /// As [`SupervisorHandle::add`].
    ///
    /// # Cancel safety
    /// As [`SupervisorHandle::add`].
    pub async fn add_supervisor(&self, tree: Supervisor) -> Result<SupervisorHandle, AddError> {
        let (newcomer, handle) = tree.into_newcomer(self.boss())?;
        self.request(|reply| Request::Add(newcomer, reply)).await.unwrap_or(Err(AddError::Closed))?;
        Ok(handle)
    }

    /// Stops the child called `name`, as a shutdown would, and forgets it. Its siblings don't notice.
    ///
    /// # Errors
    /// [`RemoveError`] if there is no such child, or it could not be ended.
    ///
    /// # Cancel safety
    /// Once the future was polled, the child may be removed even if the future is dropped.
    pub async fn remove(&self, name: &str) -> Result<Ended, RemoveError> {
        let name = name.to_owned();
        self.request(|reply| Request::Remove(name, reply)).await.unwrap_or(Err(RemoveError::Closed))
    }

    /// Lists the children in start order; empty once the supervisor has ended.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn children(&self) -> Vec<ChildInfo> {
        self.request(Request::Children).await.unwrap_or_default()
    }

    /// Waits for the answer to a request; `None` if the supervisor has ended.
    async fn request<R: Send + 'static>(&self, make: impl FnOnce(Reply<R>) -> Request) -> Option<R> {
        let (port, answer) = reply();
        let request = make(port);
        self.to.send(request).await.ok()?;
        answer.await.ok()
    }

    fn boss(&self) -> Boss {
        Boss(self.to.downgrade())
    }

    fn ending(&self, until: Until) -> impl Future<Output = SupervisorEnded> + Send + use<> {
        let (ending, name) = (ending(&self.life, until), self.name.clone());
        async move {
            let gone = SupervisorEnded { name, exit: Exit::Killed, stuck: Vec::new(), unhandled: 0 };
            ending.await.unwrap_or(gone)
        }
    }
}

impl fmt::Debug for SupervisorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SupervisorHandle({})", self.name)
    }
}

//! How an actor is spawned.

use std::error::Error;
use std::fmt;
use std::future::Future;

use super::{Actor, Address, Core, Seat, System};
use crate::base::{InvalidName, Name};
use crate::mailbox::mailbox;

/// Spawns one actor with settings of its own; made by [`System::actor`].
///
/// # Examples
/// ```
/// use callboard::actor::{SpawnError, TrySendError};
/// use callboard::prelude::*;
/// # struct Cashier;
/// # impl Actor for Cashier {
/// #     type Message = u32;
/// #     async fn handle(&mut self, _: u32, _: &mut Context<u32>) -> Result<(), Fault> {
/// #         Ok(())
/// #     }
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let system = System::start()?;
/// let cashier = system.actor("cashier")?.capacity(2).spawn(Cashier)?;
/// cashier.try_send(1)?;
/// cashier.try_send(2)?;
/// // Two places; the cashier had no time yet, on this runtime of one thread.
/// assert!(matches!(cashier.try_send(3), Err(TrySendError::Full(3))));
///
/// let second = system.actor("cashier")?.spawn(Cashier);
/// assert!(matches!(second, Err(SpawnError::NameTaken(_))));
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is spawned before `spawn`"]
pub struct Spawn<'a> {
    system: &'a System,
    name: Option<Name>,
    capacity: usize,
}

/// Says why an actor was not spawned. Nothing was started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnError {
    /// A living actor of this system has the name.
    NameTaken(Name),
    /// The name can't be one.
    InvalidName(InvalidName),
    /// The capacity is 0 or above [`Spawn::MOST`].
    InvalidCapacity(usize),
}

impl<'a> Spawn<'a> {
    /// The capacity of a mailbox, unless told otherwise.
    pub const CAPACITY: usize = 64;
    /// The largest capacity a mailbox may have.
    pub const MOST: usize = 1 << 24;

    pub(super) fn named(system: &'a System, name: Name) -> Spawn<'a> {
        Spawn { system, name: Some(name), capacity: Spawn::CAPACITY }
    }

    pub(super) fn unnamed(system: &'a System) -> Spawn<'a> {
        Spawn { system, name: None, capacity: Spawn::CAPACITY }
    }

    /// Sets how many messages the mailbox holds, the one being handled included. Default: [`Spawn::CAPACITY`].
    ///
    /// Memory is taken as messages come, so a large number costs nothing by itself.
    pub fn capacity(mut self, messages: usize) -> Spawn<'a> {
        self.capacity = messages;
        self
    }

    /// Spawns the actor.
    ///
    /// # Errors
    /// [`SpawnError`] says which setting is refused.
    pub fn spawn<A: Actor>(self, actor: A) -> Result<Address<A::Message>, SpawnError> {
        let (seat, address) = self.seat()?;
        run(seat, actor);
        Ok(address)
    }

    /// The mailbox and the place in the registry, without a task.
    pub(crate) fn seat<M: Send + 'static>(self) -> Result<(Seat<M>, Address<M>), SpawnError> {
        if self.capacity == 0 || self.capacity > Spawn::MOST {
            return Err(SpawnError::InvalidCapacity(self.capacity));
        }
        let (named, name) = match self.name {
            Some(name) => (true, name),
            None => (false, self.system.number("actor")),
        };
        let core = Core::new(name, self.system.clone());
        let (sender, receiver) = mailbox(self.capacity, ());
        let address = Address::new(sender, core.clone());
        if named && !self.system.register(&core, address.downgrade()) {
            return Err(SpawnError::NameTaken(core.name.clone()));
        }
        Ok((Seat::new(core, receiver), address))
    }

    /// Spawns with settings that are known to be good.
    pub(super) fn start<A: Actor>(self, actor: A) -> Address<A::Message> {
        let core = Core::new(self.name.unwrap_or_else(|| self.system.number("actor")), self.system.clone());
        let (sender, receiver) = mailbox(self.capacity, ());
        let seat = Seat::new(core.clone(), receiver);
        run(seat, actor);
        Address::new(sender, core)
    }
}

/// Starts the task of an actor that nobody supervises.
fn run<A: Actor>(seat: Seat<A::Message>, actor: A) {
    let core = seat.core().clone();
    core.system.rt().spawn(core.name.as_str(), one_life(Solo { actor: Some(actor), seat }));
}

/// Invariant: the actor before its seat. A task that is dropped before it is done drops them in this order, and the
/// seat tells that the actor has ended.
struct Solo<A: Actor> {
    actor: Option<A>,
    seat: Seat<A::Message>,
}

#[expect(clippy::manual_async_fn, reason = "an async fn holds its argument twice")]
fn one_life<A: Actor>(mut solo: Solo<A>) -> impl Future<Output = ()> + Send {
    async move {
        let solo = &mut solo;
        let lived = solo.seat.live_as(&mut solo.actor, || ()).await;
        solo.seat.end_as(lived);
    }
}

impl From<InvalidName> for SpawnError {
    fn from(error: InvalidName) -> SpawnError {
        SpawnError::InvalidName(error)
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnError::NameTaken(name) => write!(f, "not spawned: a living actor is called {name}"),
            SpawnError::InvalidName(error) => write!(f, "not spawned: {error}"),
            SpawnError::InvalidCapacity(capacity) => {
                write!(f, "not spawned: a capacity of {capacity} is not within 1 and {}", Spawn::MOST)
            }
        }
    }
}

impl Error for SpawnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            SpawnError::InvalidName(error) => Some(error),
            _ => None,
        }
    }
}

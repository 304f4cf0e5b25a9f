//! How a supervised actor is described.

use std::fmt;
use std::time::Duration;

use super::child_task::ChildTask;
use super::member::{ActorReach, Member, Newcomer, Terms};
use super::words::Boss;
use super::{AddError, Backoff, InvalidSetting, Restart};
use crate::actor::{Actor, Address, Spawn, SpawnError, System};
use crate::base::Name;

/// Describes one child of a supervisor: its name, how it is made, and when it is restarted and stopped.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use callboard::prelude::*;
/// use callboard::supervise::{Backoff, Restart};
///
/// struct Mailer;
/// # impl Actor for Mailer {
/// #     type Message = String;
/// #     async fn handle(&mut self, _: String, _: &mut Context<String>) -> Result<(), Fault> { Ok(()) }
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut tree = Supervisor::one_for_one(&System::start()?);
/// let mailer: Address<String> = tree.child(
///     ChildSpec::new("mailer", || Mailer)
///         .restart(Restart::OnFailure)
///         .backoff(Backoff::exponential(Duration::from_millis(50), Duration::from_secs(10)))
///         .capacity(1_000)
///         .stop_timeout(Duration::from_secs(2)),
/// )?;
/// mailer.send("waits in the mailbox until the start".to_owned()).await?;
/// # tree.start().await?.stop().await;
/// # Ok(()) }
/// ```
#[must_use = "a description starts nothing: hand it to a supervisor"]
pub struct ChildSpec<A> {
    name: String,
    make: Box<dyn FnMut() -> A + Send>,
    restart: Restart,
    backoff: Backoff,
    capacity: usize,
    stop_timeout: Option<Duration>,
    keep_mailbox: bool,
}

impl<A: Actor> ChildSpec<A> {
    /// How long a child may take to stop, unless told otherwise.
    pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);

    /// Describes a child called `name`, for each incarnation of which `make` makes a new state.
    ///
    /// The name is unique among the siblings; the actor is called `<supervisor>/<name>`, and is found by that.
    /// `make` runs in the child's own task and should be quick; what takes long, or can fail, belongs into
    /// [`Actor::started`]. If it panics, the start has failed.
    pub fn new(name: impl Into<String>, make: impl FnMut() -> A + Send + 'static) -> ChildSpec<A> {
        ChildSpec {
            name: name.into(),
            make: Box::new(make),
            restart: Restart::default(),
            backoff: Backoff::default(),
            capacity: Spawn::CAPACITY,
            stop_timeout: Some(ChildSpec::<A>::STOP_TIMEOUT),
            keep_mailbox: true,
        }
    }

    /// Sets after which ends the child is restarted. Default: [`Restart::Always`].
    pub fn restart(mut self, restart: Restart) -> ChildSpec<A> {
        self.restart = restart;
        self
    }

    /// Sets how long a restart waits. Default: [`Backoff::default`].
    pub fn backoff(mut self, backoff: Backoff) -> ChildSpec<A> {
        self.backoff = backoff;
        self
    }

    /// Sets how many messages the mailbox holds, the one being handled included. Default: [`Spawn::CAPACITY`].
    pub fn capacity(mut self, messages: usize) -> ChildSpec<A> {
        self.capacity = messages;
        self
    }

    /// Sets how long the child may take to stop until it is killed; `None` waits for ever. Default:
    /// [`ChildSpec::STOP_TIMEOUT`].
    ///
    /// When its supervisor shuts down, or it is removed, a child handles what it accepted within this time. Zero
    /// kills it at once.
    pub fn stop_timeout(mut self, timeout: impl Into<Option<Duration>>) -> ChildSpec<A> {
        self.stop_timeout = timeout.into();
        self
    }

    /// Sets whether the messages that wait when an incarnation ends are left to the next one. Default: `true`.
    ///
    /// If not, they are dropped and counted. Messages sent after that wait for the next incarnation either way.
    pub fn keep_mailbox(mut self, keep: bool) -> ChildSpec<A> {
        self.keep_mailbox = keep;
        self
    }

    /// Makes the child's mailbox and its task, for the supervisor called `above`.
    pub(super) fn into_newcomer(
        self,
        system: &System,
        above: &Name,
        boss: Boss,
    ) -> Result<(Newcomer, Address<A::Message>), AddError> {
        let mut faults = Vec::new();
        faults.extend(Name::new(&self.name).err().map(|error| error.to_string()));
        faults.extend(faults_of(&self.backoff, self.stop_timeout));
        if self.capacity == 0 || self.capacity > Spawn::MOST {
            let (capacity, most) = (self.capacity, Spawn::MOST);
            faults.push(format!("a capacity of {capacity} is not within 1 and {most}"));
        }
        InvalidSetting::unless_empty(faults)?;
        let invalid = |error: String| match InvalidSetting::unless_empty(vec![error]) {
            Err(error) => AddError::Invalid(error),
            Ok(()) => AddError::Closed,
        };
        let name = Name::new(&self.name).map_err(|error| invalid(error.to_string()))?;
        let spawn = system.actor(&format!("{above}/{name}")).map_err(|error| invalid(error.to_string()))?;
        let (seat, address) = spawn.capacity(self.capacity).seat().map_err(|error| match error {
            SpawnError::NameTaken(name) => AddError::NameTaken(name),
            other => invalid(other.to_string()),
        })?;
        // Why 1: a later order replaces the one before.
        let (sender, orders) = async_channel::bounded(1);
        let reach = ActorReach { orders: sender, address: address.downgrade() };
        let terms = Terms { restart: self.restart, backoff: self.backoff, stop_timeout: self.stop_timeout };
        let member = Member::new(name, address.name().clone(), terms, reach);
        let task = ChildTask {
            make: self.make,
            seat,
            address: address.clone(),
            orders,
            boss,
            keep_mailbox: self.keep_mailbox,
        };
        Ok((Newcomer { member, task: Box::pin(task.run()) }, address))
    }
}

/// What is wrong with the settings that children of every kind have.
pub(super) fn faults_of(backoff: &Backoff, stop_timeout: Option<Duration>) -> Vec<String> {
    let mut faults = Vec::new();
    if let Err(error) = backoff.check() {
        faults.extend(error.faults().map(str::to_owned));
    }
    if let Some(timeout) = stop_timeout.filter(|timeout| *timeout > Backoff::MAX) {
        faults.push(format!(
            "the stop timeout of {timeout:?} is over {:?}: `None` waits for ever",
            Backoff::MAX
        ));
    }
    faults
}

impl<A> fmt::Debug for ChildSpec<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("name", &self.name)
            .field("restart", &self.restart)
            .field("backoff", &self.backoff)
            .field("capacity", &self.capacity)
            .field("stop_timeout", &self.stop_timeout)
            .field("keep_mailbox", &self.keep_mailbox)
            .finish_non_exhaustive()
    }
}

//! How a tree is built and started.

use std::fmt;
use std::time::Duration;

use futures::channel::oneshot;

use super::member::{Member, Newcomer, Terms, TreeReach};
use super::office::Office;
use super::run::{Above, Run};
use super::spec::faults_of;
use super::words::Boss;
use super::{
    AddError, Backoff, ChildSpec, Intensity, InvalidSetting, Restart, StartError, Strategy, SupervisorHandle,
};
use crate::actor::{Actor, Address, System};
use crate::base::Name;

/// Starts actors in order, restarts them when they fail, and stops them in reverse order.
///
/// This is the description; [`start`](Supervisor::start) makes it run. The addresses that it hands out are valid
/// before the start and across restarts: what is sent meanwhile waits in the mailbox. Dropped without a start, it
/// closes them.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
/// use callboard::supervise::Backoff;
///
/// /// Divides 100 by what it is told, and panics if that is zero.
/// struct Divider;
///
/// enum Divide {
///     By(u32, Reply<u32>),
/// }
///
/// impl Actor for Divider {
///     type Message = Divide;
///
///     async fn handle(&mut self, message: Divide, _: &mut Context<Divide>) -> Result<(), Fault> {
///         let Divide::By(n, reply) = message;
///         drop(reply.send(100 / n));
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # std::panic::set_hook(Box::new(|_| ()));
/// let mut tree = Supervisor::one_for_one(&System::start()?).name("maths");
/// let divider = tree.child(ChildSpec::new("divider", || Divider).backoff(Backoff::none()))?;
/// let running = tree.start().await?;
///
/// assert!(divider.ask(|reply| Divide::By(0, reply)).await.is_err());    // panicked
/// assert_eq!(divider.ask(|reply| Divide::By(5, reply)).await?, 20);     // and is back
/// assert_eq!(running.children().await[0].restarts, 1);
/// assert_eq!(running.stop().await.unhandled, 0);
/// # Ok(()) }
/// ```
#[must_use = "nothing runs before `start`"]
pub struct Supervisor {
    office: Office,
    strategy: Strategy,
    intensity: Intensity,
    terms: Terms,
    crew: Vec<Newcomer>,
    faults: Vec<String>,
}

impl Supervisor {
    /// Makes a supervisor that restarts what failed, and whatever else `strategy` says.
    pub fn new(system: &System, strategy: Strategy) -> Supervisor {
        Supervisor {
            office: Office::new(system, system.number("supervisor")),
            strategy,
            intensity: Intensity::default(),
            terms: Terms { restart: Restart::default(), backoff: Backoff::default(), stop_timeout: None },
            crew: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Makes a supervisor that restarts only the child that failed: [`Strategy::OneForOne`].
    pub fn one_for_one(system: &System) -> Supervisor {
        Supervisor::new(system, Strategy::OneForOne)
    }

    /// Makes a supervisor that restarts the child that failed and those after it: [`Strategy::RestForOne`].
    pub fn rest_for_one(system: &System) -> Supervisor {
        Supervisor::new(system, Strategy::RestForOne)
    }

    /// Makes a supervisor that restarts all children when one fails: [`Strategy::OneForAll`].
    pub fn one_for_all(system: &System) -> Supervisor {
        Supervisor::new(system, Strategy::OneForAll)
    }

    /// Names the supervisor: before its children, since theirs begin with it. Default: `supervisor-<number>`.
    pub fn name(mut self, name: &str) -> Supervisor {
        match Name::new(name) {
            Ok(name) if self.crew.is_empty() => self.office.ended.name = name,
            Ok(name) => self.faults.push(format!("the name {name} comes after the first child")),
            Err(error) => self.faults.push(error.to_string()),
        }
        self
    }

    /// Sets how many restarts are too many. Default: [`Intensity::default`].
    pub fn intensity(mut self, intensity: Intensity) -> Supervisor {
        self.intensity = intensity;
        self
    }

    /// Sets after which ends it is restarted, where it is the child of another supervisor. Default:
    /// [`Restart::Always`].
    pub fn restart(mut self, restart: Restart) -> Supervisor {
        self.terms.restart = restart;
        self
    }

    /// Sets how long its restart waits, where it is the child of another supervisor. Default:
    /// [`Backoff::default`].
    pub fn backoff(mut self, backoff: Backoff) -> Supervisor {
        self.terms.backoff = backoff;
        self
    }

    /// Sets how long it may take to stop until its children are killed, where it is the child of another
    /// supervisor. Default: `None`, as long as its children's own timeouts add up to.
    pub fn stop_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Supervisor {
        self.terms.stop_timeout = timeout.into();
        self
    }

    /// Adds a child, to be started after those added before. Returns its address, which is valid at once.
    ///
    /// # Errors
    /// [`AddError`] says what is wrong with its settings, or that its name is taken.
    pub fn child<A: Actor>(&mut self, spec: ChildSpec<A>) -> Result<Address<A::Message>, AddError> {
        let (newcomer, address) =
            spec.into_newcomer(&self.office.system, self.office.name(), self.office.boss())?;
        self.add(newcomer)?;
        Ok(address)
    }

    /// Adds a supervisor as a child, with all that is below it. It counts as up when its own children are.
    ///
    /// Its name is its child's name here. When it is restarted, its children are, on the mailboxes they have; those
    /// that were added to it while it ran are among them.
    ///
    /// # Errors
    /// As [`Supervisor::child`].
    pub fn supervisor(&mut self, tree: Supervisor) -> Result<SupervisorHandle, AddError> {
        let (newcomer, handle) = tree.into_newcomer(self.office.boss())?;
        self.add(newcomer)?;
        Ok(handle)
    }

    /// Returns the handle that [`Supervisor::start`] will, for children that need it themselves.
    pub fn handle(&self) -> SupervisorHandle {
        SupervisorHandle::of(&self.office)
    }

    /// Starts the children in the order in which they were added, each after the one before is up.
    ///
    /// Ready when all are up.
    ///
    /// # Errors
    /// [`StartError`]: the settings can't be used, or a child could not be started. By then all that had been
    /// started are stopped again, in reverse order.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready stops what it has started.
    pub async fn start(self) -> Result<SupervisorHandle, StartError> {
        let handle = self.handle();
        let (ready, up) = oneshot::channel();
        let run = self.into_run(Above::Nobody(Some(ready))).map_err(StartError::Invalid)?;
        run.spawn();
        let mut guard = StopUnlessUp(Some(handle.clone()));
        let up = up.await.is_ok();
        let ended = if up { None } else { Some(handle.ended().await) };
        guard.0 = None;
        match ended {
            None => Ok(handle),
            Some(ended) => Err(ended.escalated().cloned().map_or(StartError::Stopped, StartError::Failed)),
        }
    }

    /// Makes it a child of another supervisor.
    pub(super) fn into_newcomer(self, boss: Boss) -> Result<(Newcomer, SupervisorHandle), AddError> {
        let (handle, terms, name) = (self.handle(), self.terms, self.office.name().clone());
        let reach = TreeReach(self.office.to.downgrade());
        let run = self.into_run(Above::Supervisor { boss, id: None })?;
        let member = Member::new(name.clone(), name, terms, reach);
        Ok((Newcomer { member, task: Box::pin(run.run()) }, handle))
    }

    fn add(&mut self, newcomer: Newcomer) -> Result<(), AddError> {
        let name = &newcomer.member.name;
        if self.crew.iter().any(|other| other.member.name == *name) {
            return Err(AddError::NameTaken(name.clone()));
        }
        self.crew.push(newcomer);
        Ok(())
    }

    fn into_run(mut self, above: Above) -> Result<Run, InvalidSetting> {
        self.faults.extend(faults_of(&self.terms.backoff, self.terms.stop_timeout));
        if let Err(error) = self.intensity.check() {
            self.faults.extend(error.faults().map(str::to_owned));
        }
        InvalidSetting::unless_empty(self.faults)?;
        Ok(Run::new(self.office, above, self.strategy, self.intensity, self.crew))
    }
}

/// Stops a supervisor whose start was given up by whoever waited for it.
struct StopUnlessUp(Option<SupervisorHandle>);

impl Drop for StopUnlessUp {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            drop(handle.stop());
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children: Vec<&str> = self.crew.iter().map(|child| child.member.name.as_str()).collect();
        f.debug_struct("Supervisor")
            .field("name", self.office.name())
            .field("strategy", &self.strategy)
            .field("intensity", &self.intensity)
            .field("children", &children)
            .finish_non_exhaustive()
    }
}

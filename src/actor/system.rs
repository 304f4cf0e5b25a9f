//! The system: which runtime, and who is called what.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Actor, Address, Core, Spawn, WeakAddress};
use crate::base::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};
use crate::base::{InvalidName, Name};
use crate::runtime::{NoRuntime, Rt, Runtime};

/// Spawns actors on one runtime and finds them by name.
///
/// Cloning is cheap and shares the system. Dropping it ends nothing: an actor ends by its own rules, or with its
/// runtime.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
/// # struct Librarian;
/// # impl Actor for Librarian {
/// #     type Message = &'static str;
/// #     async fn handle(&mut self, _: &'static str, _: &mut Context<&'static str>) -> Result<(), Fault> {
/// #         Ok(())
/// #     }
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let system = System::start()?;
/// let librarian = system.actor("librarian")?.spawn(Librarian)?;
/// // Elsewhere, by name and type of message:
/// let found = system.find::<&'static str>("librarian").expect("it lives");
/// found.send("any book").await?;
/// // A name is free again once its actor has ended.
/// librarian.stop().await;
/// assert!(system.find::<&'static str>("librarian").is_none());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct System {
    inside: Arc<Inside>,
}

struct Inside {
    rt: Rt,
    unnamed: AtomicU64,
    /// The actors that were given a name, by that name. Limit: the named actors that live.
    named: Mutex<BTreeMap<Name, Entry>>,
}

struct Entry {
    core: Arc<Core>,
    /// A `WeakAddress<M>`.
    address: Box<dyn Any + Send + Sync>,
}

/// Builds a [`System`] on a runtime of your choice; made by [`System::builder`].
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use callboard::prelude::*;
/// use callboard::runtime::Smol;
/// # struct Echo;
/// # impl Actor for Echo {
/// #     type Message = Reply<&'static str>;
/// #     async fn handle(
/// #         &mut self,
/// #         reply: Reply<&'static str>,
/// #         _: &mut Context<Reply<&'static str>>,
/// #     ) -> Result<(), Fault> {
/// #         let _ = reply.send("echo");
/// #         Ok(())
/// #     }
/// # }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let executor = Arc::new(smol::Executor::new());
/// let system = System::builder().runtime(Smol::with(executor.clone())).start()?;
/// let echo = system.spawn(Echo);
/// // The actor runs wherever the executor is run; whoever asks may be anywhere.
/// let answer = smol::block_on(executor.run(echo.ask(|reply| reply)));
/// assert_eq!(answer.unwrap(), "echo");
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct SystemBuilder {
    rt: Option<Rt>,
}

impl System {
    /// Makes a system on the runtime that the code runs in: inside tokio that one, else smol.
    ///
    /// # Errors
    /// [`NoRuntime`] outside of tokio, if the feature `smol` is off; or if the runtime has no timers.
    pub fn start() -> Result<System, NoRuntime> {
        System::builder().start()
    }

    /// Makes a builder, to name another runtime.
    pub fn builder() -> SystemBuilder {
        SystemBuilder::default()
    }

    pub(crate) fn on(rt: Rt) -> System {
        System { inside: Arc::new(Inside { rt, unnamed: AtomicU64::new(0), named: Mutex::default() }) }
    }

    /// Spawns an actor without a name that others could find; logs call it `actor-<number>`.
    ///
    /// Its mailbox has [`Spawn::CAPACITY`] places. The `started` hook runs in the actor's own task; messages sent
    /// meanwhile wait in the mailbox.
    pub fn spawn<A: Actor>(&self, actor: A) -> Address<A::Message> {
        Spawn::unnamed(self).start(actor)
    }

    /// Begins to spawn an actor that is called `name`, with settings of its own.
    ///
    /// # Errors
    /// [`InvalidName`] says what is wrong with the name.
    pub fn actor(&self, name: &str) -> Result<Spawn<'_>, InvalidName> {
        Ok(Spawn::named(self, Name::new(name)?))
    }

    /// Finds the actor that is called `name` and takes messages `M`.
    ///
    /// `None` if there is no such actor, if it has ended, or if its messages are of another type.
    pub fn find<M: Send + 'static>(&self, name: &str) -> Option<Address<M>> {
        self.names().get(name)?.address.downcast_ref::<WeakAddress<M>>()?.upgrade()
    }

    /// Lists the names of the actors that live and were given one, sorted.
    pub fn names_of_actors(&self) -> Vec<Name> {
        self.names()
            .iter()
            .filter(|(_, entry)| !entry.core.life.has_ended())
            .map(|(name, _)| name.clone())
            .collect()
    }

    pub(crate) fn rt(&self) -> &Rt {
        &self.inside.rt
    }

    /// A name, made of `word` and a number, for what was given none.
    pub(crate) fn number(&self, word: &'static str) -> Name {
        Name::numbered(word, self.inside.unnamed.fetch_add(1, Ordering::Relaxed))
    }

    /// Registers an actor under its name; `false` if a living actor has it.
    pub(crate) fn register<M: Send + 'static>(&self, core: &Arc<Core>, address: WeakAddress<M>) -> bool {
        let mut named = self.names();
        if named.contains_key(&core.name) {
            return false;
        }
        named.insert(core.name.clone(), Entry { core: core.clone(), address: Box::new(address) });
        true
    }

    /// Frees the name of an actor that ended.
    pub(super) fn forget(&self, core: &Core) {
        let mut named = self.names();
        if named.get(&core.name).is_some_and(|entry| std::ptr::eq(&*entry.core, core)) {
            let entry = named.remove(&core.name);
            drop(named);
            drop(entry);
        }
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<Name, Entry>> {
        self.inside.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SystemBuilder {
    /// Runs the system on `runtime`, wherever the code runs.
    pub fn runtime(mut self, runtime: impl Runtime) -> SystemBuilder {
        self.rt = Some(Rt::new(runtime));
        self
    }

    /// Makes the system.
    ///
    /// # Errors
    /// [`NoRuntime`] if none was named and there is none where the code runs, or if it has no timers.
    pub fn start(self) -> Result<System, NoRuntime> {
        let rt = Rt::chosen(self.rt)?;
        tracing::debug!(target: "callboard::actor", runtime = rt.name(), "system started");
        Ok(System::on(rt))
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("System").field("runtime", &self.rt().name()).finish_non_exhaustive()
    }
}

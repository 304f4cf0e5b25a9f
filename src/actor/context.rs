//! What a handler has at hand beside its state.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{Stream, StreamExt as _};
use tracing::warn;

use super::desk::{Stop, Word};
use super::life::{Until, Watcher};
use super::sources::Sources;
use super::{Address, Core, Ended, SourceError, System, TimerId, WeakAddress};
use crate::base::{Moment, Name, catch};
use crate::mailbox::WeakSender;

/// Gives a handler its actor's name, address, timers, streams and watches, and a way to stop.
///
/// Timers and streams last as long as the incarnation: a supervised actor sets them anew in
/// [`started`](super::Actor::started). None of them keeps an actor alive whose last address is gone.
pub struct Context<M> {
    core: Arc<Core>,
    sender: WeakSender<M, Word<M>>,
    pub(super) sources: Sources<M>,
    pub(super) stop: Option<Stop>,
}

impl<M: Send + 'static> Context<M> {
    pub(super) fn new(core: Arc<Core>, sender: WeakSender<M, Word<M>>) -> Context<M> {
        Context { core, sender, sources: Sources::none(), stop: None }
    }

    /// Returns the actor's name.
    pub fn name(&self) -> &Name {
        &self.core.name
    }

    /// Returns the actor's own address, or `None` once the last one outside was dropped.
    ///
    /// Keep the [`Context::weak_address`] rather than this in the actor itself: an actor that holds its own
    /// address is never abandoned.
    pub fn address(&self) -> Option<Address<M>> {
        self.weak_address().upgrade()
    }

    /// Returns the actor's own address, in the form that does not keep the actor alive.
    pub fn weak_address(&self) -> WeakAddress<M> {
        WeakAddress::new(self.sender.clone(), self.core.clone())
    }

    /// Returns the system, to spawn other actors or find them.
    pub fn system(&self) -> &System {
        &self.core.system
    }

    /// Reads the runtime's monotonic clock; virtual under the simulator.
    pub fn now(&self) -> Moment {
        self.core.system.rt().now()
    }

    /// Stops this actor once it has handled what was accepted. Takes effect when the handler returns.
    pub fn stop(&mut self) {
        self.stop = self.stop.max(Some(Stop::Drain));
    }

    /// Stops this actor after this message. What was accepted is dropped, and counted in [`Ended::unhandled`].
    pub fn stop_now(&mut self) {
        self.stop = self.stop.max(Some(Stop::Now));
    }

    /// Sends `message` to this actor after `delay`. It takes no place in the mailbox.
    ///
    /// It comes in turn with the mailbox's messages, so a busy actor gets it late, and never early. A delay that the
    /// clock can't hold never passes.
    ///
    /// # Errors
    /// [`SourceError`] if the actor has 65,536 timers already.
    pub fn send_after(&mut self, delay: Duration, message: M) -> Result<TimerId, SourceError> {
        self.sources.once(self.core.system.rt(), delay, message)
    }

    /// Sends this actor a message every `period`, made anew each time; ticks missed while it was busy are skipped.
    ///
    /// The first comes after one period. A tick that is late moves none of the later ones.
    ///
    /// # Errors
    /// [`SourceError`] if the period is zero, or the actor has 65,536 timers already.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// use callboard::prelude::*;
    ///
    /// struct Heart {
    ///     beats: u32,
    /// }
    ///
    /// struct Beat;
    ///
    /// impl Actor for Heart {
    ///     type Message = Beat;
    ///
    ///     async fn started(&mut self, context: &mut Context<Beat>) -> Result<(), Fault> {
    ///         context.send_every(Duration::from_millis(1), || Beat)?;
    ///         Ok(())
    ///     }
    ///
    ///     async fn handle(&mut self, _: Beat, context: &mut Context<Beat>) -> Result<(), Fault> {
    ///         self.beats += 1;
    ///         if self.beats == 3 {
    ///             context.stop();
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let heart = System::start()?.spawn(Heart { beats: 0 });
    /// assert!(matches!(heart.ended().await.exit, Exit::Stopped));
    /// # Ok(()) }
    /// ```
    pub fn send_every(
        &mut self,
        period: Duration,
        message: impl FnMut() -> M + Send + 'static,
    ) -> Result<TimerId, SourceError> {
        self.sources.every(self.core.system.rt(), period, message)
    }

    /// Cancels a timer; answers whether it was still there.
    pub fn cancel_timer(&mut self, timer: TimerId) -> bool {
        self.sources.cancel(timer)
    }

    /// Feeds `stream` to this actor as messages, one at a time, in turn with its mailbox.
    ///
    /// The stream is polled only when the actor is free, so it feels the actor's pace. Its end is no message:
    /// chain one to it (`stream.chain(..)`) where the end matters.
    ///
    /// # Errors
    /// [`SourceError`] if the actor has 65,536 streams already.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    /// use futures::{StreamExt as _, stream};
    ///
    /// struct Reader {
    ///     lines: Vec<&'static str>,
    /// }
    ///
    /// enum Input {
    ///     Line(&'static str),
    ///     End,
    /// }
    ///
    /// impl Actor for Reader {
    ///     type Message = Input;
    ///
    ///     async fn started(&mut self, context: &mut Context<Input>) -> Result<(), Fault> {
    ///         let lines = stream::iter(["to be", "or not to be"]).map(Input::Line);
    ///         context.attach(lines.chain(stream::iter([Input::End])))?;
    ///         Ok(())
    ///     }
    ///
    ///     async fn handle(&mut self, input: Input, context: &mut Context<Input>) -> Result<(), Fault> {
    ///         match input {
    ///             Input::Line(line) => self.lines.push(line),
    ///             Input::End => context.stop(),
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let reader = System::start()?.spawn(Reader { lines: Vec::new() });
    /// assert!(matches!(reader.ended().await.exit, Exit::Stopped));
    /// # Ok(()) }
    /// ```
    pub fn attach<S>(&mut self, stream: S) -> Result<(), SourceError>
    where
        S: Stream + Send + 'static,
        S::Item: Into<M>,
    {
        self.sources.attach(self.core.system.rt(), Box::pin(stream.map(Into::into)))
    }

    /// Sends this actor a message when the actor behind `address` ends, before all other messages.
    ///
    /// If that actor has ended already, the message comes at once. A watch outlives this incarnation. It keeps neither
    /// actor alive, and takes no place in the mailbox.
    ///
    /// `message` runs in the task of the actor that ends, and should only make the message. If it panics, that is
    /// logged, and no message comes.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// struct Diver;
    ///
    /// impl Actor for Diver {
    ///     type Message = ();
    ///     async fn handle(&mut self, (): (), _: &mut Context<()>) -> Result<(), Fault> {
    ///         Err(Fault::new("out of air"))
    ///     }
    /// }
    ///
    /// struct Partner {
    ///     diver: Address<()>,
    /// }
    ///
    /// impl Actor for Partner {
    ///     type Message = Ended;
    ///
    ///     async fn started(&mut self, context: &mut Context<Ended>) -> Result<(), Fault> {
    ///         context.watch(&self.diver, |ended| ended);
    ///         Ok(())
    ///     }
    ///
    ///     async fn handle(&mut self, ended: Ended, context: &mut Context<Ended>) -> Result<(), Fault> {
    ///         assert_eq!(ended.exit.to_string(), "failed: out of air");
    ///         context.stop();
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let system = System::start()?;
    /// let diver = system.spawn(Diver);
    /// let partner = system.spawn(Partner { diver: diver.clone() });
    /// diver.send(()).await?;
    /// assert!(matches!(partner.ended().await.exit, Exit::Stopped));
    /// # Ok(()) }
    /// ```
    pub fn watch<N: Send + 'static>(
        &mut self,
        address: &Address<N>,
        message: impl FnOnce(Ended) -> M + Send + 'static,
    ) {
        address.core().life.watch(Until::End, Box::new(Notify { to: self.sender.clone(), message }));
    }
}

struct Notify<M, F> {
    to: WeakSender<M, Word<M>>,
    message: F,
}

impl<M: Send + 'static, F: FnOnce(Ended) -> M + Send> Watcher<Ended> for Notify<M, F> {
    fn tell(self: Box<Self>, ended: &Ended) {
        let Notify { to, message } = *self;
        // Why caught: it is the watcher's code, but the watched actor's task.
        if let Err(text) = catch(|| drop(to.control(Word::Notice(message(ended.clone()))))) {
            warn!(target: "callboard::actor", watched = %ended.name, panic = %text, "a watch panicked, its notice is lost");
        }
    }

    fn is_gone(&self) -> bool {
        self.to.is_gone()
    }
}

impl<M> fmt::Debug for Context<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("actor", &self.core.name).finish_non_exhaustive()
    }
}

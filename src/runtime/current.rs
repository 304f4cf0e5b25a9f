//! The handle that the layers above hold, and how the default runtime is found.

#[cfg(feature = "sim")]
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
#[cfg(feature = "sim")]
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;

use super::{BoxFuture, Clock, Runtime, Sleep};
use crate::base::{Moment, Name, PanicText, catch, whole_millis};

/// A shared runtime: what every layer above is handed.
#[derive(Clone, Debug)]
pub(crate) struct Rt(Arc<dyn Runtime>);

impl Rt {
    pub(crate) fn new(runtime: impl Runtime) -> Rt {
        Rt(Arc::new(runtime))
    }

    /// Finds the runtime that the calling code runs in, by the rule in the module's essay.
    pub(crate) fn current() -> Result<Rt, NoRuntime> {
        #[cfg(feature = "sim")]
        if let Some(entered) = entered() {
            return Ok(entered);
        }
        #[cfg(feature = "tokio")]
        if let Ok(tokio) = super::Tokio::current() {
            return Ok(Rt::new(tokio));
        }
        #[cfg(feature = "smol")]
        return Ok(Rt::new(super::Smol::global()));
        #[cfg(not(feature = "smol"))]
        Err(NoRuntime::default())
    }

    /// The runtime that a builder was `named`, or the one that the code runs in; refused if it has no timers.
    ///
    /// Why here: else the first retry or restart would end its group or actor, later, and far from who can mend it.
    pub(crate) fn chosen(named: Option<Rt>) -> Result<Rt, NoRuntime> {
        match named {
            Some(rt) => rt.with_timers(),
            None => Rt::current()?.with_timers(),
        }
    }

    /// Refuses a runtime that has no timers. tokio says so only by a panic, at the first timer.
    fn with_timers(self) -> Result<Rt, NoRuntime> {
        match catch(|| drop(self.0.timer(Moment::MAX))) {
            Ok(()) => Ok(self),
            Err(PanicText(why)) => Err(NoRuntime { no_timers: Some(why) }),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.0.name()
    }

    pub(crate) fn spawn(&self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        let task: BoxFuture = Box::pin(task);
        self.0.spawn(name, task);
    }

    pub(crate) fn spawn_blocking(&self, name: &str, work: Box<dyn FnOnce() + Send + 'static>) {
        self.0.spawn_blocking(name, work);
    }

    pub(crate) fn now(&self) -> Moment {
        self.0.now()
    }

    /// Milliseconds since 1970 on the wall clock; zero for a clock that is set before.
    pub(crate) fn wall_millis(&self) -> u64 {
        let since = self.0.wall_clock().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        whole_millis(since)
    }

    /// Awaits `future`, and tells whenever it is not ready what for: `what` of `whom`.
    pub(crate) async fn awaiting<F: Future>(&self, what: &'static str, whom: &Name, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            let output = future.as_mut().poll(cx);
            if output.is_pending() {
                self.waits(format_args!("{what} {whom}"));
            }
            output
        })
        .await
    }

    /// Tells what the task at work is about to wait for.
    pub(crate) fn waits(&self, what: fmt::Arguments<'_>) {
        self.0.waits(&what);
    }

    pub(crate) fn random(&self) -> u64 {
        self.0.random()
    }

    /// A future that ends at `at`.
    pub(crate) fn sleep_until(&self, at: Moment) -> Sleep {
        Sleep::new(self.0.timer(at))
    }

    /// An alarm clock for one task: at most one timer, made on first use.
    pub(crate) fn clock(&self) -> Clock {
        Clock::new(self.clone())
    }

    pub(super) fn runtime(&self) -> &dyn Runtime {
        &*self.0
    }
}

#[cfg(feature = "sim")]
std::thread_local! {
    /// The runtime that this thread polls for, if it is one that leaves no other mark: the simulator.
    static ENTERED: RefCell<Option<Rt>> = const { RefCell::new(None) };
}

#[cfg(feature = "sim")]
fn entered() -> Option<Rt> {
    // Why try: the rule also holds in a thread's last breath, where thread-locals are gone.
    ENTERED.try_with(|entered| entered.borrow().clone()).ok().flatten()
}

/// Makes `rt` the one that [`Rt::current`] finds on this thread, before all others, until the guard is dropped.
#[cfg(feature = "sim")]
pub(crate) fn enter(rt: Rt) -> Entered {
    Entered { before: ENTERED.replace(Some(rt)), _here: PhantomData }
}

/// Restores what was there before [`enter`].
#[cfg(feature = "sim")]
#[derive(Debug)]
pub(crate) struct Entered {
    before: Option<Rt>,
    /// Not `Send`: it must be dropped on its own thread.
    _here: PhantomData<*const ()>,
}

#[cfg(feature = "sim")]
impl Drop for Entered {
    fn drop(&mut self) {
        ENTERED.set(self.before.take());
    }
}

/// Says that no runtime was found where the code runs, or that it has no timers. Nothing was started.
///
/// Call it inside tokio, turn on the feature `smol`, or name a runtime in the builder. A tokio runtime has timers
/// if it was built with `enable_time` or `enable_all`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NoRuntime {
    /// What it said when it was asked for a timer, if there is a runtime.
    no_timers: Option<Arc<str>>,
}

impl fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.no_timers {
            Some(why) => write!(f, "the async runtime here has no timers: {why}"),
            None => f.write_str(
                "no async runtime here: run inside tokio, enable the feature `smol`, or name a runtime in the builder",
            ),
        }
    }
}

impl Error for NoRuntime {}

//! The runtimes on which everything is measured, behind one face.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use callboard::actor::System;
use callboard::broker::Broker;
use callboard::runtime::{Smol, Tokio};

/// A runtime and its number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    TokioOne,
    TokioTwo,
    SmolOne,
    SmolTwo,
}

pub const PLACES: [Place; 4] = [Place::TokioOne, Place::TokioTwo, Place::SmolOne, Place::SmolTwo];

/// A place that is running now.
#[derive(Clone)]
pub enum Here {
    Tokio(tokio::runtime::Handle),
    Smol(Arc<smol::Executor<'static>>),
}

/// A task; ends with what its future answered.
pub enum Task<T> {
    Tokio(tokio::task::JoinHandle<T>),
    Smol(smol::Task<T>),
}

impl Place {
    pub fn is_tokio(self) -> bool {
        matches!(self, Place::TokioOne | Place::TokioTwo)
    }

    /// Picks the target for this place's number of threads.
    pub fn pick<T>(self, one: T, two: T) -> T {
        match self {
            Place::TokioOne | Place::SmolOne => one,
            Place::TokioTwo | Place::SmolTwo => two,
        }
    }

    /// Runs `job` on a new runtime of this kind, and drops that with everything left on it.
    ///
    /// The job itself runs beside the runtime's threads: what is measured belongs into tasks.
    pub fn run<T>(self, job: &dyn Fn(Here) -> Pin<Box<dyn Future<Output = T>>>) -> T {
        let mut tokio = match self {
            Place::TokioOne => tokio::runtime::Builder::new_current_thread(),
            Place::TokioTwo => tokio::runtime::Builder::new_multi_thread(),
            Place::SmolOne | Place::SmolTwo => return run_smol(self.pick(1, 2), job),
        };
        let runtime = tokio.worker_threads(2).enable_time().build().expect("a tokio runtime");
        runtime.block_on(job(Here::Tokio(runtime.handle().clone())))
    }
}

fn run_smol<T>(threads: usize, job: &dyn Fn(Here) -> Pin<Box<dyn Future<Output = T>>>) -> T {
    let executor = Arc::new(smol::Executor::new());
    let (stop, stopped) = async_channel::bounded::<()>(1);
    let others: Vec<_> = (1..threads)
        .map(|_| {
            let (executor, stopped) = (executor.clone(), stopped.clone());
            std::thread::spawn(move || _ = smol::block_on(executor.run(stopped.recv())))
        })
        .collect();
    let result = smol::block_on(executor.run(job(Here::Smol(executor.clone()))));
    drop(stop);
    for other in others {
        other.join().expect("an executor's thread");
    }
    result
}

impl Here {
    pub fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Task<T> {
        match self {
            Here::Tokio(handle) => Task::Tokio(handle.spawn(task)),
            Here::Smol(executor) => Task::Smol(executor.spawn(task)),
        }
    }

    pub fn broker(&self) -> Broker {
        let broker = match self {
            Here::Tokio(handle) => Broker::builder().runtime(Tokio::new(handle.clone())),
            Here::Smol(executor) => Broker::builder().runtime(Smol::with(executor.clone())),
        };
        broker.start().expect("a broker")
    }

    pub fn system(&self) -> System {
        let system = match self {
            Here::Tokio(handle) => System::builder().runtime(Tokio::new(handle.clone())),
            Here::Smol(executor) => System::builder().runtime(Smol::with(executor.clone())),
        };
        system.start().expect("a system of actors")
    }
}

impl<T> Task<T> {
    /// Lets it go on by itself.
    pub fn detach(self) {
        match self {
            Task::Tokio(task) => drop(task),
            Task::Smol(task) => task.detach(),
        }
    }
}

impl<T> Future for Task<T> {
    type Output = T;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut *self {
            Task::Tokio(task) => Pin::new(task).poll(cx).map(|ended| ended.expect("a task that ends well")),
            Task::Smol(task) => Pin::new(task).poll(cx),
        }
    }
}

/// Lets other tasks run.
pub async fn give_way() {
    let mut given = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Place::TokioOne => "tokio-1",
            Place::TokioTwo => "tokio-2",
            Place::SmolOne => "smol-1",
            Place::SmolTwo => "smol-2",
        })
    }
}

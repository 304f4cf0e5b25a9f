//! An actor for tests, which keeps what it is sent for the test to look at.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use async_channel::{Receiver, Sender, bounded};

use crate::actor::{Actor, Address, Context, System};
use crate::base::Fault;

/// How many messages a probe keeps; then its senders wait.
const KEPT: usize = 1024;
/// How long [`Probe::expect`] waits.
const PATIENCE: Duration = Duration::from_secs(3);

/// Stands in for an actor in a test: hands out its address, and the messages that were sent there.
///
/// An expectation that is not met panics, and names the line that expected it. It keeps up to 1,024 messages and its
/// mailbox; then its senders wait. It runs on any runtime; in the simulator its waits are virtual.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
/// use callboard::sim::{Probe, Sim};
/// use std::time::Duration;
///
/// struct Doubler(Address<u32>);
///
/// impl Actor for Doubler {
///     type Message = u32;
///     async fn handle(&mut self, number: u32, _: &mut Context<u32>) -> Result<(), Fault> {
///         self.0.send(2 * number).await?;
///         Ok(())
///     }
/// }
///
/// Sim::new(7).block_on(async {
///     let system = System::start().unwrap();
///     let mut probe = Probe::start(&system);
///     let doubler = system.spawn(Doubler(probe.address()));
///     doubler.send(21).await.unwrap();
///     assert_eq!(probe.expect().await, 42);
///     probe.expect_nothing(Duration::from_secs(60)).await;
/// });
/// ```
#[derive(Debug)]
pub struct Probe<M> {
    system: System,
    address: Address<M>,
    received: Receiver<M>,
}

struct Keeper<M>(Sender<M>);

impl<M: Send + 'static> Actor for Keeper<M> {
    type Message = M;

    async fn handle(&mut self, message: M, _: &mut Context<M>) -> Result<(), Fault> {
        // An error means that the probe is gone.
        self.0.send(message).await.map_err(|_| Fault::new("nobody looks at this probe any more"))
    }
}

impl<M: fmt::Debug + Send + 'static> Probe<M> {
    /// Starts a probe in `system`.
    pub fn start(system: &System) -> Probe<M> {
        let (keep, received) = bounded(KEPT);
        Probe { system: system.clone(), address: system.spawn(Keeper(keep)), received }
    }

    /// Returns the address to give to whom is tested.
    pub fn address(&self) -> Address<M> {
        self.address.clone()
    }

    /// Returns the next message, waiting up to 3 s for it.
    ///
    /// # Panics
    /// If none comes; the text names the caller's line.
    ///
    /// # Cancel safety
    /// Dropping the future loses no message.
    #[track_caller]
    pub fn expect(&mut self) -> impl Future<Output = M> + Send {
        self.expect_within(PATIENCE)
    }

    /// Returns the next message, waiting up to `limit` for it.
    ///
    /// # Panics
    /// If none comes; the text names the caller's line.
    ///
    /// # Cancel safety
    /// Dropping the future loses no message.
    #[track_caller]
    pub fn expect_within(&mut self, limit: Duration) -> impl Future<Output = M> + Send {
        let (line, next) = (Location::caller(), self.next_within(limit));
        async move {
            match next.await {
                Some(message) => message,
                None => panic!("{line}: expected a message within {limit:?}, and none came"),
            }
        }
    }

    /// Waits for `quiet` and expects that no message comes in it.
    ///
    /// # Panics
    /// If one comes; the text names the caller's line and the message.
    ///
    /// # Cancel safety
    /// Dropping the future loses no message.
    #[track_caller]
    pub fn expect_nothing(&mut self, quiet: Duration) -> impl Future<Output = ()> + Send {
        let (line, next) = (Location::caller(), self.next_within(quiet));
        async move {
            if let Some(message) = next.await {
                panic!("{line}: expected nothing for {quiet:?}, and {message:?} came");
            }
        }
    }

    fn next_within(&self, limit: Duration) -> impl Future<Output = Option<M>> + Send + use<M> {
        let (received, rt) = (self.received.clone(), self.system.rt().clone());
        async move {
            let sleep = rt.sleep_until(rt.now() + limit);
            // The message first: at the last moment it is in time.
            futures_or(async move { received.recv().await.ok() }, async move {
                sleep.await;
                None
            })
            .await
        }
    }
}

/// Ends with the first of two futures; the first one is asked first.
async fn futures_or<T>(first: impl Future<Output = T>, second: impl Future<Output = T>) -> T {
    use futures::future::{Either, select};
    match select(std::pin::pin!(first), std::pin::pin!(second)).await {
        Either::Left((output, _)) | Either::Right((output, _)) => output,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Sim;

    fn panic_of(test: impl AsyncFnOnce(&mut Probe<u32>)) -> String {
        let sim = Sim::new(1);
        let text = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            sim.block_on(async {
                let mut probe = Probe::start(&System::start().unwrap());
                test(&mut probe).await;
            });
        }));
        text.unwrap_err().downcast_ref::<String>().cloned().unwrap_or_default()
    }

    #[test]
    fn an_expectation_that_fails_names_the_line_of_the_test() {
        let text = panic_of(async |probe| _ = probe.expect().await);
        assert!(text.contains("probe.rs") && text.ends_with("expected a message within 3s, and none came"));
        let text = panic_of(async |probe| {
            probe.address().send(7).await.unwrap();
            probe.expect_nothing(PATIENCE).await;
        });
        assert!(text.contains("probe.rs") && text.ends_with("expected nothing for 3s, and 7 came"), "{text}");
    }

    #[test]
    fn a_dropped_expectation_loses_nothing() {
        Sim::new(1).block_on(async {
            let mut probe = Probe::start(&System::start().unwrap());
            drop(probe.expect());
            probe.address().send(7).await.unwrap();
            let mut cut = Box::pin(probe.expect());
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(cut.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
            drop(cut);
            assert_eq!(probe.expect().await, 7);
        });
    }
}

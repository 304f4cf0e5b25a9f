//! The broker's handle.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::core::BrokerCore;
use super::disk::Disk;
use super::drain::Report;
use super::registry::Registry;
use super::topic_builder::TopicBuilder;
use super::witness::Watched;
use super::{Closed, DataDirBuilder, Events, OpenError, Topic, Topology};
use crate::base::Name;
use crate::runtime::{NoRuntime, Rt, Runtime};

/// Runs topics and their groups inside this process.
///
/// Cloning is cheap and shares the broker. End it with [`Broker::shutdown`]; dropping the last handle stops it at
/// once, without a drain, and logs a warning if messages were left. A handler that owns a clone keeps the broker
/// alive: only a shutdown ends it then. Topics and groups don't.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = Broker::start()?;
/// let orders = broker.topic::<String>("orders").capacity(100).open().await?;
/// orders.group("billing").consumers(2).run(async |order| {
///     println!("billing {}", *order);
///     Ok(())
/// }).await?;
/// orders.publish("one anvil".to_string()).await?;
///
/// let report = broker.shutdown().await;
/// assert_eq!(report.group("orders", "billing").unwrap().settled, 1);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Broker {
    registry: Arc<Registry>,
    _guard: Arc<Guard>,
}

/// Builds a [`Broker`] on a runtime of your choice; made by [`Broker::builder`].
#[derive(Debug, Default)]
pub struct BrokerBuilder {
    pub(super) rt: Option<Rt>,
    watched: Watched,
}

/// Stops the broker when the last handle goes.
struct Guard(Arc<Registry>);

impl Broker {
    /// How long [`Broker::shutdown`] waits for the drain.
    pub const DRAIN: Duration = Duration::from_secs(30);

    /// Starts a broker on the runtime that the code runs in: inside tokio that one, else smol.
    ///
    /// # Errors
    /// [`NoRuntime`] outside of tokio, if the feature `smol` is off; or if the runtime has no timers.
    pub fn start() -> Result<Broker, NoRuntime> {
        Broker::builder().start()
    }

    /// Makes a builder, to name another runtime.
    pub fn builder() -> BrokerBuilder {
        BrokerBuilder::default()
    }

    /// Begins to open the topic `name` with messages `T`, or to find it if it is open.
    pub fn topic<T: Send + Sync + 'static>(&self, name: &str) -> TopicBuilder<T> {
        TopicBuilder::new(self.registry.clone(), name)
    }

    /// Finds a topic that is open.
    ///
    /// # Errors
    /// [`OpenError`]: there is none of that name, its messages are of another type, or the broker is shut down.
    pub fn find_topic<T: Send + Sync + 'static>(&self, name: &str) -> Result<Topic<T>, OpenError> {
        Ok(Topic { shared: self.registry.find(&Name::new(name)?)? })
    }

    /// Lists the names of the topics, dead-letter topics included, sorted.
    pub fn topics(&self) -> Vec<Name> {
        self.registry.names()
    }

    pub(super) fn disk(&self) -> Option<&Arc<Disk>> {
        self.registry.core.disk.as_ref()
    }

    pub(super) fn is_topic_open(&self, name: &Name) -> bool {
        self.registry.has(name)
    }

    /// Begins a stream of what happens from now on: restarts, failures, dead letters, drops, blocked publishers, openings
    /// and deletions, the steps of the shutdown. It keeps up to [`Events::CAPACITY`] events that were not polled yet,
    /// and ends when the broker has stopped.
    ///
    /// There may be many. One that is not polled holds nothing up: what does not fit into its buffer is left out, and
    /// [`Event::Missed`](super::Event::Missed) counts it. After the shutdown the stream is at its end at once.
    pub fn events(&self) -> Events {
        self.events_with_capacity(Events::CAPACITY)
    }

    /// Begins a stream as [`Broker::events`] does, that keeps up to `capacity` events. With 0 it only counts them.
    pub fn events_with_capacity(&self, capacity: usize) -> Events {
        self.registry.core.teller.listen(capacity)
    }

    /// Takes a picture of the topics, their groups and consumers, where dead letters go, and the numbers of each.
    ///
    /// It may be asked from inside a handler, and while the broker drains.
    ///
    /// # Errors
    /// [`Closed`] if the broker was shut down.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let orders = broker.topic::<u32>("orders").open().await?;
    /// orders.group("billing").consumers(2).run(async |_| Ok(())).await?;
    /// let topology = broker.topology().await?;
    /// let billing = topology.group("orders", "billing").unwrap();
    /// assert_eq!(billing.consumers.len(), 2);
    /// assert_eq!(billing.dead_letters.as_str(), "orders.billing.dead");
    /// # Ok(()) }
    /// ```
    pub async fn topology(&self) -> Result<Topology, Closed> {
        self.registry.topology().await
    }

    /// Exports the broker's counts as metrics, now and then at each interval `every`, by the facade
    /// [`metrics`](https://docs.rs/metrics). Needs the feature `metrics`.
    ///
    /// They go to the recorder that is installed, so install it before. `every` is between 10 ms and a year; a scrape
    /// sees numbers that are at most so old. It ends with the broker, with the counts of its report. A recorder that
    /// panics is not called again.
    ///
    /// # Errors
    /// [`ExportError`](super::ExportError): the interval is out of bounds, they are exported already, or the broker was shut down.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Before, for instance: metrics_exporter_prometheus::PrometheusBuilder::new().install()?;
    /// let broker = Broker::start()?;
    /// broker.export_metrics(Duration::from_secs(10))?;
    /// # Ok(()) }
    /// ```
    #[doc = include_str!("../../docs/metrics.md")]
    #[cfg(feature = "metrics")]
    pub fn export_metrics(&self, every: Duration) -> Result<(), super::ExportError> {
        self.registry.export_metrics(every)
    }

    /// Waits until, at one moment, no running group of any topic has anything left to do.
    ///
    /// What no running group can settle is not waited for, as [`Topic::settled`] explains. A handler of this broker that
    /// awaits it waits for itself, until its `ack_timeout`, and is then cancelled.
    ///
    /// # Errors
    /// [`Closed`] if the broker was shut down meanwhile.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn idle(&self) -> Result<(), Closed> {
        self.registry.idle().await
    }

    /// Shuts down gracefully, within [`Broker::DRAIN`]; see [`Broker::shutdown_within`].
    ///
    /// # Cancel safety
    /// As [`Broker::shutdown_within`].
    pub async fn shutdown(&self) -> Report {
        self.shutdown_within(Broker::DRAIN).await
    }

    /// Shuts down: refuses publishes from outside at once, lets the running groups finish what was accepted and
    /// what their handlers publish, then stops everything and reports.
    ///
    /// A publish is a handler's own if it is made while the handler's future is polled: a task that a handler
    /// spawned is outside, and so is whoever pulls deliveries. What no running group can settle is not waited for,
    /// as [`Topic::settled`] explains, and reported lost.
    ///
    /// After `limit` it does not wait any longer: handlers are cancelled at their next await, and what they held
    /// is released, never acked. A handler that never yields is reported stuck. A second call, from any clone,
    /// returns the first one's report. Afterwards every call answers `Closed`.
    ///
    /// A handler of this broker that awaits it waits for itself, until `limit`, and is then cancelled. It may begin
    /// one in a task of its own, or drop the last handle.
    ///
    /// # Cancel safety
    /// Once polled, the shutdown goes on even if the future is dropped.
    pub async fn shutdown_within(&self, limit: Duration) -> Report {
        let nothing = || Report { topics: Vec::new(), timed_out: true, took: Duration::ZERO };
        // An error means that the runtime is gone, and everything with it.
        self.registry.shut_down(limit).await.unwrap_or_else(|_| nothing())
    }
}

impl BrokerBuilder {
    /// Runs the broker on `runtime`, wherever the code runs.
    pub fn runtime(mut self, runtime: impl Runtime) -> BrokerBuilder {
        self.rt = Some(Rt::new(runtime));
        self
    }

    /// Lets `witness` watch everything that the broker does.
    #[cfg(feature = "sim")]
    pub(crate) fn witness(mut self, witness: Arc<dyn super::witness::Witness>) -> BrokerBuilder {
        self.watched = Watched::by(witness);
        self
    }

    /// Gives the broker a directory for its [durable](super::TopicBuilder::durable) topics, which it makes if need be.
    ///
    /// One broker at a time may have it open, in all processes.
    pub fn data_dir(self, dir: impl AsRef<Path>) -> DataDirBuilder {
        DataDirBuilder::new(self, dir.as_ref())
    }

    /// Starts the broker.
    ///
    /// # Errors
    /// [`NoRuntime`] if none was named and there is none where the code runs, or if it has no timers.
    pub fn start(self) -> Result<Broker, NoRuntime> {
        let rt = Rt::chosen(self.rt.clone())?;
        Ok(self.start_on(rt, None))
    }

    pub(super) fn start_on(self, rt: Rt, disk: Option<Arc<Disk>>) -> Broker {
        tracing::info!(target: "callboard::broker", runtime = rt.name(), "broker started");
        let registry = Registry::new(BrokerCore::new(rt, self.watched, disk));
        Broker { _guard: Arc::new(Guard(registry.clone())), registry }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.core.is_open() {
            drop(self.0.shut_down(Duration::ZERO));
        }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("runtime", &self.registry.core.rt.name())
            .field("topics", &self.registry.names())
            .finish()
    }
}

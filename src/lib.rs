//! Actors, topics and consumer groups for async Rust, on tokio or smol.
//!
//! A message broker as a library: topics that are bounded and typed, groups of consumers that share the work,
//! acks and redelivery, retries and dead letters, and supervisors that restart what fails. It runs inside your
//! process, on the runtime you have, and there is nothing to install.
//!
//! ```
//! use callboard::prelude::*;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = Broker::start()?;
//! let orders = broker.topic::<String>("orders").open().await?;
//!
//! // Four consumers share the group's messages. Ok acks, Err tries again, a panic does too.
//! orders.group("billing").consumers(4).run(async |order| {
//!     if *order == "anvil" && order.attempt() == 1 {
//!         panic!("the first attempt at the anvil fails");
//!     }
//!     Ok(())
//! }).await?;
//!
//! orders.publish_all(["rope", "anvil", "magnet"].map(String::from)).await?;
//! let report = broker.shutdown().await;
//! assert_eq!(report.group("orders", "billing").unwrap().settled, 3);
//! # Ok(()) }
//! ```
//!
//! # What is where
//! - [`broker`]: topics, groups, consumers, deliveries, dead letters. Start at [`Broker`](broker::Broker).
//! - [`actor`]: state with a mailbox, for what is not a queue of work. Start at [`Actor`](actor::Actor).
//! - [`supervise`]: who restarts whom, how often, and when it gives up.
//! - [`runtime`]: tokio, smol, or one of your own. Needed only to name another than the one the code runs in.
//! - [`prelude`]: the few names most programs need.
//!
//! Patterns made of these (outbox, idempotent consumer, fan-in, ordered retries and others), as programs and with the
//! edges where they end, are in `docs/recipes.md`.
//!
//! # What it promises
//! Accepted messages reach every group that was open, and are delivered again until they are acked, dead-lettered
//! or dropped on purpose: at least once, marked with their attempt, bounded in memory. A full topic makes its
//! publisher wait, or tells it. The promises are numbered in `docs/guarantees.md`, with the tests that show them.
//!
//! # What it is not
//! It does not replicate across machines. What is in a topic ends with the process, unless the topic is
//! [`durable`](broker::TopicBuilder::durable).
//! A group of several consumers has no order, unless it was asked for. Delivery is at least once, so a handler's effect may happen twice
//! if it fails after it.
//!
//! # Features
//! - `tokio` (default), `smol`: which runtimes it can run on. They add up; the one that the code runs in is used.
//! - `sim`: a runtime with a virtual clock that replays a run from its seed, for tests.
//! - `serde`: stats, reports, events and the topology can be serialized, and the topology is written as JSON.
//!   With it comes `Json`, a codec for topics on disk.
//! - `postcard`: one more such codec, `Postcard`, a compact one.
//! - `inspect`: the binary `callboard`, which shows what is in a data directory, and salvages what of a damaged one is whole.
//!   The functions behind it are always there: [`log::inspect`].
//! - `server`: streams, consumer groups and Pub/Sub for clients in any language, over Redis's protocol, in memory or on disk: [`server`].
//!   With it the binary serves too, on tokio.
//! - `metrics`: the counts of topics and groups go to the recorder of the `metrics` facade.

#![forbid(unsafe_code)]
#![cfg_attr(callboard_shuttle, allow(dead_code, unused_imports, reason = "what only the server uses"))]

pub mod actor;
pub mod base;
pub mod broker;
pub mod log;
#[doc(hidden)]
pub mod mailbox;
pub mod prelude;
pub mod runtime;
// The explorer looks at locks and atomics, of which it has none of its own, and would build it twice.
#[cfg(all(feature = "server", not(callboard_shuttle)))]
pub mod server;
#[cfg(feature = "sim")]
pub mod sim;
pub mod supervise;

/// Runs the Rust blocks of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Runs the Rust blocks of the guide to tests.
#[cfg(all(doctest, feature = "sim"))]
#[doc = include_str!("../docs/testing.md")]
struct Testing;

/// Runs the recipes.
#[cfg(all(doctest, feature = "sim"))]
#[doc = include_str!("../docs/recipes.md")]
struct Recipes;

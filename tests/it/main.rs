//! What users rely on, asked of every runtime: one file per question, see [`every`] for how a test is run.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected should end there")]

mod actor_ask;
mod actor_cancel;
mod actor_failure;
mod actor_probe;
mod actor_registry;
mod actor_sink;
mod actor_sources;
mod actor_stop;
mod actor_watch;
mod backpressure;
mod blocked;
mod cancel;
mod chaos;
mod contention;
mod cut;
mod dead_letters;
mod deadline;
mod delivery;
mod drain;
mod ending;
mod every;
mod from_handler;
mod harness;
mod kit;
mod lifecycle;
mod logs;
mod memory;
mod ordering;
mod pull;
mod pull_ends;
mod redelivery;
mod redrive;
mod redrive_all;
mod seen;
mod sinks;
mod supervise_events;
mod supervise_probe;
mod supervise_restarts;
mod supervise_storm;
mod supervise_time;
mod supervise_tree;
mod supervised;

//! The broker: topics, consumer groups and consumers, as actors inside your process.
//!
//! ```text
//!   publish ──▶ [topic mailbox] ──▶ Topic ──▶ [group mailbox] ──▶ Group ──▶ [consumer mailbox] ──▶ Consumer
//!   waits, or     the capacity       freezes     batches, not       ledger:     leases: slices        runs the handler
//!   is refused    and the ids        a burst     messages           who has     of batches            Ok, Err, panic
//!                                       ▲                           what            ▲                      │
//!                                       └───── settled ──────────────┘ └──── report ┴──────────────────────┘
//! ```
//!
//! # The problem
//! Work is produced in one place and done in another, by several workers, some of which fail. A channel loses what
//! a failed worker held, knows nothing of a second reader, and can't tell who is behind. A broker can, but is a
//! server to install. This is a broker as a data structure: bounded, typed, in the same process.
//!
//! # Rules
//! - **Down go messages, up go words.** Messages go down through bounded mailboxes; outcomes come up on control
//!   lanes, which never wait. So no circle of waiting can form inside of the broker.
//! - **The capacity is the topic's.** A message holds its place there from its publish until every group has
//!   settled it. Everything below holds handles to it, so everything below is bounded by it.
//! - **Batches come from backlog only.** What waits in the topic's mailbox is frozen together (at most 256) and
//!   shared; a message that comes alone travels alone, at once. Nobody waits for a batch to fill.
//! - **The ledger decides, the group's actor does.** Which message is where, what is retried when, who gets what:
//!   one pure state machine (`ledger.rs`) with time and chance as arguments.
//! - **Leases.** A consumer holds messages on a lease with an id that is never used twice. Before a message is
//!   handed on, the attempt that had it has ended: a handler's future was dropped, or a pulled delivery's door was
//!   closed. A word on a lease that is over changes nothing.
//! - **What is not started can be taken back.** When a consumer has nothing to do, what others have held for 5 ms and
//!   not started goes back to the group, at no cost to the message: a slow message holds up no other.
//! - **A failure costs the message an attempt, and the handler its state**; never its neighbours, its group, or
//!   another group. Too many failures and the message moves to the dead-letter topic, or stays parked before it.
//! - **A dead letter can go back**, to its group alone, once, and by the line in which publishers wait: it holds a place
//!   of its own, apart from those of its first life (`redrive.rs`).
//! - **Order is a queue per key.** In an ordered group the messages that must wait for each other are a lane
//!   (`order.rs`), of which one lease at a time has any; a lane whose message failed waits, and no other does
//!   (`ledger/keys.rs`).
//! - **What is delayed is not in the topic yet**: it waits in the topic's schedule, in places of its own, and comes in when
//!   it is due by the line in which publishers wait (`schedule.rs`).
//! - **A deletion frees the name at once**, and goes on by itself until the last handler has ended (`delete.rs`).
//! - **No code of yours runs in the actors of topics and groups**: handlers, factories, errors and the drops of
//!   payloads are called where a panic is caught. Three exceptions, caught too: a topic calls its `on_evicted`; a group weighs
//!   by its `rate_by` what it hands out; and it weighs, and finds the key of, its dead letters, if you gave their topic a
//!   function for that.
//! - **A clock is read per lease, never per message**; a deadline is two looks at what a consumer is at.
//!
//! # Logs
//! Everything is under the `tracing` target `callboard::broker`; these names are kept.
//!
//! | level | span or event | fields |
//! |---|---|---|
//! | debug span | `lease` | topic, group, consumer, first, messages |
//! | trace span | `delivery`, inside of `lease` | id, attempt; of a message with a [trace context](TraceContext) also trace_id, span_id (that of what its handler publishes), parent_id (that of what published it) |
//! | info | broker started | runtime |
//! | debug | delivery failed, delivery found no room | topic, group, error |
//! | debug | delivery dropped, as its output was; inside of `lease` | error |
//! | info | topic opened, topic deleted* | topic, capacity, payload; topic, lost |
//! | info | group opened, group deleted* | topic, group; topic, group, lost |
//! | debug | consumer restarted* | topic, group, consumer |
//! | warn | consumer could not be built* | topic, group, consumer, error, wait |
//! | error | group failed, handler stuck* | topic, group, consumer, error; topic, group, consumer |
//! | info | dead letter, redriven* | topic, group, id, reason, attempts; topic, group, id, redrives |
//! | debug | messages dropped* | topic, group, why, messages |
//! | warn | parked: the dead-letter topic is full* | topic, group |
//! | error | history unreadable: the group stands still* | topic, group, error |
//! | warn | publishers blocked*; info: publishers unblocked* | topic, group, why; topic |
//! | warn | breaker opened*; info: breaker closed* | topic, group, pause; topic, group |
//! | info | group paused, group resumed* | topic, group |
//! | info | drain began*; warn: drain timed out* | limit |
//! | debug | topics quiet, topic stopped* | topic, lost |
//! | info | broker stopped*; warn, if messages were left | lost, timed_out, took |
//!
//! Those with a star, and the others of their line, are told as an [`Event`] too: one function does both.
//!
//! # To be watched
//! [`Broker::events`] is a stream of what happens, [`Broker::topology`] a picture of what is there, with all counts, as
//! data, as a Mermaid flowchart and, with the feature `serde`, as JSON. With the feature `metrics`,
//! `Broker::export_metrics` gives the same counts to a recorder. None of them costs a message anything.
//!
//! # What it refuses
//! It never drops a message in silence, never acks one that was not handled, and promises no order in a group of
//! several consumers that asked for none: there, redelivery reorders. It keeps messages in memory, and those of a
//! [`durable`](TopicBuilder::durable) topic on disk too, until they are settled, unless they
//! are to be [kept](TopicBuilder::retain) for longer, or to [spill](Overflow::Spill).

mod agenda;
mod bits;
mod blocked;
mod books;
mod breaker;
mod browse;
mod claims;
mod codec;
mod consumer;
mod core;
mod data_dir;
mod dead_letter;
mod dedup;
mod delayed;
mod delete;
mod disk;
mod door;
mod drain;
mod durability;
mod dying;
mod envelope;
mod error;
mod event;
mod events;
#[cfg(feature = "metrics")]
mod export;
mod extra;
mod follow;
mod forward;
mod gate;
mod group;
mod group_actor;
mod group_handle;
mod group_limits;
mod group_with;
mod group_word;
mod handle;
mod handler;
mod headers;
mod history;
mod id;
mod incarnation;
mod item;
mod keep;
mod key;
mod lease;
mod ledger;
mod members;
mod message;
mod message_builder;
mod no_room;
mod note;
mod order;
mod outcome;
mod outgoing;
mod pages;
mod publish;
mod publish_all;
mod pull;
mod rate;
mod record;
mod redrive;
mod registry;
mod retain;
mod retry;
mod room;
mod schedule;
mod scheduled;
mod scope;
mod seek;
mod settings;
mod sink;
mod spill;
mod start;
mod start_error;
mod stats;
mod steer;
mod stored;
mod stored_message;
mod tally;
mod to_actor;
mod topic;
mod topic_actor;
mod topic_builder;
mod topic_word;
mod topology;
mod trace;
mod ttls;
mod unread;
mod weight;
mod window;
mod witness;
mod work_off;
mod workers;

#[cfg(test)]
mod ends_shuttle_tests;
#[cfg(test)]
mod shuttle_tests;

pub use blocked::{Blocked, WhyBlocked};
pub use breaker::{Breaker, BreakerState, BreakerStats};
pub use browse::{Browse, BrowseError};
#[cfg(feature = "serde")]
pub use codec::Json;
#[cfg(feature = "postcard")]
pub use codec::Postcard;
pub use codec::{Codec, Raw};
pub use data_dir::DataDirBuilder;
pub use dead_letter::{DeadLetter, DeadReason};
pub use dedup::Dedup;
pub use drain::{GroupReport, Report, TopicReport};
pub use durability::Durability;
pub use error::{
    AckError, Closed, DeleteError, ErrorKind, InvalidMessage, OpenError, PublishAllError, PublishError,
    RedriveAllError, RedriveError, StorageError,
};
pub use event::{Event, WhyDropped};
pub use events::Events;
#[cfg(feature = "metrics")]
pub use export::ExportError;
pub use forward::{Forward, ForwardWith};
pub use group::GroupBuilder;
pub use group_handle::Group;
pub use group_with::GroupWith;
pub use handle::{Broker, BrokerBuilder};
pub use handler::Consumer;
pub use headers::{Headers, InvalidHeader};
pub use id::{InvalidMessageId, MessageId};
pub use key::{Key, KeyHash};
pub use message::Message;
pub use message_builder::{MessageBuilder, Published};
pub use no_room::{Dropped, NoRoom, UnlessDropped};
pub use outcome::Outcome;
pub use outgoing::Outgoing;
pub use pull::{Delivery, DeliveryStream};
pub use rate::RateLimit;
pub use retain::Retain;
pub use retry::Retry;
pub use scheduled::{CancelError, Scheduled};
pub use seek::SeekError;
pub use settings::Overflow;
pub use sink::TopicSink;
pub use start::Start;
pub use start_error::StartError;
pub use stats::{ConsumerKind, ConsumerState, ConsumerStats, GroupState, GroupStats, TopicStats};
pub use steer::SteerError;
pub use stored::{StoredGroup, StoredTopic};
pub use stored_message::{NotAMessage, StoredMessage, StoredTerms};
pub use topic::Topic;
pub use topic_builder::TopicBuilder;
pub use topology::{GroupNode, TopicNode, Topology};
pub use trace::{InvalidTraceContext, TraceContext};

pub(crate) use settings::GroupSettings;

// What the simulator's test kit sees of a broker.
#[cfg(feature = "sim")]
pub(crate) use bits::Bits;
#[cfg(feature = "server")]
pub(crate) use disk::{answered, blocking};
#[cfg(feature = "sim")]
pub(crate) use order::Order;
#[cfg(feature = "sim")]
pub(crate) use outcome::{TIMED_OUT, Verdict};
#[cfg(all(test, feature = "sim"))]
pub(crate) use witness::Bytes;
#[cfg(feature = "sim")]
pub(crate) use witness::{At, Counted, Sight, TopicCounts, Witness};

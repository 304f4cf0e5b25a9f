//! What a session knows of its client that nobody else needs.

use super::pubsub::Interests;
use super::resp::{Protocol, Request};
use super::watch::Watch;
use crate::base::Moment;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) protocol: Protocol,
    pub(super) authenticated: bool,
    pub(super) db: usize,
    pub(super) interests: Interests,
    pub(super) replies: ReplyMode,
    pub(super) watch: Watch,
    /// Present between `MULTI` and `EXEC`.
    pub(super) transaction: Option<Transaction>,
    /// Its commands are run, one behind the other, so that none may wait.
    pub(super) executing: bool,
    /// Present while a command waits.
    pub(super) waits: Option<Waits>,
    /// It goes once it has its answer.
    pub(super) quits: bool,
}

/// A command that waits for others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// Among those who wait.
    pub(super) number: u64,
    /// Until then; `None`: for ever.
    pub(super) until: Option<Moment>,
    /// Then there may be something for it without anybody doing anything.
    pub(super) look: Option<Moment>,
    /// The client wants no reply.
    pub(super) silent: bool,
}

/// Whether the client wants replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ReplyMode {
    #[default]
    On,
    Off,
    /// Not to the command that has just asked for that, nor to the next one.
    Skip,
}

/// Commands that wait to be run together.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// Limit: [`Transaction::MOST_BYTES`].
    pub(super) queued: Vec<Request>,
    pub(super) bytes: usize,
    /// One of them can't be run, so none will be.
    pub(super) broken: bool,
    /// One of them is refused where there is no memory, so all are.
    pub(super) takes_memory: bool,
    /// And so where nothing can be written down.
    pub(super) writes: bool,
}

impl Transaction {
    /// The most bytes of commands that wait.
    pub(super) const MOST_BYTES: usize = 256 << 20;
    /// The most bytes that it is answered: a few of them can ask for any number of copies of a large value.
    pub(super) const MOST_ANSWER: usize = 1 << 30;
}

impl State {
    /// Whether the client has told what it listens to, in the protocol in which it then hears nothing else.
    pub(super) fn is_listening(&self) -> bool {
        self.protocol == Protocol::Resp2 && self.interests.len() > 0
    }
}

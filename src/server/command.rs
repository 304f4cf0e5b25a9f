//! Commands: which there are, what each needs, and how one is run.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::client::Client;
use super::commands;
use super::keys::NoStream;
use super::resp::{Replies, Request};
use super::state::State;
use super::stream::NoInterval;
use super::world::World;
use crate::base::Moment;
use crate::runtime::Rt;

/// A command, as it stands in the table.
pub(super) struct Command {
    /// In small letters; a subcommand's stands behind its container's and a bar.
    pub(super) name: &'static str,
    /// So many arguments, its name among them; negative: at least so many.
    pub(super) arity: i32,
    pub(super) flags: &'static [Flag],
    /// Where its keys are among the arguments: the first, the last, and the step from one to the next.
    pub(super) keys: (i32, i32, i32),
    pub(super) run: Run,
}

pub(super) type Run = fn(&mut Context<'_, '_>) -> Result<(), Failure>;

/// What is to be known of a command before it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    /// It changes keys.
    Write,
    ReadOnly,
    /// It may take memory, and is refused where there is none.
    DenyOom,
    Admin,
    Fast,
    PubSub,
    /// Allowed before authentication.
    NoAuth,
    /// Allowed to a client that listens, in RESP2.
    WhileListening,
    /// What it writes is pushed: it is sent also where replies are off.
    Pushes,
    /// It changes nothing that anybody waits for.
    WakesNobody,
    /// Not queued by a transaction, but run.
    InTransaction,
    /// Not allowed in a transaction.
    NoTransaction,
    /// Where it can't be run, there is no transaction any more.
    EndsTransaction,
}

impl Flag {
    /// The name that `COMMAND` gives it, if it is one of Redis's.
    pub(super) fn name(self) -> Option<&'static str> {
        Some(match self {
            Flag::Write => "write",
            Flag::ReadOnly => "readonly",
            Flag::DenyOom => "denyoom",
            Flag::Admin => "admin",
            Flag::Fast => "fast",
            Flag::PubSub => "pubsub",
            Flag::NoAuth => "no_auth",
            Flag::NoTransaction => "no_multi",
            Flag::WhileListening | Flag::Pushes | Flag::InTransaction | Flag::WakesNobody => return None,
            Flag::EndsTransaction => return None,
        })
    }
}

impl Command {
    pub(super) fn is(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }

    /// Whether it can have so many arguments, its name among them.
    pub(super) fn takes(&self, args: usize) -> bool {
        let args = i64::try_from(args).unwrap_or(i64::MAX);
        let arity = i64::from(self.arity);
        if arity < 0 { args >= -arity } else { args == arity }
    }

    /// The keys among a request's arguments. `None`: it does not say where they are, so that it may be any.
    pub(super) fn keys_of<'a>(&self, request: &'a Request) -> Option<Vec<&'a [u8]>> {
        let at = |at: i32| usize::try_from(at).ok();
        let (first, last, step) = self.keys;
        let (Some(first @ 1..), Some(step @ 1..)) = (at(first), at(step)) else { return None };
        let last = at(last).unwrap_or(request.len().saturating_sub(1));
        Some((first..=last).step_by(step).filter_map(|at| request.get(at)).collect())
    }

    /// The name as errors give it: a container's subcommand with a bar.
    pub(super) fn container(&self) -> Option<&'static str> {
        self.name.split_once('|').map(|(container, _)| container)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Command").field(&self.name).finish()
    }
}

/// What a command works with.
pub(super) struct Context<'a, 'b> {
    pub(super) rt: &'a Rt,
    pub(super) world: &'a mut World,
    pub(super) client: &'a Arc<Client>,
    pub(super) state: &'a mut State,
    pub(super) request: &'a Request,
    pub(super) out: &'a mut Replies<'b>,
    pub(super) now: Moment,
    /// Milliseconds since 1970.
    pub(super) millis: u64,
}

impl Context<'_, '_> {
    /// An argument; the command's name is number 0. Empty where there is none: the arity was looked at.
    pub(super) fn arg(&self, index: usize) -> &[u8] {
        self.request.get(index).unwrap_or_default()
    }

    /// An argument as an option's word.
    pub(super) fn word(&self, index: usize) -> String {
        String::from_utf8_lossy(self.arg(index)).to_ascii_lowercase()
    }

    /// An argument as a whole number.
    pub(super) fn integer(&self, index: usize) -> Result<i64, Failure> {
        super::resp::parse_i64(self.arg(index)).ok_or(Failure::NOT_AN_INTEGER)
    }
}

/// Why a command was not done. Its text is what the client reads; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: &'static str,
    pub(super) text: Cow<'static, str>,
}

impl Failure {
    /// Nothing can be written down.
    pub(super) fn no_disk(why: &str) -> Failure {
        let text = format!("Errors writing to the disk, so that nothing is changed: {why}");
        Failure { code: "MISCONF", text: text.into() }
    }

    pub(super) const SYNTAX: Failure = Failure::err("syntax error");
    pub(super) const NOT_AN_INTEGER: Failure = Failure::err("value is not an integer or out of range");
    pub(super) const INVALID_ID: Failure =
        Failure::err("Invalid stream ID specified as stream command argument");
    pub(super) const NO_SUCH_KEY: Failure = Failure::err("no such key");
    pub(super) const WRONG_TYPE: Failure =
        Failure::new("WRONGTYPE", "Operation against a key holding the wrong kind of value");
    pub(super) const OUT_OF_MEMORY: Failure =
        Failure::new("OOM", "command not allowed when used memory > 'maxmemory'.");
    pub(super) const NO_AUTH: Failure = Failure::new("NOAUTH", "Authentication required.");

    pub(super) const fn new(code: &'static str, text: &'static str) -> Failure {
        Failure { code, text: Cow::Borrowed(text) }
    }

    pub(super) const fn err(text: &'static str) -> Failure {
        Failure::new("ERR", text)
    }

    /// With a text that is made for it.
    pub(super) fn say(text: String) -> Failure {
        Failure { code: "ERR", text: Cow::Owned(text) }
    }

    /// A command has another number of arguments.
    pub(super) fn arity(name: &str) -> Failure {
        Failure::say(format!("wrong number of arguments for '{name}' command"))
    }

    /// There is no such command, or no such subcommand of one that there is.
    pub(super) fn unknown(request: &Request) -> Failure {
        let name = shown(request.name(), 128);
        let subcommand = request.get(1).filter(|_| commands::is_container(request.name()));
        if let Some(subcommand) = subcommand {
            let upper = name.to_ascii_uppercase();
            return Failure::say(format!(
                "unknown subcommand '{}'. Try {upper} HELP.",
                shown(subcommand, 128)
            ));
        }
        if commands::is_container(request.name()) {
            return Failure::arity(&name.to_ascii_lowercase());
        }
        let mut args = String::new();
        for arg in request.args().skip(1) {
            if args.len() >= 128 {
                break;
            }
            args += &format!("'{}' ", shown(arg, 128 - args.len()));
        }
        Failure::say(format!("unknown command '{name}', with args beginning with: {args}"))
    }
}

impl From<NoStream> for Failure {
    fn from(_: NoStream) -> Failure {
        Failure::WRONG_TYPE
    }
}

impl From<NoInterval> for Failure {
    fn from(why: NoInterval) -> Failure {
        match why {
            NoInterval::Id => Failure::INVALID_ID,
            NoInterval::Start => Failure::err("invalid start ID for the interval"),
            NoInterval::End => Failure::err("invalid end ID for the interval"),
        }
    }
}

/// The beginning of bytes, as text.
fn shown(bytes: &[u8], most: usize) -> String {
    let part = bytes.get(..most.min(bytes.len())).unwrap_or_default();
    String::from_utf8_lossy(part).into_owned()
}

/// Finds the command that a request is for.
pub(super) fn find(request: &Request) -> Option<&'static Command> {
    commands::find(request.name(), request.get(1))
}

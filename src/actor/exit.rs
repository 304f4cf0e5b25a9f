//! Why an actor ended.

use std::fmt;
use std::sync::Arc;

use crate::base::{Fault, Name};

/// Says why an actor, or one incarnation of it, ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Exit {
    /// It was asked to stop, through an address, by its own context, or by its supervisor.
    Stopped,
    /// Its last address was dropped, so that nobody could reach it any more.
    Abandoned,
    /// A handler or the `started` hook returned this error.
    Failed(Fault),
    /// A handler, a hook, a timer, a stream or the drop of the state panicked with this text.
    Panicked(Arc<str>),
    /// It was killed, or its runtime shut down.
    Killed,
}

impl Exit {
    /// Tells whether a supervisor that restarts on failure would restart it.
    pub fn is_failure(&self) -> bool {
        matches!(self, Exit::Failed(_) | Exit::Panicked(_) | Exit::Killed)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Stopped => f.write_str("stopped"),
            Exit::Abandoned => f.write_str("abandoned: its last address was dropped"),
            Exit::Failed(fault) => write!(f, "failed: {fault}"),
            Exit::Panicked(text) => write!(f, "panicked: {text}"),
            Exit::Killed => f.write_str("killed"),
        }
    }
}

/// Reports the end of an actor: told after its last hook ran, its state was dropped and its mailbox closed.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// struct Fuse;
///
/// impl Actor for Fuse {
///     type Message = u32;
///     async fn handle(&mut self, ampere: u32, _: &mut Context<u32>) -> Result<(), Fault> {
///         if ampere > 16 { Err(Fault::new("blown")) } else { Ok(()) }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let fuse = System::start()?.spawn(Fuse);
/// for ampere in [10, 20, 10, 10] {
///     fuse.try_send(ampere)?;
/// }
/// let ended = fuse.ended().await;
/// assert!(ended.exit.is_failure());
/// assert_eq!(ended.exit.to_string(), "failed: blown");
/// assert_eq!(ended.unhandled, 2);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// The actor's name.
    pub name: Name,
    /// Why it ended.
    pub exit: Exit,
    /// How many accepted messages it never handled, those handed back included. Zero after a graceful stop.
    pub unhandled: usize,
}

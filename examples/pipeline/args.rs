//! The command line.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use callboard::prelude::*;

use crate::runtime::Runtime;

pub(crate) const HELP: &str = "\
Counts words with topics and consumer groups, crashes on request, and checks its own result.

usage: pipeline [OPTION...] [FILE...]

  FILE...            what to read, line by line; - is standard input. Without: the crate's own sources
  --runtime NAME     tokio (the default) or smol
  --consumers N      how many consumers count the words, 1 to 4096 (4)
  --crash N          every Nth delivery panics before it has done anything: the counts stay exact
  --crash-after N    every Nth delivery panics after it was done: it is done again, and the surplus is accounted for.
                     Only parse never does anything twice: its words are published once its handler has returned
  --slow MICROS      how long each word takes to be counted, 1 to 1000000: all that is before it gets to wait
  --overflow ANSWER  what the topic of the lines does while it is full. wait (the default): the reader waits;
                     reject: it tries again; drop-newest: the line that comes is dropped; drop-oldest: the topic
                     evicts its oldest line. What was dropped is missing from the counts, and accounted for
  --capacity N       how many lines that topic holds, 1 to 1000000 (4096); the topic of the words holds 4 times that
  --help             this text

exit code: 0 the counts are right, 1 they are not or something failed, 2 bad arguments";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Args {
    pub(crate) runtime: Runtime,
    pub(crate) consumers: u32,
    pub(crate) crash: Crash,
    pub(crate) slow: Option<Duration>,
    pub(crate) overflow: Overflow,
    pub(crate) capacity: usize,
    pub(crate) files: Vec<PathBuf>,
}

/// Which deliveries crash, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    Never,
    /// Every Nth delivery, before any effect.
    Before(NonZeroU64),
    /// Every Nth delivery, at its end.
    After(NonZeroU64),
}

impl Args {
    /// Reads the arguments; `None` asks for help.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Option<Args>, Fault> {
        let mut args = args.into_iter();
        let (mut runtime, mut consumers, mut crash) = (None, None, None);
        let (mut slow, mut overflow, mut capacity) = (None, None, None);
        let mut files = Vec::new();
        while let Some(arg) = args.next() {
            let (option, mut joined) = match arg.split_once('=') {
                Some((option, value)) if option.starts_with("--") => {
                    (option.to_string(), Some(value.to_string()))
                }
                _ => (arg, None),
            };
            let mut value =
                || joined.take().or_else(|| args.next()).ok_or(Fault::new(format!("{option} needs a value")));
            let mut number = |most| number(&option, &value()?, most);
            match option.as_str() {
                "--help" | "-h" => return Ok(None),
                "--consumers" => set(&mut consumers, &option, number(4096)?)?,
                "--crash" => set(&mut crash, "--crash or --crash-after", Crash::Before(number(u64::MAX)?))?,
                "--crash-after" => {
                    set(&mut crash, "--crash or --crash-after", Crash::After(number(u64::MAX)?))?
                }
                "--slow" => set(&mut slow, &option, Duration::from_micros(number(1_000_000)?.get()))?,
                "--capacity" => set(&mut capacity, &option, number(1_000_000)?)?,
                "--runtime" => set(&mut runtime, &option, value()?.parse()?)?,
                "--overflow" => set(&mut overflow, &option, answer(&value()?)?)?,
                "-" => files.push(PathBuf::from(option)),
                unknown if unknown.starts_with('-') => {
                    return Err(Fault::new(format!("there is no option {unknown}")));
                }
                _ => files.push(PathBuf::from(option)),
            }
        }
        Ok(Some(Args {
            runtime: runtime.unwrap_or_default(),
            consumers: consumers.map_or(4, |consumers| consumers.get() as u32),
            crash: crash.unwrap_or(Crash::Never),
            slow,
            overflow: overflow.unwrap_or_default(),
            capacity: capacity.map_or(4096, |capacity| capacity.get() as usize),
            files,
        }))
    }
}

fn set<T>(slot: &mut Option<T>, option: &str, value: T) -> Result<(), Fault> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Fault::new(format!("{option}: only once"))),
    }
}

fn number(option: &str, text: &str, most: u64) -> Result<NonZeroU64, Fault> {
    let number: NonZeroU64 =
        text.parse().map_err(|_| Fault::new(format!("{option}: {text:?} is not a whole number above 0")))?;
    if number.get() > most {
        return Err(Fault::new(format!("{option}: at most {most}")));
    }
    Ok(number)
}

fn answer(name: &str) -> Result<Overflow, Fault> {
    match name {
        "wait" => Ok(Overflow::default()),
        "reject" => Ok(Overflow::Reject),
        "drop-newest" => Ok(Overflow::DropNewest),
        "drop-oldest" => Ok(Overflow::DropOldest),
        _ => {
            Err(Fault::new(format!("--overflow: {name:?} is none of wait, reject, drop-newest, drop-oldest")))
        }
    }
}

//! The command line.

use std::num::NonZeroU64;
use std::path::PathBuf;

use callboard::prelude::*;

use crate::runtime::Runtime;

pub(crate) const HELP: &str = "\
Counts words with topics and consumer groups, crashes on request, and checks its own result.

usage: pipeline [--runtime tokio|smol] [--consumers N] [--crash N | --crash-after N] [FILE...]

  FILE...            what to read, line by line; - is standard input. Without: the crate's own sources
  --runtime NAME     tokio (the default) or smol
  --consumers N      how many consumers count the words, 1 to 4096 (4)
  --crash N          every Nth delivery panics before it has done anything: the counts stay exact
  --crash-after N    every Nth delivery panics after it was done: it is done again, and the surplus is accounted for
  --help             this text

exit code: 0 the counts are right, 1 they are not or something failed, 2 bad arguments";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Args {
    pub(crate) runtime: Runtime,
    pub(crate) consumers: u32,
    pub(crate) crash: Crash,
    pub(crate) files: Vec<PathBuf>,
}

/// Which deliveries crash, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    Never,
    /// Every Nth delivery, before any effect.
    Before(NonZeroU64),
    /// Every Nth delivery, after its effect.
    After(NonZeroU64),
}

impl Args {
    /// Reads the arguments; `None` asks for help.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Option<Args>, Fault> {
        let mut args = args.into_iter();
        let (mut runtime, mut consumers, mut crash) = (None, None, None);
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
            match option.as_str() {
                "--help" | "-h" => return Ok(None),
                "--runtime" => set(&mut runtime, &option, value()?.parse()?)?,
                "--consumers" => set(&mut consumers, &option, number(&option, &value()?)?)?,
                "--crash" => {
                    set(&mut crash, "--crash or --crash-after", Crash::Before(number(&option, &value()?)?))?
                }
                "--crash-after" => {
                    set(&mut crash, "--crash or --crash-after", Crash::After(number(&option, &value()?)?))?
                }
                "-" => files.push(PathBuf::from(option)),
                unknown if unknown.starts_with('-') => {
                    return Err(Fault::new(format!("there is no option {unknown}")));
                }
                _ => files.push(PathBuf::from(option)),
            }
        }
        let consumers =
            u32::try_from(consumers.map_or(4, NonZeroU64::get)).ok().filter(|consumers| *consumers <= 4096);
        let consumers = consumers.ok_or(Fault::new("--consumers: at most 4096"))?;
        let (runtime, crash) = (runtime.unwrap_or_default(), crash.unwrap_or(Crash::Never));
        Ok(Some(Args { runtime, consumers, crash, files }))
    }
}

fn set<T>(slot: &mut Option<T>, option: &str, value: T) -> Result<(), Fault> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Fault::new(format!("{option}: only once"))),
    }
}

fn number(option: &str, text: &str) -> Result<NonZeroU64, Fault> {
    text.parse().map_err(|_| Fault::new(format!("{option}: {text:?} is not a whole number above 0")))
}

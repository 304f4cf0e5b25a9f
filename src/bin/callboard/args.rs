//! Arguments. By hand: there are few, and a library for them would be the largest part of the binary.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::Bound;
use std::path::PathBuf;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Version,
    Inspect { dir: PathBuf, how: How },
    Serve(Serve),
}

/// How a server is set up; `None`: by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "server"),
    expect(dead_code, reason = "what is asked for and can't be done is not looked at")
)]
pub(crate) struct Serve {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) max_clients: Option<usize>,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) trust_network: bool,
    pub(crate) threads: Option<NonZeroUsize>,
    pub(crate) keep: Keep,
}

/// Where a server keeps what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Keep {
    #[default]
    Unsaid,
    Memory,
    Data {
        dir: PathBuf,
        fsync: Option<String>,
    },
}

/// How a directory is looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Look { verify: bool, json: bool },
    Dump { topic: String, range: Range },
    Salvage { to: PathBuf },
}

/// Some offsets.
pub(crate) type Range = (Bound<u64>, Bound<u64>);

/// Reads what follows the program's name.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let args: Vec<OsString> = args.collect();
    let is = |arg: &OsString, names: [&str; 2]| names.iter().any(|name| arg == name);
    if args.is_empty() || args.iter().any(|arg| is(arg, ["--help", "-h"])) {
        return Ok(Command::Help);
    }
    if args.iter().any(|arg| is(arg, ["--version", "-V"])) {
        return Ok(Command::Version);
    }
    let mut args = args.into_iter();
    match args.next() {
        Some(command) if command == "inspect" => inspect(args),
        Some(command) if command == "serve" => serve(args),
        Some(other) => Err(format!("there is no command {}", other.display())),
        None => Ok(Command::Help),
    }
}

fn serve(mut args: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut serve = Serve::default();
    let (mut memory, mut data, mut fsync) = (false, None, None);
    while let Some(arg) = args.next() {
        let name = arg.to_string_lossy().into_owned();
        let mut value = || args.next().ok_or(format!("{name} needs a value"));
        match name.as_str() {
            "--listen" => serve.listen = Some(address(&value()?.to_string_lossy())?),
            "--max-clients" => serve.max_clients = Some(number(&name, &value()?)?),
            "--memory-limit" => serve.memory_limit = Some(bytes(&value()?.to_string_lossy())?),
            "--password-file" => serve.password_file = Some(value()?.into()),
            "--trust-network" => serve.trust_network = true,
            "--memory" => memory = true,
            "--data" => data = Some(PathBuf::from(value()?)),
            "--fsync" => {
                let when = value()?.to_string_lossy().into_owned();
                let known = ["always", "everysec", "no"].contains(&when.as_str());
                fsync = Some(known.then_some(when).ok_or("--fsync is always, everysec, or no")?);
            }
            "--threads" => {
                let threads = NonZeroUsize::new(number(&name, &value()?)?);
                serve.threads = Some(threads.ok_or("--threads 0: there is nobody to serve")?);
            }
            _ => return Err(format!("serve has no option {name}")),
        }
    }
    serve.keep = match (data, memory, fsync) {
        (Some(_), true, _) => return Err("one of --data and --memory".into()),
        (Some(dir), false, fsync) => Keep::Data { dir, fsync },
        (None, _, Some(_)) => return Err("--fsync goes with --data: nothing else is written".into()),
        (None, true, None) => Keep::Memory,
        (None, false, None) => Keep::Unsaid,
    };
    Ok(Command::Serve(serve))
}

/// An address, or a port of this machine alone.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| format!("{text} is no address: 127.0.0.1:6379, [::1]:6379, or a port alone"))
}

fn number(name: &str, text: &OsStr) -> Result<usize, String> {
    let text = text.to_string_lossy();
    text.parse().map_err(|_| format!("{name} {text} is no number"))
}

/// A number of bytes, with a unit or not.
fn bytes(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let units = [("kb", 10), ("mb", 20), ("gb", 30), ("b", 0), ("", 0)];
    let number = |(unit, shift): (&str, u32)| {
        let number: u64 = lower.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(1 << shift)
    };
    units
        .into_iter()
        .find_map(number)
        .ok_or_else(|| format!("{text} is no number of bytes: 1000000, 100mb, 2gb"))
}

fn inspect(args: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut args = args.peekable();
    let (mut dir, mut other, mut verify, mut json) = (None, None, false, false);
    while let Some(arg) = args.next() {
        let is_flag = |arg: &OsString| arg.to_string_lossy().starts_with("--");
        if arg == "--verify" {
            verify = true;
        } else if arg == "--json" {
            json = true;
        } else if arg == "--dump" {
            let topic = args.next().filter(|arg| !is_flag(arg)).ok_or("--dump of which topic?")?;
            let topic = topic.into_string().map_err(|_| "a topic's name is UTF-8")?;
            let text = args.next_if(|next| !is_flag(next) && dir.is_some());
            let range =
                text.map_or(Ok((Bound::Unbounded, Bound::Unbounded)), |text| range(&text.to_string_lossy()))?;
            once(&mut other, How::Dump { topic, range })?;
        } else if arg == "--salvage" {
            let to = args.next().filter(|arg| !is_flag(arg)).ok_or("--salvage into which directory?")?;
            once(&mut other, How::Salvage { to: to.into() })?;
        } else if is_flag(&arg) {
            return Err(format!("there is no option {}", arg.display()));
        } else if dir.is_none() {
            dir = Some(PathBuf::from(arg));
        } else {
            return Err(format!("{} is one argument too many", arg.display()));
        }
    }
    let dir = dir.ok_or("inspect which directory?")?;
    match other {
        Some(_) if verify || json => Err("--verify and --json go with neither --dump nor --salvage".into()),
        Some(how) => Ok(Command::Inspect { dir, how }),
        None => Ok(Command::Inspect { dir, how: How::Look { verify, json } }),
    }
}

fn once(place: &mut Option<How>, how: How) -> Result<(), String> {
    match place.replace(how) {
        None => Ok(()),
        Some(_) => Err("one of --dump and --salvage, and once".into()),
    }
}

fn range(text: &str) -> Result<Range, String> {
    let fault = || format!("{text} is no range of offsets: 5, 5..9, 5..=9, 5.. or ..9");
    let number = |text: &str| text.parse::<u64>().map_err(|_| fault());
    let Some((from, to)) = text.split_once("..") else {
        let one = number(text)?;
        return Ok((Bound::Included(one), Bound::Included(one)));
    };
    let from = if from.is_empty() { Bound::Unbounded } else { Bound::Included(number(from)?) };
    let to = match to.strip_prefix('=') {
        Some(to) => Bound::Included(number(to)?),
        None if to.is_empty() => Bound::Unbounded,
        None => Bound::Excluded(number(to)?),
    };
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &str) -> Result<Command, String> {
        parse(args.split_whitespace().map(OsString::from))
    }

    fn inspected(how: How) -> Result<Command, String> {
        Ok(Command::Inspect { dir: "data".into(), how })
    }

    #[test]
    fn arguments_say_what_is_to_be_done() {
        use Bound::{Excluded, Included, Unbounded};
        let look = |verify, json| inspected(How::Look { verify, json });
        let dump = |range| inspected(How::Dump { topic: "orders".into(), range });
        assert_eq!(parsed(""), Ok(Command::Help));
        assert_eq!(parsed("inspect data --help"), Ok(Command::Help));
        assert_eq!(parsed("-V"), Ok(Command::Version));
        assert_eq!(parsed("inspect data"), look(false, false));
        assert_eq!(parsed("inspect --json data --verify"), look(true, true));
        assert_eq!(parsed("inspect data --salvage to"), inspected(How::Salvage { to: "to".into() }));
        assert_eq!(parsed("inspect data --dump orders"), dump((Unbounded, Unbounded)));
        assert_eq!(parsed("inspect --dump orders data"), dump((Unbounded, Unbounded)));
        assert_eq!(parsed("inspect data --dump orders 5"), dump((Included(5), Included(5))));
        assert_eq!(parsed("inspect data --dump orders 5..9"), dump((Included(5), Excluded(9))));
        assert_eq!(parsed("inspect data --dump orders ..=9"), dump((Unbounded, Included(9))));
    }

    #[test]
    fn a_server_is_set_up_as_arguments_say() {
        assert_eq!(parsed("serve"), Ok(Command::Serve(Serve::default())));
        let all = "serve --listen 7000 --max-clients 5 --memory-limit 2KB --password-file p --threads 2 --trust-network --data d --fsync everysec";
        let listen = Some("127.0.0.1:7000".parse().unwrap());
        let serve = Serve {
            listen,
            max_clients: Some(5),
            memory_limit: Some(2048),
            password_file: Some("p".into()),
            trust_network: true,
            threads: NonZeroUsize::new(2),
            keep: Keep::Data { dir: "d".into(), fsync: Some("everysec".into()) },
        };
        assert_eq!(parsed(all), Ok(Command::Serve(serve)));
        let listen = Some("[::1]:7000".parse().unwrap());
        assert_eq!(
            parsed("serve --listen [::1]:7000"),
            Ok(Command::Serve(Serve { listen, ..Serve::default() }))
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = [
            "fly",
            "inspect",
            "inspect data more",
            "inspect data --fast",
            "inspect data --dump",
            "inspect data --dump orders x..y",
            "inspect data --dump orders --salvage to",
            "inspect data --salvage to --verify",
            "inspect data --salvage --verify",
            "serve --listen",
            "serve --listen nowhere",
            "serve --max-clients many",
            "serve --memory-limit 5parsecs",
            "serve --threads 0",
            "serve data",
            "serve --data d --memory",
            "serve --data d --fsync sometimes",
            "serve --fsync always",
        ];
        for args in refused {
            assert!(parsed(args).is_err(), "{args}");
        }
    }
}

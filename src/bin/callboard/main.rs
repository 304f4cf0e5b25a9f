//! The command line: which command it is, and the exit code.

mod args;
mod dump;
mod inspect;
mod json;
#[cfg(feature = "server")]
mod serve;
mod show;

use std::io::{self, Write};
use std::process::ExitCode;

use args::{Command, parse};

/// How a command ended that could do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fine,
    /// Something is damaged, or was given up.
    Damaged,
}

/// Why a command could not do it.
type Failure = Box<dyn std::error::Error>;

const HELP: &str = "\
callboard, a message broker inside your process: its tool for data directories, and its server

Usage:
  callboard serve [OPTIONS]                     serves clients that speak Redis's protocol
  callboard inspect DIR [--verify] [--json]     what is there, and what is damaged
  callboard inspect DIR --dump TOPIC [RANGE]    the messages of a topic
  callboard inspect DIR --salvage TO            a new log of all that is whole
  callboard --help | --version

Options of serve (with the feature `server`)
  --data DIR            keep streams and their groups in this directory, which is made if need be
  --memory              keep them in memory: all is gone when it ends. Default, but it says so
  --fsync WHEN          with --data, when what is written is on the disk: always (default; a power cut loses nothing that was
                        replied), everysec (a second of it), no (when the system sees fit). SIGKILL loses nothing in any case
  --listen ADDR         IP:PORT, or a port of this machine alone. Default: 127.0.0.1:6379
  --max-clients N       so many may be connected at a time. Default: 10000; fewer if the system allows fewer open files
  --memory-limit BYTES  so much memory keys may take: 100mb, 2gb. Default: no limit
  --password-file FILE  clients must send what its first line says
  --threads N           threads that read, answer and write; commands take turns. Default: 1
  --trust-network       listen where others can connect, and ask them for no password
  It stops at SIGTERM or Ctrl-C, within 10 seconds. If the disk fails it ends with 2: begin it anew.

To look into a directory
  DIR       a data directory. It is only read, also while a broker has it open
  --verify  read every byte that counts, and not only the journal
  --json    for a program to read
  RANGE     offsets: 5, 5..9, 5..=9, 5.. or ..9
  TO        a directory that is empty, or not there yet

Exit code: 0 all is fine; 1 something is damaged, or was given up; 2 it could not be done.
";

fn main() -> ExitCode {
    let command = match parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(fault) => {
            complain(&format!("{fault}\nTry: callboard --help"));
            return ExitCode::from(2);
        }
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let done = run(&command, &mut out).and_then(|end| Ok(out.flush().map(|()| end)?));
    match done {
        Ok(End::Fine) => ExitCode::SUCCESS,
        Ok(End::Damaged) => ExitCode::from(1),
        // Whoever read it has seen enough.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            drop(out);
            complain(&error.to_string());
            ExitCode::from(2)
        }
    }
}

fn run(command: &Command, out: &mut dyn Write) -> Result<End, Failure> {
    match command {
        Command::Help => out.write_all(HELP.as_bytes())?,
        Command::Version => writeln!(out, "callboard {}", env!("CARGO_PKG_VERSION"))?,
        Command::Inspect { dir, how } => return inspect::run(dir, how, out),
        #[cfg(feature = "server")]
        Command::Serve(options) => return serve::run(options, out),
        #[cfg(not(feature = "server"))]
        Command::Serve(_) => return Err("this callboard was built without the feature `server`".into()),
    }
    Ok(End::Fine)
}

fn complain(what: &str) {
    // Why unheard: there is nobody left to tell.
    drop(writeln!(io::stderr(), "callboard: {what}"));
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

//! This program, started again in a role, by a test that reads what it says.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use callboard::broker::DataDirBuilder;
use callboard::prelude::*;

use crate::{faults, power, rounds};

/// How long a process may say nothing. Some hundred times what it should need.
const PATIENCE: Duration = Duration::from_secs(60);
/// Before each line, so that what the test harness prints is not taken for one.
const MARK: &str = "@ ";

/// What a process does: one of these names, see [`play`].
pub(crate) type Role = &'static str;

/// A process that was started.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

/// How a process of a role is started.
pub(crate) fn command(role: Role, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(ARGUMENTS).env("CB_ROLE", role).env("CB_DIR", dir);
    command
}

/// The same from a shell, as `"$0" "$@"` behind what `script` does first.
pub(crate) fn shell(role: Role, dir: &Path, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{script}\nexec \"$0\" \"$@\"")]);
    command.arg(std::env::current_exe().unwrap()).args(ARGUMENTS).env("CB_ROLE", role).env("CB_DIR", dir);
    command
}

const ARGUMENTS: [&str; 5] =
    ["--exact", "process::in_a_role", "--ignored", "--nocapture", "--test-threads=1"];

impl Process {
    pub(crate) fn start(command: &mut Command) -> Process {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (say, lines) = sync_channel(1024);
        let listen = move || {
            // A line without an end was cut short: it was not said.
            let mut out = out;
            let mut line = Vec::new();
            while out.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) && line.ends_with(b"\n") {
                let text = String::from_utf8_lossy(&line);
                if let Some(text) = text.trim_end().strip_prefix(MARK)
                    && say.send(text.to_string()).is_err()
                {
                    return;
                }
                line.clear();
            }
        };
        thread::Builder::new().spawn(listen).unwrap();
        Process { child, lines }
    }

    /// The next line, until the process has ended.
    pub(crate) fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                self.kill();
                panic!("the process said nothing for {PATIENCE:?}");
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// By SIGKILL. What it said before is still to be read.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// All that it says until it ends, and how it ends.
    pub(crate) fn end(mut self) -> (Vec<String>, ExitStatus) {
        let mut lines = Vec::new();
        while let Some(line) = self.line() {
            lines.push(line);
        }
        (lines, self.child.wait().unwrap())
    }
}

/// Whether SIGKILL ended it.
pub(crate) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

/// Runs a role to its end, which must be a good one; answers what it said.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Vec<String> {
    let (lines, status) = Process::start(command).end();
    assert!(status.success(), "{status}, after it said {lines:#?}");
    lines
}

/// Plays a role, if this process was started for one. By itself it is no test.
#[test]
#[ignore = "the other tests start it, in a process of its own"]
fn in_a_role() {
    let Ok(role) = std::env::var("CB_ROLE") else { return };
    let dir = PathBuf::from(std::env::var_os("CB_DIR").unwrap());
    // What the harness printed stands on this line.
    std::io::stdout().write_all(b"\n").unwrap();
    let runtime = std::env::var("CB_RUNTIME").unwrap_or_default();
    #[expect(clippy::disallowed_methods, reason = "the role must run where smol's users run theirs")]
    match runtime.as_str() {
        "smol" => smol::block_on(smol::spawn(play(role, dir))),
        _ => {
            let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let tokio = tokio.unwrap();
            tokio.block_on(async { tokio.spawn(play(role, dir)).await.unwrap() });
        }
    }
}

async fn play(role: String, dir: PathBuf) {
    match role.as_str() {
        "work" => rounds::work(&dir).await,
        "power" => power::cut(&dir),
        role => faults::play(role, &dir).await,
    }
}

/// Says a line to the test that started this process.
pub(crate) fn say(line: impl Display) {
    // In one write: it is there whole or not at all.
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{MARK}{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

pub(crate) fn builder(dir: &Path) -> DataDirBuilder {
    Broker::builder().data_dir(dir).journal_file_bytes(64 << 10)
}

/// A directory that goes when this is dropped.
pub(crate) struct TempDir(pub(crate) PathBuf);

impl TempDir {
    pub(crate) fn new(name: impl AsRef<OsStr>) -> TempDir {
        let mut of = std::ffi::OsString::from(format!("callboard-kill-{}-", std::process::id()));
        of.push(name);
        let dir = std::env::temp_dir().join(of);
        drop(std::fs::remove_dir_all(&dir));
        std::fs::create_dir_all(&dir).unwrap();
        TempDir(dir)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

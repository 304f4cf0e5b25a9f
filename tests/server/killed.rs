//! Is what a server replied there after SIGKILL, in the binary that people run?

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::kept::TempDir;

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn begin(dir: &Path, fsync: &str) -> Server {
        let mut process = Command::new(env!("CARGO_BIN_EXE_callboard"))
            .args(["serve", "--listen", "0", "--fsync", fsync, "--data"])
            .arg(dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().rsplit(' ').next().unwrap().to_string();
        Server { process, address }
    }

    fn connect(&self) -> Client {
        let socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client(BufReader::new(socket))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn send(&mut self, lines: &str) -> bool {
        self.0.get_mut().write_all(lines.as_bytes()).is_ok()
    }

    /// The next line that is an answer by itself: a number, a status, or what comes behind a length. `None`: it is gone.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line.starts_with('$') && line != "$-1\r\n" {
            line.clear();
            self.0.read_line(&mut line).ok().filter(|read| *read > 0)?;
        }
        line.ends_with('\n').then(|| line.trim_end().to_string())
    }

    fn ask(&mut self, line: &str) -> Option<String> {
        if self.send(&format!("{line}\r\n")) { self.line() } else { None }
    }
}

/// Writes until the server is gone; answers how many were confirmed, of those in twos.
fn write(mut client: Client, stream: &str, from: u64) -> u64 {
    for at in from.. {
        // Both or none: as one transaction.
        let sent = client
            .send(&format!("MULTI\r\nXADD {stream} {at}-1 f v\r\nXADD {stream} {at}-2 f v\r\nEXEC\r\n"));
        let heard: Vec<String> =
            if sent { std::iter::from_fn(|| client.line()).take(6).collect() } else { Vec::new() };
        if heard.len() < 6 {
            return at;
        }
        assert_eq!(heard[5], format!("{at}-2"));
    }
    unreachable!("numbers do not end")
}

/// Reads and acknowledges until the server is gone; answers how many acknowledgements were confirmed.
fn consume(mut client: Client, stream: &str) -> u64 {
    let mut acked = 0;
    loop {
        let asked = format!("XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS {stream} >\r\n");
        // The stream's head, the entry's, its id, its fields' head, and these.
        let heads = ["*1", "*2", stream, "*1", "*2"];
        let read: Vec<String> = if client.send(&asked) {
            std::iter::from_fn(|| client.line()).take(9).collect()
        } else {
            Vec::new()
        };
        let Some(id) = read.get(5).filter(|_| read.len() == 9) else { return acked };
        assert_eq!(read[..5], heads);
        match client.ask(&format!("XACK {stream} g {id}")).as_deref() {
            Some(":1") => acked += 1,
            Some(other) => panic!("{other}"),
            None => return acked,
        }
    }
}

#[test]
fn what_was_replied_outlives_a_kill() {
    for fsync in ["always", "everysec"] {
        let dir = TempDir::new();
        let (mut next, mut acked) = ([1_u64; 2], [0_u64; 2]);
        for round in 0..6_u64 {
            let mut server = Server::begin(&dir.0, fsync);
            let streams = ["a", "b"];
            for (at, stream) in streams.iter().enumerate() {
                let mut client = server.connect();
                if round == 0 {
                    assert_eq!(client.ask(&format!("XGROUP CREATE {stream} g 0 MKSTREAM")).unwrap(), "+OK");
                }
                let len: u64 = client.ask(&format!("XLEN {stream}")).unwrap()[1..].parse().unwrap();
                // The transaction that was not answered may be there: as a whole.
                assert!(
                    len == 2 * (next[at] - 1) || len == 2 * next[at],
                    "{len} of {next:?}, {fsync}, round {round}"
                );
                next[at] = len / 2 + 1;
                client.send(&format!("XINFO GROUPS {stream}\r\n"));
                let told: Vec<String> = std::iter::from_fn(|| client.line()).take(12).collect();
                let number =
                    |text: &str| text.strip_prefix(':').map_or(0, |number| number.parse::<u64>().unwrap());
                let (pending, read) = (number(&told[7]), number(&told[11]));
                // Acknowledged is what was handed out and is not pending; the last one may have had no answer.
                assert!((acked[at]..=acked[at] + 1).contains(&(read - pending)), "{told:?} {acked:?}");
                acked[at] = read - pending;
            }
            let threads = [0, 1].map(|at| {
                let (writer, reader) = (server.connect(), server.connect());
                let (stream, from) = (streams[at], next[at]);
                let write = smol::unblock(move || write(writer, stream, from));
                (write, smol::unblock(move || consume(reader, stream)))
            });
            // Somewhere in the middle of it: some more in each round.
            let mut watcher = server.connect();
            let (wanted, mut asked) = (2 * next[0] + 20 * round + 11, 0);
            while watcher.ask("XLEN a").unwrap()[1..].parse::<u64>().unwrap() < wanted {
                asked += 1;
                assert!(asked < 10_000_000, "nothing goes on");
            }
            server.process.kill().unwrap();
            server.process.wait().unwrap();
            for (at, (write, consume)) in threads.into_iter().enumerate() {
                next[at] = smol::block_on(write);
                acked[at] += smol::block_on(consume);
            }
        }
    }
}

/// SIGTERM lets it end in order, with what it has.
#[test]
fn a_server_that_is_told_to_stop_ends_in_order_and_says_where_all_is() {
    let dir = TempDir::new();
    let mut server = Server::begin(&dir.0, "no");
    assert_eq!(server.connect().ask("XADD s 1-1 f v").unwrap(), "1-1");
    let id = server.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(server.process.wait().unwrap().success());
    let shown = Command::new(env!("CARGO_BIN_EXE_callboard")).arg("inspect").arg(&dir.0).output().unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.status.success() && text.contains("stream.1") && text.contains("closed in order"),
        "{text}"
    );
    let again = Server::begin(&dir.0, "no");
    assert_eq!(again.connect().ask("XLEN s").unwrap(), ":1");
    let mut rest = Vec::new();
    let mut client = again.connect();
    assert_eq!(client.ask("QUIT").unwrap(), "+OK");
    client.0.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
}

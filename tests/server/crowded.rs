//! What if the system allows a server few descriptors, or small files?

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::kept::TempDir;

/// Ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

fn connect(address: &str) -> BufReader<TcpStream> {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    BufReader::new(socket)
}

fn line(client: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    line
}

/// A log that finds no descriptor for its next file does not know what is on the disk, and ends the server.
#[test]
fn clients_leave_descriptors_for_what_they_write() {
    let dir = TempDir::new();
    let mut process = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$0\" serve --listen 0 --fsync no --data \"$1\""])
        .arg(env!("CARGO_BIN_EXE_callboard"))
        .arg(&dir.0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let mut server = Server(process);
    let address = said.trim_end().rsplit(' ').next().unwrap();
    let mut first = connect(address);
    first.get_mut().write_all(b"PING\r\n").unwrap();
    assert_eq!(line(&mut first), "+PONG\r\n");
    let (mut served, mut refused) = (Vec::new(), 0);
    for _ in 0..80 {
        let mut client = connect(address);
        // Whoever is refused is told so, whatever it says.
        let _ = client.get_mut().write_all(b"PING\r\n");
        match line(&mut client).as_str() {
            "+PONG\r\n" => served.push(client),
            text => {
                assert_eq!(text, "-ERR max number of clients reached\r\n");
                refused += 1;
            }
        }
    }
    assert!(served.len() > 16 && refused > 16, "{} served, {refused} refused", served.len());
    let value = "x".repeat(1 << 20);
    for at in 1..100 {
        let request = format!(
            "*7\r\n$4\r\nXADD\r\n$1\r\ns\r\n$6\r\nMAXLEN\r\n$1\r\n3\r\n$2\r\n{at:02}\r\n$1\r\nf\r\n${}\r\n{value}\r\n",
            value.len()
        );
        first.get_mut().write_all(request.as_bytes()).unwrap();
        assert_eq!(
            (line(&mut first), line(&mut first)),
            (format!("${}\r\n", at.to_string().len() + 2), format!("{at}-0\r\n"))
        );
    }
    drop(served);
    // Until it has noticed that they are gone.
    let again = (0..10_000).any(|_| {
        let mut next = connect(address);
        let _ = next.get_mut().write_all(b"PING\r\n");
        line(&mut next) == "+PONG\r\n"
    });
    assert!(again, "nobody is served any more");
    assert!(server.0.try_wait().unwrap().is_none());
}

/// The signal that comes with it would end the server, without a word.
#[test]
fn a_file_that_may_not_grow_is_no_room() {
    let dir = TempDir::new();
    let begin = |blocks: &str| {
        Command::new("sh")
            .args(["-c", "ulimit -f $2; exec \"$0\" serve --listen 0 --fsync no --data \"$1\""])
            .arg(env!("CARGO_BIN_EXE_callboard"))
            .arg(&dir.0)
            .arg(blocks)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let refused = begin("100").wait_with_output().unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), text.contains("File too large")), (Some(2), true), "{text}");
}

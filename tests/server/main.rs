//! Does a server take connections of real sockets, on tokio and on smol, and end in order?
#![cfg(test)]

#[cfg(unix)]
mod crowded;
mod kept;
#[cfg(unix)]
mod killed;
mod within;
mod within_many;
mod within_odd;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use callboard::server::{ServeError, Server, ServerBuilder, Serving};
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(10);

/// Runs it on tokio, and on smol.
fn on_both<F: Future<Output = ()>>(body: impl Fn() -> F) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(body());
    smol::block_on(body());
}

fn builder() -> ServerBuilder {
    Server::builder().listen(SocketAddr::from(([127, 0, 0, 1], 0)))
}

struct Client(TcpStream);

impl Client {
    async fn connect(server: &Serving) -> Client {
        Client(TcpStream::connect(server.local_addr()).await.unwrap())
    }

    /// Sends lines and reads as much as is expected.
    async fn say(&mut self, lines: &str, wanted: &str) {
        self.0.write_all(lines.as_bytes()).await.unwrap();
        self.hear(wanted).await;
    }

    async fn hear(&mut self, wanted: &str) {
        let mut heard = vec![0; wanted.len()];
        self.0.read_exact(&mut heard).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&heard), wanted);
    }

    async fn reads_its_end(mut self) {
        let mut rest = Vec::new();
        // What was reset has ended too.
        let _ = self.0.read_to_end(&mut rest).await;
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

#[test]
fn clients_talk_to_a_server_and_hear_each_other() {
    on_both(|| async {
        let server = builder().serve().await.unwrap();
        let (mut one, mut two) = (Client::connect(&server).await, Client::connect(&server).await);
        one.say("PING\r\nSET a hi\r\n", "+PONG\r\n+OK\r\n").await;
        two.say("*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "$2\r\nhi\r\n").await;
        one.say("SUBSCRIBE news\r\n", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n").await;
        two.say("PUBLISH news one\r\n", ":1\r\n").await;
        one.hear("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$3\r\none\r\n").await;
        two.say("QUIT\r\n", "+OK\r\n").await;
        two.reads_its_end().await;
        let report = server.stop(LIMIT).await;
        assert_eq!((report.connections, report.rejected, report.commands, report.cut_off), (2, 0, 6, 0));
        one.reads_its_end().await;
    });
}

#[test]
fn there_are_no_more_clients_than_may_be() {
    on_both(|| async {
        let server = builder().max_clients(1).serve().await.unwrap();
        let mut one = Client::connect(&server).await;
        one.say("PING\r\n", "+PONG\r\n").await;
        let mut two = Client::connect(&server).await;
        two.hear("-ERR max number of clients reached\r\n").await;
        two.reads_its_end().await;
        one.say("PING\r\n", "+PONG\r\n").await;
        assert_eq!(server.stop(LIMIT).await.rejected, 1);
    });
}

#[test]
fn a_server_that_is_dropped_or_whose_stop_is_dropped_ends_all_the_same() {
    on_both(|| async {
        let server = builder().serve().await.unwrap();
        let mut one = Client::connect(&server).await;
        one.say("PING\r\n", "+PONG\r\n").await;
        let mut stop = Box::pin(server.stop(LIMIT));
        let _ = futures::FutureExt::now_or_never(&mut stop);
        drop(stop);
        one.reads_its_end().await;

        let server = builder().serve().await.unwrap();
        let mut one = Client::connect(&server).await;
        one.say("PING\r\n", "+PONG\r\n").await;
        drop(server);
        one.reads_its_end().await;
    });
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_served() {
    on_both(|| async {
        let open = Server::builder().listen(SocketAddr::from(([0, 0, 0, 0], 0)));
        let refused = open.max_clients(0).serve().await.unwrap_err();
        assert!(matches!(&refused, ServeError::Settings { faults } if faults.len() == 2), "{refused}");
        let server = builder().serve().await.unwrap();
        let taken = Server::builder().listen(server.local_addr()).serve().await.unwrap_err();
        assert!(
            matches!(&taken, ServeError::Listen { address, .. } if *address == server.local_addr()),
            "{taken}"
        );
        let open = Server::builder().listen(SocketAddr::from(([0, 0, 0, 0], 0))).password("secret");
        let open = open.serve().await.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], open.local_addr().port()));
        let mut guest = Client(TcpStream::connect(address).await.unwrap());
        guest.say("PING\r\n", "-NOAUTH Authentication required.\r\n").await;
        guest.say("AUTH secret\r\nPING\r\n", "+OK\r\n+PONG\r\n").await;
    });
}

/// What does not fit into the sockets' buffers is taken as the client takes it.
#[test]
fn a_client_that_is_reading_when_the_server_stops_reads_on_and_one_that_is_not_is_cut_off() {
    const LEN: usize = 20_000_000;
    on_both(|| async {
        let server = builder().serve().await.unwrap();
        let mut one = Client::connect(&server).await;
        let request = [
            format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${LEN}\r\n").into_bytes(),
            vec![b'x'; LEN],
            b"\r\n".to_vec(),
        ];
        one.0.write_all(&request.concat()).await.unwrap();
        one.hear("+OK\r\n").await;
        one.0.write_all(b"GET a\r\n").await.unwrap();
        let mut two = Client::connect(&server).await;
        two.0.write_all(b"GET a\r\n").await.unwrap();
        let mut some = [0; 2];
        one.0.read_exact(&mut some).await.unwrap();
        two.0.read_exact(&mut some).await.unwrap();
        let reading = async {
            let mut rest = Vec::new();
            one.0.read_to_end(&mut rest).await.unwrap();
            rest.len()
        };
        let (report, read) = futures::future::join(server.stop(Duration::from_millis(1500)), reading).await;
        assert_eq!((report.cut_off, read), (1, format!("${LEN}\r\n\r\n").len() - 2 + LEN));
    });
}

//! A server at work: it takes connections, gives each a session, and ends them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{Either, select};
use futures::io::{AsyncRead, AsyncWrite};

use super::client::{Client, Doom};
use super::keep::{Barrier, Confirmed, Confirming, DataError, Now};
use super::resp::Request;
use super::session::{End, Session, give_way};
use super::within::{Reply, ServedError, ServedStream, Visit};
use super::world::World;
use crate::base::sync::{Mutex, MutexGuard, PoisonError};
use crate::broker::answered;
use crate::log::Log;
use crate::runtime::{Listener, Rt};

/// So often it looks for clients that are silent for too long, and for keys that are over.
const TICK: Duration = Duration::from_millis(100);
/// So many descriptors are left to what is written and read: a log that has none for its next file fails.
const SPARE: u64 = 32;
/// So long it waits when the process has no descriptor left for a connection, doubled up to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// What sessions and commands share.
pub(super) struct Shared {
    rt: Rt,
    world: Mutex<World>,
    /// What sessions wait for, where streams are written down.
    confirmed: Option<(Arc<Confirmed>, Log)>,
    /// Hears why nothing can be written any more.
    fails: async_channel::Sender<DataError>,
    /// Closed when the server is to stop.
    pub(super) stop: async_channel::Receiver<()>,
    /// Held by each session: closed when the last one has ended.
    _alive: async_channel::Sender<()>,
}

impl Shared {
    pub(super) fn new(rt: Rt, world: World) -> (Arc<Shared>, Ends) {
        let (stop, stopping) = async_channel::bounded(1);
        let (alive, ended) = async_channel::bounded(1);
        let (fails, failed) = async_channel::bounded(1);
        let confirmed =
            world.keeper.as_ref().map(|keeper| (keeper.confirmed().clone(), keeper.log().clone()));
        let world = Mutex::new(world);
        let shared = Shared { rt, world, confirmed, fails, stop: stopping, _alive: alive };
        (Arc::new(shared), Ends { stop, ended, failed })
    }

    /// Whether streams are written down.
    pub(super) fn keeps(&self) -> bool {
        self.confirmed.is_some()
    }

    /// Begins to wait until all is in the log that a barrier stands for. `None`: nothing is written down.
    pub(super) async fn confirming(&self, of: Barrier) -> Option<Confirming<'_>> {
        let (confirmed, log) = self.confirmed.as_ref()?;
        // What others have to write meanwhile goes with it: to write is dear, and to write more is not.
        give_way().await;
        let barrier = match confirmed.has(of) {
            true => of,
            false => {
                let left = self.world().leave_to_log(&self.rt);
                log.help();
                // Why the lesser: what seemed to be something to write may have been nothing.
                of.min(left)
            }
        };
        Some(confirmed.wait(barrier))
    }

    pub(super) fn rt(&self) -> &Rt {
        &self.rt
    }

    /// Lets memory be what is on the disk, where something was refused: once one client is told so, the others read what is.
    pub(super) fn go_back(&self) {
        // Why unheard: of what is for ever, the next tick hears too.
        drop(self.world().keep_up(Now::of(&self.rt)));
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    /// What nobody waits for is written too, so that it is there later.
    fn drop(&mut self) {
        let rt = self.rt.clone();
        self.world().write_down(&rt);
    }
}

/// What is heard of what sessions share, and said to them. Dropped, they stop.
pub(super) struct Ends {
    /// Makes the server stop, by being closed.
    stop: async_channel::Sender<()>,
    /// Closed when it has.
    ended: async_channel::Receiver<()>,
    failed: async_channel::Receiver<DataError>,
}

/// A server that runs, until it is [stopped](Serving::stop).
///
/// Dropping it stops it too, without waiting for its clients.
pub struct Serving {
    address: SocketAddr,
    rt: Rt,
    stop: async_channel::Sender<()>,
    ended: async_channel::Receiver<()>,
    failed: async_channel::Receiver<DataError>,
    /// Held, so that it is closed once all is written.
    log: Option<Log>,
    shared: std::sync::Weak<Shared>,
}

/// Tells how a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerReport {
    /// Connections that it took in all.
    pub connections: u64,
    /// Connections that were refused since there were too many.
    pub rejected: u64,
    /// Commands that were asked for.
    pub commands: u64,
    /// Clients that had not gone by the deadline, and were cut off.
    pub cut_off: usize,
}

/// Begins to serve on a socket that listens.
pub(super) fn serve(rt: Rt, listener: Listener, (world, log): (World, Option<Log>)) -> Serving {
    let address = listener.address();
    let (shared, Ends { stop, ended, failed }) = Shared::new(rt.clone(), world);
    let weak = Arc::downgrade(&shared);
    let serving = Serving { address, rt: rt.clone(), stop, ended, failed, log, shared: weak };
    rt.spawn("server ticks", tick(shared.clone()));
    rt.spawn("server", accept(shared, listener));
    serving
}

impl Serving {
    /// Returns the address that it listens at: with the port that it was given, if it asked for any.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Names a stream, to publish to it and to consume from it in this process, beside the server's clients.
    pub fn stream(&self, name: impl AsRef<[u8]>) -> ServedStream {
        ServedStream::new(self.shared.clone(), name.as_ref())
    }

    /// Runs a command as if a client connected, had said who it is, asked this, read the answer, and went: all that clients can do and has no
    /// method here. What only changes a connection (`SELECT`, `SUBSCRIBE`) is of no use so; what waits (`XREAD BLOCK`) waits.
    ///
    /// # Errors
    /// [`ServedError`]: it was not done; if it is [`Unknown`](ServedError::Unknown), perhaps.
    ///
    /// # Cancel safety
    /// Dropped before it was polled nothing happened; after that it may be done or not.
    ///
    /// # Examples
    /// ```
    /// use callboard::server::{Reply, Server};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::builder().listen("127.0.0.1:0".parse()?).serve().await?;
    /// let id = server.command(["XADD", "cues", "MAXLEN", "~", "1000", "5-1", "light", "blue"]).await?;
    /// assert_eq!(id, Reply::Bytes(b"5-1".to_vec()));
    /// # Ok(()) }
    /// ```
    pub async fn command<A: AsRef<[u8]>>(
        &self,
        command: impl IntoIterator<Item = A>,
    ) -> Result<Reply, ServedError> {
        let args: Vec<A> = command.into_iter().collect();
        let request = Request::of(args.iter().map(AsRef::as_ref));
        Visit::begin(&self.shared)?.ask(request).await
    }

    /// Waits until nothing can be written to the data directory any more, and answers why: the disk failed. All that was
    /// confirmed is there; clients are cut off, and whoever is to serve them begins anew. A full disk is none such: commands that
    /// write are refused until there is room. Without a data directory it waits for ever.
    ///
    /// # Cancel safety
    /// What was not answered is answered to the next one who asks.
    pub async fn failure(&self) -> DataError {
        match self.failed.recv().await {
            Ok(error) => error,
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops taking connections, ends those there are, and tells how it went. Clients get what was written for them, within `limit`;
    /// those that have not taken it by then are cut off. A data directory is closed in order, and free.
    ///
    /// Consumers within the process end with [`ServedError::Closed`], and what they have in hand can't be acked any more, so that it comes
    /// again: those that are to finish first are to be ended first.
    ///
    /// # Cancel safety
    /// Once polled it stops, even if the future is dropped.
    pub async fn stop(self, limit: Duration) -> ServerReport {
        let mut report = ServerReport { connections: 0, rejected: 0, commands: 0, cut_off: 0 };
        // Why not held: the end is told when the last one who has it lets go. Why before it is told to stop: then all may have gone.
        if let Some(shared) = self.shared.upgrade() {
            self.stop.close();
            let world = shared.world();
            let stats = &world.stats;
            (report.connections, report.rejected, report.commands) =
                (stats.connections, stats.rejected, stats.commands);
            world.clients.values().for_each(|client| client.doom(Doom::Stopping));
        }
        let sleep = self.rt.sleep_until(self.rt.now() + limit);
        if let Either::Right(_) = select(std::pin::pin!(self.ended.recv()), sleep).await
            && let Some(shared) = self.shared.upgrade()
        {
            let mut world = shared.world();
            report.cut_off = world.clients.len();
            world.write_down(&self.rt);
        }
        if let Some(log) = &self.log {
            let (done, closed) = answered();
            log.close(true, done);
            if let Ok(Err(error)) = closed.await {
                tracing::error!(target: "callboard::server", %error, "the data directory was not closed in order");
            }
        }
        report
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            self.stop.close();
            shared.world().clients.values().for_each(|client| client.doom(Doom::Killed));
        }
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Looks after what no command asks for, until the server stops.
async fn tick(shared: Arc<Shared>) {
    loop {
        let sleep = shared.rt.sleep_until(shared.rt.now() + TICK);
        if let Either::Left(_) = select(std::pin::pin!(shared.stop.recv()), sleep).await {
            return;
        }
        let now = shared.rt.now();
        let mut world = shared.world();
        world.tidy(now);
        world.send_idle_away(now);
        let now = Now { moment: now, millis: shared.rt.wall_millis() };
        if let Err(error) = world.keep_up(now) {
            tracing::error!(target: "callboard::server", %error, "the data directory can't be written any more: the server ends");
            world.clients.values().for_each(|client| client.doom(Doom::Killed));
            // Why unheard: there is room for one, and this is the first.
            drop(shared.fails.try_send(error));
            return;
        }
    }
}

/// Takes connections until the server stops.
async fn accept(shared: Arc<Shared>, listener: Listener) {
    let mut backoff = BACKOFF.0;
    loop {
        let stopped = shared.stop.recv();
        let accepted = match select(std::pin::pin!(stopped), std::pin::pin!(listener.accept())).await {
            Either::Left(_) => return,
            Either::Right((accepted, _)) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                backoff = BACKOFF.0;
                let own = stream.local_addr().ok();
                let silent = Duration::from_secs(shared.world().config.keep_alive);
                // Why unheard if it can't be: the client is gone again.
                let _ = if silent.is_zero() { Ok(()) } else { stream.keep_alive(silent) };
                let has_room = !stream.is_among_the_last(SPARE);
                welcome(&shared, stream, [Some(peer), own], has_room);
            }
            // The client was gone again before it was taken.
            Err(error) if is_its_own(&error) => {}
            // No descriptor is left, or no memory: until some connection ends there is nothing to do.
            Err(error) => {
                tracing::warn!(target: "callboard::server", %error, wait = ?backoff, "no connection is taken for a while");
                let sleep = shared.rt.sleep_until(shared.rt.now() + backoff);
                if let Either::Left(_) = select(std::pin::pin!(shared.stop.recv()), sleep).await {
                    return;
                }
                backoff = (backoff * 2).min(BACKOFF.1);
            }
        }
    }
}

fn is_its_own(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Begins a session, unless there are too many, or no room for more.
fn welcome<S>(shared: &Arc<Shared>, mut stream: S, addresses: [Option<SocketAddr>; 2], has_room: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let client = {
        let mut world = shared.world();
        // Why under the lock: whoever stops the server finds all clients that came before.
        if shared.stop.is_closed() {
            return;
        }
        world.stats.connections += 1;
        if !has_room || world.clients.len() >= world.config.max_clients {
            world.stats.rejected += 1;
            None
        } else {
            let id = world.number();
            let client = Arc::new(Client::new(id, addresses, shared.rt.now(), world.config.most_pushed));
            world.clients.insert(id, client.clone());
            Some(client)
        }
    };
    let Some(client) = client else {
        // One try: whoever is refused is not waited for.
        let text = b"-ERR max number of clients reached\r\n";
        let _ = futures::AsyncWriteExt::write(&mut stream, text).now_or_never();
        return;
    };
    let name = format!("session {}", client.id);
    let kept = shared.clone();
    shared.rt.spawn(&name, async move {
        let id = client.id;
        let end = Session::new(stream, kept.clone(), client).run().await;
        kept.world().clients.remove(&id);
        match end {
            End::Protocol(_) | End::Doomed(_) | End::Unwritten(_) => {
                tracing::info!(target: "callboard::server", id, why = %end, "a client was cut off");
            }
            End::Gone | End::Io(_) => {
                tracing::debug!(target: "callboard::server", id, why = %end, "a session has ended");
            }
        }
    });
}

//! How a server is set up.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::Config;
use super::keep::{DataError, Fsync, Now, Recovered, recover};
use super::serving::{Serving, serve};
use super::world::World;
use crate::broker::blocking;
use crate::log::{Log, LogError, Options, RealFs};
use crate::runtime::{Listener, NoRuntime, Rt, Runtime};

/// The version of Redis whose commands, replies and errors these are.
pub(crate) const REDIS_VERSION: &str = "7.0.15";
/// Where clients look for a server that they were not told of.
const PORT: u16 = 6379;

/// A server that Redis's clients can talk to.
#[derive(Debug)]
pub struct Server(());

impl Server {
    /// Begins to set one up.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }
}

/// Sets up a server; made by [`Server::builder`].
#[derive(Debug)]
#[must_use = "nothing is served before `serve`"]
pub struct ServerBuilder {
    address: SocketAddr,
    config: Config,
    trusts_network: bool,
    runtime: Option<Rt>,
    data: Option<PathBuf>,
}

impl ServerBuilder {
    pub(super) fn new() -> ServerBuilder {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);
        ServerBuilder { address, config: Config::default(), trusts_network: false, runtime: None, data: None }
    }

    /// Sets where it listens. Default: port 6379 of this machine alone (127.0.0.1). Port 0 is any that is free.
    ///
    /// An address that others can reach is refused without a [password](ServerBuilder::password), unless
    /// [told twice](ServerBuilder::trust_network).
    pub fn listen(mut self, address: SocketAddr) -> ServerBuilder {
        self.address = address;
        self
    }

    /// Lets whoever can reach the address in without a password. Default: no.
    pub fn trust_network(mut self) -> ServerBuilder {
        self.trusts_network = true;
        self
    }

    /// Asks each client for a password first. Default: none. An empty one is none.
    pub fn password(mut self, password: impl AsRef<[u8]>) -> ServerBuilder {
        let password = password.as_ref();
        self.config.password = if password.is_empty() { None } else { Some(password.to_vec()) };
        self
    }

    /// Sets how many clients may be connected at a time. Default: 10,000. Others are refused, with an error that says so;
    /// and so they are, however few there are, where the process may have no more than 32 descriptors besides: those are left to the data
    /// directory and whoever else is in the process. Consumers within the process count while they wait, and are never refused.
    pub fn max_clients(mut self, clients: usize) -> ServerBuilder {
        self.config.max_clients = clients;
        self
    }

    /// Sets how much memory keys may take, in bytes. Default: no limit.
    ///
    /// Above it, commands that take memory are refused with an error that begins with `OOM`.
    pub fn memory_limit(mut self, bytes: u64) -> ServerBuilder {
        self.config.max_memory = bytes;
        self
    }

    /// Keeps streams in this directory, which is made if it is not there: they, their groups, and what is pending in them, are there
    /// again when a server is begun with it. Default: none, so that all is gone when the server ends.
    ///
    /// Nothing is replied before all that the reply may tell of is in there. Keys of other types are in memory in any case. One entry
    /// then has at most 16 MiB. The format is that of [durable topics](crate::broker::Durability).
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), callboard::server::ServeError> {
    /// let server = callboard::server::Server::builder().data("theatre").serve().await?;
    /// let why = server.failure().await;
    /// eprintln!("nothing can be written any more: {why}");
    /// # Ok(()) }
    /// ```
    pub fn data(mut self, dir: impl AsRef<Path>) -> ServerBuilder {
        self.data = Some(dir.as_ref().to_path_buf());
        self
    }

    /// Sets when what is kept is on the disk. Default: [`Fsync::Always`]. Without [`data`](ServerBuilder::data) it changes nothing.
    pub fn fsync(mut self, fsync: Fsync) -> ServerBuilder {
        self.config.fsync = fsync;
        self
    }

    /// Runs on this runtime. Default: the one that the code runs in. Only tokio's and smol's have sockets.
    pub fn runtime(mut self, runtime: impl Runtime) -> ServerBuilder {
        self.runtime = Some(Rt::new(runtime));
        self
    }

    /// Begins to serve.
    ///
    /// # Errors
    /// [`ServeError`]: nothing is served.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing is served.
    ///
    /// # Examples
    /// ```
    /// use callboard::server::Server;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::builder().listen("127.0.0.1:0".parse()?).serve().await?;
    /// println!("redis-cli -p {}", server.local_addr().port());
    /// let report = server.stop(Duration::from_secs(1)).await;
    /// assert_eq!(report.cut_off, 0);
    /// # Ok(()) }
    /// ```
    pub async fn serve(self) -> Result<Serving, ServeError> {
        let ServerBuilder { address, config, trusts_network, runtime, data } = self;
        let mut faults = Vec::new();
        if config.max_clients == 0 {
            faults.push("max_clients is 0: nobody could connect".to_string());
        }
        if !address.ip().is_loopback() && config.password.is_none() && !trusts_network {
            faults.push(format!("others can reach {address}, and there is no password"));
        }
        if !faults.is_empty() {
            return Err(ServeError::Settings { faults });
        }
        let rt = Rt::chosen(runtime).map_err(ServeError::NoRuntime)?;
        let listener = Listener::bind(&rt, address).await;
        let listener = listener.map_err(|error| ServeError::Listen { address, error })?;
        let mut world = World { config, started: rt.now(), ..World::default() };
        let log = match data {
            Some(dir) => {
                Some(open(&rt, &dir, &mut world).await.map_err(|error| ServeError::Data { dir, error })?)
            }
            None => None,
        };
        Ok(serve(rt, listener, (world, log)))
    }
}

/// Opens a data directory, and lets a world have what is in it.
async fn open(rt: &Rt, dir: &Path, world: &mut World) -> Result<Log, DataError> {
    let (options, nodes, path) = (Options::new(rt.random()), world.config.nodes, dir.to_path_buf());
    let now = Now::of(rt);
    let opened = blocking(rt, "open the data directory", move || {
        let (log, driver, state, found) = Log::open(Arc::new(RealFs), &path, options)?;
        driver.spawn()?;
        if let Some((file, at, bytes)) = found.torn {
            tracing::warn!(target: "callboard::server", ?file, at, bytes, "the end of the log was being written when it ended, and was cut");
        }
        Ok::<_, DataError>((recover(log.clone(), state, nodes, now)?, log))
    });
    let (recovered, log) = opened.await.ok_or(LogError::Closed)??;
    let Recovered { mut keeper, streams, last } = recovered;
    world.config.keeps = true;
    world.config.most_bulk = world.config.most_bulk.min(keeper.most_entry());
    keeper.set_fsync(world.config.fsync);
    world.keys.replace_streams(streams, last);
    world.keeper = Some(keeper);
    Ok(log)
}

/// Says why a server did not begin.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// Settings that can't be, all of them.
    Settings {
        /// One line for each.
        faults: Vec<String>,
    },
    /// There is no runtime to run on.
    NoRuntime(NoRuntime),
    /// The data directory can't be served from.
    Data {
        /// The directory.
        dir: PathBuf,
        /// Why.
        error: DataError,
    },
    /// The address can't be listened at: another program has it, or it is none of this machine's.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        error: io::Error,
    },
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Settings { faults } => {
                write!(f, "the server can't be set up so: {}", faults.join("; "))
            }
            ServeError::NoRuntime(error) => error.fmt(f),
            ServeError::Data { dir, error } => write!(f, "can't serve from {}: {error}", dir.display()),
            ServeError::Listen { address, error } => write!(f, "can't listen at {address}: {error}"),
        }
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ServeError::Settings { .. } => None,
            ServeError::NoRuntime(error) => error.source(),
            ServeError::Data { error, .. } => Some(error),
            ServeError::Listen { error, .. } => Some(error),
        }
    }
}

//! `callboard serve`.

use std::io::Write;
use std::num::NonZero;
use std::pin::pin;
use std::time::Duration;

use callboard::server::{Fsync, Server, ServerBuilder};
use futures::future::{Either, select};
use tokio::signal::unix::{SignalKind, signal};

use super::args::{Keep, Serve};
use super::{End, Failure};

/// So long clients are given, at the end, to take what was written for them.
const DRAIN: Duration = Duration::from_secs(10);

pub(crate) fn run(options: &Serve, out: &mut dyn Write) -> Result<End, Failure> {
    raise_limit();
    let builder = set_up(options)?;
    // Why one: commands take turns anyway, and with a second thread each takes one and a half times the processor's time.
    let mut tokio = match options.threads.map_or(1, NonZero::get) {
        1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut tokio = tokio::runtime::Builder::new_multi_thread();
            tokio.worker_threads(threads);
            tokio
        }
    };
    tokio.enable_all().build()?.block_on(serve(builder, options, out))
}

/// Has the system allow as many descriptors as it may: what it allows unasked is often a thousand, and each client has one.
fn raise_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Why unheard: then there are fewer clients at a time, and each one too many is told.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn set_up(options: &Serve) -> Result<ServerBuilder, Failure> {
    let mut builder = Server::builder();
    if let Some(address) = options.listen {
        builder = builder.listen(address);
    }
    if let Some(clients) = options.max_clients {
        builder = builder.max_clients(clients);
    }
    if let Some(bytes) = options.memory_limit {
        builder = builder.memory_limit(bytes);
    }
    if let Keep::Data { dir, fsync } = &options.keep {
        builder = builder.data(dir).fsync(match fsync.as_deref() {
            Some("everysec") => Fsync::EverySecond,
            Some("no") => Fsync::Never,
            _ => Fsync::Always,
        });
    }
    if let Some(file) = &options.password_file {
        let text = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let password = line.strip_suffix(b"\r").unwrap_or(line);
        if password.is_empty() {
            return Err(
                format!("{}: its first line is empty, so there is no password", file.display()).into()
            );
        }
        builder = builder.password(password);
    }
    Ok(if options.trust_network { builder.trust_network() } else { builder })
}

async fn serve(builder: ServerBuilder, options: &Serve, out: &mut dyn Write) -> Result<End, Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // Who asks for it is not ended by it: a file that may not grow is a disk that is full.
    let _grown = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
    let server = builder.serve().await?;
    writeln!(out, "callboard {} listens at {}", env!("CARGO_PKG_VERSION"), server.local_addr())?;
    match &options.keep {
        Keep::Data { dir, .. } => writeln!(out, "streams are kept in {}", dir.display())?,
        Keep::Memory => {}
        Keep::Unsaid => {
            writeln!(out, "all is in memory, and gone when it ends; --data DIR keeps it on disk")?;
        }
    }
    out.flush()?;
    let (terminated, interrupted) = (pin!(terminate.recv()), pin!(interrupt.recv()));
    let told = select(terminated, interrupted);
    if let Either::Right((error, _)) = select(told, pin!(server.failure())).await {
        return Err(format!("nothing can be written any more, begin it anew: {error}").into());
    }
    let report = server.stop(DRAIN).await;
    let (connections, rejected) = (report.connections, report.rejected);
    writeln!(out, "stopped: {connections} connections, {rejected} refused, {} commands", report.commands)?;
    if report.cut_off > 0 {
        writeln!(out, "{} clients did not take what was written for them, and were cut off", report.cut_off)?;
        return Ok(End::Damaged);
    }
    Ok(End::Fine)
}

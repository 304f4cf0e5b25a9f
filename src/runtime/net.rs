//! Sockets, of whichever runtime is in use.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::io::{AsyncRead, AsyncWrite};
use socket2::{SockRef, TcpKeepalive};

use super::Rt;

/// Listens for connections.
pub(crate) struct Listener {
    address: SocketAddr,
    inner: Inner,
}

enum Inner {
    #[cfg(feature = "tokio")]
    Tokio(tokio::net::TcpListener),
    #[cfg(feature = "smol")]
    Smol(smol::net::TcpListener),
}

/// A connection.
pub(crate) enum Stream {
    #[cfg(feature = "tokio")]
    Tokio(tokio::net::TcpStream),
    #[cfg(feature = "smol")]
    Smol(smol::net::TcpStream),
}

impl Listener {
    /// Listens at an address, on sockets of the runtime that `rt` is.
    pub(crate) async fn bind(rt: &Rt, address: SocketAddr) -> io::Result<Listener> {
        match rt.name() {
            #[cfg(feature = "tokio")]
            "tokio" => {
                let inner = tokio::net::TcpListener::bind(address).await?;
                Ok(Listener { address: inner.local_addr()?, inner: Inner::Tokio(inner) })
            }
            #[cfg(feature = "smol")]
            "smol" => {
                let inner = smol::net::TcpListener::bind(address).await?;
                Ok(Listener { address: inner.local_addr()?, inner: Inner::Smol(inner) })
            }
            other => {
                Err(io::Error::new(io::ErrorKind::Unsupported, format!("the runtime {other} has no sockets")))
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes the next connection. Small replies are sent at once.
    ///
    /// Why it is unheard if they can't be: the client is gone again, which is no reason to take no others for a while.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match &self.inner {
            #[cfg(feature = "tokio")]
            Inner::Tokio(listener) => {
                let (stream, peer) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tokio(stream), peer))
            }
            #[cfg(feature = "smol")]
            Inner::Smol(listener) => {
                let (stream, peer) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                Ok((Stream::Smol(stream), peer))
            }
        }
    }
}

impl Stream {
    /// Has the system ask whether the other side is still there, once nothing was heard of it for so long; it is gone if it does not
    /// answer three times, a third of that apart.
    pub(crate) fn keep_alive(&self, silent: Duration) -> io::Result<()> {
        let again = (silent / 3).max(Duration::from_secs(1));
        let asks = TcpKeepalive::new().with_time(silent).with_interval(again).with_retries(3);
        match self {
            #[cfg(feature = "tokio")]
            Stream::Tokio(stream) => SockRef::from(stream).set_tcp_keepalive(&asks),
            #[cfg(feature = "smol")]
            Stream::Smol(stream) => SockRef::from(stream).set_tcp_keepalive(&asks),
        }
    }

    /// Whether it has one of the last descriptors that the process may have: behind it there are fewer than `spare`, or than half of all.
    /// Systems give the least number that is free, so that the number alone says so, whatever else is open.
    #[cfg(unix)]
    pub(crate) fn is_among_the_last(&self, spare: u64) -> bool {
        use std::os::fd::AsRawFd as _;
        let number = match self {
            #[cfg(feature = "tokio")]
            Stream::Tokio(stream) => stream.as_raw_fd(),
            #[cfg(feature = "smol")]
            Stream::Smol(stream) => stream.as_raw_fd(),
        };
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        most.is_some_and(|most| u64::try_from(number).unwrap_or(0) >= most - spare.min(most / 2))
    }

    /// Other systems have no such limit.
    #[cfg(not(unix))]
    pub(crate) fn is_among_the_last(&self, _spare: u64) -> bool {
        false
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            #[cfg(feature = "tokio")]
            Stream::Tokio(stream) => stream.local_addr(),
            #[cfg(feature = "smol")]
            Stream::Smol(stream) => stream.local_addr(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            #[cfg(feature = "tokio")]
            Stream::Tokio(stream) => {
                let mut into = tokio::io::ReadBuf::new(into);
                let read = tokio::io::AsyncRead::poll_read(Pin::new(stream), cx, &mut into);
                read.map_ok(|()| into.filled().len())
            }
            #[cfg(feature = "smol")]
            Stream::Smol(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            #[cfg(feature = "tokio")]
            Stream::Tokio(stream) => tokio::io::AsyncWrite::poll_write(Pin::new(stream), cx, bytes),
            #[cfg(feature = "smol")]
            Stream::Smol(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            #[cfg(feature = "tokio")]
            Stream::Tokio(stream) => tokio::io::AsyncWrite::poll_flush(Pin::new(stream), cx),
            #[cfg(feature = "smol")]
            Stream::Smol(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            #[cfg(feature = "tokio")]
            Stream::Tokio(stream) => tokio::io::AsyncWrite::poll_shutdown(Pin::new(stream), cx),
            #[cfg(feature = "smol")]
            Stream::Smol(stream) => Pin::new(stream).poll_close(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Tokio;

    async fn asks(rt: Rt) {
        let listener = Listener::bind(&rt, SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let other = std::net::TcpStream::connect(listener.address()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        stream.keep_alive(Duration::from_secs(2)).unwrap();
        let socket = match &stream {
            Stream::Tokio(stream) => SockRef::from(stream),
            #[cfg(feature = "smol")]
            Stream::Smol(stream) => SockRef::from(stream),
        };
        assert!(socket.keepalive().unwrap() && !SockRef::from(&other).keepalive().unwrap());
        let times = (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap());
        assert_eq!(
            (times, socket.tcp_keepalive_retries().unwrap()),
            ((Duration::from_secs(2), Duration::from_secs(1)), 3)
        );
    }

    #[test]
    fn a_connection_is_asked_whether_it_is_still_there() {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(asks(Rt::new(Tokio::new(tokio.handle().clone()))));
        #[cfg(feature = "smol")]
        smol::block_on(asks(Rt::new(crate::runtime::Smol::global())));
    }
}

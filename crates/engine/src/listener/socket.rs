//! A connection as bytes: plain or within TLS, from a client or to a service.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{client, server};

/// What carries the bytes.
#[derive(Debug)]
pub enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What the exchange reads and writes. After a write within TLS, bytes may stay behind until a flush.
#[derive(Debug)]
pub enum Socket {
    Plain(Transport),
    /// We are the server.
    ServerTls(Box<server::TlsStream<Transport>>),
    /// We are the client.
    ClientTls(Box<client::TlsStream<Transport>>),
}

macro_rules! on_transport {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Transport::Tcp($stream) => $call,
            Transport::Unix($stream) => $call,
        }
    };
}

macro_rules! on_socket {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Socket::Plain($stream) => $call,
            Socket::ServerTls($stream) => $call,
            Socket::ClientTls($stream) => $call,
        }
    };
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(Transport::Tcp(stream))
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self::Plain(Transport::Unix(stream))
    }
}

impl Socket {
    pub fn is_tls(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// The protocol that both sides agreed on by ALPN.
    pub fn alpn(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::ServerTls(stream) => stream.get_ref().1.alpn_protocol(),
            Self::ClientTls(stream) => stream.get_ref().1.alpn_protocol(),
        }
    }

    /// The name that the client asked for (SNI), in lower case.
    pub fn server_name(&self) -> Option<&str> {
        match self {
            Self::ServerTls(stream) => stream.get_ref().1.server_name(),
            _ => None,
        }
    }

    /// The peer's own certificate, verified, where it showed one.
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        let chain = match self {
            Self::Plain(_) => None,
            Self::ServerTls(stream) => stream.get_ref().1.peer_certificates(),
            Self::ClientTls(stream) => stream.get_ref().1.peer_certificates(),
        };
        chain.and_then(<[_]>::first)
    }

    /// True while the peer is there and silent, as it must be between two messages.
    ///
    /// Costs no system call as long as the runtime saw nothing arrive. Within TLS, session tickets are taken in on the way.
    /// Where it is false the connection is over, or the peer spoke out of turn; a byte may be lost then, so do not use it.
    pub fn is_idle(&mut self) -> bool {
        let mut byte = [0];
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(self).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// Asks the kernel, with a system call, whether the peer has closed: the runtime may not have looked since it did.
    pub fn has_ended(&self) -> bool {
        let transport = match self {
            Self::Plain(transport) => transport,
            Self::ServerTls(stream) => stream.get_ref().0,
            Self::ClientTls(stream) => stream.get_ref().0,
        };
        let mut byte = [MaybeUninit::uninit()];
        let peeked = match transport {
            Transport::Tcp(stream) => socket2::SockRef::from(stream).peek(&mut byte),
            Transport::Unix(stream) => socket2::SockRef::from(stream).peek(&mut byte),
        };
        match peeked {
            // Bytes that wait within TLS may be session tickets.
            Ok(count) => count == 0 || !self.is_tls(),
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Ends our direction: what is buffered goes out, then the peer sees an end (within TLS, a `close_notify` first).
    pub fn poll_shutdown_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_shutdown(cx)
    }

    /// Makes the close that follows a reset, so that the peer cannot take what it got for a whole message.
    pub fn reset(&mut self) {
        let transport = match self {
            Self::Plain(transport) => transport,
            Self::ServerTls(stream) => stream.get_mut().0,
            Self::ClientTls(stream) => stream.get_mut().0,
        };
        if let Transport::Tcp(stream) = transport {
            // Fails only on a socket that is gone already.
            let _: io::Result<()> = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Transport {
    /// Whether the peer begins as requests do, with a letter; a TLS handshake begins with 22. The byte stays to be read.
    ///
    /// Clients on UNIX sockets are not looked at: none of them comes there by mistake.
    pub async fn begins_like_http(&self) -> io::Result<bool> {
        let Self::Tcp(stream) = self else { return Ok(false) };
        let mut first = [0];
        Ok(stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase())
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_transport!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        on_transport!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_transport!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_transport!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_transport!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        on_socket!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_socket!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

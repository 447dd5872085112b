//! Binds listeners: one socket a worker with `SO_REUSEPORT`, so that the kernel spreads connections and another process may
//! take the port over.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

const BACKLOG: i32 = 4096;

/// Whether two processes may listen on one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// They share its connections, so that one can take over from the other.
    Shared,
    /// The second is refused.
    Exclusive,
}

/// A bound listener, once for every worker.
pub enum Bound {
    Tcp(Vec<TcpListener>, SocketAddr),
    /// One queue that the workers share.
    Unix(Vec<UnixListener>),
}

/// Binds `IP:PORT` or `unix:/path`. Port 0 lets the system choose; all workers get the same.
pub fn bind(address: &str, workers: usize, sharing: Sharing) -> io::Result<Bound> {
    if let Some(path) = address.strip_prefix("unix:") {
        return bind_unix(Path::new(path), workers).map(Bound::Unix);
    }
    let wanted: SocketAddr = address
        .parse()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "expected `IP:PORT` or `unix:/path`"))?;
    let first = bind_tcp(wanted, sharing)?;
    let bound = first.local_addr()?;
    let mut all = vec![first];
    for _ in 1..workers {
        all.push(match sharing {
            Sharing::Shared => bind_tcp(bound, sharing)?,
            // One queue for all of them.
            Sharing::Exclusive => all[0].try_clone()?,
        });
    }
    Ok(Bound::Tcp(all, bound))
}

fn bind_tcp(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Shared)?;
    if address.is_ipv6() {
        // `[::]` means IPv6 only, as written; who wants both lists both.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Makes a listener deaf to new handshakes, so that it can close without a reset for anyone.
///
/// What the kernel has queued on a listener is reset when that closes, and between the last `accept` and `close` there is
/// always room for one more. Behind this filter (classic BPF on the TCP header: drop SYN without ACK) nobody new gets in,
/// while handshakes that have begun still end. The client's system sends the SYN again a second later (RFC 6298), and by
/// then another process that shares the port gets it.
pub fn refuse_handshakes(socket: &TcpListener) -> io::Result<()> {
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const SYN_OR_ACK: u32 = 0x12;
    SockRef::from(socket).attach_filter(&[
        SockFilter::new(0x30, 0, 0, FLAGS),      // load the byte of flags
        SockFilter::new(0x54, 0, 0, SYN_OR_ACK), // mask it
        SockFilter::new(0x15, 0, 1, SYN),        // only SYN?
        SockFilter::new(0x06, 0, 0, 0),          // then drop
        SockFilter::new(0x06, 0, 0, u32::MAX),   // else let through
    ])
}

fn bind_unix(path: &Path, workers: usize) -> io::Result<Vec<UnixListener>> {
    // A socket that a dead process left behind is in the way; anything else there is not ours.
    if let Ok(found) = std::fs::symlink_metadata(path)
        && found.file_type().is_socket()
        && std::os::unix::net::UnixStream::connect(path).is_err()
    {
        std::fs::remove_file(path)?;
    }
    let first = UnixListener::bind(path)?;
    first.set_nonblocking(true)?;
    let mut all = Vec::with_capacity(workers);
    for _ in 1..workers {
        all.push(first.try_clone()?);
    }
    all.push(first);
    Ok(all)
}

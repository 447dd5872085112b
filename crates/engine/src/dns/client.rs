//! Asks name servers, over UDP and, for long answers, over TCP (RFC 1035 section 4.2).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::dns::message::{Fault, Kind, Reply, answer, question};

/// Longer than what may come without extensions, for servers that do not care.
const DATAGRAM_BYTES: usize = 4096;
/// Messages from a server's address that are not our answer, before it is given up: somebody guesses.
const MOST_STRANGERS: usize = 64;

/// Asks one server after another, and all of them again, until one gives an answer.
pub async fn ask(
    servers: &[SocketAddr],
    patience: Duration,
    attempts: u32,
    name: &str,
    kind: Kind,
) -> io::Result<Reply> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "there is no name server to ask");
    for _ in 0..attempts {
        for server in servers {
            let asked = timeout(patience, ask_one(*server, name, kind)).await;
            match asked {
                Ok(Ok(reply)) => return Ok(reply),
                // Nobody can be asked for such a name.
                Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
                Ok(Err(error)) => last = io::Error::new(error.kind(), format!("{server}: {error}")),
                Err(_) => {
                    let message = format!("{server} did not answer within {}ms", patience.as_millis());
                    last = io::Error::new(io::ErrorKind::TimedOut, message);
                }
            }
        }
    }
    Err(last)
}

async fn ask_one(server: SocketAddr, name: &str, kind: Kind) -> io::Result<Reply> {
    // A number and a port that nobody can know, each time (RFC 5452 section 9).
    let mut number = [0; 2];
    getrandom::fill(&mut number).map_err(io::Error::other)?;
    let asked = question(u16::from_be_bytes(number), name, kind)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it cannot be a name"))?;
    match over_udp(server, &asked, kind).await {
        Err(Fault::Truncated) => over_tcp(server, &asked, kind).await?,
        answered => answered,
    }
    .map_err(|fault| io::Error::other(words(fault)))
}

async fn over_udp(server: SocketAddr, asked: &[u8], kind: Kind) -> Result<Reply, Fault> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let unreachable = |_: io::Error| Fault::Unreachable;
    let socket = UdpSocket::bind(any).await.map_err(unreachable)?;
    // Connected: what comes from elsewhere is dropped by the kernel.
    socket.connect(server).await.map_err(unreachable)?;
    socket.send(asked).await.map_err(unreachable)?;
    let mut buffer = vec![0; DATAGRAM_BYTES];
    for _ in 0..MOST_STRANGERS {
        let length = socket.recv(&mut buffer).await.map_err(unreachable)?;
        match answer(&buffer[..length], asked, kind) {
            Err(Fault::NotOurs) => {}
            answered => return answered,
        }
    }
    Err(Fault::NotOurs)
}

async fn over_tcp(server: SocketAddr, asked: &[u8], kind: Kind) -> io::Result<Result<Reply, Fault>> {
    let mut stream = TcpStream::connect(server).await?;
    let mut framed = (asked.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(asked);
    stream.write_all(&framed).await?;
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(answer(&message, asked, kind))
}

fn words(fault: Fault) -> String {
    match fault {
        Fault::NotOurs => "answers to other questions came".into(),
        Fault::Truncated => "the answer was cut off over TCP too".into(),
        // RFC 1035 section 4.1.1.
        Fault::Refused(2) => "the server failed (SERVFAIL)".into(),
        Fault::Refused(5) => "the server refused (REFUSED)".into(),
        Fault::Refused(code) => format!("the server answered with code {code}"),
        Fault::Malformed => "the answer cannot be read".into(),
        Fault::Unreachable => "the server cannot be reached".into(),
    }
}

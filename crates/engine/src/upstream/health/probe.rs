//! One question to one target, on a connection of its own.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{self, SendRequest};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Uri};
use tidegate_http1::{self as codec, Limits, Parse, RequestKind, ResponseParser, Version};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};

use crate::clock::Millis;
use crate::listener::socket::Socket;
use crate::plan::{self, BodyMatch, StatusRange, UpstreamProtocol};
use crate::problem::Problem;
use crate::routing::ValueRegex;
use crate::sides::Filled;
use crate::upstream::health::grpc::{self, Serving};
use crate::upstream::target::Place;
use crate::upstream::tls::ClientTls;
use crate::wire::inbound::Inbound;

/// What of a body is looked at.
const MOST_BYTES: usize = 64 * 1024;
const LIMITS: Limits = Limits { head: 16 * 1024, fields: 100, target: 0 };
const HEAD_BYTES: u32 = 16 * 1024;
const AGENT: &str = "tidegate-health";

/// Why a target did not pass, for the log and the admin page.
pub type Fault = Box<str>;

/// How a target is reached.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    pub service: &'a str,
    pub place: &'a Place,
    /// Instead of the target's own.
    pub port: Option<u16>,
    pub tls: Option<&'a ClientTls>,
    pub protocol: UpstreamProtocol,
    pub now: Millis,
}

/// What is asked, compiled.
pub enum Question {
    Tcp,
    Http { plan: plan::HttpProbe, body: Option<Body> },
    Grpc(plan::GrpcProbe),
}

/// What a body has to have.
pub enum Body {
    Contains(Box<[u8]>),
    Regex(ValueRegex),
}

impl Question {
    /// Problems have a path relative to the check.
    pub fn compile(probe: &plan::Probe) -> Result<Self, Problem> {
        Ok(match probe {
            plan::Probe::Tcp => Self::Tcp,
            plan::Probe::Grpc(plan) => Self::Grpc(plan.clone()),
            plan::Probe::Http(plan) => {
                let body = match &plan.body {
                    None => None,
                    Some(BodyMatch::Contains(text)) => Some(Body::Contains(text.as_bytes().into())),
                    Some(BodyMatch::Regex(pattern)) => {
                        let bad = |message| Problem::new("body", "config.bad_regex", message);
                        Some(Body::Regex(ValueRegex::compile_search(pattern).map_err(bad)?))
                    }
                };
                Self::Http { plan: plan.clone(), body }
            }
        })
    }
}

impl Body {
    fn is_in(&self, body: &[u8]) -> bool {
        match self {
            Self::Contains(text) => memchr::memmem::find(body, text).is_some(),
            Self::Regex(regex) => regex.is_match(body),
        }
    }
}

/// Asks. The caller bounds the time.
pub async fn ask(way: Way<'_>, question: &Question) -> Result<(), Fault> {
    let socket = connect(way).await?;
    match question {
        Question::Tcp => Ok(()),
        Question::Http { plan, body } => {
            let found = match way.protocol {
                UpstreamProtocol::Http1 => http1(socket, plan, body.is_some()).await?,
                UpstreamProtocol::H2 => http2(socket, way, plan, body.is_some()).await?,
            };
            judge(&found, plan, body.as_ref())
        }
        Question::Grpc(plan) => grpc(socket, way, plan).await,
    }
}

struct Found {
    status: u16,
    body: Vec<u8>,
}

fn judge(found: &Found, plan: &plan::HttpProbe, body: Option<&Body>) -> Result<(), Fault> {
    if !StatusRange::holds(&plan.statuses, found.status) {
        return Err(format!("status {}", found.status).into());
    }
    match body {
        Some(body) if !body.is_in(&found.body) => Err("the body is not the one expected".into()),
        _ => Ok(()),
    }
}

async fn connect(way: Way<'_>) -> Result<Socket, Fault> {
    let failed = |error: io::Error| Fault::from(format!("connect: {error}"));
    let at = |mut address: SocketAddr| {
        address.set_port(way.port.unwrap_or(address.port()));
        address
    };
    let socket = match way.place {
        Place::Unix(path) => Socket::from(UnixStream::connect(path).await.map_err(failed)?),
        Place::Address(address) => Socket::from(dial(at(*address)).await.map_err(failed)?),
        Place::Name(name) => {
            let found = name.addresses(way.now).await;
            let found = found.map_err(|error| Fault::from(format!("resolve {}: {error}", name.host)))?;
            let mut last = io::ErrorKind::NotFound.into();
            let mut connected = None;
            for address in found {
                match dial(at(address)).await {
                    Ok(stream) => {
                        connected = Some(stream);
                        break;
                    }
                    Err(error) => last = error,
                }
            }
            Socket::from(connected.ok_or_else(|| failed(last))?)
        }
    };
    match way.tls {
        None => Ok(socket),
        Some(tls) => tls.handshake(socket, way.service).await.map_err(|failure| match failure.detail {
            Some(detail) => detail,
            None => failure.code.word().into(),
        }),
    }
}

async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn broken(error: impl std::fmt::Display) -> Fault {
    format!("the connection broke: {error}").into()
}

async fn http1(mut socket: Socket, plan: &plan::HttpProbe, wants_body: bool) -> Result<Found, Fault> {
    let mut out = Vec::with_capacity(256);
    codec::write_request_line(&mut out, plan.method.as_bytes(), plan.target.as_bytes(), Version::Http11);
    codec::write_field(&mut out, b"host", plan.host.as_bytes());
    for (name, value) in &plan.headers {
        codec::write_field(&mut out, name.as_bytes(), value.as_bytes());
    }
    if !has_agent(&plan.headers) {
        codec::write_field(&mut out, b"user-agent", AGENT.as_bytes());
    }
    if matches!(plan.method.as_str(), "POST" | "PUT" | "PATCH") {
        codec::write_content_length(&mut out, 0);
    }
    codec::write_field(&mut out, b"connection", b"close");
    out.extend_from_slice(codec::HEAD_END);
    socket.write_all(&out).await.map_err(broken)?;
    socket.flush().await.map_err(broken)?;
    let mut inbound = Inbound::default();
    let (status, length) = http1_head(&mut socket, &mut inbound, RequestKind::of(plan.method.as_bytes())).await?;
    let mut body = Vec::new();
    if wants_body {
        inbound.begin(length, u64::MAX);
        while body.len() < MOST_BYTES {
            match poll_fn(|cx| inbound.poll_fill(cx, &mut socket)).await {
                Ok(Filled::Data) => {
                    let count = inbound.chunk().len();
                    body.extend_from_slice(inbound.chunk());
                    inbound.consume(count);
                }
                Ok(Filled::End) => break,
                Err(error) => return Err(format!("the body broke off: {error:?}").into()),
            }
        }
        body.truncate(MOST_BYTES);
    }
    Ok(Found { status, body })
}

/// Reads until the head of the final answer; the buffer then begins with its body.
async fn http1_head(
    socket: &mut Socket,
    inbound: &mut Inbound,
    kind: RequestKind,
) -> Result<(u16, codec::BodyLength), Fault> {
    let mut parser = ResponseParser::new(LIMITS);
    let bad = |word: &str| Fault::from(format!("the answer is not valid HTTP: {word}"));
    loop {
        match parser.parse(inbound.buffer.data()).map_err(|error| bad(error.code()))? {
            Parse::Complete => {
                let head = parser.head();
                let framing = codec::response_framing(head, inbound.buffer.data(), kind);
                let framing = framing.map_err(|error| bad(error.code()))?;
                let (status, length) = (head.status, head.length);
                inbound.buffer.consume(length);
                if !framing.interim {
                    return Ok((status, framing.body));
                }
                parser.clear();
            }
            Parse::Partial => {
                inbound.buffer.reserve(1);
                let count = poll_fn(|cx| inbound.buffer.poll_read(cx, socket)).await.map_err(broken)?;
                if count == 0 {
                    return Err("it closed the connection before its answer".into());
                }
            }
        }
    }
}

fn has_agent(headers: &[(String, String)]) -> bool {
    headers.iter().any(|(name, _)| name == "user-agent")
}

/// Runs a conversation over a connection of HTTP/2.
async fn over_http2<T, F: Future<Output = Result<T, Fault>>>(
    socket: Socket,
    speak: impl FnOnce(SendRequest<Bytes>) -> F,
) -> Result<T, Fault> {
    let mut builder = client::Builder::new();
    builder.max_header_list_size(HEAD_BYTES).enable_push(false);
    let (sender, connection) = builder.handshake::<_, Bytes>(socket).await.map_err(broken)?;
    let mut speaking = pin!(speak(sender));
    tokio::select! {
        biased;
        done = &mut speaking => done,
        // What has come by then is still to be read.
        _ = connection => speaking.await,
    }
}

/// The head of a request, with `Host` and the rest where HTTP/2 has them.
fn head(
    way: Way<'_>,
    method: &str,
    host: &str,
    target: &str,
    headers: &[(String, String)],
) -> Result<Request<()>, Fault> {
    let bad = |error: http::Error| Fault::from(format!("the question cannot be sent over HTTP/2: {error}"));
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(if way.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = Some(host.parse().map_err(|error: http::uri::InvalidUri| bad(error.into()))?);
    uri.path_and_query = Some(target.parse::<PathAndQuery>().map_err(|error| bad(error.into()))?);
    let uri = Uri::from_parts(uri).map_err(|error| bad(error.into()))?;
    let mut request = Request::builder().version(http::Version::HTTP_2).method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    if !has_agent(headers) {
        request = request.header("user-agent", AGENT);
    }
    request.body(()).map_err(bad)
}

async fn http2(socket: Socket, way: Way<'_>, plan: &plan::HttpProbe, wants_body: bool) -> Result<Found, Fault> {
    let request = head(way, &plan.method, &plan.host, &plan.target, &plan.headers)?;
    over_http2(socket, async |sender: SendRequest<Bytes>| {
        let mut sender = sender.ready().await.map_err(broken)?;
        let (answer, _) = sender.send_request(request, true).map_err(broken)?;
        let answer = answer.await.map_err(broken)?;
        let status = answer.status().as_u16();
        let body = if wants_body { collect(&mut answer.into_body()).await? } else { Vec::new() };
        Ok(Found { status, body })
    })
    .await
}

/// As much of a body as is looked at.
async fn collect(body: &mut RecvStream) -> Result<Vec<u8>, Fault> {
    let mut collected = Vec::new();
    while collected.len() < MOST_BYTES {
        let Some(chunk) = body.data().await else { break };
        let chunk = chunk.map_err(broken)?;
        collected.extend_from_slice(&chunk);
        body.flow_control().release_capacity(chunk.len()).map_err(broken)?;
    }
    collected.truncate(MOST_BYTES);
    Ok(collected)
}

async fn grpc(socket: Socket, way: Way<'_>, plan: &plan::GrpcProbe) -> Result<(), Fault> {
    let mut request = head(way, Method::POST.as_str(), &plan.host, grpc::PATH, &plan.headers)?;
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        request.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    over_http2(socket, async |sender: SendRequest<Bytes>| {
        let mut sender = sender.ready().await.map_err(broken)?;
        let (answer, mut stream) = sender.send_request(request, false).map_err(broken)?;
        stream.send_data(grpc::question(&plan.service), true).map_err(broken)?;
        let answer = answer.await.map_err(broken)?;
        if answer.status() != http::StatusCode::OK {
            return Err(format!("status {}", answer.status().as_u16()).into());
        }
        let (parts, mut body) = answer.into_parts();
        let message = collect(&mut body).await?;
        let trailers = body.trailers().await.map_err(broken)?;
        // An answer of trailers only has them for its head.
        match grpc_status(trailers.as_ref().unwrap_or(&parts.headers)) {
            Some("0") => {}
            Some(status) => return Err(format!("grpc-status {status}").into()),
            None => return Err("the answer has no grpc-status".into()),
        }
        match grpc::answer(&message) {
            Some(Serving::Serving) => Ok(()),
            Some(other) => Err(other.word().into()),
            None => Err("the answer is no HealthCheckResponse".into()),
        }
    })
    .await
}

fn grpc_status(trailers: &HeaderMap) -> Option<&str> {
    trailers.get("grpc-status").and_then(|status| status.to_str().ok())
}

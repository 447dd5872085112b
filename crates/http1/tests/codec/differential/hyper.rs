//! Beside hyper: whole messages, through its server and its client over memory.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tidegate_http1::RequestKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};

use super::{Ending, Seen, Tally, compare, fields, seen};
use crate::corpus::{Random, cases, requests, responses};
use crate::reading::{Kind, Message, read_all};

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime without drivers needs nothing")
}

fn map(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    fields(headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())))
}

/// The body and trailers, or none when the body broke off.
async fn collect(body: Incoming) -> Result<(Vec<u8>, Vec<(String, Vec<u8>)>), hyper::Error> {
    let collected = body.collect().await?;
    let trailers = collected.trailers().map(map).unwrap_or_default();
    Ok((collected.to_bytes().to_vec(), trailers))
}

fn ending(result: Result<(), hyper::Error>) -> Ending {
    match result {
        Ok(()) => Ending::Done,
        Err(error) if error.is_incomplete_message() => Ending::Waiting(format!("{error:?}")),
        Err(error) => Ending::Refused(format!("{error:?}")),
    }
}

/// What hyper's server makes of the bytes of a client that then ends its side.
async fn serve(bytes: &[u8]) -> (Vec<Seen>, Ending) {
    let (mut client, server) = duplex(1 << 16);
    client.write_all(bytes).await.expect("the pipe has room");
    client.shutdown().await.expect("the pipe is open");
    let all: Rc<RefCell<Vec<Seen>>> = Rc::default();
    let broken: Rc<RefCell<Option<hyper::Error>>> = Rc::default();
    let service = service_fn(|request: Request<Incoming>| {
        let (all, broken) = (all.clone(), broken.clone());
        async move {
            let (head, body) = request.into_parts();
            let start = format!("{} {} {:?}", head.method, head.uri, head.version);
            match collect(body).await {
                Ok((body, trailers)) => {
                    all.borrow_mut().push(Seen { start, fields: map(&head.headers), body, trailers })
                }
                Err(error) => *broken.borrow_mut() = Some(error),
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service);
    let drain = drain(&mut client);
    let (result, ()) = tokio::join!(connection, drain);
    let result = broken.take().map_or(result, Err);
    (all.take(), ending(result))
}

async fn drain(stream: &mut DuplexStream) {
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// What hyper's client makes of the bytes of a server that then closes.
async fn fetch(bytes: &[u8], kind: RequestKind) -> (Vec<Seen>, Ending) {
    let (client, mut server) = duplex(1 << 16);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(client)).await.expect("no bytes are exchanged yet");
    let method = if kind == RequestKind::Head { "HEAD" } else { "GET" };
    let request =
        Request::builder().method(method).uri("/").header("host", "a").body(Empty::<Bytes>::new()).expect("a request");
    let answer = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let start = format!("{:?} {}", head.version, head.status.as_u16());
        let (body, trailers) = collect(body).await?;
        Ok(Seen { start, fields: map(&head.headers), body, trailers })
    };
    let serve = async {
        let mut request = [0; 256];
        let _ = server.read(&mut request).await;
        let _ = server.write_all(bytes).await;
        drop(server);
    };
    let (_, answer, ()) = tokio::join!(connection, answer, serve);
    match answer {
        Ok(seen) => (vec![seen], Ending::Done),
        Err(error) => (Vec::new(), ending(Err(error))),
    }
}

/// A request line as hyper shows it: the scheme in lower case and a path in every absolute target.
fn start_as_hyper(message: &Message) -> String {
    let start = String::from_utf8_lossy(&message.start);
    let mut parts = start.split(' ');
    let [Some(method), Some(target), Some(version)] = [parts.next(), parts.next(), parts.next()] else {
        panic!("{start}")
    };
    match target.parse::<Uri>() {
        // Only spelled alike here; whether it has the same parts is checked by comparing with what hyper got.
        Ok(uri) if message.framing.starts_with("absolute") => format!("{method} {uri} {version}"),
        _ => format!("{method} {target} {version}"),
    }
}

#[test]
fn a_request_is_the_one_hyper_serves() {
    let (runtime, mut random, mut tally) = (runtime(), Random::new(31), Tally::default());
    for _ in 0..cases(15_000) {
        let bytes = requests(&mut random);
        let (ours, _) = read_all(&bytes, Kind::Request);
        if ours.is_empty() {
            continue;
        }
        let ours: Vec<Seen> = ours.iter().map(|message| seen(message, start_as_hyper(message))).collect();
        let (theirs, ending) = runtime.block_on(serve(&bytes));
        compare(&bytes, &ours, &theirs, &ending);
        tally.count(&ours, &theirs);
    }
    tally.check();
}

#[test]
fn a_response_is_the_one_hyper_receives() {
    let (runtime, mut random, mut tally) = (runtime(), Random::new(32), Tally::default());
    for turn in 0..cases(15_000) {
        let kind = if turn % 4 == 0 { RequestKind::Head } else { RequestKind::Ordinary };
        let bytes = responses(&mut random);
        let (ours, _) = read_all(&bytes, Kind::Response(kind));
        // The first that is final; hyper does not show the others.
        let last = ours.iter().find(|message| !message.framing.contains("interim"));
        let Some(message) = last.filter(|message| !message.upgrade) else {
            continue;
        };
        let ours = [seen(message, message.start[..12].escape_ascii().to_string())];
        let (theirs, ending) = runtime.block_on(fetch(&bytes, kind));
        compare(&bytes, &ours, &theirs, &ending);
        tally.count(&ours, &theirs);
    }
    tally.check();
}

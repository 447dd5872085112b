//! The gRPC service behind the gateways: unary calls over h2c, one thread.
//!
//! Prints the port it listens on. Every call gets the same 100-byte message; a call to a method named `Echo` also gets the
//! headers it came with, as `seen-NAME`, so that a check can see what a gateway added.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use h2::server::{self, SendResponse};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};

const MESSAGE: usize = 100;

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(serve()))
}

async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let message = framed_message();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let message = message.clone();
        tokio::task::spawn_local(async move {
            // A peer that goes away ends its connection; there is nobody to tell.
            let _ = serve_connection(stream, message).await;
        });
    }
}

/// A message with its gRPC prefix: not compressed, then the length.
fn framed_message() -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(MESSAGE as u32);
    framed.put_bytes(b'x', MESSAGE);
    framed.freeze()
}

async fn serve_connection(stream: TcpStream, message: Bytes) -> Result<(), h2::Error> {
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(1000)
        .initial_connection_window_size(1 << 20);
    let mut connection = builder.handshake::<_, Bytes>(stream).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        let message = message.clone();
        tokio::task::spawn_local(async move {
            let _ = answer(request, respond, message).await;
        });
    }
    Ok(())
}

async fn answer(
    mut request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    message: Bytes,
) -> Result<(), h2::Error> {
    while let Some(data) = request.body_mut().data().await {
        let length = data?.len();
        request.body_mut().flow_control().release_capacity(length)?;
    }
    let mut response = Response::new(());
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    if request.uri().path().ends_with("/Echo") {
        copy_seen(request.headers(), response.headers_mut());
    }
    let mut stream = respond.send_response(response, false)?;
    stream.send_data(message, false)?;
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers)
}

fn copy_seen(seen: &HeaderMap, answer: &mut HeaderMap) {
    for (name, value) in seen {
        if let Ok(name) = HeaderName::try_from(format!("seen-{name}")) {
            answer.append(name, value.clone());
        }
    }
}

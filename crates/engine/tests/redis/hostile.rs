//! A server that means harm: answers without end, and ways to where no server of the cluster is.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tidegate_engine::plan;
use tidegate_engine::redis::client::Arguments;
use tidegate_engine::redis::{Reply, Script, StoreError};

use crate::server::with_client;

/// Greets as a server does, then does with each connection what the test wants.
fn pretend(then: impl Fn(TcpStream) + Send + Sync + 'static) -> plan::Redis {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let node = listener.local_addr().unwrap().to_string();
    let then = Arc::new(then);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, then) = (stream.unwrap(), then.clone());
            thread::spawn(move || {
                if read_until(&mut stream, b"PING\r\n") {
                    stream.write_all(b"+OK\r\n+PONG\r\n").unwrap();
                    then(stream);
                }
            });
        }
    });
    plan::Redis {
        nodes: vec![node],
        cluster: false,
        tls: None,
        username: None,
        password: None,
        database: 0,
        prefix: "tidegate:".into(),
        timeout_ms: 5000,
    }
}

fn read_until(stream: &mut TcpStream, end: &[u8]) -> bool {
    let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
    while !seen.ends_with(end) {
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => seen.extend_from_slice(&piece[..count]),
            _ => return false,
        }
    }
    true
}

/// Sends every command somewhere else.
fn redirecting(to: impl Fn(usize) -> String + Send + Sync + 'static) -> plan::Redis {
    let told = AtomicUsize::new(0);
    pretend(move |mut stream| {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            // None of our commands has a `*` but the one that it begins with.
            for _ in piece[..count].iter().filter(|byte| **byte == b'*') {
                let number = told.fetch_add(1, Relaxed);
                let _ = stream.write_all(format!("-MOVED 1 {}\r\n", to(number)).as_bytes());
            }
        }
    })
}

async fn ask(client: &std::rc::Rc<tidegate_engine::redis::Client>) -> Result<Reply, StoreError> {
    let mut arguments = Arguments::new(1);
    arguments.key(b"a");
    client.run_regardless(client.due(), &Script::new("return 1"), &arguments).await
}

#[test]
fn an_answer_without_end_ends_the_connection() {
    const MOST: usize = 64 << 20;
    for asked in [true, false] {
        let (taken, sent) = mpsc::channel();
        let plan = pretend(move |mut stream| {
            let item = [b"$65536\r\n".as_slice(), &[b'x'; 65536], b"\r\n"].concat();
            let mut count = 0;
            let mut written = stream.write_all(b"*60000\r\n");
            while written.is_ok() && count < MOST {
                written = stream.write_all(&item);
                count += item.len();
            }
            let _ = taken.send(count);
        });
        with_client(&plan, 1, async |client| {
            if asked {
                assert!(ask(&client).await.is_err());
            }
            let count = loop {
                match sent.try_recv() {
                    Ok(count) => break count,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            };
            assert!(count < MOST, "{count} bytes were kept for an answer that never ends");
        });
    }
}

#[test]
fn a_redirection_leads_to_no_file() {
    let file = std::env::temp_dir().join(format!("tidegate-redirected-{}", std::process::id()));
    let _ = std::fs::remove_file(&file);
    let listener = UnixListener::bind(&file).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("unix:{}", file.display());
    let plan = redirecting(move |_| address.clone());
    with_client(&plan, 1, async |client| {
        assert!(matches!(ask(&client).await, Err(StoreError::Refused(text)) if text.starts_with("MOVED")));
    });
    assert!(listener.accept().is_err(), "somebody has connected");
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn redirections_to_ever_more_nodes_are_followed_to_an_end() {
    let plan = redirecting(|number| format!("127.0.{}.{}:1", number / 250 + 1, number % 250 + 1));
    with_client(&plan, 1, async |client| {
        let mut ends = Vec::new();
        for _ in 0..1030 {
            ends.push(ask(&client).await);
        }
        assert_eq!(ends[0], Err(StoreError::Unreachable));
        assert_eq!(ends[1029], Err(StoreError::Refused("the cluster has too many nodes".into())));
    });
}

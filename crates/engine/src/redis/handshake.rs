//! What a new connection says before commands go over it.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::listener::socket::Socket;
use crate::plan;
use crate::redis::resp::{self, Reply, write_command};

/// Longest answer to any of it.
const MOST_BYTES: usize = 16 * 1024;

/// Proves who we are and picks the database; the error says what the server did not like, never the password.
pub async fn greet(socket: &mut Socket, plan: &plan::Redis) -> Result<(), String> {
    let commands = commands(plan);
    let mut out = Vec::new();
    for (_, words) in &commands {
        write_command(&mut out, words.iter().map(|word| word.as_bytes()));
    }
    let send = async {
        socket.write_all(&out).await?;
        socket.flush().await
    };
    send.await.map_err(|error| error.to_string())?;
    let mut replies = Replies { bytes: Vec::new() };
    for (must, words) in &commands {
        match replies.next(socket).await.map_err(|error| error.to_string())? {
            Reply::Error(text) if *must => return Err(format!("{}: {text}", words[0])),
            _ => {}
        }
    }
    Ok(())
}

/// Commands, and whether they must succeed.
fn commands(plan: &plan::Redis) -> Vec<(bool, Vec<String>)> {
    let mut commands = Vec::new();
    if let Some(password) = &plan.password {
        let mut words = vec!["AUTH".to_owned()];
        words.extend(plan.username.clone());
        words.push(password.to_string());
        commands.push((true, words));
    }
    if plan.database != 0 {
        commands.push((true, vec!["SELECT".into(), plan.database.to_string()]));
    }
    // So that `CLIENT LIST` shows whose it is; a server that does not know it, or does not let us, loses nothing.
    commands.push((false, vec!["CLIENT".into(), "SETNAME".into(), "tidegate".into()]));
    // A server that wants a password says so now, not at the first request.
    commands.push((true, vec!["PING".into()]));
    commands
}

struct Replies {
    bytes: Vec<u8>,
}

impl Replies {
    async fn next(&mut self, socket: &mut Socket) -> io::Result<Reply> {
        loop {
            let parsed = resp::parse(&self.bytes).map_err(|_| io::Error::other("the server's answer is not RESP2"))?;
            if let Some((reply, length)) = parsed {
                self.bytes.drain(..length);
                return Ok(reply);
            }
            if self.bytes.len() > MOST_BYTES {
                return Err(io::Error::other("the server's answer is not RESP2"));
            }
            if socket.read_buf(&mut self.bytes).await? == 0 {
                return Err(io::Error::other("the server closed the connection"));
            }
        }
    }
}

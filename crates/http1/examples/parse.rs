//! Shows what the codec makes of bytes, for tests in other languages and for the curious.
//!
//! ```text
//! parse request|response|head < LINES      one connection a line, in hexadecimal
//! parse generate request|response|head SEED COUNT
//! ```
//!
//! For each connection it prints a line of JSON: the messages, and what stopped the reading (`done`, `partial` or an error code).
//! All bytes are in hexadecimal; `generate` adds the bytes it made.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufWriter, Write};
use std::process::ExitCode;

use corpus::Random;
use reading::{Kind, Message, Outcome};
use tidegate_http1::RequestKind;

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/codec/corpus/mod.rs"]
mod corpus;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/codec/reading/mod.rs"]
mod reading;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["generate", kind, seed, count] => match (side(kind), seed.parse(), count.parse()) {
            (Some(kind), Ok(seed), Ok(count)) => generate(kind, seed, count),
            _ => return usage(),
        },
        [kind] => match side(kind) {
            Some(kind) => show(kind),
            None => return usage(),
        },
        _ => return usage(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parse: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: parse [generate] request|response|head [SEED COUNT]");
    ExitCode::from(2)
}

fn side(word: &str) -> Option<Kind> {
    match word {
        "request" => Some(Kind::Request),
        "response" => Some(Kind::Response(RequestKind::Ordinary)),
        "head" => Some(Kind::Response(RequestKind::Head)),
        _ => None,
    }
}

fn generate(kind: Kind, seed: u64, count: usize) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut random = Random::new(seed);
    for _ in 0..count {
        let bytes = match kind {
            Kind::Request => corpus::requests(&mut random),
            Kind::Response(_) => corpus::responses(&mut random),
        };
        writeln!(out, "{}", connection(&bytes, kind))?;
    }
    out.flush()
}

fn show(kind: Kind) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let Some(bytes) = from_hex(line?.trim()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a line is not hexadecimal"));
        };
        writeln!(out, "{}", connection(&bytes, kind))?;
        out.flush()?;
    }
    Ok(())
}

fn connection(bytes: &[u8], kind: Kind) -> String {
    let (messages, last) = reading::read_all(bytes, kind);
    let ending = match last {
        None => "done",
        Some(Outcome::Refused(code)) => code,
        Some(Outcome::Partial(_) | Outcome::Message(_)) => "partial",
    };
    let messages: Vec<String> = messages.iter().map(json).collect();
    format!(r#"{{"bytes":"{}","messages":[{}],"ending":"{ending}"}}"#, hex(bytes), messages.join(","))
}

fn json(message: &Message) -> String {
    format!(
        r#"{{"start":"{}","framing":"{}","fields":{},"body":"{}","trailers":{},"keep_alive":{},"upgrade":{},"length":{}}}"#,
        hex(&message.start),
        message.framing.replace('\\', "\\\\").replace('"', "\\\""),
        pairs(&message.fields),
        hex(&message.body),
        pairs(&message.trailers),
        message.keep_alive,
        message.upgrade,
        message.length
    )
}

fn pairs(fields: &[(Vec<u8>, Vec<u8>)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!(r#"["{}","{}"]"#, hex(name), hex(value))).collect();
    format!("[{}]", pairs.join(","))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).map(|value| value as u8)).collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

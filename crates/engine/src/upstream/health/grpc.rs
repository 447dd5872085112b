//! The messages of `grpc.health.v1`, which are a text on the way there and a number on the way back.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>; framing after
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use bytes::Bytes;

pub const PATH: &str = "/grpc.health.v1.Health/Check";

/// `HealthCheckRequest { string service = 1; }`, as one message.
pub fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        push_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    framed.into()
}

/// `HealthCheckResponse.ServingStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    Unknown,
    Serving,
    NotServing,
    ServiceUnknown,
}

/// The status of a `HealthCheckResponse`; `None` for what is none.
pub fn answer(body: &[u8]) -> Option<Serving> {
    let (head, message) = body.split_at_checked(5)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    // Nothing that we accept is compressed.
    if head[0] != 0 || message.len() != length as usize {
        return None;
    }
    let mut left = message;
    let mut status = 0;
    while !left.is_empty() {
        let key = take_varint(&mut left)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = take_varint(&mut left)?,
            // Fields that nobody knows yet.
            (_, 0) => drop(take_varint(&mut left)?),
            (_, 1) => left = left.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(take_varint(&mut left)?).ok()?;
                left = left.get(length..)?;
            }
            (_, 5) => left = left.get(4..)?,
            _ => return None,
        }
    }
    Some(match status {
        1 => Serving::Serving,
        2 => Serving::NotServing,
        3 => Serving::ServiceUnknown,
        _ => Serving::Unknown,
    })
}

impl Serving {
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
            Self::ServiceUnknown => "SERVICE_UNKNOWN",
        }
    }
}

fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_varint(left: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = left.split_first()?;
        *left = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_as_protoc_writes_it() {
        assert_eq!(&question("")[..], b"\0\0\0\0\0");
        assert_eq!(&question("shop.Orders")[..], b"\0\0\0\0\x0d\x0a\x0bshop.Orders");
        let long = "x".repeat(300);
        assert_eq!(&question(&long)[..8], b"\0\0\0\x01\x2f\x0a\xac\x02");
    }

    #[test]
    fn an_answer_is_read_whatever_stands_beside_its_status() {
        for (body, expected) in [
            (&b"\0\0\0\0\0"[..], Some(Serving::Unknown)),
            (b"\0\0\0\0\x02\x08\x01", Some(Serving::Serving)),
            (b"\0\0\0\0\x02\x08\x02", Some(Serving::NotServing)),
            (b"\0\0\0\0\x02\x08\x03", Some(Serving::ServiceUnknown)),
            (b"\0\0\0\0\x02\x08\x09", Some(Serving::Unknown)),
            (b"\0\0\0\0\x07\x12\x01a\x18\x05\x08\x01", Some(Serving::Serving)),
            (b"\0\0\0\0\x03\x08\x01", None),
            (b"\x01\0\0\0\x02\x08\x01", None),
            (b"\0\0\0\0\x01\x08", None),
            (b"\0\0\0\0\x03\x12\x09a", None),
            (b"\0\0\0", None),
            (b"", None),
        ] {
            assert_eq!(answer(body), expected, "{body:?}");
        }
    }
}

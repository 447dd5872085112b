//! An answer that is kept, and how it is written in a store.

use bytes::Bytes;
use tidegate_http1::{Known, is_field_value, is_token};

use crate::head::Head;
use crate::identity::Line;
use crate::pipeline::Reply;

/// The service's answer, before the policies that act on answers: they act on it again each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<Line>,
    pub body: Bytes,
}

/// Fields that are not kept. A cookie belongs to the moment it was set in: given again, it could bring an ended session back.
/// `Date` says when an answer was made, which is when it is sent.
const NOT_KEPT: [&[u8]; 3] = [b"set-cookie", b"set-cookie2", b"date"];

/// Tells a client that nothing was done this time.
const REPLAYED: (&[u8], &[u8]) = (b"idempotent-replayed", b"true");

impl Answer {
    pub fn new(status: u16, head: &Head, body: Bytes) -> Self {
        let kept = |name: &[u8]| !NOT_KEPT.iter().any(|known| known.eq_ignore_ascii_case(name));
        let fields = head.iter().filter(|(_, name, _)| kept(name));
        let fields = fields.map(|(_, name, value)| (name.to_ascii_lowercase().into(), value.into())).collect();
        Self { status, fields, body }
    }

    pub fn reply(&self) -> Reply {
        let mut fields = self.fields.clone();
        fields.push((REPLAYED.0.into(), REPLAYED.1.into()));
        Reply { status: self.status, fields, body: self.body.clone() }
    }

    /// What it takes in memory, roughly.
    pub fn bytes(&self) -> usize {
        let fields = self.fields.iter().map(|(name, value)| name.len() + value.len() + 64);
        self.body.len() + fields.sum::<usize>()
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&(self.fields.len() as u32).to_le_bytes());
        for text in self.fields.iter().flat_map(|(name, value)| [name, value]) {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text);
        }
        out.extend_from_slice(&self.body);
    }

    /// `None` for what [`Answer::write`] has not written: whoever can write to the store must not write into a connection.
    pub fn read(mut text: &[u8]) -> Option<Self> {
        let status = u16::from_le_bytes(*text.split_off(..2)?.first_chunk()?);
        let count = length(&mut text)?;
        let mut fields = Vec::with_capacity(count.min(256));
        for _ in 0..count {
            let name = length(&mut text).and_then(|length| text.split_off(..length))?;
            let value = length(&mut text).and_then(|length| text.split_off(..length))?;
            if !may_be_written(name, value) {
                return None;
            }
            fields.push((name.into(), value.into()));
        }
        (200..=599).contains(&status).then(|| Self { status, fields, body: Bytes::copy_from_slice(text) })
    }
}

fn may_be_written(name: &[u8], value: &[u8]) -> bool {
    let known = Known::of(name);
    is_token(name) && is_field_value(value.trim_ascii()) && !known.is_hop_by_hop() && !known.is_framing()
}

fn length(text: &mut &[u8]) -> Option<usize> {
    Some(u32::from_le_bytes(*text.split_off(..4)?.first_chunk()?) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        let mut head = Head::default();
        for (name, value) in [("Content-Type", "a/b"), ("Set-Cookie", "s=1"), ("x-a", ""), ("Date", "today")] {
            head.add(name.as_bytes(), value.as_bytes());
        }
        Answer::new(201, &head, Bytes::from_static(b"{\"id\":7}"))
    }

    #[test]
    fn cookies_and_dates_are_not_kept() {
        let names: Vec<_> = answer().fields.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, [b"content-type".as_slice().into(), b"x-a".as_slice().into()] as [Box<[u8]>; 2]);
    }

    #[test]
    fn fields_that_would_break_out_of_a_head_are_not_read() {
        let read = |name: &[u8], value: &[u8]| {
            let forged = Answer { fields: vec![(name.into(), value.into())], ..answer() };
            let mut text = Vec::new();
            forged.write(&mut text);
            Answer::read(&text)
        };
        assert!(read(b"x-a", b"b").is_some());
        let forged: [(&[u8], &[u8]); 7] = [
            (b"x-a", b"b\r\nset-cookie: s=1"),
            (b"x-a", b"b\0"),
            (b"x-a: b\r\nc", b"d"),
            (b"", b"b"),
            (b"transfer-encoding", b"chunked"),
            (b"content-length", b"1"),
            (b"connection", b"upgrade"),
        ];
        for (name, value) in forged {
            assert_eq!(read(name, value), None, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let mut text = Vec::new();
        answer().write(&mut text);
        assert_eq!(Answer::read(&text), Some(answer()));
        let fields_end = text.len() - answer().body.len();
        for length in 0..fields_end {
            assert_eq!(Answer::read(&text[..length]), None, "{length}");
        }
    }
}

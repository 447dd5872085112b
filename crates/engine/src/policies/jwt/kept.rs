//! The identity of a token that is remembered.

use std::sync::Arc;

use super::texts::{Text, Texts};
use crate::claims::Claims;
use crate::identity::{Consumer, Identity, Lines, Subject};

/// Written down until the token is seen once more: most are not, and then nothing has to be freed.
pub(super) enum Kept {
    Ready(Arc<Identity>),
    Written(Written),
}

/// An identity beside its claims and lines, which stand behind the token in this order.
pub(super) struct Written {
    method: &'static str,
    subject: Subject,
    consumer: Option<Arc<Consumer>>,
    expires: Option<u64>,
    /// Where the claims end and the lines begin.
    middle: u32,
}

impl Kept {
    /// Writes token and identity down as one text.
    pub(super) fn write(
        token: &[u8],
        identity: &Identity,
        texts: &mut Texts,
        spare: &mut Vec<Vec<u8>>,
    ) -> (Text, Self) {
        let Identity { method, subject, claims, consumer, lines, expires } = identity;
        let claims = claims.as_text().as_bytes();
        let middle = u32::try_from(token.len() + claims.len()).expect("a head is far below 4 GiB");
        let written =
            Written { method, subject: subject.clone(), consumer: consumer.clone(), expires: *expires, middle };
        (texts.add(&[token, claims, lines.as_bytes()], spare), Self::Written(written))
    }

    /// The identity, which is ready from now on. `text`: what was written, the token being its first bytes.
    pub(super) fn ready(&mut self, text: &[u8], token: usize) -> &Arc<Identity> {
        if let Self::Written(written) = self {
            *self = Self::Ready(Arc::new(written.read(text, token)));
        }
        match self {
            Self::Ready(identity) => identity,
            Self::Written(_) => unreachable!("it was made ready"),
        }
    }
}

impl Written {
    fn read(&mut self, text: &[u8], token: usize) -> Identity {
        let (claims, lines) = text[token..].split_at(self.middle as usize - token);
        let claims = std::str::from_utf8(claims).expect("claims are text, and were written as they are");
        Identity {
            method: self.method,
            subject: std::mem::take(&mut self.subject),
            claims: Claims::of_text(claims),
            consumer: self.consumer.take(),
            lines: Lines::of_bytes(lines),
            expires: self.expires,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_read_as_it_was() {
        let claims = serde_json::json!({"sub": "änn", "roles": ["a", {"b": 1.5}], "exp": 7});
        let mut identity = Identity {
            method: "jwt",
            claims: claims.as_object().unwrap().into(),
            lines: [("x-user-id", "\u{e4}nn"), ("x-empty", "")].into_iter().collect(),
            expires: Some(7),
            ..Identity::default()
        };
        identity.take_subject(&["sub"]);
        let nobody = Identity { method: "jwt", ..Identity::default() };
        let (mut texts, mut spare) = (Texts::default(), Vec::new());
        for identity in [&identity, &nobody, &Identity { subject: "bob".into(), ..nobody.clone() }] {
            let (text, mut kept) = Kept::write(b"a.b.c", identity, &mut texts, &mut spare);
            let read = kept.ready(texts.at(text), 5).clone();
            assert_eq!((read.method, read.subject(), read.expires), ("jwt", identity.subject(), identity.expires));
            assert_eq!(read.claims.object().to_value(), identity.claims.object().to_value());
            assert_eq!(read.lines, identity.lines);
            assert!(Arc::ptr_eq(&read, kept.ready(texts.at(text), 5)));
        }
    }
}

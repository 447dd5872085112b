//! Beside other parsers, over generated and damaged messages.
//!
//! The rule: what we accept, another parser refuses or reads as the same message. It may be stricter and it may be laxer; it must
//! never take the bytes for something else, nor wait for more where we saw the end. That is what a smuggled request is made of.

mod heads;
mod hyper;

use crate::reading::Message;

/// What a peer made of the bytes of one connection.
#[derive(Debug)]
#[allow(dead_code, reason = "the texts are shown by Debug when a comparison fails")]
pub enum Ending {
    /// It read to the end, or stopped because the last message said so.
    Done,
    /// It refused what came behind the messages.
    Refused(String),
    /// It wanted more bytes.
    Waiting(String),
}

/// A message in the form in which those of two parsers can be compared.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub start: String,
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, Vec<u8>)>,
}

/// Lower-cases names and groups equal ones, as a map of fields does.
pub fn fields<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<_> =
        fields.map(|(name, value)| (name.escape_ascii().to_string().to_lowercase(), value.to_vec())).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}

/// Checks the rule for what was read from one connection.
pub fn compare(bytes: &[u8], ours: &[Seen], theirs: &[Seen], ending: &Ending) {
    for (place, message) in ours.iter().enumerate() {
        match (theirs.get(place), ending) {
            (Some(other), _) => assert_eq!(message, other, "message {place} of {}", bytes.escape_ascii()),
            (None, Ending::Refused(_)) => return,
            (None, Ending::Waiting(_) | Ending::Done) => {
                panic!("message {place} is not seen by the peer ({ending:?}): {}", bytes.escape_ascii())
            }
        }
    }
}

/// How often both sides accepted: a comparison that never does proves nothing.
#[derive(Default)]
pub struct Tally {
    pub both: usize,
    pub all: usize,
}

impl Tally {
    pub fn count(&mut self, ours: &[Seen], theirs: &[Seen]) {
        self.all += 1;
        self.both += usize::from(!ours.is_empty() && !theirs.is_empty());
    }

    pub fn check(&self) {
        assert!(self.both > self.all / 10, "both accepted {} of {}", self.both, self.all);
    }
}

/// Our message, to compare.
pub fn seen(message: &Message, start: String) -> Seen {
    let pairs = |list: &[(Vec<u8>, Vec<u8>)]| fields(list.iter().map(|(name, value)| (&name[..], &value[..])));
    Seen { start, fields: pairs(&message.fields), body: message.body.clone(), trailers: pairs(&message.trailers) }
}

//! A call that is made for each item of a list: a few at a time, equal requests once, and the results in order.

use super::call::Prepared;
use super::fault::{Fault, Reason};
use crate::json::{ArrayBuilder, Document};

/// The requests for a list.
#[derive(Default)]
pub struct Lined {
    /// No two of them equal, where equal ones are sent once.
    pub requests: Vec<Prepared>,
    /// For each item, which request is its own; or why it has none.
    pub places: Vec<Result<u32, Fault>>,
}

/// What there is of a list at the moment.
pub struct Items {
    places: Vec<Result<u32, Fault>>,
    /// Requests that are not sent yet.
    queue: std::iter::Enumerate<std::vec::IntoIter<Prepared>>,
    answers: Vec<Option<Result<Document, Fault>>>,
    under_way: u32,
    left: usize,
}

/// A list of answers.
pub struct Finished {
    pub value: Document,
    /// Items that have failed.
    pub failed: u32,
    /// Of the first of them.
    pub fault: Option<Fault>,
}

impl Items {
    pub fn new(lined: Lined) -> Self {
        let left = lined.requests.len();
        Self {
            places: lined.places,
            queue: lined.requests.into_iter().enumerate(),
            answers: vec![None; left],
            under_way: 0,
            left,
        }
    }

    /// Another request to be sent, with its number, if one more may be under way.
    pub fn next(&mut self, most: u32) -> Option<(u32, Prepared)> {
        if self.under_way >= most {
            return None;
        }
        let (number, prepared) = self.queue.next()?;
        self.under_way += 1;
        Some((number as u32, prepared))
    }

    pub fn landed(&mut self, request: u32, answer: Result<Document, Fault>) {
        self.answers[request as usize] = Some(answer);
        self.under_way -= 1;
        self.left -= 1;
    }

    pub fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Puts the list together; what failed leaves the default. An answer that many items share may not make it longer than so
    /// many answers could be.
    pub fn finish(self, default: &Document, most_bytes: usize) -> Result<Finished, Fault> {
        let most = most_bytes.saturating_mul(self.answers.len().max(1));
        let (mut failed, mut fault) = (0, None);
        let mut list = ArrayBuilder::default();
        let mut bytes = 0;
        for place in &self.places {
            let answer = place.as_ref().map(|request| self.answers[*request as usize].as_ref());
            let value = match answer {
                Ok(Some(Ok(value))) => value,
                Ok(Some(Err(why))) | Err(why) => {
                    failed += 1;
                    fault.get_or_insert_with(|| why.clone());
                    default
                }
                Ok(None) => default,
            };
            bytes += value.root().bytes().len() + 1;
            if bytes > most {
                return Err(Fault::with(Reason::TooLarge, "the list of answers is too long"));
            }
            list.push(value.root());
        }
        Ok(Finished { value: list.finish(), failed, fault })
    }
}

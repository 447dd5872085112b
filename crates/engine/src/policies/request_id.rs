//! Gives every request an id, and keeps one that a trusted proxy gave.

use tidegate_http1::Known;

use crate::exchange::Exchange;
use crate::head::Head;
use crate::plan;
use crate::policies::Local;
use crate::policies::trust::is_alias;

pub struct RequestId {
    header: Box<[u8]>,
    known: Known,
    answer: bool,
}

const LONGEST: usize = 128;

impl RequestId {
    pub fn compile(plan: &plan::RequestId) -> Self {
        let header: Box<[u8]> = plan.header.as_bytes().into();
        Self { known: Known::of(&header), header, answer: plan.answer }
    }

    pub fn on_request(&self, local: &Local, exchange: &mut Exchange) {
        exchange.id.clear();
        if exchange.trusted && self.keep(exchange) {
            return;
        }
        self.strip(&mut exchange.request.head);
        let random = &mut *local.random.borrow_mut();
        let id = ulid(local.epoch_millis(exchange.started_micros), random.next(), random.next());
        exchange.id.extend_from_slice(&id);
        exchange.request.head.add_known(self.known, &self.header, &id);
    }

    pub fn on_response(&self, exchange: &mut Exchange) {
        if self.answer && !exchange.id.is_empty() {
            let head = &mut exchange.answer.head;
            match self.known {
                Known::Other => head.remove(&self.header),
                known => head.remove_known(known),
            }
            head.add_known(self.known, &self.header, &exchange.id);
        }
    }

    /// Keeps the id that came, if there is exactly one and it is sane: it will stand in logs and on other systems' screens.
    fn keep(&self, exchange: &mut Exchange) -> bool {
        let mut values = exchange.request.head.get_all(&self.header);
        match (values.next(), values.next()) {
            (Some(id), None) if is_sane(id) => {
                exchange.id.extend_from_slice(id);
                true
            }
            _ => false,
        }
    }

    fn strip(&self, head: &mut Head) {
        head.retain(|known, name, _| known != self.known && known != Known::Other || !is_alias(name, &self.header));
    }
}

fn is_sane(id: &[u8]) -> bool {
    let sane = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=LONGEST).contains(&id.len()) && id.iter().all(sane)
}

/// A ULID: 48 bits of time and 80 of chance as 26 letters that sort by time, <https://github.com/ulid/spec>.
fn ulid(millis: u64, high: u64, low: u64) -> [u8; 26] {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let letter = |bits: u64| ALPHABET[(bits & 31) as usize];
    let mut id = [0; 26];
    for (index, letter_of_time) in id[..10].iter_mut().enumerate() {
        *letter_of_time = letter((millis & 0xffff_ffff_ffff) >> (45 - 5 * index));
    }
    for index in 0..8 {
        id[10 + index] = letter(high >> (5 * index));
        id[18 + index] = letter(low >> (5 * index));
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_begins_with_its_time() {
        // The time of the example in the specification.
        assert_eq!(&ulid(1469922850259, 0, 0), b"01ARZ3NDEK0000000000000000");
        assert_eq!(&ulid(u64::MAX, u64::MAX, u64::MAX), b"7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    }

    #[test]
    fn an_id_from_outside_is_kept_only_when_it_is_sane() {
        let long = "a".repeat(128);
        for (id, sane) in [
            ("01ARZ3NDEKTSV4RRFFQ69G5FAV", true),
            ("a.b_c-D9", true),
            (&long, true),
            (&format!("{long}a"), false),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            ("é", false),
        ] {
            assert_eq!(is_sane(id.as_bytes()), sane, "{id}");
        }
    }
}

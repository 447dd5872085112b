//! DNS messages (RFC 1035 section 4): a question written, an answer read. No input or output here.
//!
//! Questions ask for recursion and offer no extensions, so that every server understands them; what does not fit into 512
//! bytes comes over TCP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Aliases that are followed within one answer.
const MOST_ALIASES: usize = 16;
/// Records of one answer that are looked at.
const MOST_RECORDS: usize = 4096;
const LONGEST_NAME: usize = 255;
const LONGEST_LABEL: usize = 63;
const CLASS_IN: u16 = 1;
const CNAME: u16 = 5;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    A = 1,
    Aaaa = 28,
    /// RFC 2782.
    Srv = 33,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Address(IpAddr),
    Service { priority: u16, weight: u16, port: u16, host: String },
}

/// What a server says of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// At least one record; how many seconds they hold.
    Records(Vec<Data>, u32),
    /// It is another name's, which the server did not look up.
    Alias(String, u32),
    /// There is no such name, or it has none of these records.
    Nothing,
}

/// Why a message is no answer to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It answers something else: perhaps it is late, perhaps somebody guesses. The right one may still come.
    NotOurs,
    /// It was cut off: ask again over TCP.
    Truncated,
    /// The server cannot or does not want to answer.
    Refused(u8),
    Malformed,
    /// No message came at all.
    Unreachable,
}

/// Writes a question. `None` when the name cannot be one.
pub fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len() + 18);
    out.extend_from_slice(&id.to_be_bytes());
    // A standard query; recursion is wanted; one question and nothing else.
    out.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let start = out.len();
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        if label.is_empty() || label.len() > LONGEST_LABEL {
            return None;
        }
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    if out.len() - start > LONGEST_NAME {
        return None;
    }
    out.extend_from_slice(&(kind as u16).to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
    Some(out)
}

/// Reads the answer to a question as [`question`] wrote it.
pub fn answer(message: &[u8], question: &[u8], kind: Kind) -> Result<Reply, Fault> {
    let mut reader = Reader { message, at: 0 };
    let (header, asked) = question.split_at_checked(12).ok_or(Fault::Malformed)?;
    let got = reader.take(12).ok_or(Fault::NotOurs)?;
    // The same number, and an answer to a standard query.
    if got[..2] != header[..2] || got[2] & 0xf8 != 0x80 {
        return Err(Fault::NotOurs);
    }
    let (truncated, code) = (got[2] & 0x02 != 0, got[3] & 0x0f);
    let count = |at: usize| usize::from(u16::from_be_bytes([got[at], got[at + 1]]));
    // Servers that refuse a question may leave it out.
    if count(4) != 1 || !reader.take(asked.len()).is_some_and(|echo| echo.eq_ignore_ascii_case(asked)) {
        return Err(if count(4) == 0 && code != 0 && code != 3 { Fault::Refused(code) } else { Fault::NotOurs });
    }
    match code {
        0 | 3 if truncated => return Err(Fault::Truncated),
        0 => {}
        3 => return Ok(Reply::Nothing),
        code => return Err(Fault::Refused(code)),
    }
    let name = Reader { message: question, at: 12 }.name().ok_or(Fault::Malformed)?;
    let mut records = Vec::new();
    for _ in 0..count(6).min(MOST_RECORDS) {
        records.extend(reader.record(kind).ok_or(Fault::Malformed)?);
    }
    Ok(chase(name, &records))
}

struct Record {
    owner: String,
    seconds: u32,
    is: Is,
}

enum Is {
    Alias(String),
    Wanted(Data),
}

/// Follows aliases from the name to its records.
fn chase(mut name: String, records: &[Record]) -> Reply {
    let mut seconds = u32::MAX;
    let mut followed = 0;
    loop {
        let mut found = Vec::new();
        let mut alias = None;
        for record in records.iter().filter(|record| record.owner == name) {
            match &record.is {
                Is::Wanted(data) => {
                    found.push(data.clone());
                    seconds = seconds.min(record.seconds);
                }
                Is::Alias(target) => alias = Some((target, record.seconds)),
            }
        }
        match alias {
            _ if !found.is_empty() => return Reply::Records(found, seconds),
            Some((target, lasting)) if followed < MOST_ALIASES => {
                seconds = seconds.min(lasting);
                name.clone_from(target);
                followed += 1;
            }
            // A circle.
            Some(_) => return Reply::Nothing,
            None if followed == 0 => return Reply::Nothing,
            None => return Reply::Alias(name, seconds),
        }
    }
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.message.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A name in lower case, without the dot at its end. Pointers only go back, so that reading ends (RFC 1035 section 4.1.4).
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut at = self.at;
        let mut after = None;
        loop {
            let length = usize::from(*self.message.get(at)?);
            match length & 0xc0 {
                0 if length == 0 => {
                    self.at = after.unwrap_or(at + 1);
                    return Some(name);
                }
                0 => {
                    let label = self.message.get(at + 1..at + 1 + length)?;
                    if name.len() + length + 1 > LONGEST_NAME {
                        return None;
                    }
                    if !name.is_empty() {
                        name.push('.');
                    }
                    // A dot within a label would read as two labels.
                    if label.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b'.') {
                        return None;
                    }
                    name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                    at += 1 + length;
                }
                0xc0 => {
                    let target = (length & 0x3f) << 8 | usize::from(*self.message.get(at + 1)?);
                    after.get_or_insert(at + 2);
                    if target >= at {
                        return None;
                    }
                    at = target;
                }
                _ => return None,
            }
        }
    }

    /// The next record: `None` when it cannot be read, nothing when it is of no use.
    fn record(&mut self, kind: Kind) -> Option<Option<Record>> {
        let owner = self.name()?;
        let (is, class) = (self.number()?, self.number()?);
        let ttl = self.take(4)?;
        let seconds = u32::from_be_bytes([ttl[0], ttl[1], ttl[2], ttl[3]]);
        // RFC 2181 section 8: one with the highest bit set is 0.
        let seconds = if seconds > i32::MAX as u32 { 0 } else { seconds };
        let length = usize::from(self.number()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.message.len())?;
        let is = match is {
            _ if class != CLASS_IN => None,
            CNAME => Some(Is::Alias(self.name()?)),
            is if is == kind as u16 => Some(Is::Wanted(self.data(kind, length)?)),
            _ => None,
        };
        if is.is_some() && self.at != end {
            return None;
        }
        self.at = end;
        Some(is.map(|is| Record { owner, seconds, is }))
    }

    fn data(&mut self, kind: Kind, length: usize) -> Option<Data> {
        Some(match kind {
            Kind::A => {
                let octets: [u8; 4] = self.take(length)?.try_into().ok()?;
                Data::Address(Ipv4Addr::from(octets).into())
            }
            Kind::Aaaa => {
                let octets: [u8; 16] = self.take(length)?.try_into().ok()?;
                Data::Address(Ipv6Addr::from(octets).into())
            }
            Kind::Srv => {
                let (priority, weight, port) = (self.number()?, self.number()?, self.number()?);
                Data::Service { priority, weight, port, host: self.name()? }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::balance::dice::Dice;

    /// An answer to a question with these records (owner, type, seconds, data).
    fn answered(question: &[u8], records: &[(&[u8], u16, u32, Vec<u8>)]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2] |= 0x80;
        message[7] = records.len() as u8;
        for (owner, is, seconds, data) in records {
            message.extend_from_slice(owner);
            message.extend_from_slice(&is.to_be_bytes());
            message.extend_from_slice(&CLASS_IN.to_be_bytes());
            message.extend_from_slice(&seconds.to_be_bytes());
            message.extend_from_slice(&(data.len() as u16).to_be_bytes());
            message.extend_from_slice(data);
        }
        message
    }

    fn wire(name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for label in name.split('.') {
            out.push(label.len() as u8);
            out.extend_from_slice(label.as_bytes());
        }
        out.push(0);
        out
    }

    const SAME: &[u8] = &[0xc0, 12];

    #[test]
    fn addresses_are_read_behind_aliases_in_any_order() {
        let question = question(7, "Orders.Example", Kind::A).unwrap();
        let alias = wire("b.example");
        let records = [
            (&alias[..], 1, 30, vec![10, 0, 0, 2]),
            (SAME, 5, 20, alias.clone()),
            (&alias[..], 1, 60, vec![10, 0, 0, 1]),
            (&alias[..], 28, 5, vec![0; 16]),
        ];
        let addresses = ["10.0.0.2", "10.0.0.1"].map(|text| Data::Address(text.parse().unwrap()));
        let reply = answer(&answered(&question, &records), &question, Kind::A);
        assert_eq!(reply, Ok(Reply::Records(addresses.to_vec(), 20)));
    }

    #[test]
    fn services_are_read() {
        let question = question(7, "_http._tcp.example", Kind::Srv).unwrap();
        let mut data = vec![0, 1, 0, 5, 0x1f, 0x90];
        data.extend(wire("Host.example"));
        let reply = answer(&answered(&question, &[(SAME, 33, 9, data)]), &question, Kind::Srv);
        let service = Data::Service { priority: 1, weight: 5, port: 8080, host: "host.example".into() };
        assert_eq!(reply, Ok(Reply::Records(vec![service], 9)));
    }

    #[test]
    fn an_alias_that_leads_out_of_the_answer_is_told_and_a_circle_is_nothing() {
        let question = question(7, "a.example", Kind::A).unwrap();
        let away = answered(&question, &[(SAME, 5, 9, wire("b.example"))]);
        assert_eq!(answer(&away, &question, Kind::A), Ok(Reply::Alias("b.example".into(), 9)));
        let circle = answered(&question, &[(SAME, 5, 9, wire("a.example"))]);
        assert_eq!(answer(&circle, &question, Kind::A), Ok(Reply::Nothing));
    }

    #[test]
    fn records_of_other_names_are_not_taken() {
        let question = question(7, "a.example", Kind::A).unwrap();
        let poisoned = answered(&question, &[(&wire("bank.example"), 1, 9, vec![6, 6, 6, 6])]);
        assert_eq!(answer(&poisoned, &question, Kind::A), Ok(Reply::Nothing));
    }

    #[test]
    fn what_is_not_our_answer_is_told_from_what_is_bad() {
        let asked = question(7, "a.example", Kind::A).unwrap();
        let good = answered(&asked, &[(SAME, 1, 9, vec![10, 0, 0, 1])]);
        let with = |at: usize, byte: u8| {
            let mut changed = good.clone();
            changed[at] = byte;
            answer(&changed, &asked, Kind::A)
        };
        assert_eq!(with(1, 8), Err(Fault::NotOurs), "another number");
        assert_eq!(with(2, 1), Err(Fault::NotOurs), "a question");
        assert_eq!(with(13, b'b'), Err(Fault::NotOurs), "another name");
        assert_eq!(with(2, 0x83), Err(Fault::Truncated));
        assert_eq!(with(3, 2), Err(Fault::Refused(2)));
        assert_eq!(with(3, 3), Ok(Reply::Nothing));
        assert_eq!(with(7, 9), Err(Fault::Malformed), "fewer records than it says");
        assert_eq!(answer(&good[..8], &asked, Kind::A), Err(Fault::NotOurs));
    }

    #[test]
    fn pointers_cannot_go_in_circles() {
        let asked = question(7, "a.example", Kind::A).unwrap();
        let at = asked.len() as u8;
        let looped = answered(&asked, &[(&[0xc0, at], 1, 9, vec![10, 0, 0, 1])]);
        assert_eq!(answer(&looped, &asked, Kind::A), Err(Fault::Malformed));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let dice = Dice::seeded(3);
        for kind in [Kind::A, Kind::Aaaa, Kind::Srv] {
            let asked = question(7, "a.example", kind).unwrap();
            let good = answered(&asked, &[(SAME, 5, 9, wire("b.a")), (&wire("b.a"), kind as u16, 9, vec![0; 16])]);
            for _ in 0..20_000 {
                let mut bytes = good.clone();
                for _ in 0..1 + dice.below(6) {
                    let at = dice.below(bytes.len() as u32) as usize;
                    bytes[at] = dice.throw() as u8;
                }
                bytes.truncate(dice.below(bytes.len() as u32 + 1) as usize);
                let _ = answer(&bytes, &asked, kind);
            }
        }
    }

    #[test]
    fn names_that_cannot_be_asked_for_are_not() {
        for name in ["", ".", "a..b", &"a".repeat(64), &["abcdefgh"; 40].join(".")] {
            assert_eq!(question(1, name, Kind::A), None, "{name}");
        }
        assert!(question(1, "a.b.", Kind::A).is_some());
    }
}

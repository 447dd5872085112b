//! Makes messages, good and hostile, from a seed.
//!
//! A message is put together from pieces that real and hostile peers send, then perhaps damaged a little. Most are near the edge
//! of being valid, which is where parsers differ.

#[rustfmt::skip]
mod pieces;

use pieces::*;

/// How many messages a test makes: its own number, times `HTTP1_TEST_EFFORT` where someone hunts for longer.
pub fn cases(number: usize) -> usize {
    let effort = std::env::var("HTTP1_TEST_EFFORT").ok();
    number * effort.and_then(|text| text.parse::<usize>().ok()).unwrap_or(1)
}

/// A small generator of pseudo-random numbers (xorshift64*): the same seed gives the same messages everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end.max(1)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Mostly from `plain`, once in a while from `odd`.
    fn mostly<'a>(&mut self, plain: &[&'a [u8]], odd: &[&'a [u8]]) -> &'a [u8] {
        if self.one_in(12) { self.pick(odd) } else { self.pick(plain) }
    }
}

/// A request, or a few of them on one connection.
pub fn requests(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..=random.below(5) / 3 {
        let parts = [
            random.mostly(METHODS, ODD_METHODS),
            random.mostly(TARGETS, ODD_TARGETS),
            random.mostly(VERSIONS, ODD_VERSIONS),
        ];
        out.extend_from_slice(&parts.join(&b' '));
        line_end(random, &mut out);
        if !random.one_in(16) {
            out.extend_from_slice(b"Host: ");
            out.extend_from_slice(random.mostly(HOSTS, ODD_HOSTS));
            line_end(random, &mut out);
        }
        fields_and_body(random, &mut out);
    }
    damaged(random, out)
}

/// A response, or a few of them on one connection.
pub fn responses(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..=random.below(5) / 3 {
        out.extend_from_slice(random.mostly(STATUS_LINES, ODD_STATUS_LINES));
        line_end(random, &mut out);
        fields_and_body(random, &mut out);
    }
    damaged(random, out)
}

fn line_end(random: &mut Random, out: &mut Vec<u8>) {
    let end = if random.one_in(8) { random.mostly(LINE_ENDS, ODD_LINE_ENDS) } else { b"\r\n" };
    out.extend_from_slice(end);
}

fn fields_and_body(random: &mut Random, out: &mut Vec<u8>) {
    let kind = random.below(4);
    for _ in 0..random.below(4) {
        let field = if random.one_in(3) { random.pick(ODD_FIELDS) } else { random.pick(FIELDS) };
        out.extend_from_slice(field);
        line_end(random, out);
    }
    match kind {
        0 => out.extend_from_slice(b"Content-Length: 5\r\n"),
        1 => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        _ => {}
    }
    line_end(random, out);
    match kind {
        0 => out.extend_from_slice(b"hello"),
        1 => chunks(random, out),
        _ => {}
    }
}

/// A chunked body.
pub fn chunks(random: &mut Random, out: &mut Vec<u8>) {
    for _ in 0..random.below(3) {
        out.extend_from_slice(random.mostly(CHUNK_SIZES, ODD_CHUNK_SIZES));
        line_end(random, out);
        out.extend_from_slice(b"hello");
        line_end(random, out);
    }
    out.extend_from_slice(
        random.mostly(&[b"0", b"0", b"000"], &[b"0;a=b", b"", b"-0", b"0 ", b"0x0", b"00000000000000000"]),
    );
    line_end(random, out);
    out.extend_from_slice(random.mostly(TRAILERS, ODD_TRAILERS));
    line_end(random, out);
}

/// The bytes with, once in three times, a few of them changed.
pub fn damaged(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    const TELLING: &[u8] = b"\r\n\0\t :,;=\"#/@[]%+-0159afAF\x0b\x7f\x80\xff";
    if !random.one_in(3) {
        return bytes;
    }
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        let byte = if random.one_in(4) { random.next() as u8 } else { random.pick(TELLING) };
        match random.below(5) {
            0 if !bytes.is_empty() => bytes[at] = byte,
            1 if !bytes.is_empty() => drop(bytes.remove(at)),
            2 if !bytes.is_empty() => {
                let to = (at + random.below(12)).min(bytes.len());
                let piece = bytes[at..to].to_vec();
                let place = random.below(bytes.len());
                bytes.splice(place..place, piece);
            }
            3 => bytes.truncate(bytes.len().saturating_sub(random.below(8))),
            _ => bytes.insert(at, byte),
        }
    }
    bytes
}

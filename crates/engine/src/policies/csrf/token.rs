//! The signed double-submit token: what a script read from a cookie and sends again in a header.
//!
//! OWASP, "Cross-Site Request Forgery Prevention Cheat Sheet", signed double-submit cookie. The value is `random.mac`, where
//! `mac` is HMAC-SHA256 over the session's cookie and the random part: a site that can set cookies for ours, from a sibling
//! host, cannot make one that is good for this session.

use aws_lc_rs::{constant_time, hmac};

use crate::head::Head;
use crate::plan;
use crate::policies::Local;

pub(super) struct Tokens {
    key: hmac::Key,
    cookie: Box<[u8]>,
    header: Box<[u8]>,
    /// The cookie that a session is known by.
    session: Option<Box<[u8]>>,
}

const RANDOM: usize = 16;
const MAC: usize = 32;

impl Tokens {
    pub(super) fn compile(plan: &plan::CsrfToken) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, plan.secret.as_bytes()),
            cookie: plan.cookie.as_bytes().into(),
            header: plan.header.as_bytes().into(),
            session: plan.session_cookie.as_ref().map(|name| name.as_bytes().into()),
        }
    }

    /// Whether the header shows the token of the cookie, and it is one of ours for this session.
    pub(super) fn shown(&self, head: &Head) -> bool {
        let mut lines = head.get_all(&self.header);
        let (Some(shown), None) = (lines.next(), lines.next()) else { return false };
        cookies(head, &self.cookie)
            .any(|kept| constant_time::verify_slices_are_equal(kept, shown).is_ok() && self.is_good(kept, head))
    }

    pub(super) fn has_good_cookie(&self, head: &Head) -> bool {
        cookies(head, &self.cookie).any(|token| self.is_good(token, head))
    }

    /// The value of `Set-Cookie` with a fresh token. Scripts have to read it, so it is not `HttpOnly`.
    pub(super) fn cookie(&self, local: &Local, head: &Head) -> Box<[u8]> {
        let mut random = [0; RANDOM];
        let source = &mut *local.random.borrow_mut();
        for part in random.chunks_exact_mut(8) {
            part.copy_from_slice(&source.next().to_le_bytes());
        }
        let mut line = self.cookie.to_vec();
        line.push(b'=');
        write_hex(&mut line, &random);
        line.push(b'.');
        write_hex(&mut line, self.sign(&random, head).as_ref());
        line.extend_from_slice(b"; Path=/; Secure; SameSite=Lax");
        line.into()
    }

    fn is_good(&self, token: &[u8], head: &Head) -> bool {
        let mut bytes = [0; RANDOM + MAC];
        if token.len() != 2 * bytes.len() + 1 || token[2 * RANDOM] != b'.' {
            return false;
        }
        let (random, mac) = (&token[..2 * RANDOM], &token[2 * RANDOM + 1..]);
        for (byte, pair) in bytes.iter_mut().zip(random.chunks_exact(2).chain(mac.chunks_exact(2))) {
            match (hex_digit(pair[0]), hex_digit(pair[1])) {
                (Some(high), Some(low)) => *byte = high << 4 | low,
                _ => return false,
            }
        }
        let expected = self.sign(&bytes[..RANDOM], head);
        constant_time::verify_slices_are_equal(expected.as_ref(), &bytes[RANDOM..]).is_ok()
    }

    fn sign(&self, random: &[u8], head: &Head) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(random);
        // The random part has one length, so no session can be taken for another.
        if let Some(session) = self.session.as_ref().and_then(|name| cookies(head, name).next()) {
            context.update(session);
        }
        context.sign()
    }
}

/// The values of a cookie.
fn cookies<'a>(head: &'a Head, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let pairs = head.get_all(b"cookie").flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    pairs.filter_map(move |pair| pair.strip_prefix(name)?.strip_prefix(b"=".as_slice()))
}

fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

fn hex_digit(sign: u8) -> Option<u8> {
    match sign {
        b'0'..=b'9' => Some(sign - b'0'),
        b'a'..=b'f' => Some(sign - b'a' + 10),
        _ => None,
    }
}

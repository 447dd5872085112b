//! The cookies of a session: what they are called, how a long value becomes several, and how they are set and taken out.

use std::borrow::Cow;
use std::sync::Arc;

use crate::exchange::Request;
use crate::head::Head;
use crate::identity::Line;
use crate::policies::presented;

/// Browsers keep cookies of 4096 bytes, name and attributes included (RFC 6265 section 6.1).
const CHUNK_BYTES: usize = 3600;
pub(super) const MOST_CHUNKS: usize = 5;
/// The longest value that all chunks hold together.
pub(super) const MOST_BYTES: usize = CHUNK_BYTES * MOST_CHUNKS;
/// Logins that one browser may have begun at the same time, in as many tabs.
const MOST_LOGINS: usize = 4;
const HOST_PREFIX: &str = "__Host-";

/// How cookies are named and marked on one connection.
#[derive(Clone)]
pub(super) struct Jar {
    /// `__Host-` and the name, or the name alone where the connection is not secure.
    name: Arc<str>,
    secure: bool,
    /// Parts of a session that the browser has, at most.
    had: usize,
    /// Logins that were begun before, by what follows the name.
    logins: Vec<String>,
}

impl Jar {
    pub(super) fn new(name: &str, secure: bool) -> Self {
        let prefix = if secure { HOST_PREFIX } else { "" };
        Self { name: format!("{prefix}{name}").into(), secure, had: 0, logins: Vec::new() }
    }

    /// For an answer to this request: what is set anew leaves nothing behind of what was set before.
    pub(super) fn answering(&self, head: &Head) -> Self {
        let had = (1..MOST_CHUNKS).rev().find(|index| self.has(head, &format!(".{index}")));
        let logins = self.suffixes(head).into_iter().filter(|suffix| suffix.starts_with(".login.")).collect();
        Self { had: had.map_or(0, |last| last + 1), logins, ..self.clone() }
    }

    /// The session as it was set; `None` where a part of it is missing, comes twice or is too long.
    pub(super) fn session<'a>(&self, head: &'a Head) -> Option<Cow<'a, [u8]>> {
        let first = self.find(head, "")?;
        let (count, value) = (*first.first()?, first.get(1..)?);
        match count {
            b'1' => Some(Cow::Borrowed(value)),
            b'2'..=b'5' => {
                let mut whole = value.to_vec();
                for index in 1..usize::from(count - b'0') {
                    whole.extend_from_slice(self.find(head, &format!(".{index}"))?);
                }
                (whole.len() <= MOST_BYTES).then_some(Cow::Owned(whole))
            }
            _ => None,
        }
    }

    /// When the session was last used.
    pub(super) fn seen<'a>(&self, head: &'a Head) -> Option<&'a [u8]> {
        self.find(head, ".seen")
    }

    /// What was kept for the login with this state.
    pub(super) fn login<'a>(&self, head: &'a Head, state: &str) -> Option<&'a [u8]> {
        self.find(head, &login_suffix(state))
    }

    fn has(&self, head: &Head, suffix: &str) -> bool {
        pairs(head).any(|(name, _)| name.strip_prefix(self.name.as_bytes()) == Some(suffix.as_bytes()))
    }

    /// The only cookie of that name.
    fn find<'a>(&self, head: &'a Head, suffix: &str) -> Option<&'a [u8]> {
        let mut found = pairs(head).filter_map(|(name, value)| {
            (name.strip_prefix(self.name.as_bytes())? == suffix.as_bytes()).then_some(value)
        });
        match (found.next(), found.next()) {
            (Some(value), None) => Some(value),
            _ => None,
        }
    }

    /// Sets the session, and takes back the parts of a longer one before it.
    pub(super) fn set_session(&self, value: &str, seconds: u64, lines: &mut Vec<Line>) {
        let chunks = value.len().div_ceil(CHUNK_BYTES).max(1);
        for (index, chunk) in value.as_bytes().chunks(CHUNK_BYTES).enumerate() {
            let chunk = std::str::from_utf8(chunk).unwrap_or_default();
            match index {
                0 => lines.push(self.set("", &format!("{chunks}{chunk}"), seconds)),
                _ => lines.push(self.set(&format!(".{index}"), chunk, seconds)),
            }
        }
        lines.extend((chunks..self.had).map(|index| self.set(&format!(".{index}"), "", 0)));
    }

    pub(super) fn set_seen(&self, value: &str, seconds: u64, lines: &mut Vec<Line>) {
        lines.push(self.set(".seen", value, seconds));
    }

    /// Keeps what a login needs, and lets go of logins that were begun before and are too many.
    pub(super) fn set_login(&self, state: &str, value: &str, seconds: u64, lines: &mut Vec<Line>) {
        lines.push(self.set(&login_suffix(state), value, seconds));
        lines.extend(self.logins.iter().skip(MOST_LOGINS - 1).map(|suffix| self.set(suffix, "", 0)));
    }

    pub(super) fn clear_login(&self, state: &str, lines: &mut Vec<Line>) {
        lines.push(self.set(&login_suffix(state), "", 0));
    }

    /// Takes everything back that the browser shows.
    pub(super) fn clear(&self, head: &Head) -> Vec<Line> {
        self.suffixes(head).into_iter().map(|suffix| self.set(&suffix, "", 0)).collect()
    }

    /// What follows the name, of all cookies that are ours.
    fn suffixes(&self, head: &Head) -> Vec<String> {
        let ours = pairs(head).filter_map(|(name, _)| name.strip_prefix(self.name.as_bytes()));
        let ours = ours.filter(|suffix| is_suffix(suffix)).filter_map(|suffix| std::str::from_utf8(suffix).ok());
        ours.map(str::to_owned).take(32).collect()
    }

    fn set(&self, suffix: &str, value: &str, seconds: u64) -> Line {
        let secure = if self.secure { "; Secure" } else { "" };
        let name = &self.name;
        let line = format!("{name}{suffix}={value}; Path=/; Max-Age={seconds}; HttpOnly{secure}; SameSite=Lax");
        (b"set-cookie".as_slice().into(), line.into_bytes().into())
    }
}

/// Enough of the state to tell logins apart; that it is the state of the cookie is checked in full.
fn login_suffix(state: &str) -> String {
    let start: String = state.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    format!(".login.{start}")
}

/// The names of ours are told apart from those that only begin in the same way.
fn is_suffix(suffix: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.';
    suffix.is_empty() || (suffix[0] == b'.' && suffix.iter().all(is_name))
}

fn pairs(head: &Head) -> impl Iterator<Item = (&[u8], &[u8])> {
    head.get_all(b"cookie").flat_map(|line| line.split(|byte| *byte == b';')).filter_map(|pair| {
        let pair = pair.trim_ascii();
        let at = pair.iter().position(|byte| *byte == b'=')?;
        Some((pair[..at].trim_ascii(), &pair[at + 1..]))
    })
}

/// Takes the cookies of a session out of a request, with and without the prefix; the others stay as they were sent.
pub(super) fn strip(request: &mut Request, name: &str) {
    presented::strip_cookies(&mut request.head, |pair| {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let written = pair[..end].trim_ascii();
        let bare = written.strip_prefix(HOST_PREFIX.as_bytes()).unwrap_or(written);
        bare.strip_prefix(name.as_bytes()).is_some_and(is_suffix)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A browser that shows what was set, in one line.
    fn shown(lines: &[Line]) -> Head {
        let pair =
            |line: &Line| String::from_utf8(line.1.split(|byte| *byte == b';').next().unwrap().to_vec()).unwrap();
        let kept: Vec<_> = lines.iter().map(pair).filter(|pair| !pair.ends_with('=')).collect();
        let mut head = Head::default();
        head.add(b"cookie", kept.join("; ").as_bytes());
        head
    }

    #[test]
    fn a_value_of_any_length_comes_back_whole_or_not_at_all() {
        let jar = Jar::new("s", true);
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, MOST_BYTES] {
            let value: String = (0..length).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
            let mut lines = Vec::new();
            jar.set_session(&value, 10, &mut lines);
            if length == 0 {
                assert!(jar.session(&shown(&lines)).is_none_or(|found| found.is_empty()));
                continue;
            }
            assert_eq!(jar.session(&shown(&lines)).as_deref(), Some(value.as_bytes()));
            assert!(lines.iter().all(|(_, line)| line.len() <= 4096));
            assert!(lines.len() <= MOST_CHUNKS);
            if length > CHUNK_BYTES {
                let mut shorter = Vec::new();
                jar.answering(&shown(&lines)).set_session("a", 10, &mut shorter);
                assert_eq!(shorter.len(), lines.len(), "every part is set or taken back");
                assert_eq!(jar.session(&shown(&lines[..1])), None, "a part is missing");
                lines.push(lines[1].clone());
                assert_eq!(jar.session(&shown(&lines)), None, "a part comes twice");
            }
        }
    }

    #[test]
    fn a_secure_cookie_has_the_prefix_and_every_mark() {
        let mut lines = Vec::new();
        Jar::new("s", true).set_seen("v", 5, &mut lines);
        Jar::new("s", false).set_seen("v", 5, &mut lines);
        let text: Vec<_> = lines.iter().map(|line| std::str::from_utf8(&line.1).unwrap()).collect();
        let secure = "__Host-s.seen=v; Path=/; Max-Age=5; HttpOnly; Secure; SameSite=Lax";
        assert_eq!(text, [secure, "s.seen=v; Path=/; Max-Age=5; HttpOnly; SameSite=Lax"]);
    }

    #[test]
    fn ours_are_taken_out_and_others_stay() {
        for (cookie, left) in [
            ("a=1; __Host-s=x; b=2; __Host-s.1=y; __Host-s.seen=z; __Host-s.login.abc=q", Some("a=1; b=2")),
            ("s=x; s.1=y", None),
            ("ss=x; s_x=1; xs=2; s-y=3", Some("ss=x; s_x=1; xs=2; s-y=3")),
            ("s; t", Some("t")),
        ] {
            let mut request = Request::default();
            request.head.add(b"cookie", cookie.as_bytes());
            strip(&mut request, "s");
            assert_eq!(request.head.get(b"cookie"), left.map(str::as_bytes), "{cookie}");
        }
    }

    #[test]
    fn logins_that_were_begun_are_bounded() {
        let jar = Jar::new("s", false);
        let mut head = Head::default();
        head.add(b"cookie", b"s.login.a=1; s.login.b=1; s.login.c=1; s.login.d=1; s.login.e=1");
        let mut lines = Vec::new();
        jar.answering(&head).set_login("f", "1", 600, &mut lines);
        assert_eq!(lines.len(), 1 + 5 - (MOST_LOGINS - 1));
    }
}

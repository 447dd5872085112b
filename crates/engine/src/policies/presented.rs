//! What a request shows of a credential, and how to take it out.

use std::borrow::Cow;

use tidegate_http1::Known;

use crate::exchange::Request;
use crate::head::Head;
use crate::identity::Line;
use crate::path::decode_form;
use crate::routing::query_pairs;

/// A credential as a request shows it.
#[derive(Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    Nothing,
    One(Cow<'a, [u8]>),
    /// More than one: the gateway and the service might believe different ones.
    Several,
}

impl<'a> Presented<'a> {
    pub fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Nothing => other(),
            found => found,
        }
    }
}

/// Empty values are none.
pub fn one<'a>(values: impl Iterator<Item = &'a [u8]>) -> Presented<'a> {
    several(values.map(Cow::Borrowed))
}

fn several<'a>(values: impl Iterator<Item = Cow<'a, [u8]>>) -> Presented<'a> {
    let mut values = values.filter(|value| !value.is_empty());
    match (values.next(), values.next()) {
        (None, _) => Presented::Nothing,
        (Some(value), None) => Presented::One(value),
        (Some(_), Some(_)) => Presented::Several,
    }
}

/// What follows a scheme and a blank, as in `Bearer abc`; nothing where the scheme is another.
pub fn after_scheme<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (before, after) = value.split_at_checked(scheme.len())?;
    let rest = before.eq_ignore_ascii_case(scheme).then_some(after)?;
    match rest.first() {
        None => Some(rest),
        Some(b' ') => Some(rest.trim_ascii()),
        Some(_) => None,
    }
}

pub fn in_query<'a>(request: &'a Request, name: &str) -> Presented<'a> {
    let pairs = query_pairs(request.query().unwrap_or_default());
    let values = pairs.filter(|(key, _)| decode_form(key).eq(name.bytes()));
    several(values.map(|(_, value)| match value.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        true => Cow::Owned(decode_form(value).collect()),
        false => Cow::Borrowed(value),
    }))
}

pub fn in_cookies<'a>(request: &'a Request, name: &str) -> Presented<'a> {
    let cookies = request.head.get_all(b"cookie").flat_map(|line| line.split(|byte| *byte == b';'));
    one(cookies.filter(|pair| is_cookie(pair, name)).map(value_of))
}

fn is_cookie(pair: &[u8], name: &str) -> bool {
    let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
    pair[..end].trim_ascii() == name.as_bytes()
}

fn value_of(pair: &[u8]) -> &[u8] {
    pair.iter().position(|byte| *byte == b'=').map_or(&b""[..], |at| pair[at + 1..].trim_ascii())
}

/// Takes a parameter out of the query, however its name is written; the others stay as they were sent.
pub fn strip_query(request: &mut Request, name: &str) {
    let Some(query) = request.query() else { return };
    let is_it = |pair: &&[u8]| {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        decode_form(&pair[..end]).eq(name.bytes())
    };
    let pairs = || query.split(|byte| *byte == b'&');
    if !pairs().any(|pair| is_it(&pair)) {
        return;
    }
    let left: Vec<&[u8]> = pairs().filter(|pair| !is_it(pair)).collect();
    let left = left.join(&b'&');
    request.query = (!left.is_empty()).then(|| request.head.keep(&left));
}

/// Takes a cookie out; the others stay as they were sent.
pub fn strip_cookie(head: &mut Head, name: &str) {
    strip_cookies(head, |pair| is_cookie(pair, name));
}

/// Takes those cookies out whose pair of name and value is one of `ours`.
pub fn strip_cookies(head: &mut Head, ours: impl Fn(&[u8]) -> bool) {
    if !head.get_all(b"cookie").any(|line| line.split(|byte| *byte == b';').any(&ours)) {
        return;
    }
    let without = |line: &[u8]| {
        let left: Vec<&[u8]> =
            line.split(|byte| *byte == b';').filter(|pair| !ours(pair)).map(<[u8]>::trim_ascii).collect();
        left.join(&b"; "[..])
    };
    let left: Vec<Vec<u8>> = head.get_all(b"cookie").map(without).filter(|line| !line.is_empty()).collect();
    head.remove_known(Known::Cookie);
    for line in left {
        head.add_known(Known::Cookie, b"cookie", &line);
    }
}

/// What goes beside a cookie that is set on the answer of a service: a cache that many share would hand it to the next one
/// (RFC 9111 sections 3 and 7.3). Beside a `Cache-Control` of the service's, it is one directive more.
pub fn for_one_only() -> Line {
    (b"cache-control".as_slice().into(), b"private".as_slice().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(query: Option<&str>, cookies: &[&str]) -> Request {
        let mut request = Request::default();
        for line in cookies {
            request.head.add(b"cookie", line.as_bytes());
        }
        request.query = query.map(|query| request.head.keep(query.as_bytes()));
        request
    }

    fn shown<'a>(presented: &'a Presented<'_>) -> &'a str {
        match presented {
            Presented::Nothing => "nothing",
            Presented::Several => "several",
            Presented::One(value) => std::str::from_utf8(value).unwrap(),
        }
    }

    #[test]
    fn a_key_in_the_query_is_found_and_leaves_no_trace() {
        for (query, found, left) in [
            ("key=abc", "abc", None),
            ("a=1&key=abc&b=2", "abc", Some("a=1&b=2")),
            ("a=1&k%65y=a%62c", "abc", Some("a=1")),
            ("key=a&x&key=b", "several", Some("x")),
            ("key=a&key=a", "several", None),
            ("key=&x=1", "nothing", Some("x=1")),
            ("key", "nothing", None),
            ("keys=a&KEY=b&&", "nothing", Some("keys=a&KEY=b&&")),
            ("a=key", "nothing", Some("a=key")),
        ] {
            let mut request = request(Some(query), &[]);
            assert_eq!(shown(&in_query(&request, "key")), found, "{query}");
            strip_query(&mut request, "key");
            assert_eq!(request.query(), left.map(str::as_bytes), "{query}");
        }
    }

    #[test]
    fn a_key_in_a_cookie_is_found_and_the_others_stay() {
        for (cookies, found, left) in [
            (&["key=abc"][..], "abc", &[][..]),
            (&["a=1; key=abc ;b=2"], "abc", &["a=1; b=2"]),
            (&["a=1", "key=abc"], "abc", &["a=1"]),
            (&["key=a; key=b"], "several", &[]),
            (&["key=a", "key=b; c=d"], "several", &["c=d"]),
            (&["keys=a; Key=b"], "nothing", &["keys=a; Key=b"]),
            (&["key"], "nothing", &[]),
        ] {
            let mut request = request(None, cookies);
            assert_eq!(shown(&in_cookies(&request, "key")), found, "{cookies:?}");
            strip_cookie(&mut request.head, "key");
            let after: Vec<_> =
                request.head.get_all(b"cookie").map(|line| std::str::from_utf8(line).unwrap()).collect();
            assert_eq!(after, left, "{cookies:?}");
        }
    }

    #[test]
    fn a_scheme_compares_without_case_and_as_a_whole() {
        for (value, found) in [
            ("Bearer abc", Some("abc")),
            ("bearer   abc", Some("abc")),
            ("Bearer", Some("")),
            ("Bearerabc", None),
            ("Basic abc", None),
            ("Bea", None),
        ] {
            assert_eq!(after_scheme(value.as_bytes(), b"Bearer"), found.map(str::as_bytes), "{value}");
        }
    }
}

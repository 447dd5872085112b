//! The target of a call that user code makes: nothing that is filled into it can lead anywhere else.
//!
//! A path is taken as it is written, if nobody can read it in two ways; it is refused, not repaired. What is filled in for
//! `{name}` is the content of one segment, whatever it contains.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::path::{check_query, decode, is_unreserved, normalise, push_escaped};

/// Names and values, as text.
pub type Pairs<'a> = [(Cow<'a, str>, Cow<'a, str>)];

/// Fills `params` into a path and appends `query`; the error says what is wrong.
pub fn write(path: &str, params: Option<&Pairs<'_>>, query: &Pairs<'_>) -> Result<Vec<u8>, String> {
    let mut target = Vec::with_capacity(path.len() + 32);
    match params {
        None => target.extend_from_slice(path.as_bytes()),
        Some(params) => fill(path, params, &mut target)?,
    }
    check(&target, params.is_some())?;
    for (index, (name, value)) in query.iter().enumerate() {
        target.push(if index == 0 && !target.contains(&b'?') { b'?' } else { b'&' });
        escape(name, &mut target);
        target.push(b'=');
        escape(value, &mut target);
    }
    Ok(target)
}

fn fill(path: &str, params: &Pairs<'_>, target: &mut Vec<u8>) -> Result<(), String> {
    let mut rest = path;
    let mut used = 0_u64;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return Err(format!("the `{{` in {} has no end", shown(path)));
        };
        let Some(index) = params.iter().position(|(known, _)| known == name) else {
            return Err(format!("`params` has no {} for {}", shown(name), shown(path)));
        };
        let value = &params[index].1;
        match &**value {
            "" => return Err(format!("the value of {} is empty, so the path would be another", shown(name))),
            "." | ".." => return Err(format!("the value of {} is {value:?}, which stands for a folder", shown(name))),
            _ => {}
        }
        used |= 1 << index.min(63);
        target.extend_from_slice(before.as_bytes());
        escape(value, target);
        rest = after;
    }
    target.extend_from_slice(rest.as_bytes());
    match params.iter().enumerate().find(|(index, _)| *index < 63 && used & (1 << index) == 0) {
        Some((_, (name, _))) => Err(format!("{} has no {{{name}}}", shown(path))),
        None => Ok(()),
    }
}

fn check(target: &[u8], filled: bool) -> Result<(), String> {
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    let (path, query) = (parts.next().unwrap_or_default(), parts.next());
    let text = || shown(&String::from_utf8_lossy(target));
    if !filled && path.contains(&b'{') {
        return Err(format!("{} has a `{{`: give `params`, or write an f-string", text()));
    }
    if let Err(error) = normalise(path, &mut Vec::new()) {
        return Err(format!("{} is not a path: {error}", text()));
    }
    if path.starts_with(b"//") {
        return Err(format!("{} begins with two slashes, which some servers take for a host", text()));
    }
    for segment in path.split(|byte| *byte == b'/') {
        if segment.len() <= 6 && matches!(&*decode(segment).collect::<Vec<_>>(), b"." | b"..") {
            return Err(format!("{} has a dot segment, which leads elsewhere", text()));
        }
    }
    match query.map(check_query) {
        Some(Err(error)) => Err(format!("{} has a bad query: {error}", text())),
        _ => Ok(()),
    }
}

fn escape(text: &str, out: &mut Vec<u8>) {
    for &byte in text.as_bytes() {
        if is_unreserved(byte) { out.push(byte) } else { push_escaped(out, byte) }
    }
}

/// For a message: no line breaks, and no end of it that scrolls what matters away.
fn shown(text: &str) -> String {
    let mut shown = String::from("`");
    let mut characters = text.escape_debug();
    for character in characters.by_ref().take(80) {
        shown.push(character);
    }
    let _ = write!(shown, "{}`", if characters.next().is_some() { "..." } else { "" });
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs<'a>(pairs: &'a [(&'a str, &'a str)]) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    fn filled(path: &str, params: &[(&str, &str)]) -> Result<String, String> {
        write(path, Some(&pairs(params)), &[]).map(|target| String::from_utf8(target).unwrap())
    }

    #[test]
    fn a_value_is_the_content_of_one_segment() {
        for (value, target) in [
            ("7", "/users/7/cart"),
            ("a b", "/users/a%20b/cart"),
            ("../admin", "/users/..%2Fadmin/cart"),
            ("a?b=c#d", "/users/a%3Fb%3Dc%23d/cart"),
            ("x\r\nhost: y", "/users/x%0D%0Ahost%3A%20y/cart"),
            ("é", "/users/%C3%A9/cart"),
            ("%2e%2e", "/users/%252e%252e/cart"),
            ("{id}", "/users/%7Bid%7D/cart"),
        ] {
            let written = filled("/users/{id}/cart", &[("id", value)]);
            // What cannot be sent safely at all is refused.
            assert!(written.as_deref().map_or(value.contains('\r'), |written| written == target), "{written:?}");
        }
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for (path, params) in [
            ("/users/{id}", &[("id", "")][..]),
            ("/users/{id}", &[("id", "..")]),
            ("/users/{id}", &[("id", ".")]),
            ("/users/{id}", &[("other", "1")]),
            ("/users/{id", &[("id", "1")]),
            ("/users/7", &[("id", "1")]),
        ] {
            assert!(filled(path, params).is_err(), "{path} {params:?}");
        }
        for path in [
            "",
            "users",
            "http://a/b",
            "/a b",
            "/a\r\nx: y",
            "/a#b",
            "/a/../b",
            "/a/%2e%2E/b",
            "/a/./b",
            "//a",
            "/a\\b",
            "/é",
            "/{id}",
            "/a?b c",
            "/%zz",
            "/a%00",
        ] {
            assert!(write(path, None, &[]).is_err(), "{path}");
        }
    }

    #[test]
    fn a_query_is_encoded_and_appended() {
        let query = pairs(&[("q", "a&b=c"), ("é", "+ ")]);
        assert_eq!(write("/s", None, &query).unwrap(), b"/s?q=a%26b%3Dc&%C3%A9=%2B%20");
        assert_eq!(write("/s?x=1", None, &query[..1]).unwrap(), b"/s?x=1&q=a%26b%3Dc");
        assert_eq!(write("/s?x=1", None, &[]).unwrap(), b"/s?x=1");
    }
}

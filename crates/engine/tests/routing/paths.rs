//! The normal form of paths and hosts.

use crate::support::Random;
use tidegate_engine::path::{PathError, check_query, normalise};
use tidegate_engine::routing::normalise_host;

#[track_caller]
fn normal(path: &str) -> Result<String, PathError> {
    let mut scratch = Vec::new();
    normalise(path.as_bytes(), &mut scratch).map(|it| String::from_utf8(it.to_vec()).expect("ASCII"))
}

#[test]
fn paths_have_one_form() {
    let cases = [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/", "/a/"),
        ("//", "/"),
        ("//a///b//", "/a/b/"),
        ("/./a/./b/.", "/a/b/"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/..", "/"),
        ("/a//../b", "/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/%2e/b", "/a/b"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
        ("/..a/.b.", "/..a/.b."),
        ("/%41%7e%2D", "/A~-"),
        ("/a%2fb%5cc", "/a%2Fb%5Cc"),
        ("/%2f..%2f", "/%2F..%2F"),
        ("/%c3%a9", "/%C3%A9"),
        ("/%252e%252E", "/%252e%252E"),
        ("/a;b=1,c:@!$&'()*+=", "/a;b=1,c:@!$&'()*+="),
        ("/a[0]|{x}\"<>^`", "/a%5B0%5D%7C%7Bx%7D%22%3C%3E%5E%60"),
        ("/%3Bx", "/%3Bx"),
        ("/%20", "/%20"),
    ];
    for (path, expected) in cases {
        assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn what_two_parsers_could_read_differently_is_refused() {
    let cases = [
        ("", PathError::NotAbsolute),
        ("a", PathError::NotAbsolute),
        ("*", PathError::NotAbsolute),
        ("/a\0", PathError::Nul),
        ("/a%00", PathError::Nul),
        ("/a\r\n", PathError::Control),
        ("/a\x7f", PathError::Control),
        ("/%0d%0a", PathError::Control),
        ("/%7F", PathError::Control),
        ("/a\\b", PathError::Backslash),
        ("/é", PathError::NonAscii),
        ("/a b", PathError::Delimiter),
        ("/a#b", PathError::Delimiter),
        ("/a?b", PathError::Delimiter),
        ("/%", PathError::BrokenEscape),
        ("/%4", PathError::BrokenEscape),
        ("/%4/a", PathError::BrokenEscape),
        ("/%zz", PathError::BrokenEscape),
        ("/%u0041", PathError::BrokenEscape),
        ("/..", PathError::AboveRoot),
        ("/a/../..", PathError::AboveRoot),
        ("/%2e%2e/a", PathError::AboveRoot),
        ("//..", PathError::AboveRoot),
        ("/a/..;x/b", PathError::DotParameter),
        ("/a/..;/b", PathError::DotParameter),
        ("/a/.;x", PathError::DotParameter),
        ("/a/%2e.%3bx", PathError::DotParameter),
    ];
    for (path, expected) in cases {
        assert_eq!(normal(path), Err(expected), "{path:?}");
    }
}

#[test]
fn a_normal_path_is_not_copied() {
    let mut scratch = Vec::new();
    for path in ["/", "/a/b.c/%2F", "/.well-known/x"] {
        let normal = normalise(path.as_bytes(), &mut scratch).unwrap();
        assert_eq!(normal.as_ptr(), path.as_ptr());
    }
}

/// The same rules, written once more by splitting instead of scanning.
fn naive(path: &[u8]) -> Option<Vec<u8>> {
    let path = path.strip_prefix(b"/")?;
    let mut decoded: Vec<Vec<Vec<u8>>> = vec![Vec::new()]; // segments of characters
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let unreserved = |it: u8| it.is_ascii_alphanumeric() || b"-._~".contains(&it);
        let escape = |it: u8| format!("%{it:02X}").into_bytes();
        let character = match byte {
            b'/' => {
                decoded.push(Vec::new());
                continue;
            }
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                if !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
                    return None;
                }
                let byte = u8::from_str_radix(digits, 16).ok()?;
                rest = &rest[2..];
                match byte {
                    byte if byte < 32 || byte == 127 => return None,
                    byte if unreserved(byte) => vec![byte],
                    byte => escape(byte),
                }
            }
            byte if unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte) => vec![byte],
            byte if b"\"<>[]^`{|}".contains(&byte) => escape(byte),
            _ => return None,
        };
        decoded.last_mut()?.push(character);
    }
    let mut segments: Vec<Vec<u8>> = Vec::new();
    let mut slash = false;
    for segment in decoded {
        let segment = segment.concat();
        slash = true;
        match &segment[..] {
            b"" | b"." => {}
            b".." => drop(segments.pop()?),
            _ if [&b".;"[..], b"..;", b".%3B", b"..%3B"].iter().any(|it| segment.starts_with(it)) => return None,
            _ => {
                segments.push(segment);
                slash = false;
            }
        }
    }
    let mut out: Vec<u8> = segments.iter().flat_map(|it| [b"/", &it[..]].concat()).collect();
    if slash {
        out.push(b'/');
    }
    Some(out)
}

fn random_path(random: &mut Random) -> Vec<u8> {
    const PIECES: &[&[u8]] = &[
        b"/", b"/", b"/", b".", b".", b"..", b"a", b"bc", b"%2e", b"%2E", b"%2f", b"%5C", b"%41", b"%3b", b";", b"~",
        b"%25", b"2e", b"[", b"%e9", b"+", b"/../", b"/./",
    ];
    let mut path = b"/".to_vec();
    for _ in 0..random.below(14) {
        if random.below(60) == 0 {
            path.push(random.next() as u8);
        } else {
            path.extend_from_slice(random.pick(PIECES));
        }
    }
    path
}

#[test]
fn the_scan_agrees_with_the_naive_reading_and_is_idempotent() {
    let mut random = Random::new(1);
    let (mut scratch, mut again) = (Vec::new(), Vec::new());
    let mut accepted = 0;
    for _ in 0..100_000 {
        let path = random_path(&mut random);
        let shown = String::from_utf8_lossy(&path).into_owned();
        let normal = normalise(&path, &mut scratch).ok();
        assert_eq!(normal.map(<[u8]>::to_vec), naive(&path), "{shown}");
        let Some(normal) = normal else { continue };
        accepted += 1;
        assert_eq!(normalise(normal, &mut again), Ok(normal), "{shown}");
        assert!(again.is_empty(), "{shown} was copied though normal");
        assert!(normal.starts_with(b"/") && normal.iter().all(u8::is_ascii_graphic), "{shown}");
        let segments: Vec<&[u8]> = normal[1..].split(|&byte| byte == b'/').collect();
        let (last, inner) = segments.split_last().unwrap();
        assert!(!inner.contains(&&b""[..]), "{shown}");
        assert!(inner.iter().chain([last]).all(|it| *it != b"." && *it != b".."), "{shown}");
    }
    assert!(accepted > 20_000, "{accepted}");
}

#[test]
fn a_query_is_checked_but_not_changed() {
    assert_eq!(check_query(b"a=%zz&b=\\|{\"x\":[1]}?/../"), Ok(()));
    assert_eq!(check_query(b"a b"), Err(PathError::Delimiter));
    assert_eq!(check_query(b"a#b"), Err(PathError::Delimiter));
    assert_eq!(check_query(b"a\0"), Err(PathError::Nul));
    assert_eq!(check_query(b"a\r\nb"), Err(PathError::Control));
    assert_eq!(check_query("é".as_bytes()), Err(PathError::NonAscii));
}

#[test]
fn hosts_have_one_form() {
    let mut scratch = Vec::new();
    let mut normal = |host: &str| {
        let normal = normalise_host(host.as_bytes(), &mut scratch).ok()?;
        Some(String::from_utf8(normal.to_vec()).unwrap())
    };
    let good = [
        ("example.com", "example.com"),
        ("EXAMPLE.com.:8080", "example.com"),
        ("a_b-c.d:", "a_b-c.d"),
        ("10.0.0.1:80", "10.0.0.1"),
        ("[::1]:80", "[::1]"),
        ("[FE80::1]", "[fe80::1]"),
        ("", ""),
        (":80", ""),
    ];
    for (host, expected) in good {
        assert_eq!(normal(host).as_deref(), Some(expected), "{host}");
    }
    let bad =
        ["a..b", ".a", ".", "a:b", "a:65536", "a:123456", "u@a", "a/b", "a b", "[::1", "[x]", "[::1]x", "é", "a,b"];
    for host in bad {
        assert_eq!(normal(host), None, "{host}");
    }
    // 253 bytes are the longest name that DNS has; a longer one would only make the search for wildcards dear.
    let longest = format!("{}a", "a.".repeat(126));
    assert_eq!(normal(&format!("{longest}.:80")).as_deref(), Some(&*longest));
    assert_eq!(normal(&format!("{longest}a")), None);
}

//! What an OpenID provider says of itself beside where its keys are (OpenID Connect Discovery 1.0 section 3).

use serde_json::Value;

use crate::jose::parse_object;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    pub authorization_endpoint: Option<Box<str>>,
    pub token_endpoint: Option<Box<str>>,
    pub userinfo_endpoint: Option<Box<str>>,
    pub end_session_endpoint: Option<Box<str>>,
    /// Its answers say who gave them (RFC 9207 section 3).
    pub names_itself: bool,
}

impl Provider {
    /// Reads a discovery document. `secure`: it came over https, so nothing in it may lead to where it does not.
    pub fn parse(text: &[u8], secure: bool) -> Option<Self> {
        let document = parse_object(text).ok()?;
        let endpoint = |name: &str| {
            let url = document.get(name).and_then(Value::as_str)?;
            (is_url(url, secure)).then(|| url.into())
        };
        Some(Self {
            authorization_endpoint: endpoint("authorization_endpoint"),
            token_endpoint: endpoint("token_endpoint"),
            userinfo_endpoint: endpoint("userinfo_endpoint"),
            end_session_endpoint: endpoint("end_session_endpoint"),
            names_itself: document.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
        })
    }
}

fn is_url(text: &str, secure: bool) -> bool {
    let scheme = text.starts_with("https://") || (!secure && text.starts_with("http://"));
    scheme && text.len() <= 2048 && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Scheme, host and port of a URL, and what follows them.
pub fn split_url(url: &str) -> Option<(&str, &str)> {
    let host = url.find("://")? + 3;
    let end = url[host..].find(['/', '?']).map_or(url.len(), |at| host + at);
    Some(url.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_and_never_lead_away_from_https() {
        for (endpoint, secure, good) in [
            ("https://a.example/authorize?x=1", true, true),
            ("http://a.example/authorize", true, false),
            ("http://a.example/authorize", false, true),
            ("javascript:alert(1)", false, false),
            ("https://a.example/a\\r\\nx: y", true, false),
            ("https://a.example/a b", true, false),
            ("/authorize", false, false),
        ] {
            let text = format!(r#"{{"authorization_endpoint":"{endpoint}"}}"#);
            let parsed = Provider::parse(text.as_bytes(), secure).unwrap();
            assert_eq!(parsed.authorization_endpoint.is_some(), good, "{endpoint}");
        }
        assert!(Provider::parse(b"<html>", true).is_none());
        assert!(
            Provider::parse(br#"{"authorization_response_iss_parameter_supported":true}"#, true).unwrap().names_itself
        );
    }

    #[test]
    fn a_url_is_split_behind_its_port() {
        for (url, parts) in [
            ("https://a.example:8443/token?x", Some(("https://a.example:8443", "/token?x"))),
            ("https://a.example", Some(("https://a.example", ""))),
            ("token", None),
        ] {
            assert_eq!(split_url(url), parts);
        }
    }
}

//! A token taken apart, before anything in it is believed.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Refused;
use super::algorithm::Algorithm;
use super::base64url;
use super::json::{self, JsonError};
use crate::claims::{Claim, Claims};

/// Of an RSA key of 8192 bits.
pub const MAX_SIGNATURE_BYTES: usize = 1024;

/// What the header says that matters. `jku`, `x5u`, `jwk` and `x5c` do not: keys come from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub algorithm: Algorithm,
    pub kid: Option<String>,
    pub typ: Option<String>,
}

/// The header of the token before: those of one issuer are the same, letter by letter.
#[derive(Debug, Default)]
pub struct KnownHeader {
    known: Option<(Box<[u8]>, Arc<Header>)>,
    /// Memory for claims as text.
    scratch: Vec<u8>,
}

/// A longer one is not kept.
const KEPT_HEADER_BYTES: usize = 1024;

impl KnownHeader {
    fn parse(&mut self, part: &[u8]) -> Result<Arc<Header>, Refused> {
        if let Some((known, header)) = &self.known
            && **known == *part
        {
            return Ok(header.clone());
        }
        let header = Arc::new(Header::parse(part)?);
        if part.len() <= KEPT_HEADER_BYTES {
            self.known = Some((part.into(), header.clone()));
        }
        Ok(header)
    }
}

#[derive(Debug, Clone)]
pub struct Token<'a> {
    pub header: Arc<Header>,
    pub claims: Claims,
    /// The bytes that are signed: header and claims as they came.
    pub signed: &'a [u8],
    pub signature: Vec<u8>,
}

impl<'a> Token<'a> {
    /// Takes a token apart that is at most as long as the caller allows.
    pub fn parse(text: &'a [u8]) -> Result<Self, Refused> {
        Self::parse_with(text, &mut KnownHeader::default())
    }

    /// As [`Token::parse`], by one who sees many tokens.
    pub fn parse_with(text: &'a [u8], known: &mut KnownHeader) -> Result<Self, Refused> {
        let mut parts = text.split(|byte| *byte == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused::NotThreeParts);
        };
        let signed = &text[..header.len() + 1 + claims.len()];
        let header = known.parse(header)?;
        if !base64url::decode_into(claims, &mut known.scratch) {
            return Err(Refused::BadBase64);
        }
        let claims = json::parse_claims(&known.scratch).map_err(|error| refused(error, Refused::BadClaims))?;
        let signature = base64url::decode(signature).ok_or(Refused::BadBase64)?;
        if signature.is_empty() || signature.len() > MAX_SIGNATURE_BYTES {
            return Err(Refused::BadSignature);
        }
        Ok(Self { header, claims, signed, signature })
    }

    /// The issuer that the token claims to be of, to choose whose keys it is checked with.
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Claim::as_str)
    }
}

impl Header {
    fn parse(part: &[u8]) -> Result<Self, Refused> {
        let bytes = base64url::decode(part).ok_or(Refused::BadBase64)?;
        let header = json::parse_object(&bytes).map_err(|error| refused(error, Refused::BadHeader))?;
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(Refused::CriticalExtension);
        }
        let name = header.get("alg").and_then(Value::as_str).ok_or(Refused::BadHeader)?;
        let algorithm = Algorithm::named(name).ok_or(Refused::AlgorithmNotAllowed)?;
        Ok(Self { algorithm, kid: text(&header, "kid")?, typ: text(&header, "typ")? })
    }
}

/// A member that is text, if it is there at all.
fn text(header: &Map<String, Value>, name: &str) -> Result<Option<String>, Refused> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refused::BadHeader),
    }
}

fn refused(error: JsonError, malformed: Refused) -> Refused {
    match error {
        JsonError::Duplicate => Refused::DuplicateMember,
        JsonError::Malformed => malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// base64url, for tests that need to say something wrong.
    fn encode(text: &str) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut out = String::new();
        for chunk in text.as_bytes().chunks(3) {
            let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            for index in 0..=chunk.len() {
                out.push(alphabet[(word >> (18 - 6 * index)) as usize & 63] as char);
            }
        }
        out
    }

    fn parse(header: &str, claims: &str) -> Result<Header, Refused> {
        let text = format!("{}.{}.AAAA", encode(header), encode(claims));
        Token::parse(text.as_bytes()).map(|token| Header::clone(&token.header))
    }

    #[test]
    fn the_parts_are_told_apart() {
        let text = format!("{}.{}.AAEC", encode(r#"{"alg":"ES256","kid":"a","typ":"JWT"}"#), encode(r#"{"iss":"me"}"#));
        let token = Token::parse(text.as_bytes()).unwrap();
        let header = Header { algorithm: Algorithm::Es256, kid: Some("a".into()), typ: Some("JWT".into()) };
        assert_eq!(*token.header, header);
        assert_eq!(token.issuer(), Some("me"));
        assert_eq!(token.signed, text.rsplit_once('.').unwrap().0.as_bytes());
        assert_eq!(token.signature, [0, 1, 2]);
    }

    #[test]
    fn headers_that_cannot_be_trusted_are_refused() {
        for (header, reason) in [
            (r#"{"alg":"none"}"#, Refused::AlgorithmNotAllowed),
            (r#"{"alg":"nOnE"}"#, Refused::AlgorithmNotAllowed),
            (r#"{"alg":""}"#, Refused::AlgorithmNotAllowed),
            (r#"{"alg":"rs256"}"#, Refused::AlgorithmNotAllowed),
            (r#"{"alg":["RS256"]}"#, Refused::BadHeader),
            (r#"{"alg":null}"#, Refused::BadHeader),
            (r#"{}"#, Refused::BadHeader),
            (r#"[]"#, Refused::BadHeader),
            (r#"{"alg":"RS256","alg":"none"}"#, Refused::DuplicateMember),
            (r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, Refused::CriticalExtension),
            (r#"{"alg":"RS256","crit":[]}"#, Refused::CriticalExtension),
            (r#"{"alg":"RS256","b64":true}"#, Refused::CriticalExtension),
            (r#"{"alg":"RS256","kid":1}"#, Refused::BadHeader),
            (r#"{"alg":"RS256","kid":["a"]}"#, Refused::BadHeader),
            (r#"{"alg":"RS256","typ":{}}"#, Refused::BadHeader),
        ] {
            assert_eq!(parse(header, "{}"), Err(reason), "{header}");
        }
    }

    #[test]
    fn claims_are_one_object_without_doubles() {
        for (claims, reason) in [
            ("[]", Refused::BadClaims),
            ("\"a\"", Refused::BadClaims),
            ("", Refused::BadClaims),
            ("{}{}", Refused::BadClaims),
            (r#"{"sub":"a","sub":"b"}"#, Refused::DuplicateMember),
        ] {
            assert_eq!(parse(r#"{"alg":"RS256"}"#, claims), Err(reason), "{claims}");
        }
    }

    #[test]
    fn a_token_has_three_parts_in_its_one_spelling() {
        let header = encode(r#"{"alg":"RS256"}"#);
        for (text, reason) in [
            (String::new(), Refused::NotThreeParts),
            ("a.b".into(), Refused::NotThreeParts),
            (format!("{header}.e30.AAAA.AAAA"), Refused::NotThreeParts),
            (format!("{header}.e30.AAAA.AAAA.AAAA"), Refused::NotThreeParts),
            (format!("{header}.e30."), Refused::BadSignature),
            (format!("{header}.e30.{}", "AAAA".repeat(400)), Refused::BadSignature),
            (format!("{header}.e30.AAA="), Refused::BadBase64),
            (format!("{header}.e30.AAB"), Refused::BadBase64),
            (format!("{header}.e30=.AAAA"), Refused::BadBase64),
            (format!("{header} .e30.AAAA"), Refused::BadBase64),
            (format!("{header}\n.e30.AAAA"), Refused::BadBase64),
            ("..".into(), Refused::BadHeader),
            (format!("{0}.{0}.{0}", encode(&encode(&encode("{}")))), Refused::BadHeader),
        ] {
            assert_eq!(Token::parse(text.as_bytes()).err(), Some(reason), "{text}");
        }
    }
}

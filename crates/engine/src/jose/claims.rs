//! What the claims of a token must say (RFC 7519 section 4.1).

use super::Refused;
use super::token::Header;
use crate::claims::{Claim, Claims};

/// The end of the year 9999: no later time is meant, and one in milliseconds is found out.
const LATEST_SECONDS: f64 = 253_402_300_799.0;
/// How far ahead `nbf` and `iat` may be without any leeway: the clocks of two machines are never quite the same.
const AHEAD_MS: u64 = 5_000;

/// What is demanded of the tokens of one issuer.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// Must be `iss`, where it is given.
    pub issuer: Option<Box<str>>,
    /// One of them must be in `aud`; none: `aud` does not matter.
    pub audiences: Box<[Box<str>]>,
    /// One of them must be `sub`; none: any will do.
    pub subjects: Box<[Box<str>]>,
    /// Must be there, and not null.
    pub required: Box<[Box<str>]>,
    /// One of them must be `typ`, without regard to case and `application/`; none: any will do.
    pub types: Box<[Box<str>]>,
    pub leeway_ms: u64,
    /// Longest time from `iat` to `exp`.
    pub max_lifetime_ms: Option<u64>,
    pub requires_expiry: bool,
}

/// Until when a token holds, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// `exp`.
    pub expires: Option<u64>,
    /// From here on it is refused: `exp` with the leeway.
    pub until: u64,
}

impl Expectations {
    /// Checks everything; that a token has expired is said only of one with which nothing else is wrong.
    pub fn check(&self, header: &Header, claims: &Claims, now: u64) -> Result<Validity, Refused> {
        self.check_type(header)?;
        self.check_claims(claims, now)
    }

    /// As [`Expectations::check`], of claims that came without a header: what a provider says of a token (RFC 7662).
    pub fn check_claims(&self, claims: &Claims, now: u64) -> Result<Validity, Refused> {
        self.check_parties(claims)?;
        if self.required.iter().any(|name| claims.get(name).is_none_or(Claim::is_null)) {
            return Err(Refused::MissingClaim);
        }
        self.check_times(claims, now)
    }

    fn check_type(&self, header: &Header) -> Result<(), Refused> {
        let bare = |typ: &str| typ.get(12..).filter(|_| has_prefix(typ)).unwrap_or(typ).to_ascii_lowercase();
        let is_one = |typ: &str| self.types.iter().any(|known| bare(known) == bare(typ));
        let good = self.types.is_empty() || header.typ.as_deref().is_some_and(is_one);
        if good { Ok(()) } else { Err(Refused::WrongType) }
    }

    fn check_parties(&self, claims: &Claims) -> Result<(), Refused> {
        let issuer = text(claims, "iss").map_err(|()| Refused::UnknownIssuer)?;
        if self.issuer.is_some() && self.issuer.as_deref() != issuer {
            return Err(Refused::UnknownIssuer);
        }
        let subject = text(claims, "sub").map_err(|()| Refused::WrongSubject)?;
        let is_subject = |subject: &str| self.subjects.iter().any(|known| **known == *subject);
        if !self.subjects.is_empty() && !subject.is_some_and(is_subject) {
            return Err(Refused::WrongSubject);
        }
        let is_ours = |audience: &str| self.audiences.is_empty() || self.audiences.iter().any(|own| **own == *audience);
        let meant = match claims.get("aud") {
            None => self.audiences.is_empty(),
            Some(Claim::Text(audience)) => is_ours(audience),
            // What is no text makes the whole list none.
            Some(Claim::List(list)) => {
                list.iter().all(|audience| audience.as_str().is_some())
                    && (self.audiences.is_empty() || list.iter().filter_map(Claim::as_str).any(is_ours))
            }
            Some(_) => false,
        };
        if meant { Ok(()) } else { Err(Refused::WrongAudience) }
    }

    fn check_times(&self, claims: &Claims, now: u64) -> Result<Validity, Refused> {
        let [expires, begins, issued] = [time(claims, "exp")?, time(claims, "nbf")?, time(claims, "iat")?];
        let ahead = now.saturating_add(self.leeway_ms.max(AHEAD_MS));
        if begins.is_some_and(|begins| begins > ahead) || issued.is_some_and(|issued| issued > ahead) {
            return Err(Refused::NotYetValid);
        }
        if let Some(longest) = self.max_lifetime_ms {
            let (Some(expires), Some(issued)) = (expires, issued) else { return Err(Refused::MissingClaim) };
            if expires.saturating_sub(issued) > longest {
                return Err(Refused::LivesTooLong);
            }
        }
        if expires.is_none() && self.requires_expiry {
            return Err(Refused::MissingClaim);
        }
        let until = expires.map_or(u64::MAX, |expires| expires.saturating_add(self.leeway_ms));
        if now >= until { Err(Refused::Expired) } else { Ok(Validity { expires, until }) }
    }
}

fn has_prefix(typ: &str) -> bool {
    typ.get(..12).is_some_and(|start| start.eq_ignore_ascii_case("application/"))
}

/// Text, if it is there at all.
fn text<'a>(claims: &'a Claims, name: &str) -> Result<Option<&'a str>, ()> {
    match claims.get(name) {
        None => Ok(None),
        Some(Claim::Text(text)) => Ok(Some(text)),
        Some(_) => Err(()),
    }
}

/// A NumericDate (RFC 7519 section 2) in milliseconds: seconds since the Unix epoch, perhaps with a fraction.
fn time(claims: &Claims, name: &str) -> Result<Option<u64>, Refused> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().ok_or(Refused::BadTime)?;
    if !(0.0..=LATEST_SECONDS).contains(&seconds) {
        return Err(Refused::BadTime);
    }
    // Exact: these are far below 2^53.
    Ok(Some((seconds * 1000.0) as u64))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::jose::Algorithm;

    const NOW: u64 = 1_700_000_000_000;

    fn header() -> Header {
        Header { algorithm: Algorithm::Rs256, kid: None, typ: None }
    }

    fn check(expectations: &Expectations, claims: Value) -> Result<Validity, Refused> {
        expectations.check(&header(), &claims.as_object().unwrap().into(), NOW)
    }

    fn texts(texts: &[&str]) -> Box<[Box<str>]> {
        texts.iter().map(|text| Box::from(*text)).collect()
    }

    #[test]
    fn a_time_is_a_number_of_seconds() {
        let good = |expires| Ok(Validity { expires: Some(expires), until: expires });
        for (exp, outcome) in [
            (json!(1_700_000_001), good(NOW + 1000)),
            (json!(1_700_000_000.5), good(NOW + 500)),
            (json!(253_402_300_799u64), good(253_402_300_799_000)),
            (json!(1_700_000_000), Err(Refused::Expired)),
            (json!(1_699_999_999.999), Err(Refused::Expired)),
            (json!(0), Err(Refused::Expired)),
            (json!(-1), Err(Refused::BadTime)),
            (json!(-0.5), Err(Refused::BadTime)),
            (json!(1_700_000_001_000u64), Err(Refused::BadTime)), // milliseconds
            (json!(u64::MAX), Err(Refused::BadTime)),
            (json!(i64::MIN), Err(Refused::BadTime)),
            (json!(1e300), Err(Refused::BadTime)),
            (json!("1700000001"), Err(Refused::BadTime)),
            (json!(null), Err(Refused::BadTime)),
            (json!(true), Err(Refused::BadTime)),
            (json!([1_700_000_001]), Err(Refused::BadTime)),
            (json!({}), Err(Refused::BadTime)),
        ] {
            assert_eq!(check(&Expectations::default(), json!({"exp": exp})), outcome, "{exp}");
        }
        for name in ["nbf", "iat"] {
            for value in [json!("1"), json!(null), json!({}), json!(-1), json!(1e20)] {
                assert_eq!(check(&Expectations::default(), json!({name: value})), Err(Refused::BadTime), "{name}");
            }
        }
    }

    #[test]
    fn leeway_moves_both_ends() {
        let strict = Expectations::default();
        let lenient = Expectations { leeway_ms: 60_000, ..Expectations::default() };
        for (claims, by_strict, by_lenient) in [
            (json!({"exp": 1_700_000_000 - 59}), Some(Refused::Expired), None),
            (json!({"exp": 1_700_000_000 - 60}), Some(Refused::Expired), Some(Refused::Expired)),
            (json!({"nbf": 1_700_000_005}), None, None),
            (json!({"nbf": 1_700_000_006}), Some(Refused::NotYetValid), None),
            (json!({"iat": 1_700_000_060}), Some(Refused::NotYetValid), None),
            (json!({"iat": 1_700_000_061}), Some(Refused::NotYetValid), Some(Refused::NotYetValid)),
        ] {
            assert_eq!(check(&strict, claims.clone()).err(), by_strict, "{claims}");
            assert_eq!(check(&lenient, claims.clone()).err(), by_lenient, "{claims}");
        }
    }

    #[test]
    fn a_lifetime_is_bounded_by_both_its_ends() {
        let hour = Expectations { max_lifetime_ms: Some(3_600_000), ..Expectations::default() };
        assert!(check(&hour, json!({"iat": 1_700_000_000, "exp": 1_700_003_600})).is_ok());
        let long = check(&hour, json!({"iat": 1_700_000_000, "exp": 1_700_003_601}));
        assert_eq!(long, Err(Refused::LivesTooLong));
        assert_eq!(check(&hour, json!({"exp": 1_700_000_001})), Err(Refused::MissingClaim));
        assert_eq!(check(&hour, json!({"iat": 1_700_000_001})), Err(Refused::MissingClaim));
    }

    #[test]
    fn an_expiry_may_be_demanded() {
        let demanding = Expectations { requires_expiry: true, ..Expectations::default() };
        assert_eq!(check(&demanding, json!({})), Err(Refused::MissingClaim));
        assert_eq!(check(&Expectations::default(), json!({})), Ok(Validity { expires: None, until: u64::MAX }));
    }

    #[test]
    fn the_audience_must_be_ours() {
        let ours = Expectations { audiences: texts(&["orders", "carts"]), ..Expectations::default() };
        for (aud, by_ours, by_any) in [
            (json!("orders"), true, true),
            (json!(["x", "carts"]), true, true),
            (json!("Orders"), false, true),
            (json!(["x"]), false, true),
            (json!([]), false, true),
            (json!(["orders", 1]), false, false),
            (json!({"orders": true}), false, false),
            (json!(1), false, false),
            (json!(null), false, false),
        ] {
            assert_eq!(check(&ours, json!({"aud": aud})).is_ok(), by_ours, "{aud}");
            assert_eq!(check(&Expectations::default(), json!({"aud": aud})).is_ok(), by_any, "{aud}");
        }
        assert_eq!(check(&ours, json!({})), Err(Refused::WrongAudience));
    }

    #[test]
    fn issuer_subject_and_claims_must_be_as_demanded() {
        let strict = Expectations {
            issuer: Some("me".into()),
            subjects: texts(&["a"]),
            required: texts(&["tenant"]),
            ..Expectations::default()
        };
        for (claims, refused) in [
            (json!({"iss": "me", "sub": "a", "tenant": 0}), None),
            (json!({"iss": "you", "sub": "a", "tenant": 0}), Some(Refused::UnknownIssuer)),
            (json!({"iss": ["me"], "sub": "a", "tenant": 0}), Some(Refused::UnknownIssuer)),
            (json!({"sub": "a", "tenant": 0}), Some(Refused::UnknownIssuer)),
            (json!({"iss": "me", "sub": "b", "tenant": 0}), Some(Refused::WrongSubject)),
            (json!({"iss": "me", "sub": 1, "tenant": 0}), Some(Refused::WrongSubject)),
            (json!({"iss": "me", "tenant": 0}), Some(Refused::WrongSubject)),
            (json!({"iss": "me", "sub": "a", "tenant": null}), Some(Refused::MissingClaim)),
            (json!({"iss": "me", "sub": "a"}), Some(Refused::MissingClaim)),
        ] {
            assert_eq!(check(&strict, claims.clone()).err(), refused, "{claims}");
        }
    }

    #[test]
    fn the_type_compares_as_a_media_type() {
        let access = Expectations { types: texts(&["at+jwt"]), ..Expectations::default() };
        for (typ, good) in [
            (Some("at+jwt"), true),
            (Some("AT+JWT"), true),
            (Some("application/at+jwt"), true),
            (Some("Application/AT+jwt"), true),
            (Some("JWT"), false),
            (Some("applicatiön/at+jwt"), false),
            (None, false),
        ] {
            let header = Header { typ: typ.map(str::to_owned), ..header() };
            assert_eq!(access.check(&header, &Claims::default(), NOW).is_ok(), good, "{typ:?}");
        }
    }
}

//! Signed tokens: JWS in compact form (RFC 7515), keys (RFC 7517), algorithms (RFC 7518, 8037) and claims (RFC 7519).
//!
//! Everything here is a pure function of its input: no clock, no network, no state. It follows RFC 8725: the verifier names the
//! algorithms, a key serves only its own family, and nothing that a token says about where its key might be found is followed.
//! Where the RFCs let a recipient be lenient (duplicate members, unused bits), this one refuses.

mod algorithm;
mod base64url;
mod claims;
mod json;
mod jwk;
mod key;
mod keys;
mod pem;
mod token;

pub use algorithm::{Algorithm, Family};
pub use base64url::decode;
pub use claims::{Expectations, Validity};
pub(crate) use json::{parse_claims, parse_object};
pub use jwk::{KeysError, parse_jwks};
pub use key::VerifyingKey;
pub use keys::{Found, KeyRing};
pub use pem::parse_pem;
pub use token::{Header, KnownHeader, MAX_SIGNATURE_BYTES, Token};

/// Why a token is not accepted. The words go into the log, so none of them may quote the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    TooLong,
    NotThreeParts,
    BadBase64,
    BadHeader,
    BadClaims,
    /// A member comes twice, in the header or in the claims.
    DuplicateMember,
    /// `crit` or `b64`: extensions that nobody here knows (RFC 7515 section 4.1.11, RFC 7797).
    CriticalExtension,
    AlgorithmNotAllowed,
    WrongType,
    UnknownKey,
    BadSignature,
    UnknownIssuer,
    WrongAudience,
    WrongSubject,
    MissingClaim,
    /// `exp`, `nbf` or `iat` is not a number, or none that can be a time.
    BadTime,
    NotYetValid,
    LivesTooLong,
    Expired,
}

impl Refused {
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "the token is too long",
            Self::NotThreeParts => "the token does not have three parts",
            Self::BadBase64 => "a part of the token is not base64url",
            Self::BadHeader => "the header of the token is not valid",
            Self::BadClaims => "the claims of the token are not a JSON object",
            Self::DuplicateMember => "a member of the token comes twice",
            Self::CriticalExtension => "the token asks for an extension",
            Self::AlgorithmNotAllowed => "the algorithm is not allowed",
            Self::WrongType => "the type of the token is not allowed",
            Self::UnknownKey => "no key fits the token",
            Self::BadSignature => "the signature does not verify",
            Self::UnknownIssuer => "the issuer is not known",
            Self::WrongAudience => "the token is for another audience",
            Self::WrongSubject => "the subject is not allowed",
            Self::MissingClaim => "a required claim is missing",
            Self::BadTime => "a time of the token is not valid",
            Self::NotYetValid => "the token is not valid yet",
            Self::LivesTooLong => "the token lives longer than allowed",
            Self::Expired => "the token has expired",
        }
    }
}

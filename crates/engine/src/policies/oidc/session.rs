//! A session: the tokens of one login, as they travel in a cookie and as requests use them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base64;
use crate::claims::Claims;
use crate::identity::Identity;
use crate::jose;
use crate::policies::generations::Generations;

/// What one worker keeps open; each takes about four times the length of its cookie.
const MOST_OPEN: usize = 1024;

/// What a session's cookie holds. Times are seconds since the Unix epoch.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// Names the session; random.
    pub(super) id: String,
    pub(super) began: u64,
    pub(super) id_token: String,
    /// Only where it goes to the service.
    pub(super) access_token: Option<String>,
    pub(super) refresh_token: Option<String>,
    /// When the access token expires, as far as the provider told.
    pub(super) access_until: Option<u64>,
    /// From when on it is renewed.
    pub(super) renew_from: Option<u64>,
    /// A JSON object: what the provider tells of the user beside the id_token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) userinfo: Option<String>,
}

/// What is kept while the user is at the provider.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    pub(super) state: String,
    pub(super) nonce: String,
    /// Of PKCE (RFC 7636).
    pub(super) verifier: String,
    pub(super) redirect_uri: String,
    /// Where the user wanted to go: a path of this origin.
    pub(super) target: String,
    pub(super) began: u64,
}

/// When a session was last used.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) at: u64,
}

/// A session that was opened.
pub(super) struct Session {
    pub(super) kept: Kept,
    /// What its cookie said of its last use; 0 for none.
    pub(super) seen: u64,
    pub(super) identity: Arc<Identity>,
}

/// Sessions that were opened before, by the policy and the text of their cookies. Only what a gateway has made gets in.
pub struct OpenSessions(Generations<Box<[u8]>, Arc<Session>>);

impl Default for OpenSessions {
    fn default() -> Self {
        Self(Generations::new(MOST_OPEN))
    }
}

impl OpenSessions {
    pub(super) fn get(&mut self, key: &[u8]) -> Option<Arc<Session>> {
        self.0.get(key).cloned()
    }

    pub(super) fn insert(&mut self, key: Box<[u8]>, session: Arc<Session>) {
        self.0.insert(key, session);
    }
}

/// All claims of a session: those of the id_token, and what was told beside it.
pub(super) fn all_claims(kept: &Kept) -> Option<Claims> {
    let claims = claims(&kept.id_token)?;
    let more = kept.userinfo.as_ref().and_then(|text| jose::parse_claims(text.as_bytes()).ok());
    Some(more.map_or_else(|| claims.clone(), |more| claims.with(&more)))
}

/// The claims of a token that was verified when it came.
pub(super) fn claims(token: &str) -> Option<Claims> {
    let payload = jose::decode(token.split('.').nth(1)?.as_bytes())?;
    jose::parse_claims(&payload).ok()
}

/// Text that nobody can guess: 256 bits.
pub(super) fn random_text() -> String {
    let mut random = [0; 32];
    getrandom::fill(&mut random).expect("a system without random bytes cannot do TLS either");
    base64::url(&random)
}

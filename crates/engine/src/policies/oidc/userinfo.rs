//! What the provider tells of a user beside the id_token (OpenID Connect Core 1.0 section 5.3).

use std::rc::Rc;

use bytes::Bytes;
use serde_json::Value;

use super::Oidc;
use super::provider::{MOST_BYTES, Unmet};
use crate::claims::{Claim, Claims};
use crate::head::Head;
use crate::jose::parse_object;
use crate::snapshot::Pinned;
use crate::upstream::fetch::{Errand, Fetched, fetch};
use crate::worker::Worker;

impl Oidc {
    /// The claims that the id_token does not have, as text for the session; `None`: the document does not ask for any.
    pub(super) async fn userinfo(
        &self,
        worker: &Rc<Worker>,
        snapshot: &Pinned,
        access_token: Option<&str>,
        id_claims: &Claims,
    ) -> Result<Option<String>, Unmet> {
        let Some(endpoint) = &self.userinfo else { return Ok(None) };
        let unavailable = |why: String| Unmet::Unavailable(format!("userinfo: {why}"));
        let token = access_token.ok_or_else(|| unavailable("the provider's answer has no access_token".into()))?;
        let target = endpoint.target(self.keys.provider().and_then(|provider| provider.userinfo_endpoint.clone()))?;
        let mut head = Head::default();
        head.add(b"authorization", format!("Bearer {token}").as_bytes());
        head.add(b"accept", b"application/json");
        let errand = Errand {
            service: endpoint.service,
            method: b"GET",
            target: target.as_bytes(),
            host: &endpoint.host,
            head,
            body: Bytes::new(),
            deadline: worker.now().saturating_add(self.options.timeout_ms),
            most_bytes: MOST_BYTES,
        };
        match fetch(worker, snapshot, errand).await {
            Ok(Fetched { status: 200, body, .. }) => more(&body, id_claims).map(Some),
            Ok(Fetched { status, .. }) => Err(unavailable(format!("the provider answered {status}"))),
            Err(failure) => Err(unavailable(failure.to_string())),
        }
    }
}

/// What an answer says beside the id_token. The id_token is signed, so what both speak of is as that has it.
fn more(answer: &[u8], id_claims: &Claims) -> Result<String, Unmet> {
    let unreadable = |_| Unmet::Unavailable("userinfo: the provider's answer is no JSON object".into());
    let mut claims = parse_object(answer).map_err(unreadable)?;
    // Section 5.3.2: who answers with another user's claims was made to, or is not the provider.
    let subject = claims.get("sub").and_then(Value::as_str).filter(|subject| !subject.is_empty());
    if subject.is_none() || subject != id_claims.get("sub").and_then(Claim::as_str) {
        return Err(Unmet::Denied("userinfo: it is of another user".into()));
    }
    claims.retain(|name, _| id_claims.get(name).is_none() && !PROTOCOL.contains(&name.as_str()));
    Ok(Value::Object(claims).to_string())
}

/// Claims about a token and not about its user: an answer without a signature says none of them.
const PROTOCOL: [&str; 13] =
    ["iss", "aud", "exp", "iat", "nbf", "jti", "nonce", "auth_time", "acr", "amr", "azp", "at_hash", "sid"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::parse_claims;

    fn object(text: &str) -> Claims {
        parse_claims(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_it_says_is_taken_only_of_the_same_user_and_only_beside_the_id_token() {
        let id = object(r#"{"sub":"ann","email":"a@b.example","iss":"x"}"#);
        for (answer, taken) in [
            (r#"{"sub":"ann","name":"Ann"}"#, Some(r#"{"name":"Ann"}"#)),
            (r#"{"sub":"ann","email":"other@b.example","exp":1,"acr":"high"}"#, Some("{}")),
            (r#"{"sub":"bob","name":"Bob"}"#, None),
            (r#"{"name":"Bob"}"#, None),
            (r#"{"sub":1,"name":"Bob"}"#, None),
            (r#"["sub"]"#, None),
            ("", None),
        ] {
            assert_eq!(more(answer.as_bytes(), &id).ok().as_deref(), taken, "{answer}");
        }
        assert!(more(br#"{"sub":""}"#, &object(r#"{"sub":""}"#)).is_err());
    }
}

//! Texts that must not be seen.

use std::fmt;
use std::ops::Deref;

use serde::Deserialize;

/// A text that is a secret, or may be one since the document can fill it in from the environment or a file.
///
/// Whatever prints a plan, prints this in its place.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Deref for Secret {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use crate::plan;

    /// How a part of the plan prints itself.
    fn printed<T: DeserializeOwned + std::fmt::Debug>(part: Value) -> String {
        format!("{:?}", serde_json::from_value::<T>(part).unwrap())
    }

    #[test]
    fn nothing_that_prints_a_plan_prints_a_secret() {
        let text = |text: &str| json!([{"text": text}]);
        let certificate = json!({"certificate": "c", "key": "hush"});
        for printed in [
            printed::<plan::CertifiedKey>(certificate.clone()),
            printed::<plan::UpstreamTls>(
                json!({"verify": true, "ca": null, "server_name": "a", "client": certificate}),
            ),
            printed::<plan::Redis>(json!({
                "nodes": ["a:1"], "cluster": false, "tls": null, "username": "u", "password": "hush", "database": 0,
                "prefix": "p", "timeout_ms": 1
            })),
            printed::<plan::Consumer>(json!({
                "name": "a", "enabled": true, "tier": null, "tags": [], "policies": [], "keys": ["hush"], "certificates": [],
                "basic": [{"username": "u", "password_hash": "hush"}]
            })),
            printed::<plan::CsrfToken>(json!({"secret": "hush", "cookie": "c", "header": "h", "session_cookie": null})),
            printed::<plan::IntrospectionClient>(json!({"basic": {"id": "a", "secret": "hush"}})),
            printed::<plan::IntrospectionClient>(json!({"post": {"id": "a", "secret": "hush"}})),
            printed::<plan::IntrospectionClient>(json!({"bearer": {"token": "hush"}})),
            printed::<plan::IssuerKeys>(json!({"secret": "hush"})),
            printed::<plan::IssuerKeys>(json!({"jwks": "hush"})),
            printed::<plan::OidcClient>(json!({"basic": "hush"})),
            printed::<plan::OidcClient>(json!({"post": "hush"})),
            printed::<plan::OidcClient>(json!({"key": "hush"})),
            printed::<plan::SigningKeys>(json!({"given": ["hush"]})),
            printed::<plan::HeaderValue>(json!({"name": "authorization", "value": text("hush")})),
            printed::<plan::ValueMatch>(json!({"exact": "hush"})),
        ] {
            assert!(printed.contains("(redacted)") && !printed.contains("hush"), "{printed}");
        }
    }
}

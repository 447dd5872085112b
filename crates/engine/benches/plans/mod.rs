//! Plans that more than one bench compiles.

use tidegate_engine::plan;

/// Tokens of one issuer, with three header lines for the service.
pub fn jwt(algorithm: &str, audiences: &[&str], keys: plan::IssuerKeys) -> plan::Jwt {
    plan::Jwt {
        issuers: vec![plan::TokenIssuer {
            issuer: Some("https://auth.example.com".into()),
            algorithms: vec![algorithm.into()],
            audiences: audiences.iter().map(|audience| (*audience).into()).collect(),
            subjects: vec![],
            required_claims: vec![],
            types: vec![],
            leeway_ms: 0,
            max_lifetime_ms: None,
            requires_expiry: true,
            keys,
        }],
        token: vec![plan::TokenPlace::Authorization],
        max_token_bytes: 8192,
        optional: false,
        forward_token: false,
        claims_to_headers: [("sub", "x-user-id"), ("roles", "x-user-roles"), ("email", "x-user-email")]
            .map(|(claim, header)| plan::ClaimToHeader { claim: vec![claim.into()], header: header.into() })
            .into(),
        subject_claim: vec!["sub".into()],
        consumer_claim: None,
        realm: "api".into(),
    }
}

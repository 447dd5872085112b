//! Header lines for the service out of claims, made once for each credential.

use crate::identity::{Identity, Lines, write_claim};
use crate::plan;

/// About what a line takes.
const LINE_BYTES: usize = 40;

/// Which claim goes into which header, compiled.
#[derive(Debug, Default)]
pub struct ClaimsToHeaders(Box<[Entry]>);

#[derive(Debug)]
struct Entry {
    /// The path of the claim.
    claim: Box<[Box<str>]>,
    header: Box<[u8]>,
}

impl ClaimsToHeaders {
    pub fn compile(plan: &[plan::ClaimToHeader]) -> Self {
        let entry = |entry: &plan::ClaimToHeader| Entry {
            claim: entry.claim.iter().map(|name| name.as_str().into()).collect(),
            header: entry.header.as_bytes().into(),
        };
        Self(plan.iter().map(entry).collect())
    }

    /// Tells the headers that only the gateway may set.
    pub fn own(&self, names: &mut Vec<Box<[u8]>>) {
        names.extend(self.0.iter().map(|entry| entry.header.clone()));
    }

    /// The lines for a credential. A claim that is not there, or empty, makes none.
    pub fn lines(&self, identity: &Identity) -> Lines {
        if self.0.is_empty() {
            return Lines::default();
        }
        let mut lines = Lines::with_capacity(self.0.len(), self.0.len() * LINE_BYTES);
        for Entry { claim, header } in &self.0 {
            if let Some(claim) = identity.claim(claim) {
                lines.write(header, |out| write_claim(claim, out));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_makes_one_line_or_none() {
        let entry = |claim: &str, header: &str| plan::ClaimToHeader {
            claim: claim.split('.').map(str::to_owned).collect(),
            header: header.to_owned(),
        };
        let plan = [
            entry("sub", "x-user-id"),
            entry("roles", "x-user-roles"),
            entry("realm.tenant", "x-tenant"),
            entry("missing", "x-missing"),
            entry("empty", "x-empty"),
            entry("evil", "x-evil"),
        ];
        let compiled = ClaimsToHeaders::compile(&plan);
        let claims = serde_json::json!({
            "sub": "ann", "roles": ["a", "b"], "realm": {"tenant": 7}, "empty": " ", "evil": "x\r\nx-user-id: root\0",
        });
        let claims = claims.as_object().unwrap().into();
        let lines = compiled.lines(&Identity { claims, ..Identity::default() });
        let lines: Vec<_> =
            lines.iter().map(|(name, value)| (String::from_utf8_lossy(name), String::from_utf8_lossy(value))).collect();
        let expected = [
            ("x-user-id", "ann"),
            ("x-user-roles", "a,b"),
            ("x-tenant", "7"),
            ("x-evil", "x\u{fffd}\u{fffd}x-user-id: root\u{fffd}"),
        ];
        assert_eq!(lines, expected.map(|(name, value)| (name.into(), value.into())));
        let mut owned = Vec::new();
        compiled.own(&mut owned);
        assert_eq!(owned.len(), plan.len());
    }
}

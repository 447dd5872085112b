//! Text with references.

use serde::Deserialize;

use super::Secret;

/// Text with references: `user:{path.id}`. Escapes are resolved; a text without references is one `text` part.
pub type Template = Vec<Part>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    Text(Secret),
    Reference(Reference),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reference {
    /// `{path.x}`: a capture of the route's path.
    Path(String),
    /// `{query.x}`: the first value, decoded.
    Query(String),
    /// `{header.x}`, lower case.
    Header(String),
    /// `{cookie.x}`
    Cookie(String),
    /// `{claims.a.b}`: of the identity, by path.
    Claims(Vec<String>),
    /// `{consumer.name}`
    ConsumerName,
    /// `{consumer.tier}`
    ConsumerTier,
    /// `{consumer.tags}`, joined by comma.
    ConsumerTags,
    /// `{identity.subject}`
    IdentitySubject,
    /// `{identity.method}`: the policy that proved it.
    IdentityMethod,
    /// `{client.ip}`
    ClientIp,
    /// `{route.name}`
    RouteName,
    /// `{service.name}`
    ServiceName,
    /// `{request.id}`
    RequestId,
    /// `{request.method}`
    RequestMethod,
    /// `{request.path}`: the normal form.
    RequestPath,
    /// `{request.query}`: as sent, without the `?`.
    RequestQuery,
    /// `{request.host}`: lower case, without port.
    RequestHost,
    /// `{request.scheme}`: `http` or `https`.
    RequestScheme,
}

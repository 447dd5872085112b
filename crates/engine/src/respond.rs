//! Every refusal and failure, as one problem document (RFC 9457).
//!
//! A [`Failure`] is small and typed. It becomes an answer in one place, here, and is counted and logged by its [`Code`].

use std::fmt;

/// Who is at fault. Only upstream failures count against a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Gateway,
    Upstream,
}

macro_rules! codes {
    ($($name:ident = $word:literal, $status:literal, $side:ident, $title:literal;)*) => {
        /// The stable words for every answer that the gateway makes itself.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Code { $($name,)* }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            pub fn word(self) -> &'static str { match self { $(Code::$name => $word,)* } }
            pub fn status(self) -> u16 { match self { $(Code::$name => $status,)* } }
            pub fn side(self) -> Side { match self { $(Code::$name => Side::$side,)* } }
            pub fn title(self) -> &'static str { match self { $(Code::$name => $title,)* } }
        }
    };
}

codes! {
    // The request could not be understood, or is more than we take.
    MalformedRequest = "malformed_request", 400, Client, "The request is not valid HTTP";
    BadPath = "bad_path", 400, Client, "The path is not valid";
    BadHost = "bad_host", 400, Client, "The Host is not valid";
    BadFraming = "bad_framing", 400, Client, "The length of the request body is ambiguous";
    PlainHttpOnTls = "plain_http_on_tls", 400, Client, "This port takes HTTPS, and got plain HTTP";
    BadBody = "bad_body", 400, Client, "The request body is not framed as it says";
    BadContent = "bad_content", 400, Client, "The content of the request body is not valid";
    HeadTimeout = "head_timeout", 408, Client, "The request took too long to arrive";
    BodyTimeout = "body_timeout", 408, Client, "The request body took too long to arrive";
    BodyTooLarge = "body_too_large", 413, Client, "The request body is too large";
    TargetTooLong = "target_too_long", 414, Client, "The request target is too long";
    ExpectationFailed = "expectation_failed", 417, Client, "The expectation cannot be met";
    HeadTooLarge = "head_too_large", 431, Client, "The request head is too large";
    TooManyFields = "too_many_fields", 431, Client, "The request has too many header fields";
    UnsupportedVersion = "unsupported_version", 505, Client, "The HTTP version is not supported";
    ConnectRefused = "connect_refused", 405, Client, "This gateway does not tunnel with CONNECT";
    DeadlineExceeded = "deadline_exceeded", 504, Client, "The caller's own time is over";
    ClientGone = "client_gone", 499, Client, "The client left before the answer";
    // The gateway decided.
    NoRoute = "no_route", 404, Gateway, "No route matches the request";
    MethodNotAllowed = "method_not_allowed", 405, Gateway, "The method is not allowed here";
    IdempotencyKeyMissing = "idempotency_key_missing", 400, Gateway, "The idempotency key is missing";
    IdempotencyKeyInvalid = "idempotency_key_invalid", 400, Gateway, "The idempotency key is not valid";
    IdempotencyKeyInUse = "idempotency_key_in_use", 409, Gateway, "A request with this idempotency key is under way";
    IdempotencyAnswerNotKept = "idempotency_answer_not_kept", 409, Gateway, "The request was carried out, and its answer is not kept";
    InvalidRequest = "invalid_request", 422, Client, "The request is not what the handler takes";
    IdempotencyKeyReused = "idempotency_key_reused", 422, Gateway, "The idempotency key was used for another request";
    IdempotencyUnavailable = "idempotency_unavailable", 503, Gateway, "Idempotency keys cannot be checked at present";
    MissingVersion = "missing_version", 400, Gateway, "The request names no version of the API";
    UnknownVersion = "unknown_version", 400, Gateway, "There is no such version of the API";
    VersionNotAcceptable = "version_not_acceptable", 406, Gateway, "No version of the API is accepted";
    VersionGone = "version_gone", 410, Gateway, "This version of the API has ended";
    MissingToken = "missing_token", 401, Gateway, "Missing authentication token";
    TokenExpired = "token_expired", 401, Gateway, "Token expired";
    InvalidToken = "invalid_token", 401, Gateway, "Invalid token";
    MissingCredentials = "missing_credentials", 401, Gateway, "Missing credentials";
    InvalidCredentials = "invalid_credentials", 401, Gateway, "Invalid credentials";
    Forbidden = "forbidden", 403, Gateway, "The caller may not do this";
    AddressDenied = "address_denied", 403, Gateway, "The address may not call this";
    CsrfFailed = "csrf_failed", 403, Gateway, "The request did not come from a trusted page";
    RateLimited = "rate_limited", 429, Gateway, "Too many requests";
    QuotaExceeded = "quota_exceeded", 429, Gateway, "The quota is used up";
    TooManyConcurrent = "too_many_concurrent", 429, Gateway, "Too many requests at the same time";
    AuthenticationUnavailable = "authentication_unavailable", 503, Gateway, "The credentials cannot be checked at present";
    LimitsUnavailable = "limits_unavailable", 503, Gateway, "The limits cannot be checked at present";
    FaultInjected = "fault_injected", 503, Gateway, "A fault was injected on purpose";
    Overloaded = "overloaded", 503, Gateway, "The gateway has too much to do";
    CircuitOpen = "circuit_open", 503, Gateway, "The service is not called at present, as it failed before";
    BulkheadFull = "bulkhead_full", 503, Gateway, "Too many requests to the service are under way";
    QueueTimeout = "queue_timeout", 503, Gateway, "The request waited too long for its turn";
    Timeout = "timeout", 504, Gateway, "The answer took longer than the route allows";
    HandlerFailed = "handler_failed", 500, Gateway, "The handler failed";
    HandlerOverloaded = "handler_overloaded", 503, Gateway, "Too many requests wait for handlers";
    Stopped = "stopped", 503, Gateway, "The gateway stopped";
    InternalError = "internal_error", 500, Gateway, "The gateway failed";
    NoTarget = "no_target", 503, Gateway, "No address of the service can be used at present";
    // The service failed.
    UpstreamUnresolved = "upstream_unresolved", 502, Upstream, "The service's name could not be resolved";
    UpstreamConnectFailed = "upstream_connect_failed", 502, Upstream, "The service could not be reached";
    UpstreamConnectTimeout = "upstream_connect_timeout", 504, Upstream, "The service could not be reached in time";
    UpstreamTlsFailed = "upstream_tls_failed", 502, Upstream, "The service could not be verified";
    UpstreamReset = "upstream_reset", 502, Upstream, "The service broke the connection";
    UpstreamClosed = "upstream_closed", 502, Upstream, "The service closed the connection before its answer";
    UpstreamMalformed = "upstream_malformed", 502, Upstream, "The service's answer is not valid HTTP";
    UpstreamHeadTooLarge = "upstream_head_too_large", 502, Upstream, "The head of the service's answer is too large";
    UpstreamBodyTooLarge = "upstream_body_too_large", 502, Upstream, "The service's answer is too large";
    CallFailed = "call_failed", 502, Upstream, "A service answered with an error";
    UpstreamTimeout = "upstream_timeout", 504, Upstream, "The service took too long";
    UpstreamFirstByteTimeout = "upstream_first_byte_timeout", 504, Upstream, "The service took too long to begin its answer";
    UpstreamTryTimeout = "upstream_try_timeout", 504, Upstream, "One attempt at the service took too long";
    UpstreamWriteTimeout = "upstream_write_timeout", 504, Upstream, "The service took too long to take the request";
    // A composition lacks a part that it cannot do without.
    ComposeFailed = "compose_failed", 502, Upstream, "A call that the answer needs failed";
    ComposeTimeout = "compose_timeout", 504, Upstream, "A call that the answer needs took too long";
}

/// Why an exchange cannot go on. `detail` is for the log only: it may name internal addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: Code,
    pub detail: Option<Box<str>>,
}

impl Failure {
    pub fn with(code: Code, detail: impl fmt::Display) -> Self {
        Self { code, detail: Some(detail.to_string().into_boxed_str()) }
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self { code, detail: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => write!(formatter, "{}: {detail}", self.code.word()),
            None => formatter.write_str(self.code.word()),
        }
    }
}

impl std::error::Error for Failure {}

/// Writes the problem document of a code; `id` is the request's, where it has one.
pub fn write_problem(out: &mut Vec<u8>, code: Code, id: &[u8]) {
    write_problem_with(out, code, code.status(), id, b"");
}

/// As [`write_problem`], with another status than the code's own, and with these members more; each has a comma before it.
pub fn write_problem_with(out: &mut Vec<u8>, code: Code, status: u16, id: &[u8], members: &[u8]) {
    out.extend_from_slice(b"{\"type\":\"/errors/");
    out.extend_from_slice(code.word().as_bytes());
    out.extend_from_slice(b"\",\"title\":\"");
    out.extend_from_slice(code.title().as_bytes());
    out.extend_from_slice(b"\",\"status\":");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.extend_from_slice(b",\"code\":\"");
    out.extend_from_slice(code.word().as_bytes());
    if !id.is_empty() {
        out.extend_from_slice(b"\",\"request_id\":\"");
        // A request id is letters, digits, `-`, `_` and `.` by construction, so it needs no escape.
        out.extend_from_slice(id);
    }
    out.push(b'"');
    out.extend_from_slice(members);
    out.extend_from_slice(b"}\n");
}

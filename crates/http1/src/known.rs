//! Field names that some part of the gateway asks for, recognised once, while parsing.

macro_rules! known {
    ($($variant:ident = $name:literal,)+) => {
        /// A field name the gateway knows; everything else is [`Known::Other`].
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Known {
            /// A name that is not in this list.
            #[default]
            Other = 0,
            $(#[doc = concat!("`", $name, "`")] $variant,)+
        }

        impl Known {
            /// Every known name, without `Other`.
            pub const ALL: &[Known] = &[$(Known::$variant),+];

            /// The name in lower case; empty for `Other`.
            #[inline]
            pub const fn name(self) -> &'static str {
                NAMES[self as usize]
            }
        }

        const NAMES: &[&str] = &["", $($name),+];
    };
}

known! {
    Host = "host",
    Connection = "connection",
    ContentLength = "content-length",
    TransferEncoding = "transfer-encoding",
    Expect = "expect",
    Upgrade = "upgrade",
    Te = "te",
    Trailer = "trailer",
    KeepAlive = "keep-alive",
    ProxyConnection = "proxy-connection",
    ProxyAuthorization = "proxy-authorization",
    ProxyAuthenticate = "proxy-authenticate",
    Http2Settings = "http2-settings",
    Forwarded = "forwarded",
    XForwardedFor = "x-forwarded-for",
    XForwardedProto = "x-forwarded-proto",
    XForwardedHost = "x-forwarded-host",
    XForwardedPort = "x-forwarded-port",
    XRealIp = "x-real-ip",
    Via = "via",
    XRequestId = "x-request-id",
    Traceparent = "traceparent",
    Tracestate = "tracestate",
    Authorization = "authorization",
    WwwAuthenticate = "www-authenticate",
    XApiKey = "x-api-key",
    Cookie = "cookie",
    SetCookie = "set-cookie",
    ContentType = "content-type",
    ContentEncoding = "content-encoding",
    ContentRange = "content-range",
    Date = "date",
    Server = "server",
    UserAgent = "user-agent",
    Referer = "referer",
    Origin = "origin",
    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    AcceptLanguage = "accept-language",
    Location = "location",
    CacheControl = "cache-control",
    Age = "age",
    Expires = "expires",
    Etag = "etag",
    LastModified = "last-modified",
    IfMatch = "if-match",
    IfNoneMatch = "if-none-match",
    IfModifiedSince = "if-modified-since",
    IfUnmodifiedSince = "if-unmodified-since",
    IfRange = "if-range",
    Range = "range",
    Vary = "vary",
    RetryAfter = "retry-after",
    IdempotencyKey = "idempotency-key",
    AccessControlRequestMethod = "access-control-request-method",
    AccessControlRequestHeaders = "access-control-request-headers",
    SecWebsocketKey = "sec-websocket-key",
    GrpcTimeout = "grpc-timeout",
    GrpcStatus = "grpc-status",
}

const _: () = assert!(NAMES.len() <= 64, "a KnownSet has 64 bits");

const LONGEST: usize = 30;

/// Names by length: `BY_LENGTH[n]..BY_LENGTH[n + 1]` are the indices into `ORDER` of the names with `n` bytes.
const BY_LENGTH: [u8; LONGEST + 2] = by_length();
const ORDER: [Known; NAMES.len() - 1] = order();

const fn by_length() -> [u8; LONGEST + 2] {
    let mut starts = [0; LONGEST + 2];
    let mut length = 0;
    while length <= LONGEST {
        let mut count = 0;
        let mut i = 1;
        while i < NAMES.len() {
            count += (NAMES[i].len() == length) as u8;
            i += 1;
        }
        starts[length + 1] = starts[length] + count;
        length += 1;
    }
    starts
}

const fn order() -> [Known; NAMES.len() - 1] {
    let mut order = [Known::Other; NAMES.len() - 1];
    let (mut length, mut at) = (0, 0);
    while length <= LONGEST {
        let mut i = 0;
        while i < Known::ALL.len() {
            if Known::ALL[i].name().len() == length {
                order[at] = Known::ALL[i];
                at += 1;
            }
            i += 1;
        }
        length += 1;
    }
    assert!(at == order.len(), "LONGEST is the longest name");
    order
}

impl Known {
    /// Recognises a name in any case.
    #[inline]
    pub fn of(name: &[u8]) -> Known {
        let Some(&first) = name.first() else {
            return Known::Other;
        };
        if name.len() > LONGEST {
            return Known::Other;
        }
        let first = first | 0x20;
        let (from, to) = (
            BY_LENGTH[name.len()] as usize,
            BY_LENGTH[name.len() + 1] as usize,
        );
        for &known in &ORDER[from..to] {
            let candidate = known.name().as_bytes();
            if candidate[0] == first && candidate.eq_ignore_ascii_case(name) {
                return known;
            }
        }
        Known::Other
    }

    /// Fields that speak of one connection only and are never forwarded (RFC 9110 section 7.6.1).
    ///
    /// `Transfer-Encoding` and `Content-Length` are not here: they are framing and always rebuilt, see [`Known::is_framing`].
    #[inline]
    pub const fn is_hop_by_hop(self) -> bool {
        use Known::*;
        matches!(
            self,
            Connection
                | KeepAlive
                | ProxyConnection
                | ProxyAuthenticate
                | ProxyAuthorization
                | Te
                | Trailer
                | Upgrade
                | Http2Settings
        )
    }

    /// Fields that say where a body ends; never forwarded, always rebuilt.
    #[inline]
    pub const fn is_framing(self) -> bool {
        matches!(self, Known::ContentLength | Known::TransferEncoding)
    }

    /// Fields that a `Connection` option cannot remove: framing, routing, credentials and the trail of proxies.
    ///
    /// RFC 9110 section 7.6.1 forbids a sender to nominate a field that is meant for all recipients.
    #[inline]
    pub const fn is_protected(self) -> bool {
        use Known::*;
        self.is_framing()
            || matches!(
                self,
                Host | Authorization
                    | Cookie
                    | SetCookie
                    | XApiKey
                    | Forwarded
                    | XForwardedFor
                    | XForwardedProto
                    | XForwardedHost
                    | XForwardedPort
                    | XRealIp
                    | Via
                    | XRequestId
                    | Traceparent
                    | Tracestate
                    | ContentType
                    | ContentEncoding
                    | ContentRange
                    | CacheControl
                    | Vary
            )
    }

    /// Whether a field of this name may be merged from a trailer section (RFC 9110 section 6.5.1).
    ///
    /// Framing, routing, request modifiers, credentials and content format are not allowed there.
    #[inline]
    pub const fn is_allowed_in_trailers(self) -> bool {
        use Known::*;
        !(self.is_protected() || self.is_hop_by_hop())
            && !matches!(
                self,
                Expect
                    | WwwAuthenticate
                    | Date
                    | Location
                    | Age
                    | Expires
                    | RetryAfter
                    | Range
                    | IfMatch
                    | IfNoneMatch
                    | IfModifiedSince
                    | IfUnmodifiedSince
                    | IfRange
                    | Origin
                    | IdempotencyKey
                    | AccessControlRequestMethod
                    | AccessControlRequestHeaders
                    | SecWebsocketKey
                    | GrpcTimeout
            )
    }
}

/// Which known names a head holds, as one word: most questions are answered without a walk over the fields.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct KnownSet(u64);

impl KnownSet {
    /// Whether a field of this name was seen; always false for `Other`.
    #[inline]
    pub const fn contains(self, known: Known) -> bool {
        self.0 & (1 << known as u8) & !1 != 0
    }

    /// Notes a name.
    #[inline]
    pub const fn insert(&mut self, known: Known) {
        self.0 |= 1 << known as u8;
    }
}

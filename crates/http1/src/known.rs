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

/// What a name is compared by: its ends as words, with the bit set that makes ASCII letters lower case.
///
/// For a token that fold is exact: no two bytes of a token fold to one unless they are a letter in its two cases.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    len: u8,
    first: u64,
    last: u64,
}

const FOLD: u64 = 0x2020_2020_2020_2020;
const SLOTS: usize = 512;
const LONGEST: usize = 30;

impl Key {
    #[inline(always)]
    const fn of(name: &[u8]) -> Key {
        let len = name.len() as u8;
        match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            (Some(first), Some(last)) => {
                Key { len, first: u64::from_le_bytes(*first) | FOLD, last: u64::from_le_bytes(*last) | FOLD }
            }
            _ => Key { len, first: short(name) | FOLD, last: 0 },
        }
    }

    #[inline(always)]
    const fn slot(self, seed: u64) -> usize {
        let mixed = (self.first ^ self.last.rotate_left(23) ^ self.len as u64).wrapping_mul(seed);
        (mixed >> (64 - SLOTS.trailing_zeros())) as usize
    }
}

/// Up to seven bytes as a word.
#[inline(always)]
const fn short(name: &[u8]) -> u64 {
    match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            let (first, last) = (u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64);
            first | last << (8 * (name.len() - 4))
        }
        _ => match *name {
            [a] => a as u64,
            [a, b] => a as u64 | (b as u64) << 8,
            [a, b, c] => a as u64 | (b as u64) << 8 | (c as u64) << 16,
            _ => 0,
        },
    }
}

const KEYS: [Key; NAMES.len()] = {
    let mut keys = [Key { len: 0, first: 0, last: 0 }; NAMES.len()];
    let mut i = 1;
    while i < NAMES.len() {
        assert!(NAMES[i].len() <= LONGEST, "LONGEST is the longest name");
        keys[i] = Key::of(NAMES[i].as_bytes());
        i += 1;
    }
    keys
};

/// A multiplier that gives every name a slot of its own, found by the compiler, and the slots.
static SEED_AND_SLOTS: (u64, [Known; SLOTS]) = {
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    loop {
        if let Some(slots) = slots(seed) {
            break (seed, slots);
        }
        seed = seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(2);
    }
};

const fn slots(seed: u64) -> Option<[Known; SLOTS]> {
    let mut slots = [Known::Other; SLOTS];
    let mut i = 0;
    while i < Known::ALL.len() {
        let slot = KEYS[i + 1].slot(seed);
        if slots[slot] as u8 != 0 {
            return None;
        }
        slots[slot] = Known::ALL[i];
        i += 1;
    }
    Some(slots)
}

impl Known {
    /// Recognises a name in any case.
    #[inline]
    pub fn of(name: &[u8]) -> Known {
        let known = Known::of_token(name);
        if known.name().as_bytes().eq_ignore_ascii_case(name) { known } else { Known::Other }
    }

    /// Recognises a name that is a token; of other bytes it might say anything.
    #[inline(always)]
    pub(crate) fn of_token(name: &[u8]) -> Known {
        if name.len() > LONGEST {
            return Known::Other;
        }
        let key = Key::of(name);
        let known = SEED_AND_SLOTS.1[key.slot(SEED_AND_SLOTS.0)];
        let same = KEYS[known as usize] == key && (name.len() <= 16 || same_middle(known, name));
        if same { known } else { Known::Other }
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
        let also = matches!(
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
        );
        !(also || self.is_protected() || self.is_hop_by_hop())
    }
}

#[inline]
fn same_middle(known: Known, name: &[u8]) -> bool {
    known.name().as_bytes().eq_ignore_ascii_case(name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_recognised_in_any_case() {
        for &known in Known::ALL {
            let name = known.name();
            assert_eq!(name, name.to_ascii_lowercase());
            assert_eq!(Known::of(name.as_bytes()), known);
            assert_eq!(Known::of(name.to_ascii_uppercase().as_bytes()), known);
        }
        assert_eq!(Known::of(b""), Known::Other);
    }

    #[test]
    fn a_name_with_one_byte_changed_is_another_name() {
        for &known in Known::ALL {
            for place in 0..known.name().len() {
                for byte in 0..=255u8 {
                    let mut name = known.name().as_bytes().to_vec();
                    let same = name[place].eq_ignore_ascii_case(&byte);
                    name[place] = byte;
                    let expected = if same { known } else { Known::Other };
                    assert_eq!(Known::of(&name), expected, "{:?}", name.escape_ascii().to_string());
                    if crate::is_token(&name) {
                        assert_eq!(Known::of_token(&name), expected, "{:?}", name.escape_ascii().to_string());
                    }
                }
            }
        }
    }

    #[test]
    fn a_set_never_holds_other() {
        let mut set = KnownSet::default();
        set.insert(Known::Other);
        set.insert(Known::GrpcStatus);
        assert!(!set.contains(Known::Other) && set.contains(Known::GrpcStatus) && !set.contains(Known::Host));
    }
}

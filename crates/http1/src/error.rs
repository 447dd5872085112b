//! What can be wrong with a message.
//!
//! Every error has a stable short `code` for logs, metrics and problem documents, and the `status` a server answers with.
//! For a message that came from upstream the status is 502 whatever the error says.

use std::fmt;

macro_rules! errors {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal, $status:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// All of them, for tables and tests.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// A stable short word for logs, metrics and problem documents.
            pub const fn code(self) -> &'static str {
                match self { $($name::$variant => $code,)+ }
            }

            /// The status a server answers a client with; the connection is closed after it.
            pub const fn status(self) -> u16 {
                match self { $($name::$variant => $status,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(self.code())
            }
        }

        impl std::error::Error for $name {}
    };
}

errors! {
    /// A head that is not one, or is too large.
    Error {
        /// The head does not end within [`Limits::head`](crate::Limits::head) bytes.
        HeadTooLarge = "head_too_large", 431;
        /// More fields than [`Limits::fields`](crate::Limits::fields).
        TooManyFields = "too_many_fields", 431;
        /// A target longer than [`Limits::target`](crate::Limits::target).
        TargetTooLong = "target_too_long", 414;
        /// The method is empty, not a token, longer than 32 bytes, or the `PRI` of HTTP/2.
        BadMethod = "bad_method", 400;
        /// The target is empty or holds a control, a space, `#` or a byte outside ASCII.
        BadTarget = "bad_target", 400;
        /// What follows the target is not ` HTTP/d.d` and the line end.
        BadVersion = "bad_version", 400;
        /// A well-formed version other than 1.0 and 1.1.
        UnsupportedVersion = "unsupported_version", 505;
        /// The status line has no three-digit status from 100 to 599, no space behind it, or a control in the reason.
        BadStatusLine = "bad_status_line", 400;
        /// A field name is empty or not a token.
        BadFieldName = "bad_field_name", 400;
        /// A field value holds a control byte other than a tab.
        BadFieldValue = "bad_field_value", 400;
        /// A line begins with white space: an obsolete folded value, or a field before the first one.
        FoldedLine = "folded_line", 400;
        /// White space within a field name or before its colon.
        SpaceBeforeColon = "space_before_colon", 400;
        /// A CR that no LF follows.
        BareCr = "bare_cr", 400;
        /// A LF that no CR precedes.
        BareLf = "bare_lf", 400;
        /// A NUL byte.
        Nul = "nul", 400;
        /// More than one empty line before the request line.
        LeadingEmptyLines = "leading_empty_lines", 400;
    }
}

errors! {
    /// A head whose parts are well formed but do not make one unambiguous message.
    FramingError {
        /// The target is in none of the four forms, or in one that the method does not allow.
        TargetForm = "target_form", 400;
        /// The authority of an absolute or CONNECT target is not the Host.
        TargetNotHost = "target_not_host", 400;
        /// HTTP/1.1 without Host.
        MissingHost = "missing_host", 400;
        /// More than one Host.
        RepeatedHost = "repeated_host", 400;
        /// Host is empty or not `host[:port]`.
        BadHost = "bad_host", 400;
        /// Content-Length is not 1 to 19 digits.
        BadContentLength = "bad_content_length", 400;
        /// More than one Content-Length, equal or not.
        RepeatedContentLength = "repeated_content_length", 400;
        /// Content-Length beside Transfer-Encoding.
        LengthWithCoding = "length_with_coding", 400;
        /// Transfer-Encoding is not exactly `chunked`.
        BadTransferEncoding = "bad_transfer_encoding", 400;
        /// More than one Transfer-Encoding.
        RepeatedTransferEncoding = "repeated_transfer_encoding", 400;
        /// Transfer-Encoding in an HTTP/1.0 message.
        CodingInHttp10 = "coding_in_http10", 400;
        /// A body announced where there cannot be one: CONNECT and its success, 1xx, 204.
        UnexpectedBody = "unexpected_body", 400;
        /// Connection is not a list of tokens.
        BadConnection = "bad_connection", 400;
        /// Expect is something else than one `100-continue`.
        UnknownExpectation = "unknown_expectation", 417;
    }
}

errors! {
    /// A chunked body that is not one. The connection cannot be used again.
    ChunkError {
        /// The size is missing or not hexadecimal.
        BadSize = "bad_chunk_size", 400;
        /// The size has more than 16 digits.
        SizeTooLong = "chunk_size_too_long", 400;
        /// An extension is malformed.
        BadExtension = "bad_chunk_extension", 400;
        /// The extensions of the body exceed their limit together.
        ExtensionsTooLarge = "chunk_extensions_too_large", 400;
        /// A line or chunk does not end in CR LF.
        BadLineEnd = "bad_chunk_line_end", 400;
        /// A trailer line is malformed.
        BadTrailer = "bad_trailer", 400;
        /// The trailer section is over the limit in bytes or fields.
        TrailersTooLarge = "trailers_too_large", 431;
    }
}

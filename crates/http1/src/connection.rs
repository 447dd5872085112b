//! The Connection field: options, and the fields they nominate. RFC 9110 section 7.6.1.

use crate::head::Field;
use crate::known::Known;

/// The options of all Connection fields, in order; elements of the list that are empty are skipped (RFC 9110 section 5.6.1.2).
pub fn connection_options<'a>(fields: &'a [Field], buf: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let values = fields.iter().filter(|field| field.known == Known::Connection).map(|field| field.value.of(buf));
    values.flat_map(list_elements)
}

/// The names that Connection nominates and that are to be dropped with it.
///
/// `close` and `keep-alive` are no names. Framing, Host, credentials and what proxies added cannot be nominated away
/// ([`Known::is_protected`]); such options are passed over.
pub fn connection_nominated<'a>(fields: &'a [Field], buf: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    connection_options(fields, buf).filter(|option| {
        !option.eq_ignore_ascii_case(b"close")
            && !option.eq_ignore_ascii_case(b"keep-alive")
            && !Known::of(option).is_protected()
    })
}

/// Whether Connection nominates a field of this name; never for a protected one.
pub fn connection_nominates(fields: &[Field], buf: &[u8], name: &[u8]) -> bool {
    connection_nominated(fields, buf).any(|option| option.eq_ignore_ascii_case(name))
}

/// The elements of a comma-separated list without the white space around them and without empty ones.
///
/// Only for lists whose elements hold no quoted string.
pub fn list_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|element| !element.is_empty())
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

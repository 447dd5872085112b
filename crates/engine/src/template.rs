//! Text with references, compiled for the place it goes to.
//!
//! The place decides how a value is written, so that no value can be more than a value there: a header never gains a
//! line, a path never a segment, a query or a dot segment, a JSON body never a member. `docs/concepts/routing.md` has the
//! table. Names are known to be right (the plan is resolved); a value that is not there is empty.

mod compile;
mod escape;

pub(crate) use escape::{header as escape_header, json as escape_json, percent as escape_percent};

use crate::identity::{Identity, write_claim, write_clean};
use crate::network::write_client;
use crate::path::{self, PathError};
use crate::plan::Reference;
use crate::routing::{Lookup, query_pairs};
use std::fmt;
use std::net::IpAddr;

/// Where the text of a template goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Every control byte of a value but TAB becomes a space (RFC 9110 section 5.5).
    Header,
    /// A path of ours, perhaps with a query: captures keep their escapes and slashes, all else is one segment's content.
    Path,
    /// As `Path`, or an `http` or `https` URL.
    Location,
    /// As it is.
    Body,
    /// Values are the content of JSON strings.
    JsonBody,
    /// HTML or XML: values are text, also inside quoted attributes.
    MarkupBody,
}

impl Destination {
    /// How the references of a body are written, by its content type.
    pub fn body(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Self::JsonBody,
            "text/html" | "text/xml" | "application/xml" => Self::MarkupBody,
            other if other.ends_with("+json") => Self::JsonBody,
            other if other.ends_with("+xml") => Self::MarkupBody,
            _ => Self::Body,
        }
    }
}

/// What references can name, beside what routes match on.
pub trait Values: Lookup {
    /// A capture of the route's path, as it stands in the normal form.
    fn capture(&self, name: &str) -> Option<&[u8]>;
    fn client_ip(&self) -> IpAddr;
    fn route_name(&self) -> &str;
    /// Empty where no service is called.
    fn service_name(&self) -> &str;
    fn request_id(&self) -> &[u8];
    /// `http` or `https`.
    fn scheme(&self) -> &str;
    /// Who calls, where that is known.
    fn identity(&self) -> Option<&Identity>;
}

/// Why a path or location could not be made of this request: the client gets 400 with [`RenderError::code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenderError {
    /// The values do not make a path in normal form.
    Path(PathError),
    /// Values would make a segment `.` or `..`.
    DotSegment,
    /// A value in a path is not there or empty, so the path would name something else.
    Empty,
    /// A value in the authority of a location is no host name.
    Host,
}

impl RenderError {
    pub fn code(self) -> &'static str {
        "bad_path"
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(error) => write!(formatter, "the rewritten path: {error}"),
            Self::DotSegment => formatter.write_str("a value makes a dot segment of the path"),
            Self::Empty => formatter.write_str("a value that the path needs is missing or empty"),
            Self::Host => formatter.write_str("a value in the location's authority is no host name"),
        }
    }
}

impl std::error::Error for RenderError {}

/// A compiled template.
#[derive(Debug)]
pub struct Template {
    destination: Destination,
    pieces: Box<[Piece]>,
    has_query: bool,
}

#[derive(Debug)]
struct Piece {
    part: Part,
    position: Position,
}

#[derive(Debug)]
enum Part {
    Text(Box<[u8]>),
    Reference(Reference),
}

/// The part of a URL a piece stands in, in their order. `Plain` for what is no URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Position {
    Plain,
    /// `https://host`
    Authority,
    Path,
    /// From the `?` on.
    Query,
    /// From the `#` on.
    Fragment,
}

impl Template {
    /// The text, when it has no references.
    pub fn literal(&self) -> Option<&[u8]> {
        match &*self.pieces {
            [] => Some(b""),
            [Piece { part: Part::Text(text), .. }] => Some(text),
            _ => None,
        }
    }

    /// Whether a path or location has a query of its own.
    pub fn has_query(&self) -> bool {
        self.has_query
    }

    /// Appends the text. Only for `Path` and `Location` can it fail, and then `out` is as before.
    ///
    /// The path of these is left in normal form. A query that comes out empty goes, with its `?`.
    pub fn render(&self, values: &impl Values, out: &mut Vec<u8>) -> Result<(), RenderError> {
        self.render_with_query(values, None, out)
    }

    /// As [`Template::render`]; a path or location also gets this query, after its own, as it is.
    pub fn render_with_query(
        &self,
        values: &impl Values,
        query: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        if !matches!(self.destination, Destination::Path | Destination::Location) {
            self.render_plain(values, out);
            return Ok(());
        }
        let start = out.len();
        let result = self.render_url(values, query, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn render_plain(&self, values: &impl Values, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match &piece.part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Reference(reference) => {
                    let start = out.len();
                    write_value(reference, values, out);
                    match self.destination {
                        Destination::Header => escape::header(out, start),
                        Destination::JsonBody => escape::json(out, start),
                        Destination::MarkupBody => escape::markup(out, start),
                        Destination::Body | Destination::Path | Destination::Location => {}
                    }
                }
            }
        }
    }

    fn render_url(&self, values: &impl Values, query: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), RenderError> {
        for part in self.parts(Position::Authority) {
            write_in_authority(part, values, out)?;
        }
        let start = out.len();
        for part in self.parts(Position::Path) {
            write_in_path(part, values, out)?;
        }
        finish_path(out, start, self.destination == Destination::Path)?;
        let start = out.len();
        for part in self.parts(Position::Query) {
            write_in_query(part, values, out);
        }
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            let own = out.len() > start;
            if !own || !matches!(out.last(), Some(b'?' | b'&')) {
                out.push(if own { b'&' } else { b'?' });
            }
            out.extend_from_slice(query);
        }
        if out.get(start..) == Some(b"?") {
            out.truncate(start);
        }
        for part in self.parts(Position::Fragment) {
            write_in_query(part, values, out);
        }
        Ok(())
    }

    fn parts(&self, position: Position) -> impl Iterator<Item = &Part> {
        self.pieces.iter().filter(move |piece| piece.position == position).map(|piece| &piece.part)
    }
}

fn write_in_authority(part: &Part, values: &impl Values, out: &mut Vec<u8>) -> Result<(), RenderError> {
    let start = out.len();
    match part {
        Part::Text(text) => out.extend_from_slice(text),
        // Checked already, and perhaps an IPv6 literal.
        Part::Reference(Reference::RequestHost) if !values.host().is_empty() => out.extend_from_slice(values.host()),
        Part::Reference(reference) => {
            write_value(reference, values, out);
            let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            if out.len() == start || !out[start..].iter().all(is_host) {
                return Err(RenderError::Host);
            }
        }
    }
    Ok(())
}

fn write_in_path(part: &Part, values: &impl Values, out: &mut Vec<u8>) -> Result<(), RenderError> {
    match part {
        Part::Text(text) => out.extend_from_slice(text),
        // These are normal already, and must stay as the route saw them.
        Part::Reference(Reference::Path(name)) => out.extend_from_slice(values.capture(name).unwrap_or_default()),
        Part::Reference(Reference::RequestPath) => out.extend_from_slice(values.path()),
        Part::Reference(reference) => {
            let start = out.len();
            write_value(reference, values, out);
            if out.len() == start {
                return Err(RenderError::Empty);
            }
            escape::percent(out, start);
        }
    }
    Ok(())
}

fn write_in_query(part: &Part, values: &impl Values, out: &mut Vec<u8>) {
    let start = out.len();
    match part {
        Part::Text(text) => out.extend_from_slice(text),
        Part::Reference(Reference::RequestQuery) => out.extend_from_slice(values.query().unwrap_or_default()),
        Part::Reference(reference) => {
            write_value(reference, values, out);
            escape::percent(out, start);
        }
    }
}

/// Leaves the path that begins at `start` in normal form, or refuses it.
pub(crate) fn finish_path(out: &mut Vec<u8>, start: usize, always: bool) -> Result<(), RenderError> {
    match out.get(start) {
        None if always => out.push(b'/'),
        None => return Ok(()),
        Some(b'/') => {}
        Some(_) => out.insert(start, b'/'),
    }
    if out[start..].split(|&byte| byte == b'/').any(path::is_dot_segment) {
        return Err(RenderError::DotSegment);
    }
    let mut scratch = Vec::new(); // allocates only for the rare path that is not normal yet
    let normal = path::normalise(&out[start..], &mut scratch).map_err(RenderError::Path)?;
    if !std::ptr::eq(normal.as_ptr(), out[start..].as_ptr()) {
        out.truncate(start);
        out.append(&mut scratch);
    }
    Ok(())
}

/// Appends the value itself: escapes of captures, query parameters decoded.
pub(crate) fn write_value(reference: &Reference, values: &impl Values, out: &mut Vec<u8>) {
    match reference {
        Reference::Path(name) => out.extend(path::decode(values.capture(name).unwrap_or_default())),
        Reference::Query(name) => {
            let query = values.query().unwrap_or_default();
            if let Some((_, value)) = query_pairs(query).find(|(key, _)| path::decode_form(key).eq(name.bytes())) {
                out.extend(path::decode_form(value));
            }
        }
        Reference::Header(name) => {
            values.any_header(name, &mut |value| {
                out.extend_from_slice(value);
                true
            });
        }
        Reference::Cookie(name) => {
            values.any_cookie(name, &mut |value| {
                out.extend_from_slice(value);
                true
            });
        }
        Reference::Claims(_)
        | Reference::ConsumerName
        | Reference::ConsumerTier
        | Reference::ConsumerTags
        | Reference::IdentitySubject
        | Reference::IdentityMethod => {
            if let Some(identity) = values.identity() {
                write_identity(reference, identity, out);
            }
        }
        Reference::ClientIp => write_client(out, values.client_ip()),
        Reference::RouteName => out.extend_from_slice(values.route_name().as_bytes()),
        Reference::ServiceName => out.extend_from_slice(values.service_name().as_bytes()),
        Reference::RequestId => out.extend_from_slice(values.request_id()),
        Reference::RequestMethod => out.extend_from_slice(values.method()),
        Reference::RequestPath => out.extend_from_slice(values.path()),
        Reference::RequestQuery => out.extend_from_slice(values.query().unwrap_or_default()),
        Reference::RequestHost => out.extend_from_slice(values.host()),
        Reference::RequestScheme => out.extend_from_slice(values.scheme().as_bytes()),
    }
}

fn write_identity(reference: &Reference, identity: &Identity, out: &mut Vec<u8>) {
    let consumer = identity.consumer.as_deref();
    match reference {
        Reference::Claims(path) => {
            if let Some(value) = identity.claim(path) {
                write_claim(value, out);
            }
        }
        Reference::ConsumerName => out.extend_from_slice(consumer.map_or("", |consumer| &consumer.name).as_bytes()),
        Reference::ConsumerTier => {
            out.extend_from_slice(
                consumer.and_then(|consumer| consumer.tier.as_deref()).unwrap_or_default().as_bytes(),
            );
        }
        Reference::ConsumerTags => {
            let tags = consumer.map_or(&[][..], |consumer| &consumer.tags);
            out.extend_from_slice(tags.join(",").as_bytes());
        }
        Reference::IdentitySubject => write_clean(identity.subject().unwrap_or_default(), out),
        Reference::IdentityMethod => out.extend_from_slice(identity.method.as_bytes()),
        _ => {}
    }
}

//! Compiles the plan's parts: finds out which part of a URL each stands in, and checks the literal text.

use super::{Destination, Part, Piece, Position, Template};
use crate::path;
use crate::plan::{self, Reference};

impl Template {
    /// Compiles a template of the plan; the error is a message for people.
    pub fn compile(template: &[plan::Part], destination: Destination) -> Result<Self, String> {
        let pieces = match destination {
            Destination::Path => url_pieces(template, Position::Path)?,
            Destination::Location => url_pieces(template, location_begins(template)?)?,
            Destination::Header => header_pieces(template)?,
            Destination::Body | Destination::JsonBody | Destination::MarkupBody => plain_pieces(template),
        };
        let has_query = pieces.iter().any(|piece| piece.position == Position::Query);
        let compiled = Self { destination, pieces, has_query };
        if matches!(destination, Destination::Path | Destination::Location) {
            compiled.check_path()?;
        }
        Ok(compiled)
    }

    /// Whether the literal text makes a sound path once each reference has a sound value.
    fn check_path(&self) -> Result<(), String> {
        let mut path = Vec::new();
        for piece in self.pieces.iter().filter(|piece| piece.position == Position::Path) {
            match &piece.part {
                Part::Text(text) => path.extend_from_slice(text),
                Part::Reference(Reference::RequestPath) => path.extend_from_slice(b"/x"),
                Part::Reference(_) => path.push(b'x'),
            }
        }
        if self.destination == Destination::Path && self.pieces.iter().any(|it| it.position == Position::Fragment) {
            return Err("the path must not contain `#`".to_owned());
        }
        if self.destination == Destination::Path && !path.starts_with(b"/") {
            return Err("the path must begin with `/`".to_owned());
        }
        if path.split(|&byte| byte == b'/').any(path::is_dot_segment) {
            return Err("the path must not contain dot segments".to_owned());
        }
        if !path.is_empty() {
            path::normalise(&path, &mut Vec::new()).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

fn plain_pieces(template: &[plan::Part]) -> Box<[Piece]> {
    let piece = |part: &plan::Part| Piece {
        position: Position::Plain,
        part: match part {
            plan::Part::Text(text) => Part::Text(text.as_bytes().into()),
            plan::Part::Reference(reference) => Part::Reference(reference.clone()),
        },
    };
    template.iter().map(piece).collect()
}

fn header_pieces(template: &[plan::Part]) -> Result<Box<[Piece]>, String> {
    let is_control = |text: &str| text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t');
    match template.iter().any(|part| matches!(part, plan::Part::Text(text) if is_control(text))) {
        true => Err("a header value must not contain control characters".to_owned()),
        false => Ok(plain_pieces(template)),
    }
}

/// A location begins with a path or with the scheme of an absolute URL; nothing a client sends may decide which.
fn location_begins(template: &[plan::Part]) -> Result<Position, String> {
    match template {
        [plan::Part::Text(text), ..] if text.starts_with('/') && !text.starts_with("//") => Ok(Position::Path),
        [plan::Part::Reference(Reference::RequestPath), ..] => Ok(Position::Path),
        [plan::Part::Text(text), ..] if text.starts_with("http://") || text.starts_with("https://") => {
            Ok(Position::Authority)
        }
        [plan::Part::Reference(Reference::RequestScheme), plan::Part::Text(text), ..] if text.starts_with("://") => {
            Ok(Position::Authority)
        }
        _ => Err("a location begins with `/`, `http://`, `https://`, `{request.scheme}://` or `{request.path}`".into()),
    }
}

fn url_pieces(template: &[plan::Part], begins: Position) -> Result<Box<[Piece]>, String> {
    let mut pieces = Vec::new();
    let mut position = begins;
    for (at, part) in template.iter().enumerate() {
        match part {
            plan::Part::Reference(reference) => {
                if position == Position::Authority && *reference == Reference::RequestPath {
                    position = Position::Path;
                }
                pieces.push(Piece { part: Part::Reference(reference.clone()), position });
            }
            plan::Part::Text(text) => {
                let slashes = match position {
                    Position::Authority if at <= 1 => text.find("://").map_or(0, |colon| colon + 3),
                    _ => 0,
                };
                split_text(text.as_bytes(), slashes, &mut position, &mut pieces)?;
            }
        }
    }
    Ok(pieces.into())
}

/// Cuts a text where another part of the URL begins. `from` is past the slashes of a scheme.
fn split_text(text: &[u8], from: usize, position: &mut Position, pieces: &mut Vec<Piece>) -> Result<(), String> {
    let mut start = 0;
    for (at, &byte) in text.iter().enumerate().skip(from) {
        let next = match (byte, *position) {
            (b'/', Position::Authority) => Position::Path,
            (b'?', Position::Authority | Position::Path) => Position::Query,
            (b'#', Position::Authority | Position::Path | Position::Query) => Position::Fragment,
            _ => continue,
        };
        push_text(&text[start..at], *position, pieces)?;
        start = at;
        *position = next;
    }
    push_text(&text[start..], *position, pieces)
}

fn push_text(text: &[u8], position: Position, pieces: &mut Vec<Piece>) -> Result<(), String> {
    if !text.iter().all(u8::is_ascii_graphic) {
        return Err("spaces and characters outside ASCII must be percent-encoded here".to_owned());
    }
    if position == Position::Path && text.last() == Some(&b'%') {
        return Err("`%` must be followed by two hexadecimal digits".to_owned());
    }
    if !text.is_empty() {
        pieces.push(Piece { part: Part::Text(text.into()), position });
    }
    Ok(())
}

//! The path and query that go to a service.

use super::lookup::Captures;
use crate::path;
use crate::plan;
use crate::problem::Problem;
use crate::template::{Destination, RenderError, Template, Values};

/// How a proxy action makes the upstream's target, compiled.
#[derive(Debug)]
pub struct UpstreamTarget {
    /// Of the service, without a slash at the end.
    base_path: Box<[u8]>,
    strip_path: bool,
    rewrite: Option<Template>,
}

impl UpstreamTarget {
    /// Problems have a path relative to the route: `action.rewrite`.
    pub fn compile(proxy: &plan::Proxy, service: &plan::Service) -> Result<Self, Problem> {
        let base_path = service.base_path.strip_suffix('/').unwrap_or(&service.base_path);
        let mut scratch = Vec::new();
        if !base_path.is_empty() && path::normalise(base_path.as_bytes(), &mut scratch) != Ok(base_path.as_bytes()) {
            let message = format!("the path of service `{}` is not in normal form: `{base_path}`", service.name);
            return Err(Problem::new("action", "routing.not_normal", message));
        }
        let compile = |rewrite: &plan::Template| Template::compile(rewrite, Destination::Path);
        let rewrite = proxy.rewrite.as_ref().map(compile).transpose();
        let rewrite = rewrite.map_err(|message| Problem::new("action.rewrite", "routing.bad_rewrite", message))?;
        Ok(Self { base_path: base_path.as_bytes().into(), strip_path: proxy.strip_path, rewrite })
    }

    /// Appends the target: it begins with `/`, and its path is in normal form. After an error `out` is as before.
    ///
    /// Without a rewrite it is the path the route matched, so that what was decided here is what is asked there. The
    /// client's query goes along as sent, unless the rewrite has one of its own.
    pub fn write(&self, values: &impl Values, captures: &Captures, out: &mut Vec<u8>) -> Result<(), RenderError> {
        let start = out.len();
        out.extend_from_slice(&self.base_path);
        let path = values.path();
        let written = match &self.rewrite {
            Some(rewrite) => rewrite.render(values, out),
            None if self.strip_path => self.write_left(path.get(captures.stripped()..).unwrap_or_default(), out),
            None => self.write_left(path, out),
        };
        if written.is_err() {
            out.truncate(start);
            return written;
        }
        let own_query = self.rewrite.as_ref().is_some_and(Template::has_query);
        if let Some(query) = values.query().filter(|_| !own_query) {
            out.push(b'?');
            out.extend_from_slice(query);
        }
        Ok(())
    }

    fn write_left(&self, left: &[u8], out: &mut Vec<u8>) -> Result<(), RenderError> {
        match left {
            [] if self.base_path.is_empty() => out.push(b'/'),
            [] | [b'/', ..] => {}
            // A regex ended its match inside a segment: what is left of it must not be a dot segment.
            left => {
                let first = left.split(|&byte| byte == b'/').next().unwrap_or_default();
                if path::is_dot_segment(first) {
                    return Err(RenderError::DotSegment);
                }
                out.push(b'/');
            }
        }
        out.extend_from_slice(left);
        Ok(())
    }
}

//! Patterns and conditions as the document writes them.

use crate::plan::{FieldMatch, PathPattern, Segment, ValueMatch};

/// `/orders/{id}`, `=/orders`, `~^/orders/\d+`.
pub fn written_path(path: &PathPattern) -> String {
    match path {
        PathPattern::Prefix(segments) => written_segments(segments),
        PathPattern::Exact(segments) => format!("={}", written_segments(segments)),
        PathPattern::Regex(pattern) => format!("~{pattern}"),
    }
}

fn written_segments(segments: &[Segment]) -> String {
    if segments.is_empty() {
        return "/".to_owned();
    }
    segments.iter().fold(String::new(), |path, segment| match segment {
        Segment::Literal(text) => path + "/" + text,
        Segment::Capture(name) => path + "/{" + name + "}",
        Segment::Rest(name) => path + "/{" + name + "...}",
    })
}

/// `x-version`, `x-version=1|2`, `x-version=~\d+`.
pub fn written_condition(condition: &FieldMatch) -> String {
    let values: Vec<String> = condition
        .values
        .iter()
        .map(|value| match value {
            ValueMatch::Exact(text) => text.to_string(),
            ValueMatch::Regex(pattern) => format!("~{pattern}"),
        })
        .collect();
    match values.is_empty() {
        true => condition.name.clone(),
        false => format!("{}={}", condition.name, values.join("|")),
    }
}

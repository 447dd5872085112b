//! The text formats: Prometheus 0.0.4 and OpenMetrics 1.0.

use std::fmt::Write;

use crate::telemetry::metrics::histogram::{BOUNDS, Reading};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// By the `Accept` of the scraper; Prometheus text is for whoever asks for nothing in particular.
    pub fn of_accept(accept: &[u8]) -> Self {
        let wanted = b"application/openmetrics-text";
        match accept.windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted)) {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

/// Writes families one after another; every sample belongs to the family begun last.
pub(crate) struct Text {
    out: String,
    format: Format,
    name: &'static str,
    kind: Kind,
}

impl Text {
    pub fn new(format: Format) -> Self {
        Self { out: String::with_capacity(16 * 1024), format, name: "", kind: Kind::Gauge }
    }

    /// Begins a family. A counter is named without its `_total`.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        (self.name, self.kind) = (name, kind);
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // OpenMetrics names the family, Prometheus the sample.
        let suffix = if kind == Kind::Counter && self.format == Format::Prometheus { "_total" } else { "" };
        self.push(format_args!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {word}\n"));
    }

    pub fn sample(&mut self, labels: Labels<'_>, value: u64) {
        let suffix = if self.kind == Kind::Counter { "_total" } else { "" };
        self.line(suffix, labels, None, format_args!("{value}"));
    }

    /// A gauge in seconds, given in milliseconds.
    pub fn seconds(&mut self, labels: Labels<'_>, millis: u64) {
        self.line("", labels, None, format_args!("{}.{:03}", millis / 1000, millis % 1000));
    }

    /// A gauge from 0 to 1, given in parts of 10,000.
    pub fn ratio(&mut self, labels: Labels<'_>, parts: u32) {
        self.line("", labels, None, format_args!("{}.{:04}", parts / 10_000, parts % 10_000));
    }

    /// Microseconds, written as seconds.
    pub fn micros(&mut self, labels: Labels<'_>, micros: u64) {
        self.line("", labels, None, format_args!("{}.{:06}", micros / 1_000_000, micros % 1_000_000));
    }

    pub(super) fn histogram(&mut self, labels: Labels<'_>, reading: &Reading) {
        let bounds = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        let mut below = 0;
        for (bound, count) in bounds.zip(reading.buckets) {
            below += count;
            self.line("_bucket", labels, Some(bound), format_args!("{below}"));
        }
        let micros = reading.sum_micros;
        self.line("_sum", labels, None, format_args!("{}.{:06}", micros / 1_000_000, micros % 1_000_000));
        self.line("_count", labels, None, format_args!("{}", reading.count()));
    }

    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: std::fmt::Arguments<'_>) {
        self.out.push_str(self.name);
        self.out.push_str(suffix);
        let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut open = '{';
        for (name, text) in labels {
            self.out.push(open);
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(text, &mut self.out);
            self.out.push('"');
            open = ',';
        }
        if open == ',' {
            self.out.push('}');
        }
        self.push(format_args!(" {value}\n"));
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("a string takes every character");
    }
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let mut text = Text::new(Format::Prometheus);
        text.family("a", Kind::Counter, "A thing.");
        text.sample(&[("route", "q\"b\\n\nü"), ("code", "200")], 7);
        let expected = "# HELP a_total A thing.\n# TYPE a_total counter\n\
            a_total{route=\"q\\\"b\\\\n\\nü\",code=\"200\"} 7\n";
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn open_metrics_names_the_family_and_ends() {
        let mut text = Text::new(Format::OpenMetrics);
        text.family("a", Kind::Counter, "A thing.");
        text.sample(&[], 7);
        assert_eq!(text.finish(), "# HELP a A thing.\n# TYPE a counter\na_total 7\n# EOF\n");
    }

    #[test]
    fn a_scraper_gets_the_format_it_asks_for() {
        let prometheus = b"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        assert_eq!(Format::of_accept(prometheus), Format::OpenMetrics);
        assert_eq!(Format::of_accept(b"*/*"), Format::Prometheus);
        assert_eq!(Format::of_accept(b""), Format::Prometheus);
    }
}

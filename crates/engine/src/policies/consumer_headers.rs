//! Tells the service which consumer calls, in headers of the gateway's own.

use crate::identity::{Consumer, Lines, write_clean};
use crate::plan::{self, ConsumerField};

/// Compiled `consumer_to_headers` of a credential.
pub struct ConsumerHeaders(Box<[(ConsumerField, Box<[u8]>)]>);

impl ConsumerHeaders {
    pub fn compile(plans: &[plan::ConsumerHeader]) -> Self {
        Self(plans.iter().map(|plan| (plan.field, plan.header.to_ascii_lowercase().into_bytes().into())).collect())
    }

    /// The lines for a consumer; what it has not, has no line.
    pub fn lines(&self, consumer: &Consumer) -> Lines {
        self.0.iter().filter_map(|(field, header)| Some((header, value(*field, consumer)?))).collect()
    }

    pub fn owned(&self, names: &mut Vec<Box<[u8]>>) {
        names.extend(self.0.iter().map(|(_, header)| header.clone()));
    }
}

fn value(field: ConsumerField, consumer: &Consumer) -> Option<Box<[u8]>> {
    let text = match field {
        ConsumerField::Name => consumer.name.to_string(),
        ConsumerField::Tier => consumer.tier.as_deref()?.to_owned(),
        ConsumerField::Tags => consumer.tags.join(","),
    };
    let mut clean = Vec::with_capacity(text.len());
    write_clean(&text, &mut clean);
    (!clean.is_empty()).then(|| clean.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Pipeline;

    #[test]
    fn what_a_consumer_has_not_has_no_line() {
        let plan = |field, header: &str| plan::ConsumerHeader { field, header: header.into() };
        let headers = ConsumerHeaders::compile(&[
            plan(ConsumerField::Name, "X-Consumer-Name"),
            plan(ConsumerField::Tier, "x-consumer-tier"),
            plan(ConsumerField::Tags, "x-consumer-tags"),
        ]);
        let consumer = Consumer {
            enabled: true,
            name: "a\r\nb".into(),
            tier: None,
            tags: vec!["x".into(), "y".into()],
            pipeline: Pipeline::default(),
        };
        let expected = [("x-consumer-name", "a\u{fffd}\u{fffd}b"), ("x-consumer-tags", "x,y")];
        assert_eq!(headers.lines(&consumer), expected.into_iter().collect());
    }
}

//! JSON that is passed on as it came: what is read, found and made of it, beside what `serde_json` makes of the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conditions;
mod documents;
mod requests;
mod shapes;
mod support;

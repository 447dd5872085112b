//! What the benchmarks need on the other core: two backends and an open-loop load generator.

pub mod poller;
pub mod quantiles;

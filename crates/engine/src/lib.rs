//! The engine of Tidegate.
#![forbid(unsafe_code)]

pub mod plan;

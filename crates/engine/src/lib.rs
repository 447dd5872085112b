//! The engine of Tidegate.
#![forbid(unsafe_code)]

pub mod path;
pub mod plan;
pub mod problem;
pub mod routing;
pub mod template;

//! Routing, the normal form of paths, and templates, as the rest of the engine uses them.

mod analysis;
mod oracle;
mod order;
mod paths;
mod support;
mod templates;

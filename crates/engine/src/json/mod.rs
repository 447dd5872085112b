//! JSON that is passed on as it came: checked once, cut into pieces by place, and put together anew.
//!
//! An answer of a service is read by [`Document::parse`], strictly (RFC 8259) and with bounds, and nothing of it is ever copied
//! into another form: [`Raw`] is the text of one value, so numbers of any size, members nobody knows of and their order come
//! through unchanged. A [`Shape`] puts such texts together, a [`Request`] makes a request of them, a [`When`] decides by them.
//!
//! Of members with one name the last counts for whoever asks for it by name, as in Python and JavaScript; in a value that is
//! passed on all of them stay.

mod condition;
mod document;
mod expression;
mod gather;
mod keep;
mod place;
mod prune;
mod raw;
mod request;
mod scan;
mod selection;
mod shape;
mod string;
mod text;

pub use condition::When;
pub use document::{ArrayBuilder, Document, Fault, MOST_DEPTH};
pub use place::Values;
pub use raw::{Kind, Raw, Step};
pub use request::{Hole, Request, RequestFrame};
pub use selection::Selection;
pub use shape::{Shape, TooLarge};
pub use string::write_string;

//! What proves who a consumer is, and the tables to look it up in.
//!
//! ```text
//! secret        the form of a key: checksum, hash
//! keys          keys of the store: shared by all workers, changed while traffic flows
//! document      keys, passwords and certificates of the document: a part of the snapshot
//! passwords     argon2id beside the workers, and what it found remembered for a while
//! recent        a bounded table that forgets
//! certificate   what a client certificate says of its owner
//! ```

pub mod certificate;
pub mod document;
pub mod keys;
pub mod passwords;
pub mod recent;
pub mod secret;

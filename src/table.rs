//! The key table: all key records of one Envoy process, once, in shared data.
//!
//! The table is `2^bits` buckets; a key's bucket is the first `bits` bits of its hash. Every bucket of the table in use is
//! present, an empty one too, so "not there" always means that the reader's idea of the layout is out of date, and never
//! that a key is unknown. `status` says which table is in use; it is written last. Readers are in `find`, the one writer
//! is in [`writer`].

pub mod bucket;
mod find;
mod layout;
pub mod plans;
pub mod status;
pub mod summary;
pub mod tag;
pub mod writer;

pub use self::find::{Found, Unreadable, find};
pub use self::layout::{MAX_BITS, bucket_key, bucket_of};

#[cfg(test)]
mod tests;

//! The one writer of the key table: applies pages, grows the table, cleans up behind itself.
//!
//! Order of writes is the whole protocol: buckets first, then the change ring, then `status`. A writer that dies between
//! two of them leaves a table that is at most newer than `status` says, and whoever goes on from `status` applies the
//! same page again. A table with other bits is written whole before `status` names it, and the old one is emptied
//! ([`TableWriter::housekeeping`]) only when every live worker has moved; `status.other` says that there is one.
//!
//! The writer holds a lease, which is no fence: one that was stopped for seconds may find that another has taken over.
//! `status` is only ever replaced in the version that was read before the first bucket was written. When that fails, the
//! buckets may be a mixture of two writers' work, so the table is marked and replaced as a whole.

mod error;
mod growth;
mod housekeeping;
mod receive;
mod reset;
mod steps;
mod table_writer;

pub use self::error::ApplyError;
pub use self::table_writer::TableWriter;

#[cfg(test)]
mod tests;

//! What gateway and control plane agree on: the form of a key, the record of what it may do, and the messages of the sync, in both
//! versions of its protocol. Both programs are built from these types, so they cannot drift apart.

mod json;
pub mod key;
pub mod leases;
pub mod page;
pub mod path;
pub mod plan;
pub mod protocol;
pub mod reasons;
pub mod record;
pub mod restrict;
#[cfg(test)]
pub mod samples;
pub mod session;
pub mod usage;

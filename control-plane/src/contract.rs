//! What gateways and control plane agree on, as this crate uses it: the form of keys, their records, and the messages of the sync.
//! Nothing else of the filter is named here, and the filter nowhere else.

pub(crate) use flamegate::contract::key::{ApiKey, BASE62, Environment, KeyHash, checksum};
pub(crate) use flamegate::contract::leases;
pub(crate) use flamegate::contract::page;
pub(crate) use flamegate::contract::page::WireHash;
pub(crate) use flamegate::contract::plan::{MAX_PLANS, Plan, limit_name};
pub(crate) use flamegate::contract::protocol::Protocol;
pub(crate) use flamegate::contract::reasons;
pub(crate) use flamegate::contract::record::{
    KeyRecord, Limit, MAX_LIMITS, MAX_REQUESTS, MAX_WINDOW_SECONDS, Reach, Scope, WhenUnreachable, is_name,
};
pub(crate) use flamegate::contract::restrict::Restrict;
pub(crate) use flamegate::contract::session::{SESSION_HEADER, Session};
pub(crate) use flamegate::contract::usage;

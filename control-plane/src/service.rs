//! What can be done, by whoever may: each service checks what it is given, keeps the rules in the transaction that writes, and knows
//! nothing of HTTP.

pub mod audit;
pub mod clock;
pub mod credentials;
pub mod explain;
pub mod gateways;
pub(crate) mod good;
pub mod housekeeping;
pub mod key_series;
pub mod keys;
pub mod lending;
pub mod masked;
pub mod metrics;
pub mod oidc;
pub mod operators;
pub mod plans;
pub(crate) mod quota;
pub mod receipts;
pub mod shadow;
pub mod signer;
pub mod sync;
pub mod throttle;
pub mod token_book;
pub mod usage;
pub mod users;
pub mod workspaces;

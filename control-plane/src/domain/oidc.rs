//! Signing in by a provider of identities (OpenID Connect): what is believed of its tokens, and what that makes of somebody here.

pub mod rules;
pub mod token;

pub use self::rules::{Claims, Identity, Rules};
pub use self::token::{Expected, KeySet};

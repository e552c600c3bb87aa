//! Tokens of operators, `fgo_…`: named, for all of `/v1` or for one workspace in a role, until a time if they have one.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use super::access::Scope;
use super::audit::{Actor, Target, Via};
use super::keys::End;

/// A token as stored; of the token itself there is only the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorToken {
    /// Row number: order of creation.
    pub seq: i64,
    /// `opt_…`.
    pub id: String,
    /// What the audit log calls it. Never given out twice.
    pub name: String,
    /// What it opens.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// From when on it opens nothing; `None` for never.
    pub expires_at: Option<End>,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, in whole minutes.
    pub last_used_at: Option<Timestamp>,
}

/// A token to be made.
#[derive(Clone, Debug, Default)]
pub struct TokenDraft {
    /// What the audit log calls it.
    pub name: String,
    /// Id or slug of the one workspace that it is for.
    pub workspace: Option<String>,
    /// As what, with a workspace.
    pub role: Option<String>,
    /// From when on it opens nothing: RFC 3339 text or Unix seconds.
    pub expires_at: Option<Value>,
}

/// Whether a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenStatus {
    /// It is.
    Active,
    /// Its time is over.
    Expired,
    /// Somebody has ended it.
    Revoked,
}

/// Most tokens that are good at once: each wrong one is compared with all.
pub const MOST_TOKENS: u32 = 1_000;

impl OperatorToken {
    /// Whether it is good.
    pub fn status(&self, now: Timestamp) -> TokenStatus {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => TokenStatus::Revoked,
            (None, Some(end)) if end.is_over(now) => TokenStatus::Expired,
            (None, _) => TokenStatus::Active,
        }
    }

    /// Whoever has it, doing something.
    pub fn as_actor(&self, via: Via, address: Option<IpAddr>) -> Actor {
        Actor {
            token_id: Some(self.id.clone()),
            name: format!("token:{}", self.name),
            ..Actor::admin_token(via, address)
        }
    }

    /// The token as what something is done to.
    pub(crate) fn as_target(&self) -> Target<'_> {
        let workspace_seq = self.scope.place().map(|place| place.workspace_seq);
        Target { workspace_seq, id: Some(&self.id), name: &self.name }
    }
}

impl TokenStatus {
    /// Its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

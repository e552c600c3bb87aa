//! A limit in bodies, both ways.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::contract::Limit;
use crate::domain::limits::LimitDraft;

/// A limit of a request that is not checked yet.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Limit)]
pub(crate) struct LimitBody {
    /// Name shown to clients in `RateLimit-Policy`; `default` when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "default", max_length = 64, pattern = "^[A-Za-z0-9_.-]+$")]
    pub name: Option<String>,
    /// `key` (each key counts for itself, the default) or `workspace` (all its keys together).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "key", pattern = "^(key|workspace)$")]
    pub scope: Option<String>,
    /// Requests per window, 1 to 1,000,000.
    #[schema(required, value_type = i64, example = 100, minimum = 1, maximum = 1_000_000)]
    pub requests: Option<i64>,
    /// Length of the window in seconds, 1 to 2,678,400 (31 days).
    #[schema(required, value_type = i64, example = 60, minimum = 1, maximum = 2_678_400)]
    pub window_seconds: Option<i64>,
    /// How many requests are admitted at once after a rest; `requests` when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 20, minimum = 1, maximum = 1_000_000)]
    pub burst: Option<i64>,
    /// `gateway` (each gateway counts for itself, the default) or `fleet` (all gateways together).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "gateway", pattern = "^(gateway|fleet)$")]
    pub reach: Option<String>,
    /// Of a fleet limit while its tokens cannot be had: `gateway` (each gateway goes by the limit for itself, the default) or `refuse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "gateway", pattern = "^(gateway|refuse)$")]
    pub when_unreachable: Option<String>,
}

impl From<LimitBody> for LimitDraft {
    fn from(body: LimitBody) -> Self {
        Self {
            name: body.name,
            scope: body.scope,
            requests: body.requests,
            window_seconds: body.window_seconds,
            burst: body.burst,
            reach: body.reach,
            when_unreachable: body.when_unreachable,
        }
    }
}

impl From<&Limit> for LimitBody {
    fn from(limit: &Limit) -> Self {
        let LimitDraft { name, scope, requests, window_seconds, burst, reach, when_unreachable } =
            limit.into();
        Self { name, scope, requests, window_seconds, burst, reach, when_unreachable }
    }
}

/// The limits of a request.
pub(super) fn drafts(bodies: Vec<LimitBody>) -> Vec<LimitDraft> {
    bodies.into_iter().map(LimitDraft::from).collect()
}

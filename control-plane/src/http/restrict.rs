//! What a key may be used for, in bodies, both ways.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::contract::Restrict;
use crate::domain::keys::RestrictDraft;

/// What a key may be used for. Each list that has something must match; anything else is answered by 403 `FORBIDDEN`. At most 32 entries
/// each.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Restrict)]
pub(crate) struct RestrictBody {
    /// Methods, in capitals; `GET`, `HEAD` and `OPTIONS` for a key that may only read. An upgrade (WebSocket) needs its method, `GET` and
    /// `CONNECT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["GET", "HEAD"]))]
    pub methods: Option<Vec<String>>,
    /// Paths without a query, or beginnings of paths that end in `/*`. A request whose path could be read in two ways matches none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["/v1/agents", "/v1/agents/*"]))]
    pub paths: Option<Vec<String>>,
    /// Addresses and networks of clients, IPv4 or IPv6, as Envoy knows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["10.0.0.0/8", "2001:db8::/32"]))]
    pub addresses: Option<Vec<String>>,
}

impl From<RestrictBody> for RestrictDraft {
    fn from(RestrictBody { methods, paths, addresses }: RestrictBody) -> Self {
        Self { methods, paths, addresses }
    }
}

impl From<&Restrict> for RestrictBody {
    fn from(restrict: &Restrict) -> Self {
        let list = |list: &Vec<String>| Some(list.clone()).filter(|list| !list.is_empty());
        let Restrict { methods, paths, addresses } = restrict;
        Self { methods: list(methods), paths: list(paths), addresses: list(addresses) }
    }
}

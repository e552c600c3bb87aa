//! What is asked for under `/v1/api-keys`, as it comes. What may be asked for is the domain's business.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, SchemaFormat};

use crate::domain::keys::{ImportDraft, KeyDraft, KeyPatch, RestrictDraft, RotateDraft};
use crate::http::json::present;
use crate::http::limits::{LimitBody, drafts};
use crate::http::restrict::RestrictBody;

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateKey)]
pub(super) struct CreateKey {
    /// Id or slug of the workspace.
    #[schema(required, value_type = String, example = "demo")]
    pub workspace: Option<String>,
    /// Descriptive name, 1 to 100 characters.
    #[schema(required, value_type = String, min_length = 1, max_length = 100, example = "Production App")]
    pub name: Option<String>,
    /// `live` or `test`.
    #[schema(required, value_type = String, pattern = "^(live|test)$", example = "live")]
    pub environment: Option<String>,
    /// When the key stops working: RFC 3339 text or Unix seconds, up to
    /// 9999-12-31T23:59:59Z; parts of a second are cut off. Never, when it is not given.
    #[serde(default)]
    #[schema(schema_with = expiry_schema)]
    pub expires_at: Option<Value>,
    /// Own limits; `[]` for none, so that only what the workspace sets applies. When it is not given, the key follows its
    /// workspace's default. One of them must be within the workspace's ceiling, which applies beside them.
    #[serde(default)]
    pub limits: Option<Vec<LimitBody>>,
    /// What it may be used for. Everything, when it is not given.
    #[serde(default)]
    pub restrict: Option<RestrictBody>,
    /// Name of a plan, which takes the place of the workspace's default limits. Only operators give plans.
    #[serde(default)]
    #[schema(example = "gold")]
    pub plan: Option<String>,
    /// What its owners say of it: one line, up to 500 characters. For people.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub note: Option<String>,
}

/// Changes of a key; what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UpdateKey)]
pub(super) struct UpdateKey {
    /// Another descriptive name.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// Another expiry: RFC 3339 text or Unix seconds; `null` for never.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = expiry_schema)]
    pub expires_at: Option<Value>,
    /// Other limits; `null` to follow the workspace's default again.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<LimitBody>>)]
    pub limits: Option<Option<Vec<LimitBody>>>,
    /// Other restrictions: a list that is not given stays as it is, an empty one restricts nothing; `null` for none at all.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<RestrictBody>)]
    pub restrict: Option<Option<RestrictBody>>,
    /// Another plan; `null` for none. Only operators give plans.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub plan: Option<Option<String>>,
    /// Another note; `null` for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 500)]
    pub note: Option<Option<String>>,
}

/// How a key is replaced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RotateKey)]
pub(super) struct RotateKey {
    /// How long the old key still works, in seconds; 0 ends it at once. At most 90 days. This or `grace` must be given.
    #[serde(default)]
    #[schema(example = 86_400, minimum = 0, maximum = 7_776_000)]
    pub grace_seconds: Option<i64>,
    /// The same as text: `90s`, `30m`, `24h`, `7d`, and `0` for at once.
    #[serde(default)]
    pub grace: Option<String>,
    /// When the new key stops working: RFC 3339 text or Unix seconds; `null` for never. When it is not given, it ends when the old
    /// one was to end, unless that is within an hour or the grace: then it must be given.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = expiry_schema)]
    pub expires_at: Option<Value>,
}

/// An existing key, by its hash.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportKey)]
pub(crate) struct ImportKey {
    /// SHA-256 of the whole key, prefix included, as 64 hexadecimal digits. Whether gateways would accept the key, which must begin
    /// with `sk_live_` or `sk_test_`, cannot be seen from its hash.
    #[schema(required, value_type = String, pattern = "^[0-9a-fA-F]{64}$")]
    pub hash: Option<String>,
    /// Id or slug of the workspace.
    #[schema(required, value_type = String, example = "demo")]
    pub workspace: Option<String>,
    /// Descriptive name, 1 to 100 characters.
    #[schema(required, value_type = String)]
    pub name: Option<String>,
    /// `live` or `test`, as in the key's prefix.
    #[schema(required, value_type = String, pattern = "^(live|test)$", example = "live")]
    pub environment: Option<String>,
    /// For people: the prefix, `…`, and at most four characters, for example `sk_live_…a1B2`; `…` when it is not given, since a
    /// hash says nothing of its key.
    #[serde(default)]
    pub key_hint: Option<String>,
    /// When the key stops working: RFC 3339 text or Unix seconds.
    #[serde(default)]
    #[schema(schema_with = expiry_schema)]
    pub expires_at: Option<Value>,
    /// Own limits; when it is not given, the key follows its workspace's default.
    #[serde(default)]
    pub limits: Option<Vec<LimitBody>>,
    /// What it may be used for. Everything, when it is not given.
    #[serde(default)]
    pub restrict: Option<RestrictBody>,
    /// Name of a plan.
    #[serde(default)]
    pub plan: Option<String>,
    /// `true`: in shadow from its first request on.
    #[serde(default)]
    pub shadow: Option<bool>,
}

impl From<CreateKey> for KeyDraft {
    fn from(body: CreateKey) -> Self {
        Self {
            workspace: body.workspace,
            name: body.name,
            environment: body.environment,
            expires_at: body.expires_at,
            limits: body.limits.map(drafts),
            restrict: body.restrict.map(RestrictDraft::from),
            plan: body.plan,
            note: body.note,
        }
    }
}

impl From<UpdateKey> for KeyPatch {
    fn from(body: UpdateKey) -> Self {
        Self {
            name: body.name,
            expires_at: body.expires_at,
            limits: body.limits.map(|limits| limits.map(drafts)),
            restrict: body.restrict.map(|restrict| restrict.map(RestrictDraft::from)),
            plan: body.plan,
            note: body.note,
        }
    }
}

impl From<RotateKey> for RotateDraft {
    fn from(body: RotateKey) -> Self {
        Self { grace_seconds: body.grace_seconds, grace: body.grace, expires_at: body.expires_at }
    }
}

impl From<ImportKey> for ImportDraft {
    fn from(body: ImportKey) -> Self {
        Self {
            hash: body.hash,
            workspace: body.workspace,
            name: body.name,
            environment: body.environment,
            key_hint: body.key_hint,
            expires_at: body.expires_at,
            limits: body.limits.map(drafts),
            restrict: body.restrict.map(RestrictDraft::from),
            plan: body.plan,
            shadow: body.shadow.unwrap_or(false),
        }
    }
}

/// How an end looks in the OpenAPI document.
pub(in crate::http) fn expiry_schema() -> Schema {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).description(Some("Unix seconds"));
    let nothing = ObjectBuilder::new().schema_type(Type::Null);
    let either = OneOfBuilder::new().item(text).item(seconds).item(nothing);
    either
        .description(Some("When the key stops working: RFC 3339 text or Unix seconds; null for never"))
        .into()
}

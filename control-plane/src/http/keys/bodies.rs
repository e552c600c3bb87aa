//! Bodies of `/v1/api-keys`: what a key looks like from outside. [`CreatedBody`] is the one place where a plaintext
//! leaves the process.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::drafts::ImportKey;
use crate::domain::gateways::Receipt;
use crate::domain::keys::secret::PlaintextKey;
use crate::domain::keys::{Imported, Key};
use crate::http::limits::LimitBody;
use crate::http::restrict::RestrictBody;
use crate::http::usage::UsesBody;

/// A key; never its plaintext.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(in crate::http) struct KeyBody {
    #[schema(example = "key_3nTUpLoF7xeE9sIzUQ")]
    id: String,
    /// Descriptive name.
    name: String,
    /// What its owners say of it.
    note: Option<String>,
    /// Id of the workspace.
    workspace: String,
    /// Slug of the workspace.
    workspace_slug: String,
    /// `live` or `test`.
    environment: &'static str,
    /// `active`, `revoked` or `expired`.
    status: &'static str,
    /// Enough of the key to recognise it.
    #[schema(example = "sk_live_…a1B2")]
    key_hint: String,
    /// RFC 3339.
    created_at: String,
    /// Who made it: a user's e-mail address, `token:` and the name of an operator's token, or `admin token`.
    created_by: Option<String>,
    /// RFC 3339; null for a key that does not expire.
    expires_at: Option<String>,
    /// RFC 3339; null for a key that is not revoked.
    revoked_at: Option<String>,
    /// The limits that the gateways enforce: its own or the default ones, the workspace's ceiling (`ceiling`), and the
    /// limits of the whole workspace.
    limits: Vec<LimitBody>,
    /// True when it follows the workspace's default and has none of its own.
    limits_inherited: bool,
    /// What it may be used for; null for everything.
    restrict: Option<RestrictBody>,
    /// Its plan, whose limits and restrictions count as well; null for none.
    plan: Option<String>,
    /// True while what its limits or restrictions would refuse is counted and passes. Only operators set it.
    shadow: bool,
    /// The key that this one replaced.
    rotated_from: Option<String>,
    /// The key that replaces this one.
    rotated_to: Option<String>,
    /// Last revision at which the gateways' view of the key changed; null for a token of one workspace.
    revision: Option<u64>,
    #[serde(flatten)]
    uses: UsesBody,
}

/// A key that was just made, with its plaintext.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedApiKey)]
pub(super) struct CreatedBody {
    #[serde(flatten)]
    pub api_key: KeyBody,
    /// The key itself. It is shown here and never again.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, example = "sk_live_…")]
    pub key: PlaintextKey,
    /// After a rotation: the old key as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<KeyBody>,
    /// With `wait`: which gateways know the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptBody>,
}

/// A key that was changed.
#[derive(Serialize, ToSchema)]
#[schema(as = UpdatedApiKey)]
pub(in crate::http) struct UpdatedBody {
    #[serde(flatten)]
    pub api_key: KeyBody,
    /// With `wait`: which gateways know of the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptBody>,
}

/// The receipt of a revocation.
#[derive(Serialize, ToSchema)]
#[schema(as = RevokedApiKey)]
pub(super) struct RevokedBody {
    #[serde(flatten)]
    pub receipt: ReceiptBody,
    /// The key as it is now.
    pub api_key: KeyBody,
    /// Keys that this one replaced, directly or not, and that still work: in a grace, or because somebody let them. Newest first.
    pub still_working: Vec<KeyBody>,
}

/// Which gateways enforce a change.
#[derive(Serialize, ToSchema)]
#[schema(as = Receipt)]
pub(in crate::http) struct ReceiptBody {
    /// Revision of the change; null for a token of one workspace, which is told of gateways only how many there are: they are numbered
    /// then.
    pub revision: Option<u64>,
    /// How many gateways are connected.
    gateways: usize,
    /// How many of them enforce it, on every worker.
    enforced: usize,
    /// Milliseconds from the commit to the last acknowledgement; null when none was timed.
    slowest_ms: Option<u64>,
    /// Connected gateways that do not enforce it yet.
    pending: Vec<String>,
    /// Gateways that were connected, are not now, and have not confirmed the change: one that still runs may serve without
    /// it until it comes back. Forget those that are gone for good. `<credential>/~pushed-out` stands for gateways of that
    /// credential that had acknowledged and were forgotten because there were too many, for a day.
    cut_off: Vec<String>,
    /// Control planes on the same database that have not said yet that they know of the change: a gateway may have come to one of them
    /// that is not counted here. Absent when there is none, as always with SQLite.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    replicas_behind: Vec<String>,
    /// Each connected gateway.
    gateways_detail: Vec<GatewayDetail>,
}

/// One gateway of a receipt.
#[derive(Serialize, ToSchema)]
struct GatewayDetail {
    id: String,
    /// True when every worker enforces the change.
    enforced: bool,
    /// Milliseconds from the commit to the acknowledgement.
    ms: Option<u64>,
}

/// Keys to import together.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportBatch {
    /// 1 to 1,000 keys.
    pub keys: Vec<ImportKey>,
    /// True to store those that are valid when others are not; otherwise none is stored then.
    #[serde(default)]
    pub partial: bool,
}

/// What became of a batch.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportResult)]
pub(super) struct BatchBody {
    /// Revision after the batch.
    pub revision: u64,
    /// How many keys were stored.
    pub imported: usize,
    /// How many hashes were known already.
    pub skipped: usize,
    /// How many keys are not valid and were not stored; only with `partial`.
    pub refused: usize,
    /// One entry per key of the request, in its order.
    pub keys: Vec<ImportedBody>,
}

/// What became of one key of a batch.
#[derive(Serialize, ToSchema)]
pub(super) struct ImportedBody {
    /// Its id; null when it is not valid.
    id: Option<String>,
    /// False when the hash was known already, and when the key is not valid.
    created: bool,
    /// Why it is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    problems: Option<Value>,
}

impl KeyBody {
    pub fn new(key: &Key, now: Timestamp) -> Self {
        Self {
            id: key.id.clone(),
            name: key.name.clone(),
            note: key.note.clone(),
            workspace: key.workspace.clone(),
            workspace_slug: key.workspace_slug.clone(),
            environment: key.environment.as_str(),
            status: key.status(now).as_str(),
            key_hint: key.hint.clone(),
            created_at: key.created_at.to_string(),
            created_by: key.created_by.clone(),
            expires_at: key.expires_at.map(|time| time.to_string()),
            revoked_at: key.revoked_at.map(|time| time.to_string()),
            limits: key.limits.iter().map(LimitBody::from).collect(),
            limits_inherited: key.own_limits.is_none(),
            restrict: key.restrict.as_ref().map(RestrictBody::from),
            plan: key.plan.clone(),
            shadow: key.shadow,
            rotated_from: key.rotated_from.clone(),
            rotated_to: key.rotated_to.clone(),
            revision: key.revision,
            uses: UsesBody::from(key),
        }
    }
}

impl ReceiptBody {
    pub fn new(receipt: Receipt) -> Self {
        Self {
            revision: Some(receipt.revision),
            gateways: receipt.gateways.len(),
            enforced: receipt.enforced(),
            slowest_ms: receipt.slowest_ms(),
            pending: receipt.pending(),
            cut_off: receipt.cut_off,
            replicas_behind: receipt.replicas,
            gateways_detail: receipt
                .gateways
                .into_iter()
                .map(|gateway| GatewayDetail { id: gateway.id, enforced: gateway.enforced, ms: gateway.ms })
                .collect(),
        }
    }
}

impl BatchBody {
    pub fn new(revision: u64, done: Vec<Imported>) -> Self {
        let count = |wanted: fn(&Imported) -> bool| done.iter().filter(|one| wanted(one)).count();
        Self {
            revision,
            imported: count(|one| matches!(one, Imported::Created(_))),
            skipped: count(|one| matches!(one, Imported::Known(_))),
            refused: count(|one| matches!(one, Imported::Refused(_))),
            keys: done.iter().map(ImportedBody::from).collect(),
        }
    }
}

impl From<&Imported> for ImportedBody {
    fn from(imported: &Imported) -> Self {
        let problems = match imported {
            Imported::Refused(problems) => Some(problems.to_json()),
            Imported::Created(_) | Imported::Known(_) => None,
        };
        let created = matches!(imported, Imported::Created(_));
        Self { id: imported.id().map(str::to_owned), created, problems }
    }
}

fn expose<S: Serializer>(key: &PlaintextKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key.expose())
}

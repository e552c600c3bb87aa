//! `/v1/explain`: what is known about one key, and what gateways answer to it. By id or hint in the address; the hash of a key goes in
//! a body, because addresses are kept in the logs of whatever stands in between. A key itself is refused wherever it is put.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::audit::EntryBody;
use super::envelope::Success;
use super::error::ErrorEnvelope;
use super::extract::{JsonBody, Query};
use super::gateways::{GatewayBody, body as gateway_body};
use super::keys::bodies::KeyBody;
use super::limits::LimitBody;
use super::restrict::RestrictBody;
use crate::contract::Limit;
use crate::domain::error::Error;
use crate::domain::explain::{QuestionDraft, Verdict};
use crate::service::explain::{Explanation, Found, Known};

/// Which key.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExplainQuery {
    /// Its id, `key_…`.
    id: Option<String>,
    /// What people see of it, such as `sk_live_…a1B2`. Several keys may have the same: then they are listed.
    hint: Option<String>,
}

/// Which key: exactly one of these.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ExplainKey {
    /// Its id.
    #[serde(default)]
    #[schema(example = "key_3nTUpLoF7xeE9sIzUQ")]
    id: Option<String>,
    /// What people see of it.
    #[serde(default)]
    #[schema(example = "sk_live_…a1B2")]
    hint: Option<String>,
    /// SHA-256 of the whole key, prefix included.
    #[serde(default)]
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    hash: Option<String>,
}

/// What is known about a key.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyExplanation)]
struct ExplanationBody {
    /// The key; null when none has that hash, and when several have that hint.
    key: Option<KeyBody>,
    /// Keys to choose from when several have that hint, newest first, at most 50.
    candidates: Vec<KeyBody>,
    /// True when there are more than these.
    more_candidates: bool,
    /// Where the key is.
    workspace: Option<WorkspaceOfKey>,
    /// What limits it, and where that comes from.
    limits: Option<LimitsOfKey>,
    /// What plans allow the key, beside its own restrictions: each must match.
    plan_restrictions: Vec<RestrictBody>,
    /// The key that it replaced.
    predecessor: Option<KeyBody>,
    /// The key that replaces it.
    successor: Option<KeyBody>,
    /// What the gateways that are connected answer; without any, what one answers that has acknowledged everything. Null for candidates.
    answer: Option<AnswerBody>,
    /// Revision of the log now.
    revision: u64,
    /// Each gateway, and what it answers.
    gateways: Vec<ExplainedGateway>,
    /// What was done to the key last, from the audit log; null when that was part of something larger, such as an import.
    last_change: Option<EntryBody>,
}

/// The workspace of a key.
#[derive(Serialize, ToSchema)]
struct WorkspaceOfKey {
    id: String,
    slug: String,
    name: String,
    /// Most active keys; null for as many as one likes.
    max_active_keys: Option<u32>,
}

/// What limits a key. Every burst is said, also one that follows from the rate.
#[derive(Serialize, ToSchema)]
struct LimitsOfKey {
    /// The key's own; null when it follows the workspace's default.
    own: Option<Vec<LimitBody>>,
    /// The workspace's for keys that have none of their own.
    workspace_default: Vec<LimitBody>,
    /// Most that each key of the workspace may do.
    ceiling: Option<LimitBody>,
    /// What all keys of the workspace share.
    workspace: Vec<LimitBody>,
    /// Those of its plan and of its workspace's plan; clients see them as `plan:` and the name.
    plans: Vec<LimitBody>,
    /// What gateways enforce: a request must be within all of them.
    effective: Vec<LimitBody>,
}

/// What a client gets.
#[derive(Serialize, ToSchema)]
struct AnswerBody {
    /// 200, 401 or 503; null when that cannot be known here.
    status: Option<u16>,
    /// The code in the answer's body; null for 200 and when it is not known.
    code: Option<&'static str>,
    /// `accepted`, `not_understood`, `unknown`, `revoked`, `expired`, `no_table`, `stale`, `other_database`, `behind` or `not_known`; in general also
    /// `differs`, when gateways that are connected answer differently.
    reason: &'static str,
    /// The same for people.
    why: &'static str,
}

/// A gateway, and what it answers.
#[derive(Serialize, ToSchema)]
struct ExplainedGateway {
    #[serde(flatten)]
    gateway: GatewayBody,
    /// What a client gets there.
    answer: AnswerBody,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(explain, explain_by_body))
}

/// What is known about a key, and what each gateway answers to it now.
#[utoipa::path(get, path = "/v1/explain", operation_id = "explain_api_key",
    tag = "api-keys", security(("admin" = ["operator"])), params(ExplainQuery), responses(
    (status = 200, body = Success<ExplanationBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, description = "No key has that id or hint", body = ErrorEnvelope),
    (status = 422, description = "Not exactly one of them, or it looks like a key", body = ErrorEnvelope)))]
async fn explain(
    State(app): State<App>,
    Query(ExplainQuery { id, hint }): Query<ExplainQuery>,
) -> Result<Success<ExplanationBody>, Error> {
    answer(&app, QuestionDraft { id, hint, hash: None }).await
}

/// The same, also by the key's hash. It changes nothing.
#[utoipa::path(post, path = "/v1/explain", operation_id = "explain_api_key_by_hash",
    tag = "api-keys", security(("admin" = ["operator"])), request_body = ExplainKey, responses(
    (status = 200, description = "`key` is null when no key has that hash", body = Success<ExplanationBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, description = "No key has that id or hint", body = ErrorEnvelope),
    (status = 422, description = "Not exactly one of them, or it looks like a key", body = ErrorEnvelope)))]
async fn explain_by_body(
    State(app): State<App>,
    JsonBody(ExplainKey { id, hint, hash }): JsonBody<ExplainKey>,
) -> Result<Success<ExplanationBody>, Error> {
    answer(&app, QuestionDraft { id, hint, hash }).await
}

async fn answer(app: &App, draft: QuestionDraft) -> Result<Success<ExplanationBody>, Error> {
    Ok(Success::new(app.explain.explain(draft.check()?).await?.into()))
}

impl From<Explanation> for ExplanationBody {
    fn from(explanation: Explanation) -> Self {
        let Explanation { now, revision, found, verdict, gateways } = explanation;
        let explained = gateways.into_iter().map(|(view, verdict)| ExplainedGateway {
            gateway: gateway_body(view, revision),
            answer: verdict.into(),
        });
        let mut body = Self {
            key: None,
            candidates: Vec::new(),
            more_candidates: false,
            workspace: None,
            limits: None,
            plan_restrictions: Vec::new(),
            predecessor: None,
            successor: None,
            answer: verdict.map(AnswerBody::from),
            revision,
            gateways: explained.collect(),
            last_change: None,
        };
        let shown = |key| KeyBody::new(key, now);
        match found {
            Found::Nothing => {}
            Found::Several { keys, more } => {
                (body.candidates, body.more_candidates) = (keys.iter().map(shown).collect(), more);
            }
            Found::One(known) => {
                body.limits = Some(LimitsOfKey::of(&known));
                let of_plans = known.plans.iter().filter_map(|plan| plan.restrict.as_ref());
                body.plan_restrictions = of_plans.map(RestrictBody::from).collect();
                let Known { key, workspace, predecessor, successor, last_change, .. } = *known;
                body.key = Some(shown(&key));
                body.predecessor = predecessor.as_ref().map(shown);
                body.successor = successor.as_ref().map(shown);
                body.last_change = last_change.map(EntryBody::from);
                body.workspace = Some(WorkspaceOfKey {
                    id: workspace.id,
                    slug: workspace.slug,
                    name: workspace.name,
                    max_active_keys: workspace.bounds.max_active_keys,
                });
            }
        }
        body
    }
}

impl LimitsOfKey {
    fn of(known: &Known) -> Self {
        let Known { key, workspace, plans, .. } = known;
        let all = |limits: &[Limit]| limits.iter().map(with_burst).collect::<Vec<_>>();
        Self {
            own: key.own_limits.as_deref().map(all),
            workspace_default: all(&workspace.default_limits),
            ceiling: workspace.bounds.ceiling.as_ref().map(with_burst),
            workspace: all(&workspace.bounds.workspace_limits),
            effective: key
                .limits
                .iter()
                .chain(plans.iter().flat_map(|plan| &plan.limits))
                .map(with_burst)
                .collect(),
            plans: plans.iter().flat_map(|plan| &plan.limits).map(with_burst).collect(),
        }
    }
}

fn with_burst(limit: &Limit) -> LimitBody {
    LimitBody { burst: Some(i64::from(limit.burst().get())), ..LimitBody::from(limit) }
}

impl From<Verdict> for AnswerBody {
    fn from(verdict: Verdict) -> Self {
        let (status, code) = (verdict.status(), verdict.code());
        Self { status, code, reason: verdict.as_str(), why: verdict.why() }
    }
}

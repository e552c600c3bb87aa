//! `/openapi.json`, generated from the handlers and their types.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use bytes::Bytes;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Generated, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::app::App;
use crate::domain::error::Error;

/// What does not come from the handlers: title, tokens, tags.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Flamegate control plane",
        description = "Owns the API keys of the Flametalk API and pushes them to the gateways. Answers are \
            `{\"success\":true,\"data\":…}` or `{\"success\":false,\"error\":{\"code\",\"message\",\"details\"}}`."
    ),
    modifiers(&Tokens),
    tags(
        (name = "api-keys", description = "Create, look at, change, revoke, rotate and import API keys"),
        (name = "workspaces", description = "Whom keys belong to, and the limits that keys get by default"),
        (name = "plans", description = "Limits and restrictions that many keys or workspaces have by one name"),
        (name = "users", description = "Who may use the pages of which workspace"),
        (name = "tokens", description = "Tokens of operators, for all of /v1 or for one workspace"),
        (name = "audit", description = "Who did what, when and from where"),
        (name = "gateways", description = "Which gateways enforce which revision, and their credentials"),
        (name = "sync", description = "What gateways use"),
        (name = "health", description = "Liveness, readiness, metrics"),
    )
)]
pub struct Document;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut Generated) {
        let components = document.components.get_or_insert_with(Default::default);
        for (name, about) in [
            (
                "admin",
                "FLAMEGATE_ADMIN_TOKEN, or a token of /v1/tokens. The scope says who may: `operator` is a token for all of /v1; \
                 `viewer`, `member` and `owner` are the least role of a token of one workspace, which sees nothing of others",
            ),
            ("sync", "FLAMEGATE_SYNC_TOKEN, or a gateway's credential"),
        ] {
            let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build();
            components.add_security_scheme(name, SecurityScheme::Http(bearer));
        }
    }
}

/// Written out once: anyone may ask, as often as they like.
pub(super) fn route(mut document: Generated) -> Result<Router<App>, Error> {
    add_common_responses(&mut document);
    describe_responses(&mut document);
    let text = Bytes::from(serde_json::to_vec(&document).map_err(Error::internal)?);
    let answer = async move || ([(header::CONTENT_TYPE, "application/json")], text.clone());
    Ok(Router::new().route("/openapi.json", get(answer)))
}

/// What any operation can answer, whatever it does: the framework's refusals, and being too busy or going down.
fn add_common_responses(document: &mut Generated) {
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let mut statuses: Vec<&str> = Vec::new();
            if operation.security.is_some() {
                statuses.extend(["400", "503"]);
            }
            if path.starts_with("/v1/") {
                statuses.extend(["403", "429"]);
            }
            if operation.request_body.is_some() || path.ends_with("/revoke") {
                statuses.extend(["413", "415", "422"]);
            }
            for status in statuses {
                let envelope = Ref::from_schema_name("ErrorEnvelope");
                let content = ContentBuilder::new().schema(Some(envelope)).build();
                let response = ResponseBuilder::new().content("application/json", content).build();
                operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(response));
            }
        }
    }
}

/// The format wants a description for every response; where the handler gives none, the status says enough.
fn describe_responses(document: &mut Generated) {
    let items = document.paths.paths.values_mut();
    let all = |item| -> [_; 5] {
        let item: &mut utoipa::openapi::PathItem = item;
        [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete]
    };
    let operations = items.flat_map(all).flatten();
    for (status, response) in operations.flat_map(|operation| operation.responses.responses.iter_mut()) {
        let reason = status.parse().ok().and_then(|status: StatusCode| status.canonical_reason());
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = reason.unwrap_or_default().to_owned();
        }
    }
}

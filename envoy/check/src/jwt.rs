//! Routes on which Flamegate is off and Envoy's JWT filter decides instead.

use crate::model::Filter;
use crate::node::At;

/// What a JWT filter makes of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jwt {
    /// No JWT is asked for.
    None,
    /// One is, and what clients send as identity headers goes upstream.
    Uncleaned,
    /// One is, and identity headers are removed before.
    Cleaned,
}

/// True for a JWT filter.
pub fn is_it(filter: &Filter<'_>) -> bool {
    filter.kind.ends_with(".JwtAuthentication") && !filter.at.is("disabled")
}

/// What the JWT filters, by what a route says about each, make of it.
pub fn of(manager: &At<'_>, changes: &[(&Filter<'_>, At<'_>)]) -> Jwt {
    if !changes.iter().any(|(filter, change)| requires(filter, change)) {
        return Jwt::None;
    }
    if cleans(manager) { Jwt::Cleaned } else { Jwt::Uncleaned }
}

/// True when the route asks for a requirement that the filter has, and that is one of its providers'.
fn requires(filter: &Filter<'_>, change: &At<'_>) -> bool {
    let (kind, change) = change.typed();
    if !kind.ends_with("jwt_authn.v3.PerRouteConfig") || change.is("disabled") {
        return false;
    }
    let name = change.text_of("requirement_name");
    let Some(config) = &filter.config else { return false };
    let named = |list: &str, name: &str| {
        let all = config.get(list).map(|all| all.fields()).unwrap_or_default();
        all.into_iter().find(|(known, _)| *known == name).map(|(_, at)| at)
    };
    named("requirement_map", name).is_some_and(|requirement| {
        let provider = requirement.text_of("provider_name");
        let with_audiences = requirement.get("provider_and_audiences");
        let provider = with_audiences.as_ref().map_or(provider, |at| at.text_of("provider_name"));
        named("providers", provider).is_some()
    })
}

/// True when the identity's headers are taken away before any filter, however their dashes are spelled.
fn cleans(manager: &At<'_>) -> bool {
    let mutations = manager.list("early_header_mutation_extensions").into_iter();
    let mutations = mutations.filter_map(|extension| Some(extension.get("typed_config")?.typed().1));
    let mut removals = mutations.flat_map(|config| config.list("mutations"));
    removals.any(|mutation| {
        let regex = mutation.dig(&["remove_on_match", "key_matcher", "safe_regex", "regex"]);
        // It is not read: whoever names us in one means our headers.
        regex.and_then(|at| at.text()).is_some_and(|regex| regex.contains("flametalk"))
    })
}

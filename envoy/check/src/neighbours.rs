//! What stands before and behind the filter in its chain.

use flamegate::config::{KeySources, Source};

use crate::chain::{Chain, is_flamegate};
use crate::finding::Findings;
use crate::guard::{self, Guard};
use crate::model::Filter;
use crate::node::At;
use crate::rules;

/// Checks the other filters of a chain.
pub fn check(chain: &Chain<'_, '_>, findings: &mut Findings) {
    let (before, behind) = chain.http.filters.split_at(chain.position);
    let behind = behind.get(1..).unwrap_or_default();
    for cache in before.iter().filter(|filter| is_cache(filter)) {
        findings.at(&rules::BEFORE_CACHE, &cache.at, format!("{} stands before the filter", cache.name));
    }
    for limit in before.iter().filter(|filter| filter.kind.ends_with(".ratelimit.v3.RateLimit")) {
        findings.at(&rules::BEFORE_LIMIT, &limit.at, format!("{} stands before the filter", limit.name));
    }
    if let Some(second) = behind.iter().find(|filter| is_flamegate(filter)) {
        let what = format!("{} is another Flamegate filter in this chain", second.name);
        findings.at(&rules::TWO_FILTERS, &second.at, what);
    }
    cached(behind, findings);
    kept_elsewhere(chain, findings);
    tokens(chain, behind, findings);
}

fn is_cache(filter: &Filter<'_>) -> bool {
    filter.kind.contains(".http.cache")
}

/// A cache behind the filter: guarded, and told which workspace it is.
fn cached(behind: &[Filter<'_>], findings: &mut Findings) {
    let Some(position) = behind.iter().position(is_cache) else { return };
    let (between, from) = behind.split_at(position);
    let Some(cache) = from.first() else { return };
    let guards = |filter: &Filter<'_>| {
        filter.config.as_ref().is_some_and(|config| guard::of_rbac(config) != Guard::Foreign)
    };
    if !between.iter().any(guards) {
        let what = format!("no RBAC guard stands between the filter and {}", cache.name);
        findings.at(&rules::CACHE_GUARD, &cache.at, what);
    }
    // What writes the workspace into the request, as the recipe does.
    if !between.iter().any(|filter| filter.kind.contains(".lua.") || filter.kind.contains("header_mutation"))
    {
        let what = format!("nothing before {} tells workspaces apart", cache.name);
        findings.at(&rules::CACHE_KEY, &cache.at, what);
    }
}

/// Caches in front give nobody else what was answered to a request with `Authorization`; a key in another place they do not know.
fn kept_elsewhere(chain: &Chain<'_, '_>, findings: &mut Findings) {
    let Some(plugin) = chain.plugin.filter(|plugin| {
        let only = |sources: &KeySources| {
            sources.all().iter().all(|source| matches!(source, Source::Bearer | Source::BasicUsername))
        };
        plugin.key_sources().is_some_and(|sources| !only(sources))
    }) else {
        return;
    };
    let manager = &chain.http.manager;
    let says = |at: &At<'_>| {
        let header = at.get("header");
        let is_control =
            header.as_ref().is_some_and(|header| header.text_of("key").eq_ignore_ascii_case("cache-control"));
        let value = header.map(|header| header.text_of("value").to_owned()).unwrap_or_default();
        is_control && ["private", "no-store"].iter().any(|word| value.contains(word))
    };
    let mutations = chain.http.filters.iter().filter_map(|filter| filter.config.as_ref()?.get("mutations"));
    let mut filters = mutations.flat_map(|mutations| mutations.list("response_mutations"));
    let routes = manager.all_of("response_headers_to_add").into_iter().flat_map(|list| list.items());
    if !filters.any(|mutation| mutation.get("append").is_some_and(|append| says(&append)))
        && !routes.into_iter().any(|one| says(&one))
    {
        findings.at(
            &rules::KEY_SOURCE_CACHE,
            &plugin.at,
            "a key may stand outside of authorization, and no answer says cache-control: private",
        );
    }
}

/// Other tokens in the same header.
fn tokens(chain: &Chain<'_, '_>, behind: &[Filter<'_>], findings: &mut Findings) {
    let Some(plugin) = chain.plugin.filter(|plugin| !plugin.keeps_authorization()) else { return };
    let bypasses =
        plugin.json.get("bypass").and_then(|rules| rules.as_array()).is_some_and(|rules| !rules.is_empty());
    let jwt = behind.iter().find(|filter| filter.kind.ends_with(".JwtAuthentication"));
    if let Some(jwt) = jwt.filter(|_| bypasses) {
        let what = format!("{} stands behind the filter, which has bypass rules", jwt.name);
        findings.at(&rules::JWT_BYPASS, &jwt.at, what);
    }
}

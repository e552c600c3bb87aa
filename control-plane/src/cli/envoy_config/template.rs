//! `envoy/envoy.yaml`, which the demo and the tests run, with another API's routes in it.
//!
//! Marks in that file (`# [name]`, a line for itself) say where its demo's parts begin and end, and where more may come. A mark that is
//! missing is an error, so the two cannot go different ways unseen.

use serde_json::{Value, json};

use super::control_tls::ControlTls;
use super::jwt::{Jwt, indented};
use super::values::{Endpoint, OpenPath, PathText, Plain, StreamPath};

const SOURCE: &str = include_str!("../../../../envoy/envoy.yaml");
const FILTER: &str = include_str!("../../../../envoy/filter.json");
const SYNC: &str = include_str!("../../../../envoy/sync.json");

/// A gateway for one API.
pub(super) struct Gateway {
    pub upstream: Endpoint,
    pub control: Vec<Endpoint>,
    pub control_tls: Option<ControlTls>,
    pub wasm: PathText,
    pub listen: Endpoint,
    pub admin_port: u16,
    pub access_log: PathText,
    pub name: Plain,
    pub open: Vec<OpenPath>,
    pub streams: Vec<StreamPath>,
    pub jwt: Option<Jwt>,
}

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub(super) enum TemplateError {
    /// A part of our own is not as this program knows it.
    #[error("envoy.yaml of this program has no {0}")]
    Source(String),
    /// The path is needed for something else.
    #[error("--open {0}: the gateway itself answers there whether it is ready")]
    Readiness(String),
}

/// The whole configuration.
pub(super) fn render(gateway: &Gateway) -> Result<String, TemplateError> {
    let body = SOURCE.split_once("\nnode:").ok_or_else(|| missing("node:"))?.1;
    let mut text = format!("{}\nnode:{body}", HEAD.trim_end());
    let streams = section(&text, "streams")?.to_owned();
    let streams =
        gateway.streams.iter().map(|path| stream_route(&streams, path)).collect::<Result<Vec<_>, _>>()?;
    replace(&mut text, "streams", &streams.concat())?;
    let endpoint = section(&text, "control")?.to_owned();
    let endpoints = gateway.control.iter().map(|one| control_endpoint(&endpoint, one));
    let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
    replace(&mut text, "control", &endpoints.concat())?;
    let tls = gateway.control_tls.as_ref().map(|tls| tls.socket(&gateway.control));
    insert(&mut text, "control tls", &tls.unwrap_or_default())?;
    let jwt = gateway.jwt.as_ref();
    insert(&mut text, "jwt routes", &jwt.map(|_| Jwt::routes(&gateway.streams)).unwrap_or_default())?;
    insert(&mut text, "jwt filter", &jwt.map(Jwt::filter).unwrap_or_default())?;
    insert(&mut text, "jwt replies", &jwt.map(|_| Jwt::replies()).unwrap_or_default())?;
    insert(&mut text, "jwt cleaning", jwt.map(|_| Jwt::cleaning()).unwrap_or_default())?;
    insert(&mut text, "jwt cluster", &jwt.map(Jwt::cluster).unwrap_or_default())?;
    for (name, value) in values(gateway)? {
        let place = format!("${{{name}}}");
        if !text.contains(&place) {
            return Err(missing(&place));
        }
        text = text.replace(&place, &value);
    }
    match text.contains("${") {
        true => Err(missing("value for something in it")),
        false => Ok(text),
    }
}

const HEAD: &str = "\
# Envoy with Flamegate, by `flamegate-control envoy-config`. The token of the control plane comes by FLAMEGATE_SYNC_TOKEN in Envoy's
# environment.
";

fn values(gateway: &Gateway) -> Result<[(&'static str, String); 11], TemplateError> {
    Ok([
        ("NODE_ID", gateway.name.0.clone()),
        ("ADMIN_PORT", gateway.admin_port.to_string()),
        ("WASM", gateway.wasm.0.clone()),
        ("ACCESS_LOG", gateway.access_log.0.clone()),
        ("GATEWAY_ADDRESS", gateway.listen.host.clone()),
        ("GATEWAY_PORT", gateway.listen.port.to_string()),
        ("UPSTREAM_HOST", gateway.upstream.host.clone()),
        ("UPSTREAM_PORT", gateway.upstream.port.to_string()),
        ("FILTER_CONFIG", filter(gateway)?.to_string()),
        ("FILTER_ENVIRONMENT", "[]".to_owned()),
        ("SYNC_CONFIG", json_of(SYNC, "sync.json")?.to_string()),
    ])
}

/// The filter's configuration with this API's open paths.
fn filter(gateway: &Gateway) -> Result<Value, TemplateError> {
    let mut filter = json_of(FILTER, "filter.json")?;
    let readiness = filter["readiness_path"].as_str().unwrap_or_default();
    if let Some(path) = gateway.open.iter().find(|path| path.opens(readiness)) {
        return Err(TemplateError::Readiness(path.0.clone()));
    }
    let rule =
        |path: &OpenPath| json!({"path": path.0, "match": if path.is_prefix() { "prefix" } else { "exact" }});
    filter["bypass"] = gateway.open.iter().map(rule).collect();
    Ok(filter)
}

fn json_of(text: &str, name: &str) -> Result<Value, TemplateError> {
    serde_json::from_str(text).map_err(|_| missing(&format!("{name} that is JSON")))
}

/// The demo's endpoint of the control plane, with another one's address in it.
fn control_endpoint(endpoint: &str, control: &Endpoint) -> Result<String, TemplateError> {
    let mut text = endpoint.to_owned();
    for (place, value) in
        [("${CONTROL_HOST}", control.host.clone()), ("${CONTROL_PORT}", control.port.to_string())]
    {
        if !text.contains(place) {
            return Err(missing(place));
        }
        text = text.replace(place, &value);
    }
    Ok(text)
}

/// The demo's route for one stream, with another one in it.
fn stream_route(routes: &str, path: &StreamPath) -> Result<String, TemplateError> {
    let demo = "path_separated_prefix: /v1/events";
    route_with(routes, demo, &path.matcher())
}

/// The one route of these that has `demo` in it, with `wanted` in its place.
fn route_with(routes: &str, demo: &str, wanted: &str) -> Result<String, TemplateError> {
    let begins = |line: &str| line.trim_start().starts_with("- match:");
    let mut found = String::new();
    let mut inside = false;
    for line in routes.split_inclusive('\n') {
        if begins(line) {
            inside = line.contains(demo);
        }
        if inside && !line.trim_start().starts_with('#') {
            found.push_str(&line.replace(demo, wanted));
        }
    }
    if found.is_empty() { Err(missing(demo)) } else { Ok(found) }
}

/// What stands between a mark and its end.
fn section<'t>(text: &'t str, name: &str) -> Result<&'t str, TemplateError> {
    let (from, to) = bounds(text, name)?;
    text.get(from..to).ok_or_else(|| missing(name))
}

/// Puts something in the place of a section; the marks go.
fn replace(text: &mut String, name: &str, new: &str) -> Result<(), TemplateError> {
    let (from, to) = bounds(text, name)?;
    let line = |at: usize| {
        text.get(..at).and_then(|before| before.trim_end_matches('\n').rfind('\n')).map_or(0, |n| n + 1)
    };
    let (begin, end) =
        (line(from), text.get(to..).and_then(|rest| rest.find('\n')).map_or(text.len(), |n| to + n + 1));
    text.replace_range(begin..end, new);
    Ok(())
}

/// First byte after the mark's line, and first byte of the end's line.
fn bounds(text: &str, name: &str) -> Result<(usize, usize), TemplateError> {
    let line_of = |mark: &str, after: usize| {
        let found = text.get(after..)?.find(mark)?;
        let at = after + found;
        let begin = text.get(..at)?.rfind('\n')? + 1;
        let end = at + text.get(at..)?.find('\n')? + 1;
        Some((begin, end))
    };
    let from = line_of(&format!("# [{name}]\n"), 0).ok_or_else(|| missing(name))?.1;
    let to = line_of(&format!("# [end of {name}]\n"), from).ok_or_else(|| missing(name))?.0;
    Ok((from, to))
}

/// Puts lines in the place of a mark, as far right as the mark stood.
fn insert(text: &mut String, name: &str, new: &str) -> Result<(), TemplateError> {
    let mark = format!("# [{name}]");
    let at = text.find(&format!("{mark}\n")).ok_or_else(|| missing(name))?;
    let begin = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |n| n + 1);
    let end = at + mark.len() + 1;
    let mut lines = indented(new, at - begin);
    if !lines.is_empty() {
        lines.push('\n');
    }
    text.replace_range(begin..end, &lines);
    Ok(())
}

fn missing(what: &str) -> TemplateError {
    TemplateError::Source(what.to_owned())
}

#[cfg(test)]
mod tests;

//! The fields of the plugin configuration, object by object: the only place with defaults and bounds.

use std::collections::HashSet;
use std::rc::Rc;

use serde_json::Value;

use crate::contract::key::{Environment, KeyHash};
use crate::contract::record::{KeyRecord, is_name};
use crate::decision::auth::Accepts;
use crate::decision::bypass::BypassRule;
use crate::decision::known_key::KnownKey;
use crate::decision::throttle::ThrottleConfig;

use super::fields::{Fields, parse_json};
use super::key_sources;
use super::mistakes::{ConfigError, Mistakes};
use super::published;
use super::settings::{Config, FilterConfig, Role, SyncConfig, SyncMode};
use super::workspace_limits;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_MILLI: u64 = 1_000_000;
/// Beyond the hold time of a poll, the least margin that `max_staleness_seconds` must leave.
const STALENESS_MARGIN_SECONDS: u64 = 10;

/// Longest configured gateway name; a suffix that makes it unique comes behind it.
pub const MAX_GATEWAY_LEN: usize = 48;

impl Config {
    /// Parses the plugin configuration. `environment` looks an environment variable up.
    pub fn parse(json: &[u8], environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut mistakes = Mistakes::default();
        let value = match parse_json(json) {
            Ok(value) => value,
            Err(problem) => {
                mistakes.add("", problem);
                return Err(mistakes.into_error());
            }
        };
        let config = parse_root(&value, &environment, &mut mistakes);
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(mistakes.into_error()),
        }
    }
}

/// Reads the whole configuration; `None` when it is not even an object.
pub fn parse_root(
    value: &Value,
    environment: &dyn Fn(&str) -> Option<String>,
    mistakes: &mut Mistakes,
) -> Option<Config> {
    let mut root = Fields::new(value, "", mistakes)?;
    let role = root.choice("role", &[("filter", Role::Filter), ("sync", Role::Sync)], Role::Filter);
    let tick_ms = root.number("tick_ms", 20, 1, 500);
    let sync = root.child("sync");
    let sync = sync.and_then(|(value, path)| parse_sync(value, &path, role, environment, root.mistakes()));
    let filter = parse_filter(&mut root, sync.as_ref());
    if role == Role::Sync && !root.has("sync") {
        root.mistake("sync", "role \"sync\" needs it");
    }
    if role == Role::Filter && !root.has("sync") && filter.static_keys.is_empty() && !root.has("static_keys")
    {
        root.mistake("sync", "neither \"sync\" nor \"static_keys\" is given: no key could ever be valid");
    }
    if role == Role::Sync {
        root.refuse_all(FILTER_FIELDS, "has no meaning with role \"sync\"");
    }
    root.finish();
    Some(Config { role, filter, sync, tick_ms: u32::try_from(tick_ms).unwrap_or(u32::MAX) })
}

/// Fields that only a filter uses.
pub const FILTER_FIELDS: &[&str] = &[
    "realm",
    "environments",
    "bypass",
    "key_sources",
    "shadow",
    "cors_preflight",
    "forward_authorization",
    "identity_headers",
    "filter_state",
    "end_streams",
    "internal_redirects",
    "route_settings",
    "rate_limit_headers",
    "require_checksum",
    "cache_records",
    "max_staleness_seconds",
    "readiness_path",
    "start_hold_ms",
    "fleet_wait_ms",
    "failure_throttle",
    "static_keys",
];

fn parse_filter(root: &mut Fields<'_, '_>, sync: Option<&SyncConfig>) -> FilterConfig {
    let realm = root.text("realm", "flametalk");
    if !realm.bytes().all(|b| b.is_ascii_graphic() || b == b' ') || realm.contains(['"', '\\']) {
        root.mistake("realm", "printable ASCII without quotes and backslashes");
    }
    let max_staleness = root.number("max_staleness_seconds", 0, 0, 31_536_000);
    check_staleness(root, max_staleness, sync);
    let environments =
        root.texts("environments").unwrap_or_else(|| vec!["live".to_owned(), "test".to_owned()]);
    let accepts = parse_accepts(root, &environments);
    let throttle = root.child("failure_throttle");
    let failure_throttle = throttle.and_then(|(value, path)| parse_throttle(value, &path, root.mistakes()));
    let bypass = root.list("bypass", parse_bypass);
    let names = root.child("filter_state");
    let published =
        names.map(|(value, path)| published::read(value, &path, root.mistakes())).unwrap_or_default();
    let fleet_wait = root.number("fleet_wait_ms", 100, 0, 10_000);
    let start_hold = root.number("start_hold_ms", 3_000, 0, 60_000);
    FilterConfig {
        realm,
        accepts,
        readiness_path: parse_readiness(root, &bypass),
        fleet_wait_ns: fleet_wait.saturating_mul(NANOS_PER_MILLI),
        start_hold_ns: start_hold.saturating_mul(NANOS_PER_MILLI),
        bypass,
        key_sources: root
            .child("key_sources")
            .and_then(|(value, path)| key_sources::read(value, &path, root.mistakes())),
        shadow: parse_shadow(root),
        cors_preflight: root.flag("cors_preflight", true),
        forward_authorization: root.flag("forward_authorization", false),
        identity_headers: root.flag("identity_headers", true),
        published,
        end_streams: root.flag("end_streams", true),
        internal_redirects: root.flag("internal_redirects", false),
        route_settings: root.flag("route_settings", false),
        rate_limit_on_success: parse_rate_limit_headers(root),
        cache_records: usize::try_from(root.number("cache_records", 4096, 1, 100_000)).unwrap_or(usize::MAX),
        max_staleness_ns: (max_staleness > 0).then(|| max_staleness.saturating_mul(NANOS_PER_SECOND)),
        failure_throttle,
        static_keys: parse_static_keys(root),
    }
}

/// The path of probes. A bypass rule for it would let them through to the upstream.
fn parse_readiness(root: &mut Fields<'_, '_>, bypass: &[BypassRule]) -> Option<String> {
    let path = root.text("readiness_path", "");
    if path.is_empty() {
        return None;
    }
    if !crate::decision::bypass::is_unambiguous(path.as_bytes()) {
        let rule = "a path with one reading: begins with '/', no query, no empty or dot segments, no encoded separators";
        root.mistake("readiness_path", rule);
    }
    if bypass.iter().any(|rule| rule.opens(&path)) {
        root.mistake("readiness_path", "a bypass rule sends requests with this path to the upstream");
    }
    Some(path)
}

fn parse_throttle(value: &Value, path: &str, mistakes: &mut Mistakes) -> Option<ThrottleConfig> {
    let mut fields = Fields::new(value, path, mistakes)?;
    let failures = fields.required_number("failures", 10_000);
    let window_seconds = fields.required_number("window_seconds", 86_400);
    let addresses = usize::try_from(fields.number("addresses", 4096, 64, 65_536)).unwrap_or(usize::MAX);
    fields.finish();
    Some(ThrottleConfig { failures: failures?, window_seconds: window_seconds?, addresses })
}

/// The ordinary artifact has no callback for responses, since Envoy would enter the VM for every one.
fn parse_rate_limit_headers(root: &mut Fields<'_, '_>) -> bool {
    let always = root.choice("rate_limit_headers", &[("denied", false), ("always", true)], false);
    if always && cfg!(target_arch = "wasm32") && !cfg!(feature = "response-headers") {
        root.mistake("rate_limit_headers", "\"always\" needs the artifact flamegate-response-headers");
    }
    always
}

/// Nothing is to change for clients, whose answers would say otherwise.
fn parse_shadow(root: &mut Fields<'_, '_>) -> bool {
    let shadow = root.flag("shadow", false);
    if shadow && root.has("rate_limit_headers") {
        root.mistake("rate_limit_headers", "has no meaning with shadow: nothing changes for clients");
    }
    shadow
}

fn check_staleness(root: &mut Fields<'_, '_>, max_staleness: u64, sync: Option<&SyncConfig>) {
    let Some(sync) = sync.filter(|_| max_staleness > 0) else {
        if max_staleness > 0 && !root.has("sync") {
            root.mistake("max_staleness_seconds", "has no meaning without \"sync\"");
        }
        return;
    };
    let least = u64::from(sync.wait_seconds).saturating_add(STALENESS_MARGIN_SECONDS);
    if max_staleness < least {
        let problem =
            format!("0 (off) or at least {least}: sync.wait_seconds and {STALENESS_MARGIN_SECONDS} more");
        root.mistake("max_staleness_seconds", &problem);
    }
}

fn parse_accepts(root: &mut Fields<'_, '_>, environments: &[String]) -> Accepts {
    let accepts = |environment: Environment| environments.iter().any(|name| name == environment.as_str());
    for (index, name) in environments.iter().enumerate() {
        if name != "live" && name != "test" {
            root.mistake(&format!("environments[{index}]"), "one of \"live\", \"test\"");
        }
    }
    if environments.is_empty() {
        root.mistake("environments", "at least one of \"live\", \"test\"");
    }
    Accepts {
        live: accepts(Environment::Live),
        test: accepts(Environment::Test),
        checksum_only: root.flag("require_checksum", false),
    }
}

fn parse_bypass(value: &Value, path: &str, mistakes: &mut Mistakes) -> Option<BypassRule> {
    let mut fields = Fields::new(value, path, mistakes)?;
    let rule_path = fields.required_text("path");
    let prefix = fields.choice("match", &[("exact", false), ("prefix", true)], false);
    let methods = fields.texts("methods").unwrap_or_default();
    let upgrade = fields.flag("upgrade", false);
    if fields.has("methods") && methods.is_empty() {
        fields.mistake("methods", "at least one method, or leave it out for all");
    }
    for (index, method) in methods.iter().enumerate() {
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') {
            fields.mistake(&format!("methods[{index}]"), "a method in capitals, as \"GET\"");
        }
    }
    if let Some(rule_path) = &rule_path {
        if !crate::decision::bypass::is_unambiguous(rule_path.as_bytes()) {
            let rule = "a path with one reading: begins with '/', no query, no empty or dot segments, no encoded separators";
            fields.mistake("path", rule);
        } else if prefix && !rule_path.ends_with('/') {
            fields.mistake("path", "a prefix ends in '/', or \"/public\" would also open \"/publications\"");
        }
    }
    fields.finish();
    Some(BypassRule { path: rule_path?, prefix, methods, upgrade })
}

fn parse_static_keys(root: &mut Fields<'_, '_>) -> Vec<Rc<KnownKey>> {
    let keys = root.list("static_keys", |value, path, mistakes| {
        parse_static_key(value, path, mistakes).map(|(hash, record)| (path.to_owned(), hash, record))
    });
    let mut seen = HashSet::new();
    for (path, hash, _) in &keys {
        if !seen.insert(hash) {
            root.mistake(&format!("{path}.hash"), "this hash is in the list already");
        }
    }
    workspace_limits::check(root, keys.iter().map(|(path, _, record)| (path.as_str(), record)));
    keys.into_iter().map(|(_, hash, record)| Rc::new(KnownKey::new(hash, record))).collect()
}

fn parse_static_key(value: &Value, path: &str, mistakes: &mut Mistakes) -> Option<(KeyHash, KeyRecord)> {
    let mut fields = Fields::new(value, path, mistakes)?;
    let text = fields.required_text("hash");
    let hash = text.as_deref().and_then(KeyHash::from_hex);
    if text.is_some() && hash.is_none() {
        fields.mistake("hash", "SHA-256 of the key as 64 hexadecimal digits");
    }
    let record = fields.record();
    fields.finish();
    Some((hash?, record?))
}

fn parse_sync(
    value: &Value,
    path: &str,
    role: Role,
    environment: &dyn Fn(&str) -> Option<String>,
    mistakes: &mut Mistakes,
) -> Option<SyncConfig> {
    let mut fields = Fields::new(value, path, mistakes)?;
    let modes = [("singleton", SyncMode::Singleton), ("elected", SyncMode::Elected)];
    let mode = fields.choice("mode", &modes, SyncMode::Singleton);
    let cluster = fields.text("cluster", "flamegate-control");
    let authority = fields.text("authority", "flamegate-control");
    for (name, value) in [("cluster", &cluster), ("authority", &authority)] {
        if value.is_empty() || !value.bytes().all(|b| b.is_ascii_graphic()) {
            fields.mistake(name, "printable ASCII without blanks, not empty");
        }
    }
    let gateway = fields.text("gateway", "");
    if !gateway.is_empty() && (!is_name(&gateway) || gateway.len() > MAX_GATEWAY_LEN) {
        let rule = format!("1 to {MAX_GATEWAY_LEN} letters, digits, '_', '-' or '.'");
        fields.mistake("gateway", &rule);
    }
    // A filter beside a singleton reads the table and talks to nobody.
    let speaks = role == Role::Sync || mode == SyncMode::Elected;
    let token = parse_token(&mut fields, environment, speaks);
    if role == Role::Sync && mode == SyncMode::Elected {
        fields.mistake("mode", "\"elected\" has no meaning with role \"sync\": the service is the singleton");
    }
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let wait_seconds = narrow(fields.number("wait_seconds", 25, 1, 300));
    let page_size = narrow(fields.number("page_size", 250, 1, 5_000));
    let first_page_size = narrow(fields.number("first_page_size", 5_000, 1, 5_000));
    let retry_ms = (
        narrow(fields.number("retry_min_ms", 200, 10, 10_000)),
        narrow(fields.number("retry_max_ms", 5_000, 10, 10_000)),
    );
    if retry_ms.0 > retry_ms.1 {
        fields.mistake("retry_max_ms", "at least retry_min_ms");
    }
    fields.finish();
    Some(SyncConfig {
        mode,
        cluster,
        authority,
        gateway,
        token,
        wait_seconds,
        page_size,
        first_page_size,
        retry_ms,
    })
}

/// The sync token from its environment variable. Whatever is configured as the variable's name is only repeated when it
/// looks like one: it may be a token that was put into the wrong field.
fn parse_token(
    fields: &mut Fields<'_, '_>,
    environment: &dyn Fn(&str) -> Option<String>,
    is_needed: bool,
) -> String {
    let variable = fields.text("token_env", "FLAMEGATE_SYNC_TOKEN");
    let is_variable = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    if variable.is_empty()
        || variable.starts_with(|c: char| c.is_ascii_digit())
        || !variable.bytes().all(is_variable)
    {
        fields.mistake("token_env", "the name of an environment variable: capitals, digits and '_'");
        return String::new();
    }
    let token = environment(&variable).unwrap_or_default();
    if is_needed && (token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic())) {
        let problem = format!(
            "environment variable {variable} must hold the sync token (vm_config.environment_variables; before Envoy 1.39 a VM keeps its old ones until vm_config.configuration differs)"
        );
        fields.mistake("token_env", &problem);
    }
    token
}

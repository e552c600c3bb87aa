//! One plugin configuration: read by the filter's own parser, with the environment that its VM would have.

use std::cell::RefCell;

use flamegate::config::{Config, KeySources, Role, Source, SyncMode};
use serde_json::Value as Json;

use crate::finding::Findings;
use crate::node::{At, Value};
use crate::options::Options;
use crate::rules;
use crate::text::FILLED;

/// A plugin configuration in its place.
pub struct Plugin<'a> {
    /// Where its text stands.
    pub at: At<'a>,
    /// The text as JSON; null when it is none.
    pub json: Json,
    /// What the filter makes of it; nothing when it has mistakes.
    pub config: Option<Config>,
    /// `PluginConfig` of Envoy around it.
    pub around: Option<At<'a>>,
}

/// Which environment variables the VM sees.
#[derive(Clone, Debug, Default)]
pub struct Visible {
    /// Names taken from the environment of Envoy's process.
    pub host: Vec<String>,
    /// Names and values that stand in the configuration.
    pub inline: Vec<(String, String)>,
    /// True when it cannot be said: any name counts as taken from the process.
    pub unknown: bool,
}

/// Filter state that is published unless `filter_state` says otherwise.
const PUBLISHED: [&str; 1] = ["key_id"];
/// Stands for a token that nobody has to know here.
const SOME_TOKEN: &str = "some-token";

impl<'a> Plugin<'a> {
    /// Of a `PluginConfig` in an Envoy configuration.
    pub fn of_envoy(config: &At<'a>, options: &Options<'_>, findings: &mut Findings) -> Option<Self> {
        let visible = visible_in_envoy(config);
        let Some(field) = config.get("configuration") else {
            return Some(Self::read("{}", config.clone(), &visible, options, findings).within(config));
        };
        let (kind, message) = field.typed();
        let read = match (kind, message.get("value"), message.text()) {
            ("google.protobuf.StringValue", Some(value), _) => {
                let text = value.text().map(str::to_owned);
                text.map(|text| (text, value))
            }
            ("google.protobuf.Struct", Some(value), _) => Some((value.node.to_json().to_string(), value)),
            // The agent of Istio delivers a Struct inside a TypedStruct.
            (_, None, None) if kind.is_empty() || kind == "google.protobuf.Struct" => {
                Some((message.node.to_json().to_string(), message))
            }
            _ => None,
        };
        let Some((text, at)) = read else {
            findings.at(
                &rules::PLUGIN_UNSEEN,
                &field,
                "the configuration is neither a StringValue nor a Struct",
            );
            return None;
        };
        if text.trim().starts_with(FILLED) {
            let name = text.trim().trim_start_matches(FILLED);
            findings.at(
                &rules::PLUGIN_UNSEEN,
                &at,
                format!("the whole configuration is a placeholder: ${{{name}}}"),
            );
            return None;
        }
        Some(Self::read(&text, at, &visible, options, findings).within(config))
    }

    /// Of a text, with every mistake noted.
    pub fn read(
        text: &str,
        at: At<'a>,
        visible: &Visible,
        options: &Options<'_>,
        findings: &mut Findings,
    ) -> Self {
        let not_here = RefCell::new(Vec::new());
        let look_up = |name: &str| match visible.inline.iter().find(|(known, _)| known == name) {
            Some((_, value)) => Some(value.clone()),
            None if visible.unknown || visible.host.iter().any(|known| known == name) => {
                let value = options.environment.and_then(|environment| environment(name));
                if options.environment.is_some() && value.as_deref().unwrap_or_default().is_empty() {
                    not_here.borrow_mut().push(name.to_owned());
                    return Some(SOME_TOKEN.to_owned());
                }
                Some(value.unwrap_or_else(|| SOME_TOKEN.to_owned()))
            }
            None => None,
        };
        let (config, mistakes) = match Config::parse(text.as_bytes(), look_up) {
            Ok(config) => (Some(config), Vec::new()),
            Err(error) => (None, error.0),
        };
        for mistake in mistakes {
            let what = if mistake.path.is_empty() {
                mistake.problem
            } else {
                format!("{}: {}", mistake.path, mistake.problem)
            };
            findings.at(&rules::PLUGIN, &at, what);
        }
        let plugin = Self { at, json: serde_json::from_str(text).unwrap_or_default(), config, around: None };
        if plugin.speaks() {
            for name in not_here.into_inner() {
                let what = format!("the environment variable {name} with the sync token is not set here");
                findings.at(&rules::TOKEN_NOT_HERE, &plugin.at, what);
            }
            if visible.inline.iter().any(|(name, _)| name == plugin.token_env()) {
                findings.at(
                    &rules::TOKEN_IN_FILE,
                    &plugin.at,
                    format!("the value of {} stands in the file", plugin.token_env()),
                );
            }
        }
        plugin
    }

    fn within(mut self, config: &At<'a>) -> Self {
        self.around = Some(config.clone());
        self
    }

    /// Filter or sync, as far as it can be told.
    pub fn role(&self) -> Role {
        let said = self.json.get("role").and_then(Json::as_str);
        self.config
            .as_ref()
            .map_or(if said == Some("sync") { Role::Sync } else { Role::Filter }, |config| config.role)
    }

    /// How the table is kept; nothing with static keys only.
    pub fn mode(&self) -> Option<SyncMode> {
        let sync = self.json.get("sync")?;
        let elected = sync.get("mode").and_then(Json::as_str) == Some("elected");
        Some(if elected { SyncMode::Elected } else { SyncMode::Singleton })
    }

    /// True when it talks to the control plane.
    pub fn speaks(&self) -> bool {
        self.mode().is_some() && (self.role() == Role::Sync || self.mode() == Some(SyncMode::Elected))
    }

    /// Cluster of the control plane.
    pub fn cluster(&self) -> &str {
        self.sync_text("cluster").unwrap_or("flamegate-control")
    }

    /// How long a poll is held, in seconds.
    pub fn wait_seconds(&self) -> u64 {
        let sync = self.config.as_ref().and_then(|config| config.sync.as_ref());
        sync.map_or(25, |sync| u64::from(sync.wait_seconds))
    }

    /// True when this name of filter state (`key_id`, `workspace_id` …) is published. `bypass` goes with `key_id`.
    pub fn publishes(&self, name: &str) -> bool {
        let name = if name == "bypass" { "key_id" } else { name };
        match self.json.get("filter_state") {
            None => PUBLISHED.contains(&name),
            Some(Json::Array(names)) => names.iter().any(|known| known.as_str() == Some(name)),
            Some(_) => false,
        }
    }

    /// A flag of the configuration, `false` where there is none.
    pub fn flag(&self, name: &str) -> bool {
        self.json.get(name).and_then(Json::as_bool).unwrap_or_default()
    }

    /// The places of a key, when there are others than `authorization`.
    pub fn key_sources(&self) -> Option<&KeySources> {
        self.config.as_ref()?.filter.key_sources.as_deref()
    }

    /// True when what stands under `authorization` gets behind the filter, also where no key is needed.
    pub fn keeps_authorization(&self) -> bool {
        self.flag("forward_authorization")
            || self.key_sources().is_some_and(|sources| !sources.use_authorization())
    }

    /// Headers that hold a key, in lower case.
    pub fn key_headers(&self) -> Vec<&str> {
        let Some(sources) = self.key_sources() else { return vec!["authorization"] };
        let others = sources.all().iter().filter_map(|source| match source {
            Source::Header(name) => Some(name.as_str()),
            Source::Cookie(_) => Some("cookie"),
            Source::WebsocketProtocol(_) => Some("sec-websocket-protocol"),
            Source::Bearer | Source::BasicUsername | Source::Query(_) => None,
        });
        ["authorization"].into_iter().chain(others).collect()
    }

    fn token_env(&self) -> &str {
        self.sync_text("token_env").unwrap_or("FLAMEGATE_SYNC_TOKEN")
    }

    fn sync_text(&self, name: &str) -> Option<&str> {
        self.json.get("sync")?.get(name)?.as_str()
    }

    /// `vm_config` around it.
    pub fn vm(&self) -> Option<At<'a>> {
        self.around.as_ref()?.get("vm_config")
    }
}

fn visible_in_envoy(config: &At<'_>) -> Visible {
    let Some(variables) = config.dig(&["vm_config", "environment_variables"]) else {
        return Visible::default();
    };
    let host = variables.get("host_env_keys");
    let unknown = host.as_ref().and_then(At::text).is_some_and(|text| text.starts_with(FILLED));
    let names = variables.list("host_env_keys");
    let inline = variables.get("key_values").map(|values| values.fields()).unwrap_or_default();
    Visible {
        host: names.iter().filter_map(|name| Some(name.text()?.to_owned())).collect(),
        inline: inline.iter().map(|(name, at)| ((*name).to_owned(), plain(at))).collect(),
        unknown,
    }
}

fn plain(at: &At<'_>) -> String {
    match &at.node.value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        _ => String::new(),
    }
}

/// True for a `PluginConfig` that is ours, by its names or by what it is configured with.
pub fn is_ours(config: &At<'_>, filter_name: &str) -> bool {
    let vm = config.get("vm_config");
    let names = [filter_name, config.text_of("name"), config.text_of("root_id")];
    let code = vm.as_ref().and_then(|vm| vm.get("code")).map(|code| code.texts()).unwrap_or_default();
    let vm_id = vm.as_ref().map(|vm| vm.text_of("vm_id")).unwrap_or_default();
    let ours = |text: &str| text.to_ascii_lowercase().contains("flamegate");
    names.into_iter().any(ours) || ours(vm_id) || code.iter().any(|(text, _)| ours(text))
}

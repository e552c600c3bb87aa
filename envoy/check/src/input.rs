//! Which kind of text it is, and what is done with each.

use flamegate::config::Role;

use crate::finding::{Finding, Findings};
use crate::model::{Model, is_dump};
use crate::node::{At, Node, Value};
use crate::options::Options;
use crate::plugin::{Plugin, Visible};
use crate::text::{self, Text};
use crate::{cluster, filters, process, rules};

/// Checks a text; the worst findings first.
pub fn check(text: &str, options: &Options<'_>) -> Vec<Finding> {
    let mut findings = Findings::default();
    match text::read(text) {
        Err(error) => findings.add(&rules::NOT_READ, "", error.line, error.what),
        Ok(read) => documents(&read, text, options, &mut findings),
    }
    findings.sorted()
}

fn documents(read: &Text, text: &str, options: &Options<'_>, findings: &mut Findings) {
    if !read.placeholders.is_empty() {
        let names: Vec<_> = read.placeholders.iter().map(|name| format!("${{{name}}}")).collect();
        findings.add(&rules::TEMPLATE, "", 0, format!("it is a template: {} stand in it", names.join(", ")));
    }
    for (line, name) in &read.twice {
        findings.add(&rules::TWICE, "", *line, format!("the field {name} stands twice"));
    }
    let mut known = 0_usize;
    for document in &read.documents {
        known =
            known.saturating_add(usize::from(one(document, text, read.documents.len(), options, findings)));
    }
    if known == 0 && findings.0.is_empty() {
        let what = "it is neither a plugin configuration nor one of Envoy, nor a resource that holds one";
        findings.add(&rules::NOT_READ, "", 0, what);
    }
}

/// True when something in it could be checked.
fn one(
    document: &Node,
    text: &str,
    documents: usize,
    options: &Options<'_>,
    findings: &mut Findings,
) -> bool {
    let root = document.root();
    let has = |name| root.get(name).is_some();
    if is_dump(document) {
        // Whatever environment Envoy has, it runs with it.
        envoy(&Model::of_dump(&root), &Options { environment: None, ..*options }, findings);
    } else if has("resources") {
        envoy(&Model::of_resources(&root), options, findings);
    } else if has("apiVersion") {
        return kubernetes(&root, options, findings);
    } else if ["static_resources", "dynamic_resources", "bootstrap_extensions", "admin", "node"]
        .into_iter()
        .any(has)
    {
        envoy(&Model::of_bootstrap(root), options, findings);
    } else if matches!(document.value, Value::Null) && documents > 1 {
        return false;
    } else {
        // What is JSON goes to the parser as it stands: it knows of fields that stand twice.
        let is_json = document.line == 0;
        let text = if is_json { text.to_owned() } else { document.to_json().to_string() };
        let visible = Visible { unknown: true, ..Visible::default() };
        let plugin = Plugin::read(&text, root, &visible, options, findings);
        if options.role.is_some_and(|role| role != plugin.role()) {
            findings.at(&rules::ROLE, &plugin.at, format!("it has the role {:?}", role_of(&plugin)));
        }
        alone(&plugin, findings);
    }
    true
}

fn role_of(plugin: &Plugin<'_>) -> &'static str {
    if plugin.role() == Role::Sync { "sync" } else { "filter" }
}

/// What can be said of a plugin configuration by itself.
fn alone(plugin: &Plugin<'_>, findings: &mut Findings) {
    let rules = plugin.config.iter().flat_map(|config| &config.filter.bypass);
    for rule in rules.filter(|rule| rule.prefix && rule.path == "/") {
        findings.at(
            &rules::BYPASS_ALL,
            &plugin.at,
            format!("the bypass rule of the prefix {} opens every path", rule.path),
        );
    }
}

/// The plugin configurations in resources of Istio and Envoy Gateway. Their guards and routes are seen in the proxy only.
fn kubernetes(root: &At<'_>, options: &Options<'_>, findings: &mut Findings) -> bool {
    let Some(spec) = root.get("spec") else { return false };
    let is_ours = |texts: &At<'_>| texts.texts().iter().any(|(text, _)| text.contains("flamegate"));
    match root.text_of("kind") {
        "WasmPlugin" if is_ours(root) => {
            match spec.text_of("failStrategy") {
                "FAIL_RELOAD" => {}
                "FAIL_OPEN" => findings.at(&rules::FAIL_OPEN, &spec, "failStrategy is FAIL_OPEN"),
                other => {
                    let what = format!(
                        "failStrategy is {}",
                        if other.is_empty() { "not set" } else { "another one" }
                    );
                    findings.at(&rules::FAIL_POLICY, &spec, what);
                }
            }
            let Some(config) = spec.get("pluginConfig") else {
                findings.at(
                    &rules::PLUGIN_UNSEEN,
                    root,
                    "the resource has no pluginConfig: is it a patch of another?",
                );
                return true;
            };
            let mut visible = Visible::default();
            for variable in spec.get("vmConfig").map(|vm| vm.list("env")).unwrap_or_default() {
                let name = variable.text_of("name").to_owned();
                match variable.text_of("valueFrom") {
                    "HOST" => visible.host.push(name),
                    _ => visible.inline.push((name, variable.text_of("value").to_owned())),
                }
            }
            resource(&config, &visible, options, findings);
        }
        "EnvoyExtensionPolicy" => {
            for wasm in spec.list("wasm").iter().filter(|wasm| is_ours(wasm)) {
                if wasm.is("failOpen") {
                    findings.at(&rules::FAIL_OPEN, wasm, "failOpen is true");
                }
                let keys = wasm.get("env").map(|env| env.list("hostKeys")).unwrap_or_default();
                let host = keys.iter().filter_map(|key| Some(key.text()?.to_owned())).collect();
                let config = wasm.get("config").unwrap_or_else(|| wasm.clone());
                resource(&config, &Visible { host, ..Visible::default() }, options, findings);
            }
        }
        "EnvoyFilter" | "EnvoyPatchPolicy" if is_ours(root) => {
            let what = "what the proxy makes of these patches is seen in the proxy only";
            findings.at(&rules::UNSEEN, root, what);
        }
        _ => {}
    }
    true
}

/// Of a resource the environment is the proxy's, and not that of whoever writes it.
fn resource(config: &At<'_>, visible: &Visible, options: &Options<'_>, findings: &mut Findings) {
    let options = Options { environment: None, ..*options };
    let text = config.node.to_json().to_string();
    let plugin = Plugin::read(&text, config.clone(), visible, &options, findings);
    if plugin.role() == Role::Sync {
        findings.at(&rules::ROLE, config, "an HTTP filter has the role sync");
    }
    alone(&plugin, findings);
}

fn envoy(model: &Model<'_>, options: &Options<'_>, findings: &mut Findings) {
    for (at, details) in &model.refused {
        findings.at(&rules::DELIVERY, at, format!("Envoy refused an update: {details}"));
    }
    let plugins = filters::check(model, options, findings);
    let syncs = process::check(model, &plugins, options, findings);
    cluster::check(model, plugins.iter().chain(&syncs), findings);
    for plugin in &plugins {
        alone(plugin, findings);
    }
}

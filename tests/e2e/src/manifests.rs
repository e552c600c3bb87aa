//! Manifests for Kubernetes: their YAML documents, and `envoy/istio` the way `kubectl apply -k` would: resources, then patches, then the namespace.

use std::{fs, path::Path};

use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::process::root;

/// The YAML documents of a file of the repository.
pub fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let parse = |document| Value::deserialize(document).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_yaml_ng::Deserializer::from_str(&text).map(parse).collect()
}

/// What one folder with a `kustomization.yaml` renders to. Knows the fields used here and refuses any other.
pub fn render(folder: &str) -> Vec<Value> {
    render_folder(&root().join("envoy/istio").join(folder))
}

fn render_folder(folder: &Path) -> Vec<Value> {
    let mut rendered = Vec::new();
    let kustomization = documents(&folder.join("kustomization.yaml")).remove(0);
    let fields = kustomization.as_object().expect("an object");
    for name in fields.keys() {
        let known = ["apiVersion", "kind", "resources", "patches", "namespace"];
        assert!(known.contains(&name.as_str()), "{}: {name} is not rendered here", folder.display());
    }
    for resource in items(&kustomization["resources"]) {
        let path = folder.join(resource.as_str().expect("a path"));
        rendered.extend(if path.is_dir() { render_folder(&path) } else { documents(&path) });
    }
    for patch in items(&kustomization["patches"]) {
        let patch = documents(&folder.join(patch["path"].as_str().expect("a path"))).remove(0);
        let same = |one: &&mut Value| {
            one["kind"] == patch["kind"] && one["metadata"]["name"] == patch["metadata"]["name"]
        };
        merge(rendered.iter_mut().find(same).expect("what the patch changes"), &patch);
    }
    if let Some(namespace) = fields.get("namespace") {
        rendered.iter_mut().for_each(|one| one["metadata"]["namespace"] = namespace.clone());
    }
    rendered
}

/// The items of a list that may be left out.
pub fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// JSON merge patch (RFC 7386), which Kustomize uses for custom resources.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (name, value) in changes {
        merge(&mut target[name.as_str()], value);
    }
}

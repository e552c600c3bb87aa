//! The files of `envoy/istio` against Istio's published schema, and the plugin configuration in them against ours.

use std::fs;

use flamegate::config::Config;
use flamegate_e2e::manifests::{documents, items, render};
use flamegate_e2e::process::root;
use serde_json::{Value, json};

fn schemas() -> Value {
    let text = fs::read_to_string(root().join("tests/e2e/schemas/istio.json")).expect("schemas");
    serde_json::from_str::<Value>(&text).expect("JSON")["kinds"].clone()
}

/// Every mistake of a value, by the keywords that the schema uses.
fn mistakes(path: &str, value: &Value, schema: &Value, found: &mut Vec<String>) {
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        other => panic!("type {other:?}"),
    };
    if !fits {
        found.push(format!("{path}: not of type {}", schema["type"]));
        return;
    }
    if schema["enum"].is_array() && !items(&schema["enum"]).any(|one| one == value) {
        found.push(format!("{path}: {value} is none of {}", schema["enum"]));
    }
    if schema["pattern"].is_string() {
        // The one pattern in use: a SHA-256 in hexadecimal, or nothing.
        assert_eq!(schema["pattern"], json!("(^$|^[a-f0-9]{64}$)"));
        let text = value.as_str().unwrap_or_default();
        if !text.is_empty() && (text.len() != 64 || !text.bytes().all(|b| b"0123456789abcdef".contains(&b))) {
            found.push(format!("{path}: {text} does not match"));
        }
    }
    for name in items(&schema["required"]).filter_map(Value::as_str) {
        if value.get(name).is_none() {
            found.push(format!("{path}.{name}: missing"));
        }
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => mistakes(&path, field, schema, found),
            (None, Value::Bool(false)) => found.push(format!("{path}: unknown field")),
            (None, Value::Object(_)) => mistakes(&path, field, &schema["additionalProperties"], found),
            (None, _) => {}
        }
    }
    for (index, item) in items(value).enumerate() {
        mistakes(&format!("{path}[{index}]"), item, &schema["items"], found);
    }
}

fn mistakes_of(manifest: &Value) -> Vec<String> {
    let kind = manifest["kind"].as_str().expect("kind");
    let schema = schemas()[kind].clone();
    assert!(schema.is_object(), "no schema of {kind}");
    assert_eq!(manifest["apiVersion"], schema["apiVersion"], "{kind}");
    let mut found = Vec::new();
    mistakes(kind, &manifest["spec"], &schema["spec"], &mut found);
    found
}

fn all() -> Vec<Value> {
    let mut all: Vec<Value> = ["control-plane", "gateway", "sidecar"].into_iter().flat_map(render).collect();
    for file in ["singleton", "external-control-plane"] {
        all.extend(documents(&root().join(format!("envoy/istio/optional/{file}.yaml"))));
    }
    all
}

fn plugin(variant: &str) -> Value {
    render(variant).into_iter().find(|one| one["kind"] == "WasmPlugin").expect("a WasmPlugin")
}

#[test]
fn manifests_fit_the_schema() {
    let all = all();
    assert_eq!(all.len(), 9, "{all:#?}");
    for manifest in &all {
        assert_eq!(mistakes_of(manifest), Vec::<String>::new(), "{manifest:#}");
    }
}

#[test]
fn unknown_fields_and_wrong_values_do_not_fit() {
    let mut manifest = plugin("gateway");
    manifest["spec"]["failPolicy"] = json!("FAIL_RELOAD");
    manifest["spec"]["phase"] = json!("FIRST");
    manifest["spec"]["sha256"] = json!("12");
    manifest["spec"]["vmConfig"]["env"][0]["valueFrom"] = json!("SECRET");
    manifest["spec"].as_object_mut().expect("spec").remove("url");
    assert_eq!(mistakes_of(&manifest).len(), 5, "{:?}", mistakes_of(&manifest));
}

#[test]
fn the_filter_accepts_the_configurations() {
    let token = |name: &str| (name == "FLAMEGATE_SYNC_TOKEN").then(|| "token".to_owned());
    for variant in ["gateway", "sidecar"] {
        let config = plugin(variant)["spec"]["pluginConfig"].to_string();
        Config::parse(config.as_bytes(), token).unwrap_or_else(|error| panic!("{variant}: {error}"));
    }
    let singleton = documents(&root().join("envoy/istio/optional/singleton.yaml")).remove(0);
    let value = &singleton["spec"]["configPatches"][0]["patch"]["value"]["bootstrap_extensions"][0];
    let config = value["typed_config"]["config"]["configuration"]["value"].as_str().expect("configuration");
    Config::parse(config.as_bytes(), token).unwrap_or_else(|error| panic!("singleton: {error}"));
}

/// Istio takes any certificate unless it is told whom to trust, and any name unless it is told which.
#[test]
fn the_external_control_plane_is_checked_by_authority_and_name() {
    let manifests = documents(&root().join("envoy/istio/optional/external-control-plane.yaml"));
    let of_kind = |kind: &str| manifests.iter().find(|one| one["kind"] == kind).expect("a manifest");
    let (entry, rule) = (of_kind("ServiceEntry"), of_kind("DestinationRule"));
    let tls = &rule["spec"]["trafficPolicy"]["tls"];
    assert_eq!(tls["mode"], "SIMPLE");
    assert!(tls["caCertificates"].as_str().is_some_and(|path| path.starts_with('/')), "{tls}");
    assert_eq!(tls["subjectAltNames"], entry["spec"]["hosts"], "{tls}");
    assert_eq!(json!([tls["sni"]]), entry["spec"]["hosts"], "{tls}");
    assert_eq!(tls.get("insecureSkipVerify"), None);
    assert_eq!(rule["spec"]["host"], entry["spec"]["hosts"][0]);
}

#[test]
fn no_secret_stands_in_a_manifest_and_the_variants_differ_where_they_must() {
    for variant in ["gateway", "sidecar"] {
        for variable in items(&plugin(variant)["spec"]["vmConfig"]["env"]) {
            assert_eq!((&variable["valueFrom"], variable.get("value")), (&json!("HOST"), None));
        }
        let guard = render(variant).into_iter().find(|one| one["kind"] == "EnvoyFilter").expect("the guard");
        let context = if variant == "gateway" { "GATEWAY" } else { "SIDECAR_INBOUND" };
        assert_eq!(guard["spec"]["configPatches"][0]["match"]["context"], context);
        let labels = &guard["spec"]["workloadSelector"]["labels"];
        assert_eq!(*labels, plugin(variant)["spec"]["selector"]["matchLabels"], "{variant}");
    }
    assert_eq!(plugin("sidecar")["spec"]["match"], json!([{"mode": "SERVER"}]));
}

#[test]
fn the_control_planes_pod_makes_no_database_and_its_job_makes_one_on_the_same_volume() {
    let folder = root().join("envoy/kubernetes");
    let set = documents(&folder.join("control-plane.yaml")).remove(0);
    let job = documents(&folder.join("init.yaml")).remove(0);
    let (pod, init) = (&set["spec"]["template"]["spec"], &job["spec"]["template"]["spec"]);
    let container = &pod["containers"][0];
    assert_eq!(
        container["args"],
        json!(["serve"]),
        "an --init that stays would empty every gateway with a lost volume"
    );
    assert_eq!((&set["spec"]["replicas"], &pod["enableServiceLinks"]), (&json!(1), &json!(false)));
    let database =
        items(&container["env"]).find(|one| one["name"] == "FLAMEGATE_DATABASE").expect("its database");
    assert_eq!(init["containers"][0]["args"], json!(["init", "--database", database["value"]]));
    let claim = &set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"];
    let claim = format!(
        "{}-{}-0",
        claim.as_str().expect("a name"),
        set["metadata"]["name"].as_str().expect("a name")
    );
    assert_eq!(init["volumes"][0]["persistentVolumeClaim"]["claimName"], json!(claim));
    assert_eq!(container["volumeMounts"], init["containers"][0]["volumeMounts"]);
    assert_eq!(pod["securityContext"], init["securityContext"]);
    // The pod is the one that the Service finds.
    let service = documents(&root().join("envoy/istio/control-plane/control-plane.yaml")).remove(0);
    assert_eq!(service["spec"]["selector"], set["spec"]["template"]["metadata"]["labels"]);
    assert_eq!(service["metadata"]["name"], set["spec"]["serviceName"]);
}

//! What a key may be used for: given, changed list by list, inherited, taken away, and told.

use serde_json::{Value, json};

use crate::common::Control;

fn body(restrict: Value) -> Value {
    json!({"workspace": "demo", "name": "A", "environment": "live", "restrict": restrict})
}

#[tokio::test]
async fn restrictions_are_given_changed_inherited_and_taken_away() {
    let control = Control::with_workspace().await;
    let all = json!({"methods": ["GET", "HEAD"], "paths": ["/v1/agents", "/v1/agents/*"], "addresses": ["10.0.0.0/8"]});
    let made = control.post("/v1/api-keys", body(all.clone())).await.expect(201);
    assert_eq!(made["restrict"], all);
    let path = format!("/v1/api-keys/{}", made["id"].as_str().unwrap());
    assert_eq!(control.get(&path).await.expect(200)["restrict"], all);
    let revision = control.revision();
    assert_eq!(control.patch(&path, json!({"name": "B"})).await.expect(200)["restrict"], all);
    assert_eq!(
        control.patch(&path, json!({"restrict": {"methods": ["GET", "HEAD"]}})).await.expect(200)["restrict"],
        all
    );
    assert_eq!(control.revision(), revision, "nothing is another");
    // A list that is not given stays, an empty one restricts nothing.
    let changed = json!({"restrict": {"methods": [], "paths": ["/v2/*"]}});
    let key = control.patch(&path, changed).await.expect(200);
    assert_eq!(key["restrict"], json!({"paths": ["/v2/*"], "addresses": ["10.0.0.0/8"]}));
    assert_eq!(control.revision(), revision + 1);
    let rotated = control.post(&format!("{path}/rotate"), json!({"grace": "1h"})).await.expect(201);
    assert_eq!(rotated["restrict"], key["restrict"], "a new key may do no more than the old one");
    let key = control.patch(&path, json!({"restrict": null})).await.expect(200);
    assert_eq!(key["restrict"], Value::Null);
    let audit = control.get("/v1/audit?action=api_key.updated").await.expect(200);
    let told: Vec<_> = audit
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (entry["details"]["before"]["restrictions"].clone(), entry["details"]["restrictions"].clone())
        })
        .collect();
    let (first, second) = (
        "methods GET, HEAD; paths /v1/agents, /v1/agents/*; addresses 10.0.0.0/8",
        "paths /v2/*; addresses 10.0.0.0/8",
    );
    assert_eq!(told, [(json!(second), Value::Null), (json!(first), json!(second))]);
    let import = json!({"keys": [{"hash": "0".repeat(64), "workspace": "demo", "name": "k", "environment": "live",
        "restrict": {"methods": ["GET"]}}]});
    let done = control.post("/v1/api-keys/import-batch", import).await.expect(200);
    let id = done["keys"][0]["id"].as_str().unwrap();
    let imported = control.get(&format!("/v1/api-keys/{id}")).await.expect(200);
    assert_eq!(imported["restrict"], json!({"methods": ["GET"]}));
}

#[tokio::test]
async fn what_has_two_readings_is_refused_with_its_place() {
    let control = Control::with_workspace().await;
    let restrict = json!({"methods": ["GET", "get"], "paths": ["/a/../b"], "addresses": ["10.0.0.1/8"]});
    let problems = control.post("/v1/api-keys", body(restrict)).await.problems();
    let places = ["restrict.methods[1]: ", "restrict.paths[0]: ", "restrict.addresses[0]: "];
    assert!(
        problems.len() == 3 && problems.iter().zip(places).all(|(problem, place)| problem.starts_with(place)),
        "{problems:?}"
    );
    for (restrict, place) in [
        (json!({"hosts": ["a"]}), "restrict.hosts: is not a known field"),
        (json!({"methods": "GET"}), "restrict.methods: must be a list"),
        (json!(["GET"]), "restrict: must be an object"),
        (
            json!({"methods": vec!["GET".to_owned(); 1].into_iter().chain((0..33).map(|n| "A".repeat(n + 1))).collect::<Vec<_>>()}),
            "restrict.methods: at most 32",
        ),
    ] {
        let problems = control.post("/v1/api-keys", body(restrict)).await.problems();
        assert!(problems.iter().any(|problem| problem.starts_with(place)), "{place}: {problems:?}");
    }
    let gone = control.create_key_id().await;
    control.revoke(&gone, "0").await;
    let patch = json!({"restrict": {"methods": ["GET"]}});
    assert_eq!(control.patch(&format!("/v1/api-keys/{gone}"), patch).await.status, 409);
}

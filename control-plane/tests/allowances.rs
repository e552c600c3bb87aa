//! What an operator allows a workspace holds whoever does what: quota, ceiling, limits of the whole workspace.

mod common;

use common::gateway::Gateway;
use common::{Answer, Control};
use flamegate::contract::record::KeyRecord;
use flamegate_control::domain::limits::to_text;
use serde_json::{Value, json};

const CEILING: &str = r#"{"requests": 100, "window_seconds": 60, "burst": 20}"#;

fn ceiling() -> Value {
    serde_json::from_str(CEILING).unwrap()
}

async fn bound(control: &Control, bounds: Value) -> Value {
    control.patch("/v1/workspaces/demo", bounds).await.expect(200)
}

fn draft(more: Value) -> Value {
    let mut draft = json!({"workspace": "demo", "name": "k", "environment": "live"});
    draft.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    draft
}

fn imported(number: u32, more: Value) -> Value {
    let mut key = draft(more);
    key["hash"] = json!(format!("{number:064x}"));
    key
}

async fn create(control: &Control, more: Value) -> Answer {
    control.post("/v1/api-keys", draft(more)).await
}

/// What the gateways enforce for a key.
fn enforced(gateway: &Gateway, id: &Value) -> String {
    let record: &KeyRecord = gateway.table.values().find(|record| *id == record.id).unwrap();
    assert_eq!(record.problems(), []);
    record.limits.iter().map(to_text).collect::<Vec<_>>().join(",")
}

async fn active(control: &Control) -> usize {
    control.get("/v1/api-keys?status=active").await.expect(200).as_array().unwrap().len()
}

#[track_caller]
fn over_quota(answer: Answer) {
    let error = answer.refused(409, "CONFLICT");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("may have") && message.contains("active keys and has"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_creates_at_once_under_a_quota_of_five_exactly_five_make_a_key() {
    let control = Control::with_workspace().await;
    bound(&control, json!({"max_active_keys": 5})).await;
    let request = || control.request(reqwest::Method::POST, "/v1/api-keys").json(&draft(json!({})));
    let calls: Vec<_> = (0..50).map(|_| tokio::spawn(Answer::of(request()))).collect();
    let mut statuses = Vec::new();
    for call in calls {
        let answer = call.await.unwrap();
        statuses.push(answer.status);
        if answer.status != 201 {
            over_quota(answer);
        }
    }
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 5, "{statuses:?}");
    assert_eq!(active(&control).await, 5);
}

#[tokio::test]
async fn the_quota_holds_for_every_way_to_an_active_key() {
    let control = Control::with_workspace().await;
    let ending =
        create(&control, json!({"expires_at": control.clock.now().as_second() + 60})).await.expect(201);
    let ending = format!("/v1/api-keys/{}", ending["id"].as_str().unwrap());
    control.clock.advance(std::time::Duration::from_secs(61));
    bound(&control, json!({"max_active_keys": 2})).await;
    let id = create(&control, json!({})).await.expect(201)["id"].as_str().unwrap().to_owned();
    // One more: a batch of two is too many, and then nothing of it is stored.
    let two = json!({"keys": [imported(1, json!({})), imported(2, json!({}))]});
    over_quota(control.post("/v1/api-keys/import-batch", two).await);
    assert_eq!(active(&control).await, 1);
    control.post("/v1/api-keys/import", imported(1, json!({}))).await.expect(201);
    // Full: create, import, a rotation that leaves the old one alive, an expired key that comes back.
    over_quota(create(&control, json!({})).await);
    over_quota(control.post("/v1/api-keys/import", imported(3, json!({}))).await);
    let rotate = format!("/v1/api-keys/{id}/rotate");
    over_quota(control.post(&rotate, json!({"grace": "1h"})).await);
    for back in [json!(null), json!("2099-01-01T00:00:00Z")] {
        over_quota(control.patch(&ending, json!({"expires_at": back})).await);
    }
    assert_eq!(active(&control).await, 2);
    // What does not add a key is allowed, also when an operator has lowered the quota since.
    bound(&control, json!({"max_active_keys": 1})).await;
    control.post(&rotate, json!({"grace": "0"})).await.expect(201);
    control.patch(&ending, json!({"name": "renamed"})).await.expect(200);
    let known = json!({"keys": [imported(1, json!({}))]});
    control.post("/v1/api-keys/import-batch", known).await.expect(200);
    // A revocation makes room, and so does the operator.
    bound(&control, json!({"max_active_keys": 3})).await;
    control.patch(&ending, json!({"expires_at": null})).await.expect(200);
    over_quota(create(&control, json!({})).await);
    bound(&control, json!({"max_active_keys": null})).await;
    create(&control, json!({})).await.expect(201);
}

#[tokio::test]
async fn a_new_workspace_has_the_servers_quota_unless_it_names_one() {
    let control = Control::start().await;
    let made =
        async |body: Value| control.post("/v1/workspaces", body).await.expect(201)["max_active_keys"].clone();
    assert_eq!(made(json!({"name": "a"})).await, 1_000);
    assert_eq!(made(json!({"name": "b", "max_active_keys": 5})).await, 5);
    assert_eq!(made(json!({"name": "c", "max_active_keys": null})).await, Value::Null);
    let control = control.restart_with(&[("FLAMEGATE_DEFAULT_MAX_ACTIVE_KEYS", "none")]).await;
    let made = control.post("/v1/workspaces", json!({"name": "d"})).await.expect(201);
    assert_eq!(made["max_active_keys"], Value::Null);
    let kept = control.get("/v1/workspaces/a").await.expect(200);
    assert_eq!(kept["max_active_keys"], 1_000);
}

#[tokio::test]
async fn every_record_has_the_ceiling_and_the_workspaces_limits() {
    let control = Control::with_workspace().await;
    let before =
        create(&control, json!({"limits": [{"requests": 9000, "window_seconds": 1}]})).await.expect(201);
    let follows = create(&control, json!({})).await.expect(201);
    let free = create(&control, json!({"limits": []})).await.expect(201);
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    let shared = json!([{"name": "shared", "requests": 5, "window_seconds": 3600}]);
    let revision = control.revision();
    bound(&control, json!({"ceiling": ceiling(), "workspace_limits": shared})).await;
    assert_eq!(control.revision(), revision + 3, "a revision for each key");
    gateway.catch_up(&control).await;
    assert_eq!(gateway.resets, 1, "as a difference");
    let all = "ceiling=100/60s+20,shared=5/3600s@workspace";
    assert_eq!(enforced(&gateway, &before["id"]), format!("default=9000/1s,{all}"));
    assert_eq!(enforced(&gateway, &follows["id"]), format!("default=100/60s+20,{all}"));
    assert_eq!(enforced(&gateway, &free["id"]), all);
    // REST says the same, and a rotated key has the same.
    let shown = control.get(&format!("/v1/api-keys/{}", free["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(
        (&shown["limits"][0]["name"], &shown["limits"][1]["name"]),
        (&json!("ceiling"), &json!("shared"))
    );
    let rotate = format!("/v1/api-keys/{}/rotate", before["id"].as_str().unwrap());
    let rotated = control.post(&rotate, json!({"grace": "0"})).await.expect(201);
    gateway.catch_up(&control).await;
    assert_eq!(enforced(&gateway, &rotated["id"]), format!("default=9000/1s,{all}"));
    bound(&control, json!({"ceiling": null, "workspace_limits": []})).await;
    gateway.catch_up(&control).await;
    assert_eq!(enforced(&gateway, &free["id"]), "");
    // A fresh gateway, by a reset, has the same as one that followed.
    let mut fresh = Gateway::new(&control, "fresh");
    fresh.catch_up(&control).await;
    assert_eq!(fresh.table, gateway.table);
}

#[tokio::test]
async fn no_key_gets_a_limit_that_is_looser_than_the_ceiling() {
    let control = Control::with_workspace().await;
    bound(&control, json!({"ceiling": ceiling()})).await;
    let id = create(&control, json!({})).await.expect(201)["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/api-keys/{id}");
    for (requests, window, burst) in [(101, 60, 20), (100, 60, 21), (100, 59, 20), (1_000_000, 1, 1)] {
        let loose = json!({"limits": [{"requests": requests, "window_seconds": window, "burst": burst}]});
        let told = "must be within the workspace's ceiling of 100 per 60 seconds, 20 at once: neither a higher rate nor more \
            at once";
        let answers = [
            ("limits: ", create(&control, loose.clone()).await),
            ("limits: ", control.patch(&path, loose.clone()).await),
            ("limits: ", control.post("/v1/api-keys/import", imported(1, loose.clone())).await),
            (
                "keys[0].limits: ",
                control
                    .post("/v1/api-keys/import-batch", json!({"keys": [imported(1, loose.clone())]}))
                    .await,
            ),
        ];
        for (at, answer) in answers {
            let problems = answer.problems();
            assert!(
                problems.len() == 1 && problems[0].starts_with(at) && problems[0].contains(told),
                "{problems:?}"
            );
        }
    }
    for tight in [json!([]), json!([{"requests": 50, "window_seconds": 60, "burst": 20}]), json!(null)] {
        control.patch(&path, json!({"limits": tight})).await.expect(200);
    }
    // What is read may be written back.
    control.patch(&path, json!({"limits": []})).await.expect(200);
    let limits = control.get(&path).await.expect(200)["limits"].clone();
    control.patch(&path, json!({"limits": limits})).await.expect(200);
}

#[tokio::test]
async fn whatever_a_keys_own_limits_are_called_the_ceiling_is_the_same_one() {
    let control = Control::with_workspace().await;
    bound(&control, json!({"ceiling": ceiling()})).await;
    let id = create(&control, json!({})).await.expect(201)["id"].clone();
    let path = format!("/v1/api-keys/{}", id.as_str().unwrap());
    let mut gateway = Gateway::new(&control, "gw");
    for name in ["a", "b", "default"] {
        let own = json!([{"name": name, "requests": 50, "window_seconds": 60, "burst": 20}]);
        control.patch(&path, json!({"limits": own})).await.expect(200);
        gateway.catch_up(&control).await;
        assert_eq!(enforced(&gateway, &id), format!("{name}=50/60s+20,ceiling=100/60s+20"));
    }
    // Its own name is nobody else's.
    let own = json!([{"name": "ceiling", "requests": 50, "window_seconds": 60}]);
    let problems = control.patch(&path, json!({"limits": own})).await.problems();
    assert!(problems[0].starts_with("limits[0].name: 'ceiling' is the name"), "{problems:?}");
    // What is read may be written back: nothing of the workspace's becomes the key's own.
    let limits = control.get(&path).await.expect(200)["limits"].clone();
    control.patch(&path, json!({"limits": limits})).await.expect(200);
    assert_eq!(control.get(&path).await.expect(200)["limits"], limits);
}

#[tokio::test]
async fn one_limit_of_a_workspace_has_one_set_of_numbers() {
    let control = Control::with_workspace().await;
    bound(&control, json!({"workspace_limits": [{"name": "shared", "requests": 5, "window_seconds": 3600}]}))
        .await;
    let shared = |requests: u32| json!([{"name": "shared", "scope": "workspace", "requests": requests, "window_seconds": 3600}]);
    let made = create(&control, json!({"limits": shared(5)})).await.expect(201);
    assert_eq!(made["limits"].as_array().unwrap().len(), 1, "it is the workspace's and nothing more");
    let path = format!("/v1/api-keys/{}", made["id"].as_str().unwrap());
    let told =
        "limits[0]: the workspace's limit of this name is 5 per 3600 seconds, 5 at once, for all its keys";
    assert_eq!(create(&control, json!({"limits": shared(50)})).await.problems(), [told]);
    assert_eq!(control.patch(&path, json!({"limits": shared(50)})).await.problems(), [told]);
    assert_eq!(
        control.post("/v1/api-keys/import", imported(1, json!({"limits": shared(50)}))).await.problems(),
        [told]
    );
    let default =
        control.patch("/v1/workspaces/demo", json!({"default_limits": shared(50)})).await.problems();
    assert_eq!(default, [format!("default_{told}")]);
    let other =
        json!({"limits": [{"name": "other", "scope": "workspace", "requests": 5, "window_seconds": 1}]});
    let told = "limits[0]: limits of the whole workspace are set by an operator, not with a key";
    assert_eq!(create(&control, other).await.problems(), [told]);
}

#[tokio::test]
async fn a_record_never_has_more_limits_than_gateways_take() {
    let control = Control::with_workspace().await;
    let own: Vec<_> =
        (0..4).map(|n| json!({"name": format!("n{n}"), "requests": 1, "window_seconds": 1})).collect();
    let id = create(&control, json!({"limits": own})).await.expect(201)["id"].clone();
    let shared = json!([{"name": "shared", "requests": 5, "window_seconds": 3600}]);
    let refused = control.patch("/v1/workspaces/demo", json!({"workspace_limits": shared})).await;
    let error = refused.refused(409, "CONFLICT");
    assert_eq!(error["details"]["id"], id);
    assert!(error["message"].as_str().unwrap().contains("4 limits of its own"), "{error}");
    control.revoke(id.as_str().unwrap(), "0").await;
    bound(&control, json!({"workspace_limits": shared})).await;
    let told =
        "limits: at most 3: a key has at most 4 limits, and the workspace's ceiling and limits are 1 of them";
    assert_eq!(create(&control, json!({"limits": own})).await.problems(), [told]);
    let four: Vec<_> =
        (0..4).map(|n| json!({"name": format!("w{n}"), "requests": 1, "window_seconds": 1})).collect();
    let all = json!({"workspace_limits": four, "ceiling": ceiling(), "default_limits": []});
    let told = "workspace_limits: at most 4 limits together with the ceiling";
    assert_eq!(control.patch("/v1/workspaces/demo", all).await.problems(), [told]);
}

#[tokio::test]
async fn workspace_limits_of_the_servers_default_become_the_workspaces() {
    let control = Control::start().await;
    let default = [("FLAMEGATE_DEFAULT_LIMITS", "100/60s+20,shared=5/1h@workspace")];
    let control = control.restart_with(&default).await;
    let made = control.post("/v1/workspaces", json!({"name": "Demo"})).await.expect(201);
    assert_eq!(made["default_limits"].as_array().unwrap().len(), 1);
    assert_eq!(made["workspace_limits"][0]["name"], "shared");
    let limits = create(&control, json!({"limits": []})).await.expect(201)["limits"].clone();
    assert_eq!((limits.as_array().unwrap().len(), &limits[0]["scope"]), (1, &json!("workspace")));
}

#[tokio::test]
async fn bounds_are_in_the_audit_log() {
    let control = Control::with_workspace().await;
    bound(&control, json!({"ceiling": ceiling(), "max_active_keys": 7})).await;
    let entries = control.get("/v1/audit?action=workspace.updated").await.expect(200);
    let details = &entries[0]["details"];
    assert_eq!((&details["ceiling"], &details["max_active_keys"]), (&json!("ceiling=100/60s+20"), &json!(7)));
}

#[tokio::test]
async fn names_that_hide_or_turn_text_around_are_refused_everywhere() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    let name = "pay\u{202e}lortnoc";
    let told = "character 4 is U+202E: control, invisible and direction-changing characters are refused";
    let body = json!({"name": name});
    for answer in [
        control.post("/v1/workspaces", json!({"name": name, "slug": "x"})).await,
        control.patch("/v1/workspaces/demo", body.clone()).await,
        create(&control, body.clone()).await,
        control.patch(&format!("/v1/api-keys/{id}"), body.clone()).await,
        control.post("/v1/api-keys/import", imported(1, body)).await,
    ] {
        assert_eq!(answer.problems(), [format!("name: {told}")]);
    }
    let email = json!({"email": "ad\u{200b}a@example.com", "workspace": "demo", "role": "viewer"});
    let problems = control.post("/v1/users", email).await.problems();
    assert!(problems[0].starts_with("email: character 3 is U+200B"), "{problems:?}");
}

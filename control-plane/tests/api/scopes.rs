//! What a token of one workspace may do: every operation of the document says who may, and that is held against each of them, so one
//! without a rule, or one whose workspace nobody has tried to leave, fails here.

use flamegate_control::store::{Purpose, Reader};
use reqwest::Method;
use serde_json::{Value, json};

use super::named_tokens::{make, with};
use crate::common::gateway::Gateway;
use crate::common::{Answer, Control, SYNC};

/// How an operation for workspaces is called, with something of a workspace: `{key}` is one of its keys, `{ws}` its slug.
struct Call {
    operation: &'static str,
    path: &'static str,
    /// What it answers when that is of another workspace.
    elsewhere: u16,
    body: fn(&str) -> Option<Value>,
}

const fn call(operation: &'static str, path: &'static str, elsewhere: u16) -> Call {
    Call { operation, path, elsewhere, body: |_| None }
}

const CALLS: [Call; 13] = [
    Call {
        body: |ws| Some(json!({"workspace": ws, "name": "n", "environment": "live"})),
        ..call("create_api_key", "/v1/api-keys", 422)
    },
    call("list_api_keys", "/v1/api-keys?workspace={ws}", 404),
    call("get_api_key", "/v1/api-keys/{key}", 404),
    Call { body: |_| Some(json!({"name": "other"})), ..call("update_api_key", "/v1/api-keys/{key}", 404) },
    Call {
        body: |_| Some(json!({"grace_seconds": 0})),
        ..call("rotate_api_key", "/v1/api-keys/{key}/rotate", 404)
    },
    call("revoke_api_key", "/v1/api-keys/{key}/revoke", 404),
    call("get_api_key_usage", "/v1/api-keys/{key}/usage", 404),
    call("get_api_key_fleet_limits", "/v1/api-keys/{key}/fleet-limits", 404),
    call("get_workspace_usage", "/v1/workspaces/{ws}/usage", 404),
    call("list_workspaces", "/v1/workspaces", 200),
    call("get_workspace", "/v1/workspaces/{ws}", 404),
    call("list_notices", "/v1/notices?workspace={ws}", 404),
    call("list_audit_entries", "/v1/audit?workspace={ws}", 404),
];

const ROLES: [&str; 3] = ["viewer", "member", "owner"];

/// Whose names no answer to a tenant has in it.
const RIVAL: &str = "rival-gmbh";
const GATEWAY: &str = "edge-frankfurt-7";

/// (operation, method, path, what it needs) of each operation for operators.
async fn operations(control: &Control) -> Vec<(String, Method, String, String)> {
    let document = control.get("/openapi.json").await.body;
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(scopes) = operation["security"][0]["admin"].as_array() else { continue };
            let operation = operation["operationId"].as_str().unwrap().to_owned();
            let [need] = scopes.as_slice() else {
                panic!(
                    "{method} {path} does not say who may: security((\"admin\" = [\"operator\"])), or a role"
                )
            };
            let need = need.as_str().unwrap().to_owned();
            assert!(need == "operator" || ROLES.contains(&need.as_str()), "{operation}: {need}");
            found.push((operation, method.to_uppercase().parse().unwrap(), path.clone(), need));
        }
    }
    found
}

async fn two_workspaces() -> Control {
    let control = Control::with_workspace().await;
    control.post("/v1/workspaces", json!({"name": RIVAL})).await.expect(201);
    control
}

async fn key_of(control: &Control, workspace: &str) -> Value {
    let body = json!({"workspace": workspace, "name": format!("of {workspace}"), "environment": "live"});
    control.post("/v1/api-keys", body).await.expect(201)
}

async fn token(control: &Control, workspace: &str, role: &str) -> String {
    let name = format!("{workspace}-{role}");
    make(control, json!({"name": name, "workspace": workspace, "role": role})).await.0
}

/// Has a gateway say that a key was used there.
async fn use_at_gateway(control: &Control, id: &str) {
    let minute = control.clock.now().as_second() / 60;
    let counts = json!([{"key_id": id, "outcome": "admitted", "minute": minute, "requests": 3}]);
    let body = json!({"gateway": GATEWAY, "sequence": 1, "counts": counts});
    let post = control.http.post(control.url("/sync/v1/usage")).bearer_auth(SYNC).json(&body);
    let answer = Answer::of(post.header("x-flamegate-session", "0".repeat(31) + "7")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn rank(need: &str) -> usize {
    ROLES.iter().position(|role| *role == need).unwrap_or(ROLES.len())
}

#[tokio::test]
async fn every_operation_opens_to_the_roles_that_it_names_and_to_no_other() {
    let control = two_workspaces().await;
    let mut tokens = Vec::new();
    for role in ROLES {
        tokens.push((rank(role), token(&control, "demo", role).await));
    }
    for (operation, method, path, need) in operations(&control).await {
        let needed = rank(&need);
        let call = CALLS.iter().find(|call| call.operation == operation);
        assert_eq!(
            call.is_some(),
            needed < ROLES.len(),
            "{operation} is for {need}: say above how it is called"
        );
        for (role, token) in &tokens {
            let (path, body) = match call {
                None => (path.replace(['{', '}'], ""), None),
                Some(call) => {
                    let key = key_of(&control, "demo").await["id"].as_str().unwrap().to_owned();
                    (call.path.replace("{key}", &key).replace("{ws}", "demo"), (call.body)("demo"))
                }
            };
            let answer = with(&control, token, method.clone(), &path, body.as_ref()).await;
            let told = format!("{operation} by {role}: {} {}", answer.status, answer.body);
            if *role >= needed {
                assert!((200..300).contains(&answer.status), "{told}");
            } else {
                assert_eq!(
                    (answer.status, &answer.body["error"]["code"]),
                    (403, &json!("FORBIDDEN")),
                    "{told}"
                );
            }
        }
    }
}

#[tokio::test]
async fn nothing_of_another_workspace_is_there_for_a_token_of_one() {
    let control = two_workspaces().await;
    let mut gateway = Gateway::new(&control, GATEWAY);
    gateway.catch_up(&control).await;
    gateway.run();
    let foreign = key_of(&control, RIVAL).await;
    let foreign_ws = control.get(&format!("/v1/workspaces/{RIVAL}")).await.expect(200);
    let id = foreign["id"].as_str().unwrap();
    let owner = token(&control, "demo", "owner").await;
    let all = operations(&control).await;
    let rivals = async || {
        let keys = control.get(&format!("/v1/api-keys?workspace={RIVAL}")).await.expect(200);
        let log = control.get(&format!("/v1/audit?workspace={RIVAL}")).await.expect(200);
        (keys, log)
    };
    let before = rivals().await;
    for call in &CALLS {
        let (_, method, ..) = all.iter().find(|(operation, ..)| operation == call.operation).unwrap();
        for ws in [RIVAL, foreign_ws["id"].as_str().unwrap()] {
            let path = call.path.replace("{key}", id).replace("{ws}", ws);
            let answer = with(&control, &owner, method.clone(), &path, (call.body)(ws).as_ref()).await;
            assert_eq!(answer.status, call.elsewhere, "{}: {}", call.operation, answer.body);
            let none = Call { path: call.path, operation: call.operation, elsewhere: 0, body: call.body };
            let path = none.path.replace("{key}", "key_none").replace("{ws}", "none");
            let missing = with(&control, &owner, method.clone(), &path, (call.body)("none").as_ref()).await;
            assert_eq!(answer.body, missing.body, "{}: as if it were not there at all", call.operation);
        }
    }
    assert_eq!(rivals().await, before, "nothing was changed, and nothing written of it");
    // What lists show without a workspace, and what answers about one's own say.
    for _ in 0..2 {
        key_of(&control, "demo").await;
    }
    let own = key_of(&control, "demo").await["id"].as_str().unwrap().to_owned();
    use_at_gateway(&control, &own).await;
    let mut answers = Vec::new();
    let (key, usage) = (format!("/v1/api-keys/{own}"), format!("/v1/api-keys/{own}/usage"));
    for path in ["/v1/api-keys", "/v1/notices", "/v1/audit", "/v1/workspaces", &key, &usage] {
        answers.push(with(&control, &owner, Method::GET, path, None).await.expect(200));
    }
    let gateways =
        with(&control, &owner, Method::POST, &format!("/v1/api-keys/{own}/revoke?wait=60s"), None).await;
    let revoked = gateways.expect(200);
    assert_eq!((&revoked["gateways"], &revoked["enforced"]), (&json!(1), &json!(1)), "{revoked}");
    assert_eq!(
        (&revoked["revision"], &revoked["gateways_detail"][0]["id"]),
        (&Value::Null, &json!("gateway 1"))
    );
    answers.push(revoked);
    for answer in answers {
        let text = answer.to_string();
        for secret in [RIVAL, GATEWAY, id, foreign_ws["id"].as_str().unwrap()] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(text.contains("demo") || text.contains("[]") || text.contains(&own), "{text}");
        assert!(answer.get("last_used_at").is_none_or(Value::is_string), "used, and not told where: {text}");
        if let Some(keys) = answer.as_array() {
            assert!(keys.iter().all(|key| key.get("revision").is_none_or(Value::is_null)), "{text}");
        }
    }
}

#[tokio::test]
async fn an_idempotency_key_is_each_workspaces_own() {
    let control = two_workspaces().await;
    let (demo, rival) = (token(&control, "demo", "member").await, token(&control, RIVAL, "member").await);
    let make = async |token: &str, workspace: &str| {
        let body = json!({"workspace": workspace, "name": "n", "environment": "live"});
        let request = control.http.post(control.url("/v1/api-keys")).bearer_auth(token);
        Answer::of(request.header("idempotency-key", "once").json(&body)).await
    };
    let first = make(&demo, "demo").await.expect(201);
    make(&rival, RIVAL).await.expect(201);
    let again = make(&demo, "demo").await.refused(409, "ALREADY_CREATED");
    assert_eq!(again["details"]["id"], first["id"]);
}

#[tokio::test]
async fn tenants_leave_places_to_operators_and_one_workspace_to_another() {
    let control = two_workspaces().await;
    let (demo, rival) = (token(&control, "demo", "owner").await, token(&control, RIVAL, "member").await);
    let slots = &control.server.app.workspace_admission;
    let workspace = control.get("/v1/workspaces/demo").await.expect(200)["id"].as_str().unwrap().to_owned();
    let held: Vec<_> = std::iter::repeat_with(|| slots.take(&workspace)).map_while(|slot| slot).collect();
    assert_eq!(held.len(), 32);
    with(&control, &demo, Method::GET, "/v1/workspaces", None).await.refused(503, "UNAVAILABLE");
    with(&control, &rival, Method::GET, "/v1/workspaces", None).await.expect(200);
    control.get("/v1/workspaces").await.expect(200);
    drop(held);
    with(&control, &demo, Method::GET, "/v1/workspaces", None).await.expect(200);
}

#[tokio::test]
async fn the_tokens_of_a_workspace_change_no_more_than_a_person_and_can_always_revoke() {
    let control = two_workspaces().await.restart_with(&[("FLAMEGATE_PERSON_LIMIT", "3/1h")]).await;
    let ids = [key_of(&control, "demo").await, key_of(&control, "demo").await];
    let ids = ids.map(|key| key["id"].as_str().unwrap().to_owned());
    let (one, other) = (token(&control, "demo", "member").await, token(&control, "demo", "owner").await);
    let rename = json!({"name": "other"});
    let change = async |token: &str| {
        with(&control, token, Method::PATCH, &format!("/v1/api-keys/{}", ids[0]), Some(&rename)).await
    };
    for token in [&one, &other, &one] {
        change(token).await.expect(200);
    }
    for token in [&one, &other] {
        change(token).await.refused(429, "RATE_LIMITED");
    }
    let revoke =
        async |id: &str| with(&control, &one, Method::POST, &format!("/v1/api-keys/{id}/revoke"), None).await;
    for id in &ids {
        revoke(id).await.expect(200);
    }
    revoke(&ids[0]).await.refused(429, "RATE_LIMITED");
    with(&control, &one, Method::GET, "/v1/api-keys", None).await.expect(200);
    let rival = token(&control, RIVAL, "member").await;
    let body = json!({"workspace": RIVAL, "name": "n", "environment": "live"});
    with(&control, &rival, Method::POST, "/v1/api-keys", Some(&body)).await.expect(201);
    for _ in 0..4 {
        key_of(&control, "demo").await;
    }
}

/// Takes all connections for these purposes, as many slow questions at once do.
async fn busy(control: &Control, purposes: &[(Purpose, usize)]) -> Vec<Reader> {
    let mut held = Vec::new();
    for (purpose, number) in purposes {
        for _ in 0..*number {
            held.push(control.server.app.store.reading_for(*purpose).read().await.unwrap());
        }
    }
    held
}

#[tokio::test]
async fn what_tenants_read_keeps_no_operator_waiting() {
    let control = Control::with_workspace().await;
    let key = control.create_key_id().await;
    let owner = token(&control, "demo", "owner").await;
    let tenants = busy(&control, &[(Purpose::Pages, 2), (Purpose::Lists, 2)]).await;
    control.get("/v1/api-keys").await.expect(200);
    control.revoke(&key, "0").await;
    drop(tenants);
    let _operators = busy(&control, &[(Purpose::Api, 3)]).await;
    for call in &CALLS {
        if (call.body)("demo").is_none() && !call.path.ends_with("revoke") {
            let path = call.path.replace("{key}", &key).replace("{ws}", "demo");
            with(&control, &owner, Method::GET, &path, None).await.expect(200);
        }
    }
}

#[tokio::test]
async fn who_is_revoked_opens_nothing_though_nothing_can_be_read() {
    let control = Control::with_workspace().await;
    let (token, _) = make(&control, json!({"name": "ci"})).await;
    let made = control.post("/v1/gateway-credentials", json!({"name": "eu"})).await.expect(201);
    let mut gateway = Gateway::with_token(&control, made["token"].as_str().unwrap(), "gw");
    gateway.catch_up(&control).await;
    let held = busy(&control, &[(Purpose::Api, 3), (Purpose::Sync, 2)]).await;
    for path in ["/v1/tokens/ci", "/v1/gateway-credentials/eu"] {
        Answer::of(control.request(Method::DELETE, path)).await.expect(200);
    }
    with(&control, &token, Method::GET, "/v1/workspaces", None).await.refused(401, "UNAUTHORIZED");
    assert!(gateway.page().await.is_err());
    drop(held);
    // A change that comes later does not bring them back.
    make(&control, json!({"name": "other"})).await;
    with(&control, &token, Method::GET, "/v1/workspaces", None).await.refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn no_number_of_a_list_counts_what_others_do_and_each_leads_on() {
    let control = two_workspaces().await;
    let owner = token(&control, "demo", "owner").await;
    for number in 0..7 {
        key_of(&control, if number % 2 == 0 { "demo" } else { RIVAL }).await;
    }
    for (list, id) in [("/v1/audit?workspace=demo", "/at"), ("/v1/api-keys?workspace=demo", "/id")] {
        let all = control.get(&format!("{list}&limit=200")).await.expect(200);
        let all: Vec<_> =
            all.as_array().unwrap().iter().map(|one| one.pointer(id).unwrap().clone()).collect();
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("{list}&limit=2{cursor}");
            let answer = with(&control, &owner, Method::GET, &path, None).await;
            found.extend(answer.body["data"].as_array().unwrap().iter().cloned());
            let Some(next) = answer.body["pagination"]["next_cursor"].as_str() else { break };
            assert!(next.len() > 9, "{next} is a row");
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found.iter().map(|one| one.pointer(id).unwrap().clone()).collect::<Vec<_>>(), all);
        if list.starts_with("/v1/audit") {
            let ids: Vec<_> = found.iter().map(|entry| entry["id"].as_i64().unwrap()).collect();
            assert!(ids.iter().all(|id| *id > 1_000_000), "{ids:?}");
            let again = with(&control, &owner, Method::GET, list, None).await.expect(200);
            assert_eq!(again[0]["id"], found[0]["id"], "an entry keeps its number");
        }
        let path = format!("{list}&cursor={}", i64::MAX / 2);
        with(&control, &owner, Method::GET, &path, None).await.refused(422, "VALIDATION_FAILED");
    }
}

//! Gateway credentials: made, used, revoked, and what a thief of one can do with it.

mod common;

use common::gateway::{Gateway, random_session};
use common::{Answer, Control, eventually};
use flamegate_control::domain::audit::{Actor, Via};
use reqwest::Method;
use serde_json::{Value, json};

async fn add(control: &Control, name: &str) -> Value {
    control.post("/v1/gateway-credentials", json!({"name": name})).await.expect(201)
}

async fn add_token(control: &Control, name: &str) -> String {
    add(control, name).await["token"].as_str().unwrap().to_owned()
}

async fn delete(control: &Control, path: &str) -> Answer {
    Answer::of(control.request(Method::DELETE, path)).await
}

fn ids(control: &Control) -> Vec<String> {
    control.server.app.gateways.list().into_iter().map(|gateway| gateway.id).collect()
}

#[tokio::test]
async fn a_credential_is_shown_once_and_names_its_gateways() {
    let control = Control::with_workspace().await;
    let key = control.create_key_id().await;
    let made = add(&control, "eu-west-1").await;
    let token = made["token"].as_str().unwrap();
    assert!(
        token.starts_with("fgw_") && token.len() == 44 && made["id"].as_str().unwrap().starts_with("gwc_")
    );
    assert_eq!((&made["created_by"], &made["revoked_at"]), (&json!("admin token"), &Value::Null));
    let mut gateway = Gateway::with_token(&control, token, "gw-1");
    gateway.catch_up(&control).await;
    assert_eq!(gateway.ids(), [key.as_str()]);
    assert_eq!(ids(&control), ["eu-west-1/gw-1"]);
    let listed = control.get("/v1/gateway-credentials").await.expect(200);
    assert!(listed[0]["last_used_at"].is_string() && listed[0].get("token").is_none(), "{listed}");
    let shown = control.get("/v1/gateways?connected=true").await.expect(200);
    assert_eq!((&shown[0]["credential"], &shown[0]["session"]), (&json!("eu-west-1"), &json!(true)));
    assert_eq!(control.get("/v1/gateways?connected=false").await.expect(200), json!([]));
    let log = control.get("/v1/audit?action=gateway_credential.added").await.expect(200);
    assert_eq!(
        (&log[0]["target"]["name"], &log[0]["target"]["id"]),
        (&json!("eu-west-1"), &made["id"]),
        "{log}"
    );
    // It opens nothing else, and of the token there is only the hash.
    let wrong = control.http.get(control.url("/v1/gateways")).bearer_auth(token);
    Answer::of(wrong).await.refused(401, "UNAUTHORIZED");
    let token = token.to_owned();
    let control = control
        .restart(|database| {
            let bytes = std::fs::read(database).unwrap();
            assert!(!bytes.windows(token.len()).any(|part| part == token.as_bytes()));
        })
        .await;
    gateway.reconnect(&control);
    gateway.catch_up(&control).await;
    assert_eq!(gateway.resets, 1, "a restart knows the credential and the table");
}

#[tokio::test]
async fn names_are_checked_and_never_given_out_twice() {
    let control = Control::start().await;
    for (name, problem) in [
        ("shared", "name: 'shared' is the name of the tokens in FLAMEGATE_SYNC_TOKEN"),
        ("a/b", "name: 1 to 64 letters, digits, '_', '-' or '.', and not '.' or '..'"),
        ("a~b", "name: 1 to 64 letters, digits, '_', '-' or '.', and not '.' or '..'"),
        ("", "name: 1 to 64 letters, digits, '_', '-' or '.', and not '.' or '..'"),
        (".", "name: 1 to 64 letters, digits, '_', '-' or '.', and not '.' or '..'"),
        ("..", "name: 1 to 64 letters, digits, '_', '-' or '.', and not '.' or '..'"),
    ] {
        let answer = control.post("/v1/gateway-credentials", json!({"name": name})).await;
        assert_eq!(answer.problems(), [problem]);
    }
    let first = add(&control, "eu").await;
    let taken = control.post("/v1/gateway-credentials", json!({"name": "eu"})).await.refused(409, "CONFLICT");
    assert_eq!(taken["details"]["id"], first["id"]);
    delete(&control, "/v1/gateway-credentials/eu").await.expect(200);
    control.post("/v1/gateway-credentials", json!({"name": "eu"})).await.refused(409, "CONFLICT");
    delete(&control, "/v1/gateway-credentials/nobody").await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_gateway_is_called_nothing_that_means_another_path() {
    let control = Control::start().await;
    for name in [".", ".."] {
        let problems = Answer::of(Gateway::new(&control, name).request()).await.problems();
        assert_eq!(problems, ["gateway: 1 to 64 letters, digits, '_', '-' or '.', and not '.' or '..'"]);
    }
    Gateway::new(&control, "...").poll().await.unwrap();
}

#[tokio::test]
async fn the_cut_off_gateways_of_a_credential_are_forgotten_only_by_that_very_request() {
    let control = Control::with_workspace().await;
    Gateway::new(&control, "gone").catch_up(&control).await;
    control.clock.advance(std::time::Duration::from_secs(300));
    for path in
        ["/v1/gateways/shared", "/v1/gateways/shared/", "/v1/gateways", "/v1/gateways?credential=shared"]
    {
        assert!(delete(&control, path).await.status >= 400, "{path}");
    }
    let wrong = "/v1/gateways?credential=shared&cut_off=false";
    assert_eq!(delete(&control, wrong).await.problems(), ["cut_off: must be true"]);
    assert_eq!(ids(&control), ["shared/gone"]);
    let done = delete(&control, "/v1/gateways?credential=shared&cut_off=true").await.expect(200);
    assert_eq!((done, ids(&control).len()), (json!({"forgotten": 1}), 0));
}

#[tokio::test]
async fn a_revoked_credential_ends_its_held_polls_at_once_and_opens_nothing() {
    let control = Control::with_workspace().await;
    control.create_key().await;
    let (token, other) = (add_token(&control, "eu").await, add_token(&control, "us").await);
    let synced = async |token: &str| {
        let mut gateway = Gateway::with_token(&control, token, "gw");
        gateway.catch_up(&control).await;
        gateway.query.wait = 60;
        gateway
    };
    let hold = async |gateway: Gateway| (gateway.request().send().await.unwrap().status().as_u16(), gateway);
    let (revoked, stays) = (synced(&token).await, synced(&other).await);
    let (revoked, stays) = (tokio::spawn(hold(revoked)), tokio::spawn(hold(stays)));
    eventually("both are held", || control.server.app.gateways.counts() == (2, 2)).await;
    let ended = delete(&control, "/v1/gateway-credentials/eu").await.expect(200);
    assert!(ended["revoked_at"].is_string());
    let (status, mut gateway) = revoked.await.unwrap();
    assert_eq!(status, 401);
    assert!(gateway.page().await.is_err(), "it opens nothing");
    assert_eq!(control.server.app.gateways.counts(), (1, 1), "cut off at once");
    assert!(!stays.is_finished(), "nobody else was disturbed");
    let again = delete(&control, "/v1/gateway-credentials/eu").await.expect(200);
    assert_eq!(again["revoked_at"], ended["revoked_at"]);
    let log = control.get("/v1/audit?action=gateway_credential.revoked").await.expect(200);
    assert_eq!(log.as_array().unwrap().len(), 1);
    let control = control.restart(|_| {}).await;
    gateway.reconnect(&control);
    assert!(gateway.page().await.is_err(), "after a restart, too");
    // Its gateway goes on with the keys that it has: receipts say so until it is forgotten.
    let id = control.create_key_id().await;
    assert_eq!(control.revoke(&id, "0").await["cut_off"], json!(["eu/gw"]));
    delete(&control, "/v1/gateways/eu/gw").await.expect(200);
    assert_eq!(control.revoke(&id, "0").await["cut_off"], json!([]));
    delete(&control, "/v1/gateways/eu/gw").await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_revocation_whose_caller_hangs_up_is_one_all_the_same() {
    let control = Control::with_workspace().await;
    let token = add_token(&control, "eu").await;
    let mut gateway = Gateway::with_token(&control, &token, "gw");
    gateway.catch_up(&control).await;
    let by = Actor::admin_token(Via::Api, None);
    tokio::select! {
        biased;
        _ = control.server.app.credentials.revoke("eu", by) => panic!("it waits for the disk"),
        () = std::future::ready(()) => {}
    }
    let app = &control.server.app;
    eventually("it opens nothing", || app.credentials.identify(token.as_bytes(), &app.tokens).is_err()).await;
    assert!(gateway.page().await.is_err());
}

#[tokio::test]
async fn a_thief_of_one_credential_moves_nothing_of_the_others() {
    let control = Control::with_workspace().await;
    let victim = control.create_key_id().await;
    let (own, stolen) = (add_token(&control, "eu").await, add_token(&control, "edge").await);
    // One that is frozen: it has synced and does not answer.
    let mut frozen = Gateway::with_token(&control, &own, "gw");
    frozen.catch_up(&control).await;
    let mut thief = Gateway::with_token(&control, &stolen, "gw");
    thief.catch_up(&control).await;
    let told = control.revoke(&victim, "0").await;
    assert_eq!((&told["gateways"], &told["enforced"]), (&json!(2), &json!(0)));
    thief.catch_up(&control).await;
    // The same token as the frozen one, and another session: somebody else.
    let mut twin = Gateway::with_token(&control, &own, "gw");
    twin.catch_up(&control).await;
    let mut bare = Gateway::with_token(&control, &own, "gw");
    bare.session = None;
    bare.catch_up(&control).await;
    let told = control.revoke(&victim, "0").await;
    let pending = told["pending"].as_array().unwrap();
    assert!(pending.contains(&json!("eu/gw")) && pending.contains(&json!("eu/gw~none")), "{told}");
    assert_eq!((&told["gateways"], &told["enforced"]), (&json!(4), &json!(2)));
}

#[tokio::test]
async fn a_session_that_is_none_is_refused_and_two_are_none() {
    let control = Control::start().await;
    let mut gateway = Gateway::new(&control, "gw");
    for wrong in ["", "00", &"g".repeat(32), &"0".repeat(64)] {
        gateway.session = Some(wrong.to_owned());
        let problems = Answer::of(gateway.request()).await.problems();
        assert_eq!(problems, ["x-flamegate-session: must be 32 hexadecimal digits, once"], "{wrong}");
    }
    gateway.session = Some(random_session());
    let twice = gateway.request().header("x-flamegate-session", random_session());
    assert_eq!(Answer::of(twice).await.problems().len(), 1);
    gateway.poll().await.unwrap();
}

#[tokio::test]
async fn a_newer_poll_of_the_same_process_is_held_and_the_older_one_answered() {
    let control = Control::with_workspace().await;
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    gateway.query.wait = 60;
    let (older, newer) = (gateway.request(), gateway.request());
    let older = tokio::spawn(async move { older.send().await.unwrap().json::<Value>().await.unwrap() });
    eventually("the first is held", || control.server.app.gateways.counts().1 == 1).await;
    let newer = tokio::spawn(async move { newer.send().await.unwrap().json::<Value>().await.unwrap() });
    let page = older.await.unwrap();
    assert_eq!((&page["upserts"], &page["reset"]), (&json!([]), &json!(false)), "an empty page");
    assert!(!newer.is_finished());
    control.create_key().await;
    assert_eq!(newer.await.unwrap()["upserts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_repeated_revoke_of_a_compacted_removal_claims_nothing_by_old_acknowledgements() {
    let control = Control::with_workspace().await;
    let (first, second) = (control.create_key_id().await, control.create_key_id().await);
    let mut stuck = Gateway::new(&control, "gw-stuck");
    stuck.catch_up(&control).await;
    control.revoke(&first, "0").await;
    control.revoke(&second, "0").await;
    control.housekeeping(0).await;
    let told = control.revoke(&first, "0").await;
    assert_eq!((&told["enforced"], &told["pending"]), (&json!(0), &json!(["shared/gw-stuck"])), "{told}");
    assert_eq!(told["revision"], control.revision());
    stuck.catch_up(&control).await;
    assert_eq!(control.revoke(&first, "0").await["enforced"], 1);
}

//! `POST /sync/v1/leases`: tokens of fleet limits for gateways, out of the memory of the one control plane.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::database::{self, is_on_server};
use crate::common::{Answer, Control, SYNC};

async fn call(control: &Control, gateway: &str, asks: Value) -> Answer {
    let body = json!({"gateway": gateway, "asks": asks});
    Answer::of(control.http.post(control.url("/sync/v1/leases")).bearer_auth(SYNC).json(&body)).await
}

/// The one grant of an answer to one ask.
async fn ask(control: &Control, gateway: &str, ask: Value) -> Value {
    let answer = call(control, gateway, json!([ask])).await;
    assert_eq!((answer.status, &answer.body["lease_ms"]), (200, &json!(1_000)), "{}", answer.body);
    answer.body["grants"][0].clone()
}

fn wants(owner: &str, want: u64) -> Value {
    json!({"owner": owner, "scope": "key", "name": "default", "want": want})
}

async fn fleet_key(control: &Control, limit: Value) -> String {
    let body = json!({"workspace": "demo", "name": "Fleet", "environment": "live", "limits": [limit]});
    control.post("/v1/api-keys", body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

/// With a clock that moves only when told, past the silence of the beginning.
async fn lending() -> Control {
    let control = Control::with_workspace().await;
    control.clock.advance(Duration::from_secs(2));
    control.clock.stop();
    control
}

fn slow() -> Value {
    json!({"requests": 10, "window_seconds": 100, "burst": 20, "reach": "fleet"})
}

/// Asks that got nothing, while other gateways held tokens of the limit and while none did.
async fn refused(control: &Control) -> [u64; 2] {
    let page = control.http.get(control.url("/metrics")).send().await.unwrap().text().await.unwrap();
    ["hold", "none"].map(|others| {
        let line = format!("flamegate_control_fleet_limits_refused_total{{others=\"{others}\"}} ");
        page.lines().find_map(|found| found.strip_prefix(&line)?.parse().ok()).unwrap()
    })
}

#[tokio::test]
async fn tokens_are_lent_by_the_limit_as_the_database_has_it() {
    if is_on_server() {
        return;
    }
    let control = lending().await;
    let key = fleet_key(&control, slow()).await;
    let first = ask(&control, "gw-1", wants(&key, 12)).await;
    assert_eq!(
        (&first["tokens"], &first["left"], &first["retry_after_ms"], &first["held_elsewhere"]),
        (&json!(12), &json!(8), &json!(0), &json!(0))
    );
    let second = ask(&control, "gw-2", wants(&key, 12)).await;
    assert_eq!(
        (&second["tokens"], &second["left"], &second["held_elsewhere"]),
        (&json!(8), &json!(0), &json!(12))
    );
    let none = ask(&control, "gw-2", wants(&key, 1)).await;
    assert_eq!(
        (&none["tokens"], &none["retry_after_ms"], &none["held_elsewhere"]),
        (&json!(0), &json!(10_000), &json!(12))
    );
    assert_eq!(refused(&control).await, [1, 0], "gw-1 has twelve");
    let lone = fleet_key(&control, slow()).await;
    ask(&control, "gw-2", wants(&lone, 20)).await;
    assert_eq!(ask(&control, "gw-2", wants(&lone, 1)).await["tokens"], 0);
    assert_eq!(refused(&control).await, [1, 1], "nobody else has any");
    let shown = control.get(&format!("/v1/api-keys/{key}/fleet-limits")).await.expect(200);
    let holders = json!([{"gateway": "shared/gw-1", "tokens": 12}, {"gateway": "shared/gw-2", "tokens": 8}]);
    let limit = &shown["limits"][0];
    assert_eq!((&limit["state"], &limit["left"], &limit["lent"]), (&json!("lending"), &json!(0), &json!(20)));
    assert_eq!((&limit["holders"], &limit["limit"]["reach"]), (&holders, &json!("fleet")));
    let mut back = wants(&key, 1);
    (back["returned"], back["generation"]) = (json!(5), first["generation"].clone());
    let again = ask(&control, "gw-1", back).await;
    assert_eq!(
        (&again["tokens"], &again["left"], &again["held_elsewhere"]),
        (&json!(1), &json!(4), &json!(8))
    );
    let two = json!([wants(&key, 3), {"owner": "key_nobodys", "name": "default", "want": 3}]);
    let answer = call(&control, "gw-1", two).await;
    let tokens: Vec<_> =
        answer.body["grants"].as_array().unwrap().iter().map(|grant| &grant["tokens"]).collect();
    assert_eq!(tokens, [&json!(3), &json!(0)], "nobody gets tokens of a limit that is not there");
    let plain = control.create_key_id().await;
    assert_eq!(ask(&control, "gw-1", wants(&plain, 1)).await["tokens"], 0, "nor of a gateway's own");
}

#[tokio::test]
async fn the_limits_of_a_plan_are_lent_for_each_key_and_for_each_workspace() {
    if is_on_server() {
        return;
    }
    let control = lending().await;
    control.post("/v1/plans", json!({"name": "gold", "limits": [slow()]})).await.expect(201);
    let house = json!({"name": "house", "scope": "workspace", "limits": [slow()]});
    control.post("/v1/plans", house).await.expect(201);
    let workspace = control.patch("/v1/workspaces/demo", json!({"plan": "house"})).await.expect(200);
    let key = async || {
        let body = json!({"workspace": "demo", "name": "On it", "environment": "live", "plan": "gold"});
        control.post("/v1/api-keys", body).await.expect(201)["id"].as_str().unwrap().to_owned()
    };
    let (one, other) = (key().await, key().await);
    let of = |owner: &str, scope: &str, want: u64| json!({"owner": owner, "scope": scope, "name": "plan:default", "want": want});
    assert_eq!(ask(&control, "gw-1", of(&one, "key", 15)).await["tokens"], 15);
    assert_eq!(ask(&control, "gw-2", of(&one, "key", 15)).await["tokens"], 5, "of the same key");
    assert_eq!(ask(&control, "gw-2", of(&other, "key", 15)).await["tokens"], 15, "each key for itself");
    assert_eq!(ask(&control, "gw-1", wants(&one, 1)).await["tokens"], 0, "it has no such limit of its own");
    let workspace = workspace["id"].as_str().unwrap();
    assert_eq!(ask(&control, "gw-1", of(workspace, "workspace", 30)).await["tokens"], 20);
    let shown = control.get(&format!("/v1/api-keys/{one}/fleet-limits")).await.expect(200);
    let told: Vec<_> =
        shown["limits"].as_array().unwrap().iter().map(|one| (&one["limit"]["name"], &one["left"])).collect();
    assert_eq!(told, [(&json!("plan:default"), &json!(0)), (&json!("plan:default"), &json!(0))]);
    // Another plan is other numbers of the same book: what was used stays used.
    let mut larger = slow();
    larger["burst"] = json!(30);
    control.patch("/v1/plans/gold", json!({"limits": [larger]})).await.expect(200);
    control.clock.advance(Duration::from_secs(1));
    assert_eq!(ask(&control, "gw-2", of(&one, "key", 30)).await["tokens"], 10);
    control.patch("/v1/plans/gold", json!({"limits": []})).await.expect(200);
    control.clock.advance(Duration::from_secs(1));
    assert_eq!(ask(&control, "gw-2", of(&other, "key", 1)).await["tokens"], 0, "the limit is gone");
}

/// What a crash would not have written.
fn forget_books(database: &Path) {
    let forget = database::run(database, "DELETE FROM saved_books");
    std::thread::scope(|scope| {
        let run =
            || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(forget);
        scope.spawn(run).join().unwrap().unwrap();
    });
}

#[tokio::test]
async fn a_deploy_is_no_new_history_and_a_crash_is() {
    if is_on_server() {
        return;
    }
    let control = lending().await;
    let key = fleet_key(&control, slow()).await;
    let first = ask(&control, "gw-1", wants(&key, 15)).await;
    let control = control.restart(|_| ()).await;
    let mut report = wants(&key, 20);
    (report["returned"], report["generation"]) = (json!(2), first["generation"].clone());
    assert_eq!(ask(&control, "gw-1", report).await["tokens"], 7, "the books went on where they were");
    assert_eq!(control.rows("saved_books").await, 0, "taken out at the start");
    // A crash leaves none.
    let control = control.restart(forget_books).await;
    call(&control, "gw-1", json!([wants(&key, 1)])).await.refused(503, "UNAVAILABLE");
    control.clock.advance(Duration::from_millis(1_500));
    let debt = ask(&control, "gw-1", wants(&key, 20)).await;
    assert_eq!(debt["tokens"], 0, "in full debt: nobody knows what was lent");
}

#[tokio::test]
async fn status_401_without_a_gateways_token_and_422_for_nonsense() {
    let control = Control::with_workspace().await;
    let strange = control.http.post(control.url("/sync/v1/leases")).bearer_auth("nobody").json(&json!({}));
    Answer::of(strange).await.refused(401, "UNAUTHORIZED");
    for (body, problem) in [
        (json!({"gateway": "gw-1"}), "body: not a call: Data error at line 1 column 18"),
        (
            json!({"gateway": "..", "asks": []}),
            "gateway: 1 to 64 letters, digits, '_', '-' or '.', and not '.' or '..'",
        ),
        (json!({"gateway": "a", "asks": [{"owner": "a b", "name": "x"}]}), "body: asks[0].owner: not a name"),
    ] {
        let request = control.http.post(control.url("/sync/v1/leases")).bearer_auth(SYNC).json(&body);
        assert_eq!(Answer::of(request).await.problems(), [problem]);
    }
}

#[tokio::test]
async fn several_control_planes_without_an_engine_have_no_fleet_limits() {
    if !is_on_server() {
        return;
    }
    let control = Control::with_workspace().await;
    let why = "limits of the whole fleet need FLAMEGATE_LIMIT_STORE: several control planes may serve this database, and nothing counts for all of them";
    let body = json!({"workspace": "demo", "name": "Fleet", "environment": "live", "limits": [slow()]});
    assert_eq!(control.post("/v1/api-keys", body).await.problems(), [format!("limits: {why}")]);
    for field in ["default_limits", "workspace_limits"] {
        let answer = control.patch("/v1/workspaces/demo", json!({field: [slow()]})).await;
        assert_eq!(answer.problems(), [format!("{field}: {why}")]);
    }
    let error = call(&control, "gw-1", json!([])).await.refused(503, "UNAVAILABLE");
    assert_eq!(error["message"], why);
}

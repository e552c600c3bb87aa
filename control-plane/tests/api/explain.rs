//! `/v1/explain`: what is known about a key, and what gateways answer to it.

use std::time::Duration;

use flamegate::contract::key::ApiKey;
use serde_json::{Value, json};

use crate::common::Control;
use crate::common::gateway::Gateway;

fn hash(key: &str) -> String {
    ApiKey::from_bytes(key.as_bytes()).unwrap().hash().to_hex()
}

async fn by_id(control: &Control, id: &str) -> Value {
    control.get(&format!("/v1/explain?id={id}")).await.expect(200)
}

/// Status and reason of a gateway's answer, or of the answer in general.
fn answer(of: &Value) -> (Option<u64>, &str) {
    (of["answer"]["status"].as_u64(), of["answer"]["reason"].as_str().unwrap())
}

mod status_200 {
    use super::*;

    #[tokio::test]
    async fn everything_that_is_known_of_a_key_is_told() {
        let control = Control::with_workspace().await;
        let bounds = json!({"ceiling": {"requests": 50, "window_seconds": 60}, "max_active_keys": 9,
            "workspace_limits": [{"name": "shared", "requests": 5000, "window_seconds": 3600, "burst": 7}]});
        control.patch("/v1/workspaces/demo", bounds).await.expect(200);
        let body = json!({"workspace": "demo", "name": "App", "environment": "live",
            "limits": [{"name": "own", "requests": 10, "window_seconds": 60}]});
        let old = control.post("/v1/api-keys", body).await.expect(201);
        let old_id = old["id"].as_str().unwrap();
        let new =
            control.post(&format!("/v1/api-keys/{old_id}/rotate"), json!({"grace": "1h"})).await.expect(201);
        let (id, key) = (new["id"].as_str().unwrap(), new["key"].as_str().unwrap());
        control.patch(&format!("/v1/api-keys/{id}"), json!({"name": "Renamed"})).await.expect(200);
        let known = by_id(&control, id).await;
        assert_eq!((&known["key"]["id"], &known["key"]["name"]), (&json!(id), &json!("Renamed")));
        assert_eq!((&known["predecessor"]["id"], &known["successor"]), (&json!(old_id), &Value::Null));
        assert_eq!(by_id(&control, old_id).await["successor"]["id"], id);
        assert_eq!(
            (&known["workspace"]["slug"], &known["workspace"]["max_active_keys"]),
            (&json!("demo"), &json!(9))
        );
        let limit = |at: &str| {
            let limit = known.pointer(&format!("/limits/{at}")).unwrap();
            (limit["name"].as_str().unwrap(), limit["burst"].as_i64())
        };
        // Every burst is said, also where it is the rate's.
        assert_eq!(limit("own/0"), ("own", Some(10)));
        assert_eq!(limit("workspace_default/0"), ("default", Some(20)));
        assert_eq!(limit("ceiling"), ("ceiling", Some(50)));
        assert_eq!(limit("workspace/0"), ("shared", Some(7)));
        let effective = known["limits"]["effective"].as_array().unwrap();
        let names: Vec<_> = effective.iter().map(|limit| limit["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["own", "ceiling", "shared"]);
        assert_eq!(known["last_change"]["action"], "api_key.renamed");
        assert_eq!(known["last_change"]["details"]["before"], "App");
        assert_eq!(answer(&known), (Some(200), "accepted"));
        let by_hash = control.post("/v1/explain", json!({"hash": hash(key)})).await.expect(200);
        assert_eq!((&by_hash["key"]["id"], &by_hash["candidates"]), (&json!(id), &json!([])));
        assert!(!by_hash.to_string().contains(&hash(key)), "the hash is not told again");
    }

    #[tokio::test]
    async fn each_gateway_answers_by_what_it_has_acknowledged() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        let mut current = Gateway::new(&control, "current");
        let mut behind = Gateway::new(&control, "behind");
        let mut starting = Gateway::new(&control, "starting");
        current.catch_up(&control).await;
        behind.catch_up(&control).await;
        starting.query.workers = Some(0);
        starting.page().await.unwrap();
        // Until it has all of ours, it serves by the table of another database, or keeps that (ADR 0033).
        let mut foreign = Gateway::new(&control, "foreign");
        foreign.query.epoch = Some("e_another".to_owned());
        foreign.query.workers = Some(3);
        foreign.page().await.unwrap();
        control.revoke(&id, "0").await;
        current.catch_up(&control).await;
        let known = by_id(&control, &id).await;
        let of = |name: &str| {
            let gateways = known["gateways"].as_array().unwrap();
            let gateway = gateways.iter().find(|gateway| gateway["id"] == format!("shared/{name}"));
            answer(gateway.unwrap())
        };
        assert_eq!(of("current"), (Some(401), "revoked"));
        assert_eq!(of("behind"), (None, "behind"));
        assert_eq!(of("starting"), (Some(503), "no_table"));
        assert_eq!(of("foreign"), (None, "other_database"));
        assert_eq!(answer(&known), (None, "differs"));
        let unknown = control.post("/v1/explain", json!({"hash": "0".repeat(64)})).await.expect(200);
        assert_eq!((&unknown["key"], answer(&unknown)), (&Value::Null, (None, "differs")));
        assert_eq!(answer(&unknown["gateways"][0]), (Some(401), "unknown"));
    }

    #[tokio::test]
    async fn a_key_that_has_expired_is_told_by_the_clock() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        let soon = control.clock.now().as_second() + 5;
        control.patch(&format!("/v1/api-keys/{id}"), json!({"expires_at": soon})).await.expect(200);
        Gateway::new(&control, "a").catch_up(&control).await;
        control.clock.advance(Duration::from_secs(6));
        let known = by_id(&control, &id).await;
        assert_eq!(
            (answer(&known), answer(&known["gateways"][0])),
            ((Some(401), "expired"), (Some(401), "expired"))
        );
    }

    #[tokio::test]
    async fn a_hint_that_several_keys_have_lists_them() {
        let control = Control::with_workspace().await;
        let body = |key: &str| {
            json!({"hash": hash(key), "workspace": "demo", "name": key.replace("sk_live_", ""), "environment": "live",
                "key_hint": "sk_live_…zzzz"})
        };
        control.post("/v1/api-keys/import", body("sk_live_one")).await.expect(201);
        let path = "/v1/explain?hint=sk_live_%E2%80%A6zzzz";
        let known = control.get(path).await.expect(200);
        assert_eq!((&known["key"]["name"], &known["candidates"]), (&json!("one"), &json!([])));
        control.post("/v1/api-keys/import", body("sk_live_two")).await.expect(201);
        let known = control.get(path).await.expect(200);
        let names = [&known["candidates"][0]["name"], &known["candidates"][1]["name"]];
        assert_eq!(
            (names, &known["key"], &known["answer"]),
            ([&json!("two"), &json!("one")], &Value::Null, &Value::Null)
        );
        control.get("/v1/explain?hint=sk_live_%E2%80%A6ZZZZ").await.refused(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn status_404_for_an_id_or_a_hint_that_no_key_has() {
    let control = Control::start().await;
    for path in ["/v1/explain?id=key_x", "/v1/explain?hint=sk_live_%E2%80%A6a1B2"] {
        control.get(path).await.refused(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_key_is_refused_wherever_it_is_put_and_not_repeated() {
    let control = Control::with_workspace().await;
    let made = control.create_key().await;
    let key = made["key"].as_str().unwrap();
    let answers = [
        control.get(&format!("/v1/explain?id={key}")).await,
        control.get(&format!("/v1/explain?hint={key}")).await,
        control.post("/v1/explain", json!({"hash": key})).await,
        control.post("/v1/explain", json!({"id": format!("Bearer {key}")})).await,
    ];
    for answer in answers {
        let told = answer.problems();
        assert!(
            told[0].contains("looks like an API key, which must not be sent") && !told[0].contains(key),
            "{told:?}"
        );
    }
    // Nor is it a parameter of another name; a hash would be kept in the logs of whatever stands in between.
    for path in [format!("/v1/explain?key={key}"), format!("/v1/explain?hash={}", hash(key))] {
        let error = control.get(&path).await.refused(400, "BAD_REQUEST");
        assert!(!error.to_string().contains(key), "{error}");
    }
}

#[tokio::test]
async fn status_422_for_what_is_no_question() {
    let control = Control::start().await;
    assert_eq!(control.get("/v1/explain").await.problems(), ["id: give one of id, hint and hash"]);
    assert_eq!(
        control.post("/v1/explain", json!({"id": "key_a", "hash": "0".repeat(64)})).await.problems(),
        ["id: give one of id, hint and hash"]
    );
    assert_eq!(
        control.post("/v1/explain", json!({"hash": "abc"})).await.problems(),
        ["hash: must be 64 hexadecimal digits"]
    );
    let hint = "hint: must be the prefix, … and at most four characters, such as sk_live_…a1B2";
    assert_eq!(control.post("/v1/explain", json!({"hint": "a1B2"})).await.problems(), [hint]);
}

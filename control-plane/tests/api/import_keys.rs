//! `POST /v1/api-keys/import` and `…/import-batch`.

use flamegate::contract::key::ApiKey;
use serde_json::{Value, json};

use crate::common::Control;
use crate::common::gateway::Gateway;

fn hash(key: &str) -> String {
    ApiKey::from_bytes(key.as_bytes()).unwrap().hash().to_hex()
}

fn record(key: &str) -> Value {
    json!({"hash": hash(key), "workspace": "demo", "name": "Imported", "environment": "live"})
}

mod status_201 {
    use super::*;

    #[tokio::test]
    async fn gateways_learn_of_an_imported_key() {
        let control = Control::with_workspace().await;
        let mut body = record("sk_live_theirs");
        body["key_hint"] = json!("sk_live_…eirs");
        let key = control.post("/v1/api-keys/import", body).await.expect(201);
        assert_eq!((&key["key_hint"], key.get("key")), (&json!("sk_live_…eirs"), None));
        let mut gateway = Gateway::new(&control, "gw");
        gateway.catch_up(&control).await;
        assert_eq!(gateway.table[&hash("sk_live_theirs")].id, key["id"].as_str().unwrap());
    }

    #[tokio::test]
    async fn of_a_hash_alone_no_hint_is_made_up() {
        let control = Control::with_workspace().await;
        let key = control.post("/v1/api-keys/import", record("sk_live_theirs")).await.expect(201);
        assert_eq!(key["key_hint"], "…", "that its prefix is ours is not known");
        let mut body = record("sk_live_another");
        body["key_hint"] = json!("…");
        control.post("/v1/api-keys/import", body).await.expect(201);
        let known = control.get("/v1/explain?hint=%E2%80%A6").await.expect(200);
        assert_eq!(known["candidates"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn the_audit_log_has_the_ids_of_an_import() {
        let control = Control::with_workspace().await;
        let keys: Vec<_> = (0..5).map(|n| record(&format!("sk_live_{n}"))).collect();
        let done = control.post("/v1/api-keys/import-batch", json!({"keys": keys})).await.expect(200);
        let one = control.post("/v1/api-keys/import", record("sk_live_one")).await.expect(201);
        let entries = control.get("/v1/audit?action=api_key.imported").await.expect(200);
        let ids: Vec<_> = done["keys"].as_array().unwrap().iter().map(|key| key["id"].clone()).collect();
        assert_eq!(entries[1]["details"], json!({"keys": 5, "ids": ids}));
        assert_eq!(
            (&entries[0]["target"]["id"], &entries[0]["details"]["environment"]),
            (&one["id"], &json!("live"))
        );
        assert_eq!(entries[0]["details"]["key"], "…");
    }
}

mod status_200 {
    use super::*;

    #[tokio::test]
    async fn a_batch_can_be_repeated() {
        let control = Control::with_workspace().await;
        let keys: Vec<_> = (0..1_000).map(|n| record(&format!("sk_live_{n}"))).collect();
        let first = control.post("/v1/api-keys/import-batch", json!({"keys": keys})).await.expect(200);
        assert_eq!(
            (&first["imported"], &first["skipped"], &first["revision"]),
            (&json!(1000), &json!(0), &json!(1000))
        );
        let again = control.post("/v1/api-keys/import-batch", json!({"keys": keys[..2]})).await.expect(200);
        assert_eq!((&again["imported"], &again["skipped"]), (&json!(0), &json!(2)));
        assert_eq!(
            again["keys"],
            json!([
            {"id": first["keys"][0]["id"], "created": false}, {"id": first["keys"][1]["id"], "created": false}])
        );
    }

    #[tokio::test]
    async fn a_hash_that_comes_twice_in_a_batch_is_one_key() {
        let control = Control::with_workspace().await;
        let keys = [record("sk_live_a"), record("sk_live_a")];
        let done = control.post("/v1/api-keys/import-batch", json!({"keys": keys})).await.expect(200);
        assert_eq!((&done["imported"], &done["skipped"]), (&json!(1), &json!(1)));
        assert_eq!(done["keys"][0]["id"], done["keys"][1]["id"]);
    }
}

#[tokio::test]
async fn status_409_for_a_hash_that_is_known() {
    let control = Control::with_workspace().await;
    let made = control.create_key().await;
    let error = control.post("/v1/api-keys/import", record(made["key"].as_str().unwrap())).await;
    assert_eq!(error.refused(409, "CONFLICT")["details"]["id"], made["id"]);
}

mod status_422 {
    use super::*;

    #[tokio::test]
    async fn all_problems_of_one_key() {
        let control = Control::with_workspace().await;
        let body = json!({"hash": "sk_live_oops", "workspace": "demo", "name": "x", "environment": "live",
            "key_hint": "sk_live_abcdefgh"});
        assert_eq!(
            control.post("/v1/api-keys/import", body).await.problems(),
            [
                "hash: must be 64 hexadecimal digits",
                "key_hint: must be the prefix, … and at most four characters, such as sk_live_…a1B2",
            ]
        );
        let mut body = record("sk_live_a");
        body["workspace"] = json!("nobody");
        assert_eq!(
            control.post("/v1/api-keys/import", body).await.problems(),
            ["workspace: no such workspace"]
        );
    }

    #[tokio::test]
    async fn a_batch_with_a_mistake_stores_nothing() {
        let control = Control::with_workspace().await;
        let mut bad = record("sk_live_b");
        bad["environment"] = json!("prod");
        let answer =
            control.post("/v1/api-keys/import-batch", json!({"keys": [record("sk_live_a"), bad]})).await;
        assert_eq!(answer.problems(), ["keys[1].environment: must be live or test"]);
        let mut lost = record("sk_live_b");
        lost["workspace"] = json!("nobody");
        let answer =
            control.post("/v1/api-keys/import-batch", json!({"keys": [record("sk_live_a"), lost]})).await;
        assert_eq!(answer.problems(), ["keys[1].workspace: no such workspace"]);
        assert_eq!(control.revision(), 0);
    }

    #[tokio::test]
    async fn a_batch_has_bounds() {
        let control = Control::with_workspace().await;
        for keys in [vec![], vec![json!({}); 1_001]] {
            let answer = control.post("/v1/api-keys/import-batch", json!({"keys": keys})).await;
            assert_eq!(answer.problems(), ["keys: 1 to 1000 keys"]);
        }
    }
}

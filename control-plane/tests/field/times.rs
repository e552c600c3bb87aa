//! Times, in every place that takes one: the ends of the calendar, leap seconds, offsets, lower case, fractions. What is said is
//! what is kept, and gateways get the same second.

use flamegate::contract::key::ApiKey;
use serde_json::{Value, json};

use crate::common::Control;
use crate::common::gateway::Gateway;
use crate::common::program::{command, failed, json_of};

/// What people send, what is kept, and the Unix second that gateways get.
fn good() -> [(Value, &'static str, u64); 8] {
    let leap = "2040-07-01T00:00:00Z";
    [
        (json!("9999-12-31T23:59:59Z"), "9999-12-31T23:59:59Z", 253_402_300_799),
        (json!("9999-12-31T23:59:59.999999999Z"), "9999-12-31T23:59:59Z", 253_402_300_799),
        (json!(253_402_300_799_i64), "9999-12-31T23:59:59Z", 253_402_300_799),
        (json!("2040-06-30T23:59:60Z"), leap, 2_224_713_600),
        (json!("2040-07-01T02:00:00.25+02:00"), leap, 2_224_713_600),
        (json!("2040-06-30t17:00:00-07:00"), leap, 2_224_713_600),
        (json!("2040-07-01t00:00:00z"), leap, 2_224_713_600),
        (json!(2_224_713_600.75), leap, 2_224_713_600),
    ]
}

fn bad() -> [(Value, &'static str); 8] {
    let (form, late, past) = (
        "expires_at: must be RFC 3339 text or Unix seconds",
        "expires_at: must not be after 9999-12-31T23:59:59Z; Unix time is in seconds",
        "expires_at: must be in the future",
    );
    [
        (json!("9999-12-31T23:59:59-00:01"), late),
        (json!(2_224_713_600_000_i64), late),
        (json!("2040-06-30T12:59:60Z"), form),
        (json!("2040-02-30T00:00:00Z"), form),
        (json!("2040-07-01"), form),
        (json!("2040-07-01T00:00:00"), form),
        (json!("0000-01-01T00:00:00Z"), past),
        (json!(0), past),
    ]
}

fn named(number: usize, end: &Value) -> Value {
    let hash = ApiKey::from_bytes(format!("sk_test_{number}").as_bytes()).unwrap().hash().to_hex();
    json!({"hash": hash, "workspace": "demo", "name": "x", "environment": "test", "expires_at": end})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_kept_as_it_was_said() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    for (number, (end, kept, second)) in good().into_iter().enumerate() {
        let imported = named(number, &end);
        let mut made = imported.clone();
        made.as_object_mut().unwrap().remove("hash");
        let key = control.post("/v1/api-keys", made).await.expect(201);
        assert_eq!((&key["expires_at"], &key["status"]), (&json!(kept), &json!("active")), "{end}");
        let changed =
            control.patch(&format!("/v1/api-keys/{id}"), json!({"expires_at": end})).await.expect(200);
        assert_eq!(changed["expires_at"], kept, "{end}");
        let key = control.post("/v1/api-keys/import", imported.clone()).await.expect(201);
        assert_eq!(key["expires_at"], kept, "{end}");
        control
            .post("/v1/api-keys/import-batch", json!({"keys": [named(number + 100, &end)]}))
            .await
            .expect(200);
        let text = end.as_str().map_or_else(|| end.to_string(), str::to_owned);
        let args = ["keys", "update", &id, "--expires-at", &text, "--json"];
        let mut program = command(&control.url(""), &args);
        let output = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
        assert_eq!(json_of(&output)["expires_at"], kept, "{end}");
        let mut gateway = Gateway::new(&control, "gw");
        gateway.catch_up(&control).await;
        let (hash, batch) = (imported["hash"].as_str().unwrap(), named(number + 100, &end));
        for hash in [hash, batch["hash"].as_str().unwrap()] {
            assert_eq!(gateway.table[hash].expires_at, Some(second), "{end}");
        }
    }
    // Nothing that is read again stumbles over the last second.
    control.housekeeping(0).await;
    assert!(
        control.get("/v1/api-keys?status=active&limit=200").await.expect(200).as_array().unwrap().len() > 8
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_time_is_refused_alike_everywhere() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    for (number, (end, told)) in bad().into_iter().enumerate() {
        let imported = named(number, &end);
        let mut made = imported.clone();
        made.as_object_mut().unwrap().remove("hash");
        assert_eq!(control.post("/v1/api-keys", made).await.problems(), [told], "{end}");
        let changed = control.patch(&format!("/v1/api-keys/{id}"), json!({"expires_at": end})).await;
        assert_eq!(changed.problems(), [told], "{end}");
        assert_eq!(control.post("/v1/api-keys/import", imported.clone()).await.problems(), [told], "{end}");
        let batch = control.post("/v1/api-keys/import-batch", json!({"keys": [imported]})).await;
        assert_eq!(batch.problems(), [format!("keys[0].{told}")], "{end}");
        let text = end.as_str().map_or_else(|| end.to_string(), str::to_owned);
        let args = ["keys", "update", &id, "--expires-at", &text];
        let mut program = command(&control.url(""), &args);
        let output = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
        assert!(failed(&output, 1).contains(told), "{end}");
    }
}

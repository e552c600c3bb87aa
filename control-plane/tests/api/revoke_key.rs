//! `POST /v1/api-keys/{id}/revoke` and its receipt.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::gateway::Gateway;
use crate::common::{Control, PATIENCE, eventually};

/// Live gateways that have synced and hold a poll.
async fn live_gateways(control: &Control, names: &[&str]) {
    for name in names {
        let mut gateway = Gateway::new(control, name);
        gateway.catch_up(control).await;
        gateway.run();
    }
    let polls = names.len() as u32;
    eventually("every gateway holds a poll", || control.server.app.gateways.counts().1 == polls).await;
}

mod status_200 {
    use super::*;

    #[tokio::test]
    async fn the_receipt_counts_every_gateway_with_its_time() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        live_gateways(&control, &["gw-a", "gw-b", "gw-c"]).await;
        let receipt = control.revoke(&id, "60s").await;
        assert_eq!((&receipt["gateways"], &receipt["enforced"]), (&json!(3), &json!(3)), "{receipt}");
        assert_eq!((&receipt["pending"], &receipt["revision"]), (&json!([]), &json!(2)));
        assert_eq!(
            (&receipt["api_key"]["id"], &receipt["api_key"]["status"]),
            (&json!(id), &json!("revoked"))
        );
        let details = receipt["gateways_detail"].as_array().unwrap();
        assert!(details.iter().all(|one| one["enforced"] == true));
        let slowest = details.iter().filter_map(|one| one["ms"].as_u64()).max();
        assert!(slowest.is_some() && slowest == receipt["slowest_ms"].as_u64());
    }

    #[tokio::test]
    async fn a_gateway_that_does_not_answer_is_listed() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        live_gateways(&control, &["gw-fast"]).await;
        // It has synced once, so it is connected, but does not poll again.
        Gateway::new(&control, "gw-stuck").catch_up(&control).await;
        // A second time tells how it is by then, for a machine on which the other one is not that fast.
        let receipt = async {
            loop {
                let receipt = control.revoke(&id, "100ms").await;
                assert_eq!(receipt["gateways"], 2, "{receipt}");
                if receipt["enforced"] != 0 {
                    break receipt;
                }
            }
        };
        let receipt = tokio::time::timeout(PATIENCE, receipt).await.expect("one has answered");
        assert_eq!((&receipt["enforced"], &receipt["pending"]), (&json!(1), &json!(["shared/gw-stuck"])));
    }

    #[tokio::test]
    async fn a_gateway_without_a_table_is_pending() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        Gateway::new(&control, "gw-new").poll().await.unwrap();
        assert_eq!(control.revoke(&id, "0").await["pending"], json!(["shared/gw-new"]));
    }

    #[tokio::test]
    async fn a_gateway_that_is_gone_is_named_as_cut_off() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        Gateway::new(&control, "gw-gone").catch_up(&control).await;
        control.clock.advance(Duration::from_secs(61));
        let receipt = control.revoke(&id, "60s").await;
        assert_eq!((&receipt["gateways"], &receipt["pending"]), (&json!(0), &json!([])));
        assert_eq!(receipt["cut_off"], json!(["shared/gw-gone"]));
    }

    #[tokio::test]
    async fn without_gateways_nobody_waits() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        let receipt = control.revoke(&id, "60s").await;
        assert_eq!((&receipt["gateways"], &receipt["slowest_ms"]), (&json!(0), &Value::Null));
    }

    #[tokio::test]
    async fn a_second_time_changes_nothing() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        live_gateways(&control, &["gw-a"]).await;
        let first = control.revoke(&id, "60s").await;
        let second = control.revoke(&id, "60s").await;
        assert_eq!(first["revision"], second["revision"]);
        assert_eq!(first["api_key"], second["api_key"]);
        assert_eq!((&second["enforced"], &second["slowest_ms"]), (&json!(1), &Value::Null));
    }

    #[tokio::test]
    async fn a_restarted_control_plane_still_expects_its_gateways() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        Gateway::new(&control, "gw-a").catch_up(&control).await;
        let control = control.restart(|_| {}).await;
        assert_eq!(control.revoke(&id, "0").await["pending"], json!(["shared/gw-a"]));
    }

    #[tokio::test]
    async fn a_shutdown_lets_the_receipt_go() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        Gateway::new(&control, "gw-stuck").catch_up(&control).await;
        let request = control.request(reqwest::Method::POST, &format!("/v1/api-keys/{id}/revoke?wait=60s"));
        let call = tokio::spawn(crate::common::Answer::of(request));
        eventually("the key is revoked", || control.revision() == 2).await;
        control.restart(|_| {}).await;
        assert_eq!(call.await.unwrap().expect(200)["pending"], json!(["shared/gw-stuck"]));
    }
}

#[tokio::test]
async fn status_404_for_a_key_that_does_not_exist() {
    let control = Control::start().await;
    control.post("/v1/api-keys/key_x/revoke", json!({})).await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn status_422_for_a_wait_that_is_no_time() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    let problems = control.post(&format!("/v1/api-keys/{id}/revoke?wait=soon"), json!({})).await.problems();
    assert_eq!(problems, ["wait: must be a time such as 5s, 500ms or 5"]);
    assert_eq!(control.revision(), 1, "nothing was revoked");
}

#[tokio::test]
async fn whoever_revokes_the_successor_learns_which_key_still_works() {
    let control = Control::with_workspace().await;
    let first = control.create_key_id().await;
    let rotate = async |id: &str, grace: &str| {
        let new =
            control.post(&format!("/v1/api-keys/{id}/rotate"), json!({"grace": grace})).await.expect(201);
        new["id"].as_str().unwrap().to_owned()
    };
    let second = rotate(&first, "24h").await;
    let third = rotate(&second, "0").await;
    let ids = |answer: &Value| -> Vec<String> {
        let keys = answer["still_working"].as_array().unwrap();
        keys.iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect()
    };
    let answer = control.revoke(&third, "0").await;
    assert_eq!(
        ids(&answer),
        [first.as_str()],
        "the second ended with its rotation, the first is in its grace"
    );
    assert!(answer["still_working"][0]["expires_at"].is_string());
    assert_eq!(ids(&control.revoke(&third, "0").await), [first.as_str()], "told each time");
    let entry = &control.get(&format!("/v1/audit?target={third}")).await.expect(200)[0];
    assert_eq!(
        (&entry["action"], &entry["details"]["still_working"]),
        (&json!("api_key.revoked"), &json!([first]))
    );
    assert!(ids(&control.revoke(&first, "0").await).is_empty());
    assert!(ids(&control.revoke(&third, "0").await).is_empty(), "nothing works any more");
}

//! The clock jumps ahead and comes back: a key that was taken off the gateways as expired comes back with it.

use std::time::Duration;

use serde_json::json;

use crate::common::Control;
use crate::common::gateway::Gateway;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_key_comes_back_with_the_clock() {
    let control = Control::with_workspace().await;
    let mut gateway = Gateway::new(&control, "gw");
    let end = (control.clock.now().as_second() + 7_200).to_string();
    let body = |name: &str| json!({"workspace": "demo", "name": name, "environment": "live", "expires_at": end.parse::<i64>().unwrap()});
    let mut ids = Vec::new();
    for name in ["kept", "compacted", "revoked meanwhile", "ended meanwhile"] {
        let key = control.post("/v1/api-keys", body(name)).await.expect(201);
        ids.push(key["id"].as_str().unwrap().to_owned());
    }
    gateway.catch_up(&control).await;
    assert_eq!(gateway.table.len(), 4);
    control.clock.advance(DAY);
    // All removals leave the log at once.
    control.housekeeping(0).await;
    gateway.catch_up(&control).await;
    assert_eq!(gateway.table.len(), 0, "expired by the clock of the control plane");
    control.revoke(&ids[2], "0").await;
    control.clock.go_back(DAY);
    let past = control.clock.now().as_second() + 1;
    control.patch(&format!("/v1/api-keys/{}", ids[3]), json!({"expires_at": past})).await.expect(200);
    control.clock.advance(Duration::from_secs(10));
    control.housekeeping(1_000).await;
    gateway.catch_up(&control).await;
    let mut back: Vec<_> = gateway.table.values().map(|record| record.id.clone()).collect();
    back.sort();
    ids.truncate(2);
    ids.sort();
    assert_eq!(back, ids, "what is active by API and check is with the gateways; nothing else is");
    // And nothing is written round after round.
    let revision = control.revision();
    control.housekeeping(1_000).await;
    assert_eq!(control.revision(), revision);
}

#[tokio::test]
async fn many_come_back_in_one_round_and_leave_again() {
    let control = Control::with_workspace().await;
    control.patch("/v1/workspaces/demo", json!({"max_active_keys": null})).await.expect(200);
    let end = control.clock.now().as_second() + 7_200;
    for batch in 0..3 {
        let keys: Vec<_> = (0..1_000)
            .map(|n| {
                json!({"hash": format!("{:064x}", batch * 1_000 + n), "workspace": "demo", "name": "k",
                "environment": "test", "expires_at": end})
            })
            .collect();
        control.post("/v1/api-keys/import-batch", json!({"keys": keys})).await.expect(200);
    }
    let mut gateway = Gateway::new(&control, "gw");
    for expected in [0, 3_000, 0] {
        if expected == 0 {
            control.clock.advance(DAY)
        } else {
            control.clock.go_back(DAY)
        }
        control.housekeeping(100).await;
        gateway.catch_up(&control).await;
        assert_eq!(gateway.table.len(), expected);
    }
}

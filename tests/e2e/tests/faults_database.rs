//! Two real Envoys and two control planes whose PostgreSQL is killed: keys work as before, revocations are refused and not forgotten, polls
//! come back one by one, and nobody has to do anything.

use std::time::Instant;

use flamegate_e2e::{
    Answer, Fleet, Plugin, Protocol, Request, control::ADMIN_TOKEN, control::NewKey, envoy::Upstreams,
    eventually, gateway::Gateway, process::Folder, upstream::Upstream,
};
use serde_json::json;

#[test]
fn gateways_outlive_the_database_and_ask_for_it_without_a_storm() {
    let folder = Folder::new("faults-database");
    let upstream = Upstream::start(&folder);
    let mut fleet = Fleet::start(&folder, 2, None);
    fleet.controls[0].create_workspace("e2e");
    let upstreams = Upstreams { upstream: upstream.port, control: fleet.controls[0].port };
    let gateways: Vec<_> = (0..2)
        .map(|number| {
            Gateway::start_changed(&folder, &Plugin::singleton(json!({})), upstreams, number, |text| {
                let name = format!("node: {{ id: \"gateway-{number}\"");
                fleet.in_cluster(&text).replace("node: { id: \"e2e\"", &name)
            })
        })
        .collect();
    let all = |key: &NewKey, status| {
        for gateway in &gateways {
            gateway.envoy.wait_for(&Request::get("/v1/agents").bearer(&key.key), status);
        }
    };
    let limits = json!({"limits": [{"requests": 1_000_000, "window_seconds": 60}]});
    let key = fleet.controls[0].create_key("e2e", "live", limits.clone());
    all(&key, 200);

    let failures = || -> Vec<f64> {
        let one = |gateway: &Gateway| gateway.envoy.metrics().value("flamegate_sync_failures_total");
        gateways.iter().map(|gateway| one(gateway).unwrap_or(0.0)).collect()
    };
    let before = failures();
    let begun = Instant::now();
    fleet.database.primary.kill();
    eventually("every gateway has noticed", || {
        let now = failures();
        let noticed = now.iter().zip(&before).all(|(now, before)| now > before);
        if noticed { Ok(()) } else { Err(format!("{now:?}")) }
    });
    let revoke = |port: u16| -> Answer {
        let request = Request::new("POST", &format!("/v1/api-keys/{}/revoke", key.id)).bearer(ADMIN_TOKEN);
        request.header("content-length", "0").send(Protocol::Http1, port).expect("an answer")
    };
    for port in fleet.ports() {
        let answer = revoke(port);
        assert_eq!(
            (answer.status, answer.code().as_deref()),
            (503, Some("UNAVAILABLE")),
            "{}",
            answer.text()
        );
    }
    all(&key, 200);
    // The filter of these tests asks again after 25 ms at the earliest, and after 100 ms when it has failed a few times.
    let most = 10 + begun.elapsed().as_millis() / 100;
    for (now, before) in failures().into_iter().zip(before) {
        assert!(now - before <= most as f64, "{} polls failed where {most} may", now - before);
    }
    fleet.database.primary.start_again();
    let new = eventually("changes are taken again", || {
        let body =
            json!({"workspace": "e2e", "name": "e2e", "environment": "live", "limits": limits["limits"]});
        let answer = fleet.controls[1].call("POST", "/v1/api-keys", Some(&body));
        if answer.status == 201 { Ok(answer.json()["data"].clone()) } else { Err(answer.text()) }
    });
    all(
        &NewKey {
            id: String::new(),
            key: new["key"].as_str().expect("a key").to_owned(),
            workspace: String::new(),
        },
        200,
    );
    assert_eq!(revoke(fleet.controls[0].port).status, 200);
    all(&key, 401);
}

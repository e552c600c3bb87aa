//! Many keys: how long their first sync takes and what each costs in memory. `FLAMEGATE_SCALE_KEYS` sets the number
//! (5,000 in `make test`; `make scale` asks for 100,000 and shows the figures).

use std::{env, time::Instant};

use flamegate_e2e::{
    Control, Envoy, Plugin, Request, envoy::Upstreams, eventually, process::Folder, upstream::Upstream,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Keys in one call of the import.
const BATCH: usize = 1000;

fn key(number: usize) -> String {
    format!("sk_live_scale{number:08}")
}

fn import(control: &Control, from: usize, to: usize) {
    let draft = |number: usize| {
        let hash = hex::encode(Sha256::digest(key(number)));
        json!({"hash": hash, "workspace": "e2e", "name": "scale", "environment": "live"})
    };
    let keys: Vec<Value> = (from..to).map(draft).collect();
    control.data("POST", "/v1/api-keys/import-batch", Some(&json!({"keys": keys})));
}

#[test]
fn a_large_table_arrives_whole() {
    let keys = env::var("FLAMEGATE_SCALE_KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(5_000);
    let folder = Folder::new("scale");
    let upstream = Upstream::start(&folder);
    let mut control = Control::prepare(&folder);
    control.start();
    control.create_workspace("e2e");
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    let plugin = Plugin::singleton(json!({}));

    for from in (0..keys).step_by(BATCH) {
        import(&control, from, keys.min(from + BATCH));
    }
    control.stop();

    // Envoy waits for the control plane, so that everything before the sync is not counted.
    let envoy = Envoy::start("envoy", &folder, &plugin, upstreams);
    let before = memory(&envoy);
    control.start();
    let started = Instant::now();
    wait_for_keys(&envoy, keys);
    let took = started.elapsed();
    let after = memory(&envoy);
    let per_key = |(before, after): (u64, u64)| after.saturating_sub(before) / keys as u64;
    println!(
        "{keys} keys: synced in {took:?}; per key {} bytes of Envoy's heap, {} bytes of resident memory",
        per_key((before.0, after.0)),
        per_key((before.1, after.1)),
    );
    // Every region of the table answers, on whichever worker.
    for number in (0..keys).step_by((keys / 500).max(1)) {
        eventually("a key of the table", || {
            let answer = envoy.send(&Request::get("/v1/agents").bearer(&key(number)));
            answer.expect_status(200).map_err(|other| format!("key {number} of {keys}: {other}"))
        });
    }
    assert_eq!(envoy.send(&Request::get("/v1/agents").bearer(&key(keys))).status, 401);
}

/// Bytes that Envoy's allocator has handed out, and bytes of the process that are resident. The table lives in the
/// former; the memory of the VMs is in the latter only.
fn memory(envoy: &Envoy) -> (u64, u64) {
    let allocated = envoy.admin("/memory").json()["allocated"].as_str().and_then(|text| text.parse().ok());
    (allocated.expect("allocated bytes"), envoy.resident_bytes())
}

fn wait_for_keys(envoy: &Envoy, keys: usize) {
    let started = Instant::now();
    loop {
        let there = envoy.metrics().value("flamegate_keys").unwrap_or(0.0);
        if there == keys as f64 {
            return;
        }
        assert!(started.elapsed().as_secs() < 180, "{there} of {keys} keys after {:?}", started.elapsed());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

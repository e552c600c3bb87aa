//! What keys are used for: the control plane's counts are what clients saw, to the last request.
//!
//! `FLAMEGATE_USAGE_REQUESTS` says how many requests the two gateways get (`make usage-million`: 1,000,000).

#[path = "usage/client.rs"]
mod client;
mod mortal;

use std::{env, thread, time::Instant};

use client::{Client, counted, usage};
use flamegate_e2e::{
    Envoy, Plugin, Stack,
    control::NewKey,
    envoy::{Upstreams, render},
    eventually, hot_restart,
    http1::Connection,
    process::Folder,
    random::Random,
    stack::surroundings,
};
use mortal::{deadly, mortal_module};
use serde_json::json;

/// Keys that no request is too much for.
const BUSY: usize = 16;

/// The second gateway beside a stack's.
fn second(stack: &Stack, plugin: &Plugin, name: &'static str) -> Envoy {
    Envoy::start_with(name, &stack.folder, |ports, log| {
        let text = render(plugin, stack.upstreams(), ports, log);
        text.replace("node: { id: \"e2e\"", &format!("node: {{ id: \"{name}\""))
    })
}

/// So many requests over all connections at once, each with one of these keys.
fn burst(connections: &mut [Connection], keys: &[&NewKey], requests: u64) -> Client {
    let each = requests / connections.len() as u64;
    thread::scope(|scope| {
        let clients: Vec<_> = (1..)
            .zip(connections)
            .map(|(seed, connection)| {
                scope.spawn(move || {
                    let mut client = Client::default();
                    client.send_many(connection, keys, each, Random::new(seed));
                    client
                })
            })
            .collect();
        let mut all = Client::default();
        clients.into_iter().for_each(|client| all.add(client.join().expect("a client")));
        all
    })
}

#[test]
fn the_control_planes_counts_are_what_clients_saw_at_two_gateways() {
    let requests = env::var("FLAMEGATE_USAGE_REQUESTS").ok().and_then(|text| text.parse().ok());
    let requests = requests.unwrap_or(20_000);
    let plugin = Plugin::singleton(json!({}));
    let stack = Stack::start("usage", &plugin);
    let other = second(&stack, &plugin, "envoy-2");
    let roomy = || json!({"limits": [{"requests": 1_000_000, "window_seconds": 1}]});
    let busy: Vec<_> = (0..BUSY).map(|_| stack.control.create_key("e2e", "live", roomy())).collect();
    let three = json!({"limits": [{"requests": 3, "window_seconds": 86_400}]});
    let limited = stack.control.create_key("e2e", "live", three);
    let (late, dead) =
        (stack.control.create_key("e2e", "live", roomy()), stack.control.create_key("e2e", "test", roomy()));
    let mut client = Client::default();
    let mut workers = stack.envoy.connection_to_each_worker();
    workers.append(&mut other.connection_to_each_worker());
    assert_eq!(workers.len(), 4);
    // The newest one is the last that they learn of.
    client.wait(&mut workers, &dead, 200);
    let begin = Instant::now();
    client.add(burst(&mut workers, &busy.iter().collect::<Vec<_>>(), requests));
    println!("{requests} requests over two gateways in {:?}", begin.elapsed());
    let receipt = stack.control.revoke(&dead.id, "30s");
    assert_eq!(receipt["enforced"], 2, "{receipt}");
    let refused = 20 * workers.len() as u64;
    for connection in &mut workers {
        for _ in 0..20 {
            assert_eq!(client.send(connection, &dead), Ok(401));
        }
        for _ in 0..5 {
            client.send(connection, &limited).unwrap();
        }
    }
    for key in &busy {
        // Before a gateway knows a key it is unknown, and that is not its use.
        counted(&stack.control, key, &[("admitted", client.saw(key, 200)), ("revoked", 0), ("expired", 0)]);
    }
    assert_eq!(client.saw(&limited, 200), 6, "three at each gateway");
    counted(&stack.control, &limited, &[("admitted", 6), ("rate_limited", client.saw(&limited, 429))]);
    counted(&stack.control, &dead, &[("admitted", client.saw(&dead, 200))]);
    eventually("who still comes with a dead key", || {
        let told = usage(&stack.control, &dead);
        // Those of before it was known may have been posted after it was dead.
        let revoked = told["totals"]["revoked"].as_u64().filter(|revoked| *revoked >= refused);
        revoked.map(|revoked| assert!(revoked <= client.saw(&dead, 401))).ok_or_else(|| told.to_string())
    });
    let all = stack.control.data("GET", "/v1/workspaces/e2e/usage?step=day", None);
    assert_eq!(all["totals"]["admitted"], json!(client.saw_all(200)), "{all}");
    assert_eq!(all["totals"]["rate_limited"], json!(client.saw_all(429)), "{all}");
    let permitted = |envoy: &Envoy| envoy.metrics().requests("permitted", "key");
    assert_eq!(permitted(&stack.envoy) + permitted(&other), client.saw_all(200));
    assert!(stack.envoy.metrics().value("flamegate_usage_posts_total") >= Some(1.0));
    who_used_it_where(&stack, &busy[0], &dead);
    a_gateway_that_is_killed_loses_what_was_not_acknowledged(&stack, &plugin, other, &busy[0], &late);
}

/// Where and when a key was used, and who goes on with one that is dead.
fn who_used_it_where(stack: &Stack, busy: &NewKey, dead: &NewKey) {
    let told = usage(&stack.control, dead);
    assert!(told["last_used_at"].is_string() && told["last_refused_at"].is_string(), "{told}");
    let all = stack.control.data("GET", "/v1/gateways", None);
    let mut all: Vec<_> = all.as_array().into_iter().flatten().map(|gateway| gateway["id"].clone()).collect();
    assert!(all.contains(&told["last_used_by"]), "{told}");
    let told = usage(&stack.control, busy)["gateways"].clone();
    let mut used: Vec<_> = told.as_array().into_iter().flatten().map(|at| at["id"].clone()).collect();
    all.sort_by_key(ToString::to_string);
    used.sort_by_key(ToString::to_string);
    assert_eq!(used, all);
    let still = stack.control.data("GET", "/v1/api-keys?still_used=true", None);
    assert_eq!(still.as_array().map(Vec::len), Some(1), "{still}");
}

/// SIGKILL: nothing that was acknowledged is lost or counted again, and whoever comes in its place counts from one.
fn a_gateway_that_is_killed_loses_what_was_not_acknowledged(
    stack: &Stack,
    plugin: &Plugin,
    envoy: Envoy,
    key: &NewKey,
    late: &NewKey,
) {
    let before = usage(&stack.control, key)["totals"]["admitted"].as_u64().expect("a count");
    let mut client = Client::default();
    let mut workers = envoy.connection_to_each_worker();
    for connection in &mut workers {
        for _ in 0..25 {
            assert_eq!(client.send(connection, key), Ok(200));
        }
    }
    drop(envoy);
    let envoy = second(stack, plugin, "envoy-3");
    client.wait(&mut envoy.connection_to_each_worker(), late, 200);
    counted(&stack.control, late, &[("admitted", client.saw(late, 200))]);
    let after = usage(&stack.control, key)["totals"]["admitted"].as_u64().expect("a count");
    println!(
        "of {} requests before a gateway was killed {} were counted",
        client.saw(key, 200),
        after - before
    );
    assert!((before..=before + client.saw(key, 200)).contains(&after), "{before}, {after}");
}

#[test]
fn counts_survive_dead_vms_a_hot_restart_and_a_control_plane_that_is_away() {
    let (folder, upstream, mut control) = surroundings("usage-away");
    let of_module = Folder::new("usage-module");
    let plugin = Plugin { module: Some(mortal_module(&of_module)), ..Plugin::elected(json!({})) };
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    let old = hot_restart::first(&folder, &plugin, upstreams);
    let roomy = json!({"limits": [{"requests": 1_000_000, "window_seconds": 60}]});
    let key = control.create_key("e2e", "live", roomy);
    let mut client = Client::default();
    let mut workers = old.connection_to_each_worker();
    client.wait(&mut workers, &key, 200);
    counted(&control, &key, &[("admitted", client.saw(&key, 200))]);
    // All of this was handed over; the VMs that counted it, and perhaps the one that posts, go.
    for connection in &mut workers {
        assert_eq!(connection.send(&deadly("/v1/agents")).expect("answer").status, 503);
    }
    let mut workers = old.connection_to_each_worker();
    client.wait(&mut workers, &key, 200);
    for connection in &mut workers {
        for _ in 0..200 {
            assert_eq!(client.send(connection, &key), Ok(200));
        }
    }
    // The old process posts what it has while it is there; the new one has another session and its own numbers.
    let new = hot_restart::next_beside(&folder, &plugin, upstreams, &old, 600);
    let mut workers = new.connection_to_each_worker();
    client.wait(&mut workers, &key, 200);
    control.stop();
    for connection in &mut workers {
        for _ in 0..200 {
            assert_eq!(client.send(connection, &key), Ok(200));
        }
    }
    control.start();
    counted(&control, &key, &[("admitted", client.saw(&key, 200))]);
}

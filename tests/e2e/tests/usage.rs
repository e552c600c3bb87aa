//! What keys are used for: the control plane's counts are what the client saw, to the last request.

mod mortal;

use std::{collections::BTreeMap, thread, time::Duration};

use flamegate_e2e::{
    Plugin, Request, Stack, control::NewKey, eventually, http1::Connection, process::Folder,
};
use mortal::{deadly, mortal_module};
use serde_json::{Value, json};

/// Sends requests and counts what came of them, by key and status.
#[derive(Default)]
struct Client(BTreeMap<(String, u16), u64>);

impl Client {
    fn send(&mut self, connection: &mut Connection, key: &NewKey) -> Result<u16, String> {
        let request = Request::get("/v1/agents").bearer(&key.key);
        let status = connection.send(&request).map_err(|error| error.to_string())?.status;
        *self.0.entry((key.id.clone(), status)).or_default() += 1;
        Ok(status)
    }

    fn saw(&self, key: &NewKey, status: u16) -> u64 {
        self.0.get(&(key.id.clone(), status)).copied().unwrap_or_default()
    }

    /// Until each worker answers so.
    fn wait(&mut self, connections: &mut [Connection], key: &NewKey, wanted: u16) {
        for connection in connections {
            eventually("the worker knows the key", || match self.send(connection, key)? {
                status if status == wanted => Ok(()),
                status => Err(format!("{status}")),
            });
        }
    }
}

fn usage(stack: &Stack, key: &NewKey) -> Value {
    stack.control.data("GET", &format!("/v1/api-keys/{}/usage?step=day", key.id), None)
}

/// Waits until the control plane has counted so many, and sees that it does not count more.
fn counted(stack: &Stack, key: &NewKey, wanted: &[(&str, u64)]) {
    eventually("the posts of all requests", || {
        let totals = usage(stack, key)["totals"].clone();
        let is = |(outcome, requests): &(&str, u64)| totals[outcome] == json!(requests);
        if wanted.iter().all(is) {
            return Ok(());
        }
        // Gateways post every ten seconds.
        thread::sleep(Duration::from_millis(100));
        Err(format!("{totals}, wanted {wanted:?}"))
    });
}

#[test]
fn the_control_planes_counts_are_what_the_client_saw() {
    let stack = Stack::start("usage", &Plugin::singleton(json!({})));
    let roomy = json!({"limits": [{"requests": 1_000_000, "window_seconds": 60}]});
    let busy = stack.control.create_key("e2e", "live", roomy.clone());
    let limited = stack.control.create_key(
        "e2e",
        "live",
        json!({"limits": [{"requests": 3, "window_seconds": 86_400}]}),
    );
    let dead = stack.control.create_key("e2e", "test", roomy);
    let mut client = Client::default();
    let mut workers = stack.envoy.connection_to_each_worker();
    assert_eq!(workers.len(), 2);
    for key in [&busy, &dead] {
        client.wait(&mut workers, key, 200);
    }
    for connection in &mut workers {
        for _ in 0..500 {
            client.send(connection, &busy).unwrap();
        }
        for _ in 0..5 {
            client.send(connection, &limited).unwrap();
        }
    }
    let receipt = stack.control.revoke(&dead.id, "30s");
    assert_eq!(receipt["enforced"], 1, "{receipt}");
    for connection in &mut workers {
        for _ in 0..20 {
            assert_eq!(client.send(connection, &dead), Ok(401));
        }
    }
    assert!(client.saw(&busy, 200) >= 1_002 && client.saw(&limited, 200) == 3);
    // Before a gateway knows a key it is unknown, and that is not its use.
    counted(&stack, &busy, &[("admitted", client.saw(&busy, 200)), ("revoked", 0), ("expired", 0)]);
    counted(&stack, &limited, &[("admitted", 3), ("rate_limited", client.saw(&limited, 429))]);
    counted(&stack, &dead, &[("admitted", client.saw(&dead, 200)), ("revoked", 40)]);
    let told = usage(&stack, &dead);
    assert!(told["last_used_at"].is_string() && told["last_refused_at"].is_string(), "{told}");
    let gateways = stack.control.data("GET", "/v1/gateways", None);
    assert_eq!(told["last_used_by"], gateways[0]["id"]);
    let still = stack.control.data("GET", "/v1/api-keys?still_used=true", None);
    assert_eq!(still.as_array().map(Vec::len), Some(1), "{still}");
    let metrics = stack.envoy.metrics();
    assert!(metrics.value("flamegate_usage_posts_total") >= Some(1.0));
    assert_eq!(
        metrics.requests("permitted", "key"),
        client.0.iter().filter(|((_, status), _)| *status == 200).map(|(_, n)| n).sum::<u64>()
    );
}

#[test]
fn counts_survive_dead_vms_and_a_control_plane_that_is_away() {
    let folder = Folder::new("usage-module");
    let module = Some(mortal_module(&folder));
    let mut stack = Stack::start("usage-away", &Plugin { module, ..Plugin::elected(json!({})) });
    let roomy = json!({"limits": [{"requests": 1_000_000, "window_seconds": 60}]});
    let key = stack.control.create_key("e2e", "live", roomy);
    let mut client = Client::default();
    let mut workers = stack.envoy.connection_to_each_worker();
    client.wait(&mut workers, &key, 200);
    counted(&stack, &key, &[("admitted", client.saw(&key, 200))]);
    // All of this was handed over; the VMs that counted it, and perhaps the one that posts, go.
    for connection in &mut workers {
        assert_eq!(connection.send(&deadly("/v1/agents")).expect("answer").status, 503);
    }
    let mut workers = stack.envoy.connection_to_each_worker();
    client.wait(&mut workers, &key, 200);
    stack.control.stop();
    for connection in &mut workers {
        for _ in 0..200 {
            assert_eq!(client.send(connection, &key), Ok(200));
        }
    }
    stack.control.start();
    counted(&stack, &key, &[("admitted", client.saw(&key, 200))]);
}

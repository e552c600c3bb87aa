//! Bad keys from one client address, on the real Envoy: how many are looked at, who pays for them, and which address counts.

use std::{
    thread,
    time::{Duration, Instant},
};

use flamegate_e2e::{Plugin, Request, Stack, envoy::WORKERS, eventually, http1::Connection};
use serde_json::{Value, json};

const FAILURES: usize = 5;
/// So long that no failure is forgiven while a test runs: one in twelve minutes.
const WINDOW_SECONDS: u64 = 3600;

fn throttle() -> Value {
    json!({"failure_throttle": {"failures": FAILURES, "window_seconds": WINDOW_SECONDS}})
}

/// A gateway behind one trusted proxy, so that the last address of `x-forwarded-for` is the client's.
fn behind_a_proxy(name: &str, more: Value) -> Stack {
    let own = "use_remote_address: true\n";
    Stack::start_changed(name, &Plugin::singleton(more), |text| {
        assert!(text.contains(own));
        text.replace(own, &format!("{own}                xff_num_trusted_hops: 1\n"))
    })
}

fn request(key: &str, forwarded_for: &str) -> Request {
    Request::get("/v1/agents").bearer(key).header("x-forwarded-for", forwarded_for)
}

/// Waits until every worker knows the key, asking from a new address each time: the answer until then is a failure.
fn wait_for(stack: &Stack, key: &str) {
    for connection in &mut stack.envoy.connection_to_each_worker() {
        let mut asked: u32 = 0;
        eventually("the gateway knows a key", || {
            asked += 1;
            let from = format!("11.{}.{}.{}", asked >> 16, asked >> 8 & 255, asked & 255);
            connection.send(&request(key, &from)).map_err(|error| error.to_string())?.expect_status(200)
        });
    }
}

/// Waits until each worker has a table, without a request.
fn wait_for_table(stack: &Stack) {
    stack.control.create_key("e2e", "live", json!({}));
    eventually("the key table", || match stack.envoy.metrics().value("flamegate_keys") {
        Some(1.0) => Ok(()),
        other => Err(format!("{other:?} keys")),
    });
    stack.envoy.wait_for_ticks();
}

/// Sends so many different bad keys: how many were looked at (401) and how many were not (429).
fn guess(
    connection: &mut Connection,
    count: usize,
    forwarded_for: impl Fn(usize) -> String,
) -> (usize, usize) {
    let mut found = (0, 0);
    for number in 0..count {
        let key = format!("sk_live_guess{number}");
        match connection.send(&request(&key, &forwarded_for(number))).expect("answer").status {
            401 => found.0 += 1,
            429 => found.1 += 1,
            status => panic!("status {status}"),
        }
    }
    found
}

#[test]
fn each_worker_looks_at_so_many_bad_keys_of_an_address_and_no_more() {
    let stack = behind_a_proxy("throttle-address", throttle());
    // Good is known to every worker, fresh to none; it is in the table since another key came after it.
    let [good, fresh, last] =
        ["good", "fresh", "last"].map(|_| stack.control.create_key("e2e", "live", json!({})));
    wait_for(&stack, &good.key);
    wait_for(&stack, &last.key);
    let mut connections = stack.envoy.connection_to_each_worker();
    for connection in &mut connections {
        // What a client writes before the last address is the client's invention.
        let spoofed = |number| format!("198.51.100.{}, 192.0.2.7", number % 250);
        assert_eq!(guess(connection, 100, spoofed), (FAILURES, 100 - FAILURES));
        let answer = connection.send(&request("sk_live_guess0", "192.0.2.7")).expect("answer");
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert!(answer.text().contains(r#""code":"RATE_LIMITED""#), "{}", answer.text());
        let seconds: u64 = answer.header("retry-after").expect("Retry-After").parse().expect("seconds");
        let interval = WINDOW_SECONDS / 5;
        assert!(
            (interval - 60..=interval).contains(&seconds),
            "one failure is forgiven in {interval} s: {seconds}"
        );
        assert_eq!(answer.header("ratelimit"), None, "no limit of a key is meant");
        // Who has no key tries none.
        let none = Request::get("/v1/agents").header("x-forwarded-for", "192.0.2.7");
        assert_eq!(connection.send(&none).expect("answer").status, 401);
        // A key that this worker has accepted before is recognised, whoever sends it.
        assert_eq!(connection.send(&request(&good.key, "192.0.2.7")).expect("answer").status, 200);
        // One that it has not seen is not looked at; from another address it is good.
        assert_eq!(connection.send(&request(&fresh.key, "192.0.2.7")).expect("answer").status, 429);
        assert_eq!(connection.send(&request(&fresh.key, "192.0.2.8")).expect("answer").status, 200);
        assert_eq!(guess(connection, 100, |_| "2001:db8:1:2::1".into()), (FAILURES, 100 - FAILURES));
        let neighbours = |number| format!("2001:db8:1:2::{number:x}");
        assert_eq!(guess(connection, 100, neighbours), (0, 100), "the same network");
        assert_eq!(guess(connection, 1, |_| "2001:db8:1:3::1".into()), (1, 0), "another network");
    }
    let throttled = WORKERS * (95 + 2 + 95 + 100);
    eventually("the counter of throttled requests", || {
        let counted = stack.envoy.metrics().requests("rate_limited", "address");
        if counted == throttled as u64 { Ok(()) } else { Err(format!("{counted} of {throttled}")) }
    });
    eventually("the access log", || {
        let lines = stack.envoy.access_lines();
        let lines = lines.iter().filter(|line| line["details"] == "flamegate_throttled").count();
        if lines == throttled { Ok(()) } else { Err(format!("{lines} of {throttled}")) }
    });
}

#[test]
fn without_a_trusted_proxy_the_peer_counts_whatever_it_says() {
    let stack = Stack::start("throttle-peer", &Plugin::singleton(throttle()));
    wait_for_table(&stack);
    for connection in &mut stack.envoy.connection_to_each_worker() {
        let spoofed = |number| format!("198.51.100.{}", number % 250);
        assert_eq!(guess(connection, 100, spoofed), (FAILURES, 100 - FAILURES));
    }
}

#[test]
fn retry_after_is_true() {
    let config = json!({"failure_throttle": {"failures": 2, "window_seconds": 10}});
    let stack = Stack::start("throttle-time", &Plugin::singleton(config));
    wait_for_table(&stack);
    let mut connections = stack.envoy.connection_to_each_worker();
    let connection = &mut connections[0];
    let address = |_| "192.0.2.7".to_owned();
    let started = Instant::now();
    let (looked_at, _) = guess(connection, 20, address);
    // Failures are forgiven while these are sent, one in five seconds.
    let most = 2 + started.elapsed().as_secs() / 5;
    assert!((2..=most).contains(&(looked_at as u64)), "{looked_at} of {most}");
    let refused = eventually("a refusal", || {
        let answer = connection.send(&request("sk_live_guess", "192.0.2.7")).expect("answer");
        answer.expect_status(429)
    });
    let seconds: u64 = refused.header("retry-after").expect("Retry-After").parse().expect("seconds");
    assert!((1..=5).contains(&seconds), "{seconds}");
    thread::sleep(Duration::from_secs(seconds));
    assert_eq!(guess(connection, 1, address), (1, 0));
}

/// More addresses than there are places: the table of 64 KiB is all there is.
#[test]
fn any_number_of_addresses_takes_the_same_memory() {
    const ADDRESSES: usize = 20_000;
    let stack = behind_a_proxy("throttle-memory", throttle());
    let good = stack.control.create_key("e2e", "live", json!({}));
    wait_for(&stack, &good.key);
    let mut connections = stack.envoy.connection_to_each_worker();
    let address = |number: usize| format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
    let mut flood = |offset: usize| {
        for connection in &mut connections {
            assert_eq!(guess(connection, ADDRESSES, |number| address(offset + number)), (ADDRESSES, 0));
        }
    };
    flood(0);
    let before = stack.envoy.resident_bytes();
    flood(ADDRESSES);
    flood(2 * ADDRESSES);
    let after = stack.envoy.resident_bytes();
    // 40,000 more addresses would be 1.2 MB per worker if each took only 32 bytes; Envoy's own allocator moves less.
    let grown = after.saturating_sub(before);
    assert!(grown < 2 << 20, "{grown} bytes more");
    wait_for(&stack, &good.key);
}

//! What a gateway's token is good for, on the real Envoy: a credential with a name from end to end, and what a thief of the
//! shared token can do while one Envoy is frozen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use flamegate_e2e::{
    Control, Envoy, Plugin, Protocol, Request, Stack,
    control::NewKey,
    envoy::{SYNC_TOKEN, Upstreams, render},
    eventually,
    stack::surroundings,
};
use serde_json::{Value, json};

/// A thief that polls without a pause until it is dropped.
struct Thief {
    stop: Arc<AtomicBool>,
    polls: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Thief {
    /// `query` makes the query of the nth poll, and the session that it carries.
    fn start(port: u16, query: impl Fn(u64) -> (String, Option<String>) + Send + 'static) -> Self {
        let (stop, polls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&polls));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let (query, session) = query(count.load(Ordering::Relaxed));
                let answer = poll(&query, session.as_deref()).send(Protocol::Http1, port).expect("an answer");
                assert_eq!(answer.status, 200, "nobody is kept out: {}", answer.text());
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, polls, thread: Some(thread) }
    }

    /// Waits until it has polled so often more.
    fn wait_for(&self, more: u64) {
        let until = self.polls.load(Ordering::Relaxed) + more;
        eventually("the thief polls", || {
            let polls = self.polls.load(Ordering::Relaxed);
            if polls >= until { Ok(()) } else { Err(format!("{polls} of {until}")) }
        });
    }
}

impl Drop for Thief {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(thread::panicking() || ended.is_ok(), "the thief was kept out");
        }
    }
}

fn poll(query: &str, session: Option<&str>) -> Request {
    let request = Request::get(&format!("/sync/v1/changes?{query}")).bearer(SYNC_TOKEN);
    match session {
        Some(session) => request.header("x-flamegate-session", session),
        None => request,
    }
}

/// Epoch and revision of the control plane, as anybody with the token learns them.
fn standing(control: &Control) -> (String, u64) {
    let page = poll("gateway=reader", None).send(Protocol::Http1, control.port).expect("a page").json();
    (page["epoch"].as_str().expect("epoch").to_owned(), page["revision"].as_u64().expect("revision"))
}

fn gateways(control: &Control) -> Vec<Value> {
    control.data("GET", "/v1/gateways", None).as_array().expect("a list").clone()
}

/// The ids of the Envoys, once as many are up to date.
fn up_to_date(control: &Control, count: usize) -> Vec<String> {
    eventually("the gateways are up to date", || {
        let all = gateways(control);
        let ready = all.iter().filter(|one| one["behind"] == 0 && one["session"] == true);
        let ids: Vec<String> = ready.filter_map(|one| one["id"].as_str().map(str::to_owned)).collect();
        if ids.len() == count { Ok(ids) } else { Err(json!(all).to_string()) }
    })
}

fn status(envoy: &Envoy, key: &NewKey) -> u16 {
    envoy.send(&Request::get("/v1/agents").bearer(&key.key)).status
}

fn until_status(envoy: &Envoy, key: &NewKey, expected: u16) {
    eventually("the gateway's verdict", || match status(envoy, key) {
        found if found == expected => Ok(()),
        found => Err(format!("{found}")),
    });
}

#[test]
fn a_named_credential_works_from_end_to_end_and_its_end_leaves_the_table() {
    let (folder, upstream, control) = surroundings("named-credential");
    let made = control.data("POST", "/v1/gateway-credentials", Some(&json!({"name": "eu-west-1"})));
    let token = made["token"].as_str().expect("a token").to_owned();
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    let environment = [("FLAMEGATE_SYNC_TOKEN", token.as_str())];
    let envoy = Envoy::start_in("envoy", &folder, &environment, |ports, log| {
        render(&Plugin::singleton(json!({})), upstreams, ports, log)
    });
    let key = |name: &str| control.create_key("e2e", "live", json!({"name": name}));
    let (kept, revoked) = (key("kept"), key("revoked"));
    until_status(&envoy, &revoked, 200);
    let ids = up_to_date(&control, 1);
    assert!(ids[0].starts_with("eu-west-1/e2e-"), "{ids:?}");
    let receipt = control.revoke(&revoked.id, "30s");
    assert_eq!((&receipt["enforced"], &receipt["cut_off"]), (&json!(1), &json!([])), "{receipt}");
    assert_eq!(status(&envoy, &revoked), 401);
    control.data("DELETE", "/v1/gateway-credentials/eu-west-1", None);
    let failures = "flamegate_sync_failures_total";
    eventually("its polls are refused", || match envoy.metrics().value(failures) {
        Some(count) if count > 1.0 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let late = key("late");
    let receipt = control.revoke(&kept.id, "1s");
    assert_eq!((&receipt["gateways"], &receipt["cut_off"]), (&json!(0), &json!(ids)), "{receipt}");
    assert_eq!((status(&envoy, &kept), status(&envoy, &late)), (200, 401), "it goes on with what it has");
    assert!(!control.log().contains(&token) && !envoy.log().contains(&token));
    let session = envoy.log().contains("x-flamegate-session");
    assert!(!session, "the session is in no log");
}

#[test]
fn a_receipt_never_claims_a_frozen_gateway_whatever_a_thief_acknowledges() {
    // Polls of a minute: whoever is silent for not much longer than that is connected, and a busy machine takes its time.
    let mut plugin = Plugin::singleton(json!({}));
    plugin.filter["sync"]["wait_seconds"] = 60.into();
    plugin.sync.as_mut().expect("the singleton")["sync"]["wait_seconds"] = 60.into();
    let stack = Stack::start("thief-frozen", &plugin);
    let mut second = Envoy::start("second", &stack.folder, &plugin, stack.upstreams());
    let key = stack.accepted_key("live");
    until_status(&second, &key, 200);
    let ids = up_to_date(&stack.control, 2);
    second.signal("STOP");
    let (epoch, revision) = standing(&stack.control);
    // Under all names, with sessions of its own and with none, for revisions that are and are to come.
    let names: Vec<String> = ids.iter().map(|id| id.trim_start_matches("shared/").to_owned()).collect();
    let thief = Thief::start(stack.control.port, move |n| {
        let name = &names[(n % 2) as usize];
        let session = (!n.is_multiple_of(3)).then(|| format!("{n:032x}"));
        (format!("gateway={name}&epoch={epoch}&after={}", revision + n % 3), session)
    });
    thief.wait_for(100);
    let receipt = stack.control.revoke(&key.id, "10s");
    thief.wait_for(100);
    let again = stack.control.revoke(&key.id, "1s");
    drop(thief);
    let detail =
        |receipt: &Value| -> Vec<Value> { receipt["gateways_detail"].as_array().expect("list").clone() };
    for receipt in [&receipt, &again] {
        let real: Vec<_> =
            detail(receipt).into_iter().filter(|one| ids.iter().any(|id| one["id"] == **id)).collect();
        assert_eq!(real.len(), 2, "{receipt}");
        assert_eq!(real.iter().filter(|one| one["enforced"] == true).count(), 1, "{real:?}");
        assert!(receipt["gateways"].as_u64() > receipt["enforced"].as_u64(), "{receipt}");
    }
    assert_eq!(status(&stack.envoy, &key), 401);
    second.signal("CONT");
    until_status(&second, &key, 401);
    second.assert_alive();
}

#[test]
fn revocations_work_everywhere_while_a_thief_claims_the_future() {
    let stack = Stack::start("thief-future", &Plugin::elected(json!({})));
    let plugin = Plugin::elected(json!({}));
    let second = Envoy::start("second", &stack.folder, &plugin, stack.upstreams());
    let keys: Vec<NewKey> = (0..10).map(|_| stack.accepted_key("live")).collect();
    keys.iter().for_each(|key| until_status(&second, key, 200));
    up_to_date(&stack.control, 2);
    let (epoch, revision) = standing(&stack.control);
    let same = epoch.clone();
    let thief = Thief::start(stack.control.port, move |n| {
        let query = format!("gateway=thief-{n}&epoch={epoch}&after={}&wait=25", revision + 1_000 + n);
        (query, Some(format!("{n:032x}")))
    });
    let started = Instant::now();
    thief.wait_for(200);
    for key in &keys {
        stack.control.revoke(&key.id, "0s");
        for envoy in [&stack.envoy, &second] {
            until_status(envoy, key, 401);
        }
        thief.wait_for(20);
    }
    drop(thief);
    assert_eq!(standing(&stack.control).0, same, "nobody had to start over");
    let log = stack.control.log();
    let told = log.lines().filter(|line| line.contains("has seen a revision")).count();
    // One in ten seconds, however many polls there are.
    let most = 1 + (started.elapsed().as_secs() + 1) / 10;
    assert!((1..=most).contains(&(told as u64)), "{told} lines, at most {most}: {log}");
}

//! A hundred requests that wait for tokens of a fleet limit at once, on both workers, while the control plane is slow with tokens and with
//! nothing else: tokens come, none come in time, the key is revoked meanwhile, the clients go. Each is answered as it ought to be, and none stays.
//!
//! Requests wait for as long as the filter lets them, so a round counts only when all of them still waited when something happened; a machine that
//! was too slow for that plays the round again.

use std::time::Duration;

use flamegate::contract::leases::LEASES_PATH;
use flamegate_e2e::{
    Envoy, Plugin, Request,
    control::{Control, NewKey},
    envoy::Upstreams,
    eventually,
    http1::{Connection, encode},
    middlebox::{Cut, Middlebox},
    process::Folder,
    stack::surroundings,
    upstream::Upstream,
};
use serde_json::{Value, json};

/// Requests that wait at once.
const MANY: usize = 100;
/// How long one waits, in milliseconds: not so long that lending is given up, which takes 300.
const WAIT_MS: u32 = 200;
/// Rounds until one counts.
const MOST_ROUNDS: usize = 60;
/// What the gateway logs when it gives lending up for a while.
const GIVEN_UP: &str = "tokens of fleet limits cannot be lent";

struct Site {
    envoy: Envoy,
    far: Middlebox,
    control: Control,
    _upstream: Upstream,
    _folder: Folder,
}

/// How the gateway stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    /// Requests that have waited so far.
    held: usize,
    /// Requests that are under way.
    active: usize,
    /// How often lending was given up so far.
    given_up: usize,
}

/// Answers of a round: their status, and `Retry-After`.
type Answers = Vec<(u16, Option<u64>)>;

impl Site {
    fn start() -> Self {
        let (folder, upstream, control) = surroundings("fleet-held");
        let far = Middlebox::start(control.port, (Cut::Never, Duration::ZERO), Duration::ZERO);
        let upstreams = Upstreams { upstream: upstream.port, control: far.port };
        let plugin = Plugin::singleton(json!({"fleet_wait_ms": WAIT_MS}));
        let envoy = Envoy::start("envoy", &folder, &plugin, upstreams);
        let site = Self { envoy, far, control, _upstream: upstream, _folder: folder };
        // Nothing is lent in the control plane's first second.
        let first = site.key(&json!({"requests": 10, "window_seconds": 1, "when_unreachable": "refuse"}));
        site.envoy.wait_for(&ask(&first), 200);
        site
    }

    /// A key with this limit of the fleet's, of which nothing is used and which no worker has seen.
    fn key(&self, limit: &Value) -> NewKey {
        let mut limit = limit.clone();
        limit["reach"] = json!("fleet");
        let key = self.control.create_key("e2e", "live", json!({"limits": [limit]}));
        let later = self.control.create_key("e2e", "live", json!({}));
        self.envoy.wait_for(&ask(&later), 200);
        key
    }

    fn standing(&self) -> Standing {
        let stats =
            self.envoy.admin("/stats?filter=flamegate_fleet_held_total|gateway.downstream_rq_active").text();
        let value = |name: &str| {
            let value = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.map_or(0, |value| value.parse().expect("a number"))
        };
        Standing {
            held: value("wasmcustom.flamegate_fleet_held_total"),
            active: value("http.gateway.downstream_rq_active"),
            given_up: self.envoy.log().matches(GIVEN_UP).count(),
        }
    }

    /// Connections to both workers.
    fn connections(&self) -> Vec<Connection> {
        let before = self.envoy.connections_by_worker();
        let mut connections: Vec<_> =
            (0..MANY).map(|_| Connection::open(self.envoy.port).expect("a connection")).collect();
        let request = encode(&Request::get("/v1/agents"));
        // An answer to each: the worker has it.
        connections.iter_mut().for_each(|connection| connection.send_bytes(&request).expect("sent"));
        connections
            .iter_mut()
            .for_each(|connection| assert_eq!(connection.read_answer(false).expect("an answer").status, 401));
        let after = self.envoy.connections_by_worker();
        assert!(before.iter().zip(&after).all(|(before, after)| after > before), "{before:?} {after:?}");
        connections
    }

    /// How it stands while tokens are lent and nothing is under way.
    fn begin(&self) -> Standing {
        eventually("tokens are lent", || {
            let log = self.envoy.log();
            let again = log.matches("tokens of fleet limits are lent again").count();
            let given_up = log.matches(GIVEN_UP).count();
            if again == given_up { Ok(()) } else { Err(format!("{again} of {given_up}")) }
        });
        self.is_quiet();
        self.standing()
    }

    /// Sends a request with the key on each connection while nobody answers calls for tokens, and waits until all of them wait, or cannot any more.
    fn hold(&self, before: Standing, connections: &mut [Connection], key: &NewKey) {
        self.far.hold(LEASES_PATH);
        let request = encode(&ask(key));
        connections.iter_mut().for_each(|connection| connection.send_bytes(&request).expect("sent"));
        eventually("all of them wait, or it is too late for that", || {
            let now = self.standing();
            let is_late = now.held > before.held && now.active < MANY;
            if self.all_wait(before, now) || is_late || now.given_up > before.given_up {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        });
    }

    /// True while all requests of a round wait.
    fn all_wait(&self, before: Standing, now: Standing) -> bool {
        (now.held, now.active, now.given_up) == (before.held + MANY, MANY, before.given_up)
    }

    /// Nothing is under way.
    fn is_quiet(&self) {
        eventually("no request is under way", || match self.standing().active {
            0 => Ok(()),
            active => Err(format!("{active} are")),
        });
    }
}

fn ask(key: &NewKey) -> Request {
    Request::get("/v1/agents").bearer(&key.key)
}

/// Plays rounds until one counts.
fn first<T>(mut round: impl FnMut() -> Option<T>) -> T {
    (0..MOST_ROUNDS).find_map(|_| round()).expect("a round in which the machine was quick enough")
}

/// What came on each connection.
fn answers(connections: &mut [Connection]) -> Answers {
    let read = |connection: &mut Connection| {
        let answer = connection.read_answer(false).expect("an answer");
        (answer.status, answer.header("retry-after").map(|seconds| seconds.parse().expect("seconds")))
    };
    connections.iter_mut().map(read).collect()
}

#[test]
fn a_hundred_requests_wait_at_once_and_each_is_answered_as_it_ought_to_be() {
    let mut site = Site::start();
    let mut connections = site.connections();
    tokens_come(&site, &mut connections);
    none_come_in_time(&site, &mut connections);
    the_key_is_revoked_meanwhile(&site, &mut connections);
    drop(connections);
    the_clients_go(&site);
    site.is_quiet();
    site.envoy.assert_alive();
    let key = site.key(&json!({"requests": 60, "window_seconds": 60}));
    site.envoy.wait_for(&ask(&key), 200);
}

/// A bucket of 60: so many pass, and the others are told when to come again. Of 60 a worker may hold some that it has no request for.
fn tokens_come(site: &Site, connections: &mut [Connection]) {
    let answers = first(|| {
        let key = site.key(&json!({"requests": 60, "window_seconds": 600, "when_unreachable": "refuse"}));
        let before = site.begin();
        site.hold(before, connections, &key);
        let counts = site.all_wait(before, site.standing());
        site.far.release();
        let answers = answers(connections);
        counts.then_some(answers)
    });
    let passed = answers.iter().filter(|(status, _)| *status == 200).count();
    assert!((50..=61).contains(&passed), "{passed} passed: {answers:?}");
    let refused =
        |(status, retry): &&(u16, Option<u64>)| *status == 429 && retry.is_some_and(|seconds| seconds > 0);
    assert_eq!(answers.iter().filter(refused).count(), MANY - passed, "{answers:?}");
}

/// Nobody knows when there will be tokens. While lending was given up, the gateway would decide by itself, and let them pass.
fn none_come_in_time(site: &Site, connections: &mut [Connection]) {
    let answers = first(|| {
        let key = site.key(&json!({"requests": 1_000, "window_seconds": 1, "when_unreachable": "gateway"}));
        let before = site.begin();
        site.hold(before, connections, &key);
        let counts = site.all_wait(before, site.standing());
        let answers = answers(connections);
        let counts = counts && site.standing().given_up == before.given_up;
        site.far.release();
        counts.then_some(answers)
    });
    assert!(answers.iter().all(|answer| *answer == (429, Some(1))), "{answers:?}");
}

/// The receipt says that every worker knows, so tokens that come then are of no use.
fn the_key_is_revoked_meanwhile(site: &Site, connections: &mut [Connection]) {
    let answers = first(|| {
        let key = site.key(&json!({"requests": 1_000, "window_seconds": 1}));
        let before = site.begin();
        site.hold(before, connections, &key);
        site.control.revoke(&key.id, "5s");
        let counts = site.all_wait(before, site.standing());
        site.far.release();
        let answers = answers(connections);
        counts.then_some(answers)
    });
    assert!(answers.iter().all(|(status, _)| *status == 401), "{answers:?}");
}

/// Their requests end while they wait. Tokens come for nobody, and go back: the book has all of them again.
fn the_clients_go(site: &Site) {
    let key = first(|| {
        let key = site.key(&json!({"requests": 100, "window_seconds": 3_600}));
        let mut connections = site.connections();
        let before = site.begin();
        site.hold(before, &mut connections, &key);
        let counts = site.all_wait(before, site.standing());
        drop(connections);
        site.is_quiet();
        site.far.release();
        counts.then_some(key)
    });
    eventually("the book is whole", || {
        let of_key = site.control.data("GET", &format!("/v1/api-keys/{}/fleet-limits", key.id), None);
        let limit = &of_key["limits"][0];
        if (&limit["left"], &limit["lent"]) == (&json!(100), &json!(0)) {
            Ok(())
        } else {
            Err(limit.to_string())
        }
    });
}

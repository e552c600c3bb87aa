//! What the engine of fleet limits can suffer while it is used, what clients see of it, and the gauges that show it.

use std::time::Duration;

use flamegate_e2e::{
    Control, Envoy, Plugin, Request, control::NewKey, envoy::Upstreams, eventually, process::Folder,
    upstream::Upstream,
};
use flamegate_engines::{Link, Passage, Redis};
use serde_json::{Value, json};

/// A gateway, a control plane, and the engine at the end of a way that can be cut.
struct World {
    engine: Redis,
    link: Link,
    control: Control,
    envoy: Envoy,
    _upstream: Upstream,
    _folder: Folder,
}

/// What is done to the engine, what the control plane says of it, and how it ends.
struct Trouble {
    begin: fn(&mut World),
    says: &'static str,
    end: fn(&mut World),
}

const TROUBLES: [Trouble; 7] = [
    // A second each way.
    Trouble {
        begin: |world| world.link.set(Passage::Slow(Duration::from_secs(1))),
        says: "timed out",
        end: |world| world.link.set(Passage::Open),
    },
    Trouble {
        begin: |world| world.link.set(Passage::Cut),
        says: "tokens of fleet limits cannot be lent",
        end: |world| world.link.set(Passage::Open),
    },
    Trouble {
        begin: |world| world.config(&["maxmemory", "100mb", "maxmemory-policy", "allkeys-lru"]),
        says: "maxmemory-policy is allkeys-lru",
        end: |world| world.config(&["maxmemory", "0", "maxmemory-policy", "noeviction"]),
    },
    Trouble {
        begin: |world| world.config(&["maxmemory", "1"]),
        says: "command not allowed when used memory > 'maxmemory'",
        end: |world| world.config(&["maxmemory", "0"]),
    },
    Trouble {
        begin: |world| world.config(&["min-replicas-to-write", "1"]),
        says: "Not enough good replicas to write",
        end: |world| world.config(&["min-replicas-to-write", "0"]),
    },
    Trouble {
        begin: |world| drop(world.engine.say(&["REPLICAOF", "127.0.0.1", "1"]).expect("a replica")),
        says: "it is a replica, which nothing can be written to",
        end: |world| drop(world.engine.say(&["REPLICAOF", "NO", "ONE"]).expect("a primary")),
    },
    Trouble {
        begin: |world| world.engine.kill(),
        says: "tokens of fleet limits cannot be lent",
        end: |world| world.engine.start_again(),
    },
];

impl World {
    fn start() -> Self {
        let (folder, engine) = (Folder::new("fleet-troubles"), Redis::start());
        let link = Link::to(engine.port);
        let upstream = Upstream::start(&folder);
        let mut control = Control::prepare(&folder);
        control.environment = vec![("FLAMEGATE_LIMIT_STORE", format!("redis://127.0.0.1:{}", link.port))];
        control.start();
        control.create_workspace("e2e");
        let upstreams = Upstreams { upstream: upstream.port, control: control.port };
        let envoy = Envoy::start("envoy", &folder, &Plugin::singleton(json!({})), upstreams);
        Self { engine, link, control, envoy, _upstream: upstream, _folder: folder }
    }

    fn config(&mut self, settings: &[&str]) {
        let words: Vec<_> = ["CONFIG", "SET"].iter().chain(settings).copied().collect();
        self.engine.say(&words).expect("a setting");
    }

    fn key(&self, limit: Value) -> NewKey {
        let key = self.control.create_key("e2e", "live", json!({"limits": [limit]}));
        let other = self.control.create_key("e2e", "live", json!({}));
        self.envoy.wait_for(&Request::get("/v1/agents").bearer(&other.key), 200);
        key
    }

    fn ask(&self, key: &NewKey) -> flamegate_e2e::Answer {
        self.envoy.send(&Request::get("/v1/agents").bearer(&key.key))
    }

    /// Waits until the gauges of gateway and control plane say so.
    fn await_gauges(&self, mode: f64, lending: f64) {
        eventually("it shows", || {
            let shown = (
                self.envoy.metrics().value("flamegate_fleet_limits_mode"),
                self.control.metrics().value("flamegate_control_fleet_limits_lending"),
            );
            if shown == (Some(mode), Some(lending)) { Ok(()) } else { Err(format!("{shown:?}")) }
        });
    }
}

#[test]
fn whatever_the_engine_suffers_clients_get_what_the_limit_says_and_it_ends_by_itself() {
    let mut world = World::start();
    let quick = |when_unreachable: &str| {
        json!({"requests": 10_000, "window_seconds": 1, "burst": 100, "reach": "fleet",
            "when_unreachable": when_unreachable})
    };
    let (strict, own) = (world.key(quick("refuse")), world.key(quick("gateway")));
    let lends = |world: &World| eventually("tokens are lent", || world.ask(&strict).expect_status(200));
    lends(&world);
    // An engine that is 100 ms away is good enough for a limit that is in use.
    world.link.set(Passage::Slow(Duration::from_millis(50)));
    lends(&world);
    world.await_gauges(1.0, 1.0);
    world.link.set(Passage::Open);
    for Trouble { begin, says, end } in TROUBLES {
        let said = |world: &World| world.control.log().matches(says).count();
        let before = said(&world);
        begin(&mut world);
        // Until the gateway knows, a request waits for a token that does not come.
        eventually(says, || {
            world.ask(&strict).expect_status(429)?;
            let mode = world.envoy.metrics().value("flamegate_fleet_limits_mode");
            if mode == Some(2.0) { Ok(()) } else { Err(format!("{mode:?}")) }
        });
        let refused = world.ask(&strict);
        assert_eq!((refused.status, refused.header("retry-after").as_deref()), (429, Some("1")), "{says}");
        assert_eq!(world.ask(&own).status, 200, "{says}: the gateway's own limiter decides");
        world.await_gauges(2.0, 0.0);
        assert!(said(&world) > before, "{says}: {}", world.control.log());
        end(&mut world);
        lends(&world);
        world.await_gauges(1.0, 1.0);
    }
}

#[test]
fn what_a_gateway_admits_by_itself_is_debited_when_the_engine_is_back() {
    let world = World::start();
    let key = world.key(json!({"requests": 1, "window_seconds": 1_000, "burst": 20, "reach": "fleet"}));
    let left = || {
        let shown = world.control.data("GET", &format!("/v1/api-keys/{}/fleet-limits", key.id), None);
        shown["limits"][0]["left"].as_u64().ok_or_else(|| shown.to_string())
    };
    eventually("the book is there", || if left()? == 20 { Ok(()) } else { Err(format!("{:?}", left())) });
    assert_eq!(world.ask(&key).status, 200);
    world.link.set(Passage::Cut);
    // Whoever asks finds out.
    let strict = json!({"requests": 10_000, "window_seconds": 1, "burst": 100, "reach": "fleet", "when_unreachable": "refuse"});
    let strict = world.key(strict);
    eventually("the gateway knows", || {
        world.ask(&strict).expect_status(429)?;
        let mode = world.envoy.metrics().value("flamegate_fleet_limits_mode");
        if mode == Some(2.0) { Ok(()) } else { Err(format!("{mode:?}")) }
    });
    for _ in 0..5 {
        assert_eq!(world.ask(&key).status, 200, "by itself");
    }
    world.link.set(Passage::Open);
    eventually("all six are in the book", || match left()? {
        14 => Ok(()),
        other => Err(format!("{other} left")),
    });
}

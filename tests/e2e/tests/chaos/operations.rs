//! The operations and faults, one after the other, as the seed says.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use flamegate_e2e::{
    Control, Plugin, Protocol, control::NewKey, envoy::Upstreams, eventually, gateway::Gateway,
    process::Folder, random::Random, upstream::Upstream,
};
use serde_json::{Value, json};

use crate::{
    model::{Key, LIMITED, OK, REFUSED, World},
    mortal,
    proxy::{Mode, Proxy},
};

/// Fewest and most good keys between operations.
const KEYS: std::ops::Range<usize> = 4..24;

/// Everything that runs, and the state of the seed.
pub struct Chaos {
    random: Random,
    world: Arc<World>,
    gateway: Gateway,
    control: Control,
    proxy: Proxy,
    plugin: Plugin,
    good: Vec<Arc<Key>>,
    number: u64,
    singleton: bool,
    vms_at_start: u64,
    /// What was done so far.
    pub steps: Vec<&'static str>,
    /// The longest time from an acknowledged change to its enforcement on every worker.
    pub slowest: Duration,
    upstream: Upstream,
    folder: Folder,
}

/// What is known only after the fault: the key and what it must answer then.
type Pending = Vec<(Arc<Key>, u8)>;

/// What the control plane has counted of a key; `None` for one that was never made.
fn totals(control: &Control, id: &str) -> Option<Value> {
    let made = id.starts_with("key_");
    made.then(|| control.data("GET", &format!("/v1/api-keys/{id}/usage?step=day"), None)["totals"].clone())
}

fn roomy() -> Value {
    json!([{"requests": 1_000_000, "window_seconds": 60}])
}

impl Chaos {
    /// Starts everything with a few keys.
    pub fn start(seed: u64) -> (Self, Arc<World>) {
        let folder = Folder::new("chaos");
        let upstream = Upstream::start(&folder);
        let mut control = Control::prepare(&folder);
        control.start();
        control.create_workspace("e2e");
        let proxy = Proxy::start(control.port);
        let singleton = seed.is_multiple_of(2);
        let mut plugin = if singleton { Plugin::singleton(json!({})) } else { Plugin::elected(json!({})) };
        plugin.module = Some(mortal::mortal_module(&folder));
        let upstreams = Upstreams { upstream: upstream.port, control: proxy.port };
        let gateway = Gateway::start(&folder, &plugin, upstreams, 0);
        let world = Arc::new(World::new(vec![gateway.envoy.port]));
        let never = Key::new("never made", "sk_live_000000000000000000000000000000", REFUSED);
        let mut chaos = Self {
            random: Random::new(seed),
            world: Arc::clone(&world),
            gateway,
            control,
            proxy,
            plugin,
            good: Vec::new(),
            number: 0,
            singleton,
            vms_at_start: 0,
            steps: Vec::new(),
            slowest: Duration::ZERO,
            upstream,
            folder,
        };
        for _ in 0..KEYS.start {
            let pending = chaos.create();
            chaos.settle(pending);
        }
        world.keys.lock().expect("keys").push(never);
        chaos.vms_at_start = chaos.vms();
        (chaos, world)
    }

    /// Memory of Envoy and the filter's figures.
    pub fn memory(&self) -> String {
        let text = self.gateway.envoy.admin("/memory").text();
        let allocated = serde_json::from_str::<Value>(&text).unwrap_or_default()["allocated"].clone();
        let rss = self.gateway.envoy.resident_bytes() >> 20;
        format!("Envoy RSS {rss} MiB, heap {allocated} bytes, {} active VMs", self.vms())
    }

    /// One operation, or a fault with an operation during it.
    pub fn step(&mut self) {
        if self.random.below(3) > 0 {
            let pending = self.change();
            return self.settle(pending);
        }
        self.world.storm();
        let pending = match self.random.below(9) {
            0 => self.while_proxied("cut", Mode::Cut),
            1 => self.while_proxied("corrupt", Mode::Corrupt),
            2 => self.while_proxied("hang", |_| Mode::Hang),
            3 => self.while_proxied("refuse", |_| Mode::Refuse),
            4 => self.without_control(),
            5 => self.restart_envoy(),
            6 => self.trap_workers(),
            7 => self.reload(),
            _ => self.trap_sync(),
        };
        self.settle(pending);
        self.heal();
    }

    fn note(&mut self, what: &'static str) {
        self.steps.push(what);
        *self.world.done.lock().expect("done").entry(what).or_default() += 1;
    }

    /// Waits until every key answers as it must on every worker; only then a 503 is wrong again.
    fn heal(&mut self) {
        // Two, so that a settled answer is not by chance: one good, one gone.
        let keys = self.world.keys.lock().expect("keys").clone();
        for key in keys.iter().rev().take(6) {
            let mask = key.now();
            if mask == OK || mask == REFUSED {
                self.world.settle(key, mask);
            }
        }
        // A listener that was replaced closes its connections until it is gone.
        eventually("old listeners are gone", || match self.gateway.draining() {
            0 => Ok(()),
            count => Err(format!("{count} are draining")),
        });
        self.world.calm.store(true, Ordering::SeqCst);
    }

    /// Panics when VMs are left over: each replaced listener and each trapped VM has to be freed.
    pub fn assert_no_vm_is_left(&self) {
        eventually("VMs that were replaced are gone", || match self.vms() {
            count if count <= self.vms_at_start => Ok(()),
            count => Err(format!("{count} VMs, {} at the start", self.vms_at_start)),
        });
    }

    /// Panics when the control plane does not come to count what the clients saw, or counts more.
    pub fn assert_usage_is_counted(&self) {
        self.world.seen.lock().expect("seen").assert_counted(|id| totals(&self.control, id));
    }

    fn vms(&self) -> u64 {
        let text = self.gateway.envoy.admin("/stats?filter=^wasm.*active$").text();
        text.lines().filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok()).sum()
    }

    fn settle(&mut self, pending: Pending) {
        for (key, mask) in pending {
            self.slowest = self.slowest.max(self.world.settle(&key, mask));
            // Only now others may change it: a model of a key that was never seen would know less.
            if mask == OK {
                self.good.push(key);
            }
        }
        let mut keys = self.world.keys.lock().expect("keys");
        // Those that are gone stay in the traffic for a while.
        if keys.len() > 64 {
            let gone = keys.iter().position(|key| key.now() == REFUSED && !key.id.starts_with("never"));
            gone.map(|index| keys.remove(index));
        }
    }

    fn change(&mut self) -> Pending {
        if self.good.len() < 2 {
            return self.create();
        }
        match self.random.below(6) {
            0 | 1 if self.good.len() < KEYS.end => self.create(),
            2 => self.expire(),
            3 => self.rotate(),
            4 => self.limit(),
            _ => self.revoke(),
        }
    }

    fn add(&mut self, new: &NewKey, mask: u8) -> Arc<Key> {
        let key = Key::new(&new.id, &new.key, mask);
        self.world.keys.lock().expect("keys").push(Arc::clone(&key));
        key
    }

    fn create(&mut self) -> Pending {
        self.note("create");
        let new = self.control.create_key("e2e", "live", json!({"limits": roomy()}));
        let key = self.add(&new, OK | REFUSED);
        vec![(key, OK)]
    }

    fn take(&mut self) -> Arc<Key> {
        let index = self.random.below(self.good.len());
        self.good.swap_remove(index)
    }

    fn revoke(&mut self) -> Pending {
        self.note("revoke");
        let key = self.take();
        let wait = self.random.pick(&["0s", "1s"]);
        key.also(REFUSED);
        let receipt = self.control.revoke(&key.id, wait);
        let calm = self.world.calm.load(Ordering::SeqCst);
        if calm && receipt["gateways"] == json!(1) && receipt["enforced"] == json!(1) {
            // The receipt is a promise: at once nothing else is allowed.
            key.only(REFUSED);
        }
        vec![(key, REFUSED)]
    }

    fn rotate(&mut self) -> Pending {
        self.note("rotate");
        let old = self.take();
        old.also(REFUSED);
        let new = self.control.rotate(&old.id, 1);
        let key = self.add(&new, OK | REFUSED);
        vec![(key, OK), (old, REFUSED)]
    }

    fn expire(&mut self) -> Pending {
        self.note("expire");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let key = self.take();
        key.also(REFUSED);
        let body = json!({"expires_at": now + 2});
        self.control.data("PATCH", &format!("/v1/api-keys/{}", key.id), Some(&body));
        vec![(key, REFUSED)]
    }

    /// Gives a key so tight a limit that it is over it.
    fn limit(&mut self) -> Pending {
        self.note("limit");
        let key = self.take();
        key.also(LIMITED);
        let body = json!({"limits": [{"requests": 1, "window_seconds": 86400}]});
        self.control.data("PATCH", &format!("/v1/api-keys/{}", key.id), Some(&body));
        vec![(key, OK | LIMITED)]
    }

    /// A fault of the way to the control plane, changes during it, and its end.
    fn while_proxied(&mut self, what: &'static str, mode: impl FnOnce(usize) -> Mode) -> Pending {
        self.note(what);
        let at = self.random.below(600);
        self.proxy.set(mode(at));
        let mut pending = self.change();
        pending.extend(self.change());
        thread::sleep(Duration::from_millis(100 + self.random.below(400) as u64));
        self.proxy.set(Mode::Pass);
        pending
    }

    fn without_control(&mut self) -> Pending {
        let pending = self.change();
        if self.random.below(2) == 0 {
            self.note("control plane restarted");
            self.control.stop();
        } else {
            self.note("control plane killed");
            self.control.kill();
        }
        thread::sleep(Duration::from_millis(self.random.below(500) as u64));
        self.control.start();
        pending
    }

    fn restart_envoy(&mut self) -> Pending {
        self.note("Envoy restarted");
        self.number += 1;
        let upstreams = Upstreams { upstream: self.upstream.port, control: self.proxy.port };
        let new = Gateway::start(&self.folder, &self.plugin, upstreams, self.number);
        drop(std::mem::replace(&mut self.gateway, new));
        self.world.everything_answered().gateway_died(|id| totals(&self.control, id));
        *self.world.ports.lock().expect("ports") = vec![self.gateway.envoy.port];
        self.change()
    }

    /// Kills the VM of workers, at random connections.
    fn trap_workers(&mut self) -> Pending {
        self.note("workers trapped");
        for _ in 0..4 {
            drop(mortal::deadly("/v1/agents").send(Protocol::Http1, self.gateway.envoy.port));
        }
        self.world.everything_answered().workers_died();
        self.change()
    }

    fn reload(&mut self) -> Pending {
        self.number += 1;
        let (number, before) = (self.number, self.gateway.updates());
        if self.random.below(2) == 0 {
            self.note("listener reloaded");
            self.gateway.reload(|text| {
                let begin = text.find("stat_prefix: ").expect("stat_prefix");
                let end = begin + text[begin..].find('\n').expect("line");
                format!("{}stat_prefix: gateway{number}{}", &text[..begin], &text[end..])
            });
        } else {
            self.note("plugin swapped");
            let old = self.plugin.module.clone().expect("module");
            let mut code = std::fs::read(&old).expect("module");
            // A custom section with an empty name: other bytes, the same code.
            code.extend([0, 3, 0, (number & 0xff) as u8, (number >> 8 & 0xff) as u8]);
            let new = self.folder.join(format!("swapped-{number}.wasm"));
            std::fs::write(&new, code).expect("module");
            self.gateway.reload(|text| text.replace(&old.display().to_string(), &new.display().to_string()));
            self.plugin.module = Some(new);
        }
        eventually("Envoy takes the listener", || match self.gateway.updates() {
            (_, refused) if refused > before.1 => panic!("refused: {}", self.gateway.envoy.log()),
            (taken, _) if taken > before.0 => Ok(()),
            other => Err(format!("{other:?}")),
        });
        self.change()
    }

    /// Answers that kill the VM that reads them: another one has to take over. A singleton does not come back before
    /// Envoy does.
    fn trap_sync(&mut self) -> Pending {
        self.note("sync trapped");
        self.proxy.set(Mode::Deadly);
        let mut pending = self.change();
        let wait = Duration::from_millis(300);
        thread::sleep(wait);
        self.proxy.set(Mode::Pass);
        // The elected context is in a worker's VM.
        self.world.everything_answered().workers_died();
        if self.singleton {
            pending.extend(self.restart_envoy());
        }
        pending
    }
}

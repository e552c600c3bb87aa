//! Operations on two control planes that share a PostgreSQL with a synchronous standby, and what can happen to them. Two Envoys poll both. None
//! of it excuses a 503 or a closed connection of a gateway: they keep their table.

#[path = "changes.rs"]
mod changes;

use std::{sync::Arc, thread, time::Duration};

use flamegate_e2e::{
    Fleet, Plugin, envoy::Upstreams, eventually, gateway::Gateway, process::Folder, random::Random,
    upstream::Upstream,
};
use flamegate_engines::{Passage, Replication, Stop};
use serde_json::{Value, json};

use self::changes::{Changes, KEYS};
use crate::model::{Key, OK, REFUSED, World};

const CONTROLS: usize = 2;
const GATEWAYS: usize = 2;

/// What is known only after the fault: the key and what it must answer then.
type Pending = Vec<(Arc<Key>, u8)>;

/// Everything that runs, and the state of the seed.
pub struct Chaos {
    random: Random,
    changes: Changes,
    fleet: Fleet,
    gateways: Vec<Gateway>,
    /// What was done so far.
    pub steps: Vec<&'static str>,
    /// The longest time from an acknowledged change to its enforcement on every worker.
    pub slowest: Duration,
    _upstream: Upstream,
    _folder: Folder,
}

impl Chaos {
    /// Starts everything with a few keys.
    pub fn start(seed: u64) -> (Self, Arc<World>) {
        let folder = Folder::new("chaos-fleet");
        let upstream = Upstream::start(&folder);
        let fleet = Fleet::start(&folder, CONTROLS, Some(Replication::Synchronous));
        fleet.controls[0].create_workspace("e2e");
        let plugin =
            if seed.is_multiple_of(2) { Plugin::singleton(json!({})) } else { Plugin::elected(json!({})) };
        let upstreams = Upstreams { upstream: upstream.port, control: fleet.controls[0].port };
        let gateways: Vec<_> = (0..GATEWAYS)
            .map(|number| {
                let name = format!("node: {{ id: \"gateway-{number}\"");
                Gateway::start_changed(&folder, &plugin, upstreams, number as u64, |text| {
                    fleet.in_cluster(&text).replace("node: { id: \"e2e\"", &name)
                })
            })
            .collect();
        let world = Arc::new(World::new(gateways.iter().map(|gateway| gateway.envoy.port).collect()));
        let changes = Changes {
            random: Random::new(seed ^ 1),
            world: Arc::clone(&world),
            ports: fleet.ports(),
            good: Vec::new(),
            calls: 0,
        };
        let (steps, slowest) = (Vec::new(), Duration::ZERO);
        let random = Random::new(seed);
        let mut chaos =
            Self { random, changes, fleet, gateways, steps, slowest, _upstream: upstream, _folder: folder };
        for _ in 0..KEYS.start {
            let pending = chaos.changes.create();
            chaos.settle(pending);
        }
        let never = Key::new("never made", "sk_live_000000000000000000000000000000", REFUSED);
        world.keys.lock().expect("keys").push(never);
        (chaos, world)
    }

    /// One change, or a fault with changes during it.
    pub fn step(&mut self) {
        let pending = if self.random.below(3) > 0 {
            let (what, pending) = self.changes.change();
            self.note(what);
            pending
        } else {
            self.fault()
        };
        self.settle(pending);
        for control in &mut self.fleet.controls {
            assert!(!control.has_ended(), "a control plane ended: {}", control.log());
        }
    }

    fn fault(&mut self) -> Pending {
        let one = self.random.below(CONTROLS);
        match self.random.below(11) {
            0 => self.during("replica killed", |f| f.controls[one].kill(), |f| f.controls[one].start()),
            1 => self.during("replica restarted", |f| f.controls[one].stop(), |f| f.controls[one].start()),
            2 => self.during(
                "replica frozen",
                |f| f.controls[one].signal("STOP"),
                |f| f.controls[one].signal("CONT"),
            ),
            3 => self.cut_off("replica cut off from PostgreSQL", one, Passage::Cut),
            4 => self.cut_off("replica's PostgreSQL out of reach", one, Passage::Swallowed),
            5 => self.cut_off("replica's way slow", one, Passage::Slow(Duration::from_millis(20))),
            6 => self.during("PostgreSQL restarted", |_| {}, |f| f.database.primary.restart(Stop::Fast)),
            7 => self.during(
                "PostgreSQL killed",
                |f| f.database.primary.kill(),
                |f| f.database.primary.start_again(),
            ),
            8 => self.during(
                "PostgreSQL frozen",
                |f| f.database.primary.freeze(),
                |f| f.database.primary.thaw(),
            ),
            9 => self.during(
                "PostgreSQL read-only",
                |f| f.database.primary.read_only(true),
                |f| f.database.primary.read_only(false),
            ),
            _ => self.during(
                "PostgreSQL replaced",
                |_| {},
                |f| {
                    f.database.fail_over();
                    f.database.follow();
                },
            ),
        }
    }

    fn cut_off(&mut self, what: &'static str, one: usize, how: Passage) -> Pending {
        self.during(what, |f| f.database.links[one].set(how), |f| f.database.links[one].set(Passage::Open))
    }

    /// A fault with changes from its begin on, and its end some time later.
    fn during(
        &mut self,
        what: &'static str,
        begin: impl FnOnce(&mut Fleet),
        end: impl FnOnce(&mut Fleet) + Send,
    ) -> Pending {
        self.note(what);
        begin(&mut self.fleet);
        let wait = Duration::from_millis(self.random.below(1500) as u64);
        let (fleet, changes) = (&mut self.fleet, &mut self.changes);
        let (done, pending) = thread::scope(|scope| {
            let healer = scope.spawn(move || {
                thread::sleep(wait);
                end(fleet);
            });
            let (mut done, mut pending) = (Vec::new(), Vec::new());
            for _ in 0..2 {
                let (what, mut more) = changes.change();
                done.push(what);
                pending.append(&mut more);
            }
            healer.join().expect("the end of the fault");
            (done, pending)
        });
        for what in done {
            self.note(what);
        }
        pending
    }

    fn note(&mut self, what: &'static str) {
        self.steps.push(what);
        *self.changes.world.done.lock().expect("done").entry(what).or_default() += 1;
    }

    fn settle(&mut self, pending: Pending) {
        let world = Arc::clone(&self.changes.world);
        for (key, mask) in pending {
            self.slowest = self.slowest.max(world.settle(&key, mask));
            if mask == OK {
                self.changes.good.push(key);
            }
        }
        let mut keys = world.keys.lock().expect("keys");
        // Those that are gone stay in the traffic for a while.
        if keys.len() > 64 {
            let gone = keys.iter().position(|key| key.now() == REFUSED && !key.id.starts_with("never"));
            gone.map(|index| keys.remove(index));
        }
    }

    /// After everything, the control planes have counted what the clients saw: no gateway has died, so nothing is lost.
    pub fn assert_usage_is_counted(&mut self) {
        let changes = &mut self.changes;
        let seen = std::mem::take(&mut *changes.world.seen.lock().expect("seen"));
        seen.assert_counted(|id| {
            let path = format!("/v1/api-keys/{id}/usage?step=day");
            Some(changes.call("GET", &path, &Value::Null)?["totals"].clone())
        });
    }

    /// After everything, receipts are complete again: each gateway is connected and has acknowledged.
    pub fn assert_receipts_are_complete(&mut self) {
        let all = (json!(GATEWAYS), json!(GATEWAYS));
        eventually("a receipt of all gateways", || {
            let key = self.changes.create().pop().ok_or("no key")?.0;
            let receipt =
                self.changes.call("POST", &format!("/v1/api-keys/{}/revoke?wait=5s", key.id), &Value::Null);
            let receipt = receipt.ok_or("no receipt")?;
            if (&receipt["gateways"], &receipt["enforced"]) == (&all.0, &all.1) {
                Ok(())
            } else {
                Err(receipt.to_string())
            }
        });
        for gateway in &mut self.gateways {
            gateway.envoy.assert_alive();
        }
    }
}

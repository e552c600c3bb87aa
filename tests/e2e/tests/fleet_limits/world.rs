//! Two control planes on PostgreSQL and on an engine, two gateways that know both, and clients.

use std::sync::Arc;

use flamegate_e2e::{
    Envoy, Fleet, Plugin, Request,
    control::NewKey,
    envoy::{Upstreams, render},
    eventually,
    process::Folder,
    upstream::Upstream,
};
use serde_json::{Value, json};

use super::load::{BURST, EMISSION_US, Load};

/// All of it.
pub struct World {
    pub fleet: Fleet,
    pub gateways: Vec<Envoy>,
    pub load: Arc<Load>,
    _upstream: Upstream,
    _folder: Folder,
}

/// Burst of [`World::slow_key`].
pub const SLOW_BURST: u64 = 20;

impl World {
    /// Starts everything, with the engine at this address.
    pub fn start(name: &str, engine: &str) -> Self {
        let folder = Folder::new(name);
        let upstream = Upstream::start(&folder);
        let fleet = Fleet::start_in(&folder, 2, None, &[("FLAMEGATE_LIMIT_STORE", engine.to_owned())]);
        fleet.controls[0].create_workspace("e2e");
        let plugin = Plugin::singleton(json!({}));
        let upstreams = Upstreams { upstream: upstream.port, control: fleet.controls[0].port };
        let gateway = |name| {
            Envoy::start_with(name, &folder, |ports, log| {
                fleet.in_cluster(&render(&plugin, upstreams, ports, log))
            })
        };
        let gateways = vec![gateway("first"), gateway("second")];
        let requests = 10_000_000 / EMISSION_US;
        let key = |when_unreachable: &str| {
            let limit = json!({"requests": requests, "window_seconds": 10, "burst": BURST, "reach": "fleet",
                "when_unreachable": when_unreachable});
            fleet.controls[0].create_key("e2e", "live", json!({"limits": [limit]}))
        };
        let keys = [key("refuse"), key("gateway")];
        let load = Arc::new(Load::new(gateways.iter().map(|envoy| envoy.port).collect(), keys));
        let world = Self { fleet, gateways, load, _upstream: upstream, _folder: folder };
        world.await_keys(1);
        world
    }

    /// A key with a limit of which nothing comes back while a test runs, made by one control plane and known to every worker, with nothing used.
    pub fn slow_key(&self, control: usize, when_unreachable: &str) -> NewKey {
        let limit = json!({"requests": 1, "window_seconds": 1_000, "burst": SLOW_BURST, "reach": "fleet",
            "when_unreachable": when_unreachable});
        let key = self.fleet.controls[control].create_key("e2e", "live", json!({"limits": [limit]}));
        self.await_keys(control);
        key
    }

    /// Waits until every worker knows all keys that there are: those that know one that was made later do.
    fn await_keys(&self, control: usize) {
        let limits = json!([{"requests": 1_000_000, "window_seconds": 60}]);
        let later = self.fleet.controls[control].create_key("e2e", "live", json!({"limits": limits}));
        for envoy in &self.gateways {
            envoy.wait_for(&Request::get("/v1/agents").bearer(&later.key), 200);
        }
    }

    /// The status that a gateway answers to a key.
    pub fn ask(&self, gateway: usize, key: &NewKey) -> u16 {
        self.gateways[gateway].send(&Request::get("/v1/agents").bearer(&key.key)).status
    }

    /// How the limit of a key stands, as a control plane has it: what is left and what is lent; the error is all that it says.
    pub fn book(&self, control: usize, key: &NewKey) -> Result<(u64, u64), String> {
        let path = format!("/v1/api-keys/{}/fleet-limits", key.id);
        let shown = self.fleet.controls[control].data("GET", &path, None);
        let number = |name: &str| shown["limits"][0][name].as_u64();
        let both = |shown: &Value| shown.to_string();
        number("left").zip(number("lent")).ok_or_else(|| both(&shown))
    }

    /// Waits until every gateway says that tokens are lent (1), or that they are not (2).
    pub fn await_mode(&self, mode: f64) {
        for envoy in &self.gateways {
            eventually("the gateway's mode", || {
                let found = envoy.metrics().value("flamegate_fleet_limits_mode");
                if found == Some(mode) { Ok(()) } else { Err(format!("{found:?}, not {mode}")) }
            });
        }
    }

    /// Calls of gateways to a control plane that came to one of these results.
    pub fn calls(&self, control: usize, results: &[&str]) -> f64 {
        self.counted(control, "flamegate_control_fleet_limits_calls_total", "result", results)
    }

    /// Tokens that a control plane has lent.
    pub fn lent(&self, control: usize) -> f64 {
        self.counted(control, "flamegate_control_fleet_limits_tokens_total", "kind", &["lent"])
    }

    fn counted(&self, control: usize, name: &str, label: &str, values: &[&str]) -> f64 {
        let names: Vec<_> = values.iter().map(|value| format!("{name}{{{label}=\"{value}\"}}")).collect();
        let metrics = self.fleet.controls[control].metrics();
        let counted = metrics.iter().filter(|(found, _)| names.iter().any(|name| name == found));
        counted.map(|(_, count)| count).sum()
    }
}

//! Upstream, control plane and Envoy together.

use serde_json::json;

use crate::{
    Control, Envoy, Plugin, Request,
    control::NewKey,
    envoy::{Upstreams, render},
    process::Folder,
    upstream::Upstream,
};

/// Everything that one test needs.
pub struct Stack {
    /// The gateway.
    pub envoy: Envoy,
    /// The owner of the keys.
    pub control: Control,
    /// What the gateway protects.
    pub upstream: Upstream,
    /// Logs, database, Envoy's configuration.
    pub folder: Folder,
}

/// What stands around a gateway: an upstream, and a control plane with a workspace `e2e`.
pub fn surroundings(name: &str) -> (Folder, Upstream, Control) {
    let folder = Folder::new(name);
    let upstream = Upstream::start(&folder);
    let mut control = Control::prepare(&folder);
    control.start();
    control.create_workspace("e2e");
    (folder, upstream, control)
}

impl Stack {
    /// Starts everything, with a workspace `e2e`.
    pub fn start(name: &str, plugin: &Plugin) -> Self {
        Self::start_changed(name, plugin, |text| text)
    }

    /// The same with a change to `envoy/envoy.yaml`, as it is when everything is filled in.
    pub fn start_changed(name: &str, plugin: &Plugin, change: impl FnOnce(String) -> String) -> Self {
        let (folder, upstream, control) = surroundings(name);
        let upstreams = Upstreams { upstream: upstream.port, control: control.port };
        let envoy =
            Envoy::start_with("envoy", &folder, |ports, log| change(render(plugin, upstreams, ports, log)));
        Self { envoy, control, upstream, folder }
    }

    /// Where the gateway and others like it find their upstreams.
    pub fn upstreams(&self) -> Upstreams {
        Upstreams { upstream: self.upstream.port, control: self.control.port }
    }

    /// Makes a key whose limits no test reaches by accident, and waits until the gateway knows it.
    pub fn accepted_key(&self, environment: &str) -> NewKey {
        let limits = json!([{"requests": 1_000_000, "window_seconds": 60}]);
        let key = self.control.create_key("e2e", environment, json!({"limits": limits}));
        self.wait_for_status(&key.key, 200);
        key
    }

    /// Waits until a request with the key gets this status, on every worker.
    pub fn wait_for_status(&self, key: &str, status: u16) {
        self.envoy.wait_for(&Request::get("/v1/agents").bearer(key), status);
    }
}

//! An Envoy whose listener is a file, so that it can be reloaded while it runs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Envoy, Plugin,
    envoy::{Upstreams, render},
};

/// Envoy and the file of its listener.
pub struct Gateway {
    /// The running Envoy.
    pub envoy: Envoy,
    listener: PathBuf,
}

impl Gateway {
    /// Starts an Envoy in `folder`.
    pub fn start(folder: &Path, plugin: &Plugin, upstreams: Upstreams, number: u64) -> Self {
        Self::start_changed(folder, plugin, upstreams, number, |text| text)
    }

    /// The same with a change to `envoy/envoy.yaml`, as it is when everything is filled in.
    pub fn start_changed(
        folder: &Path,
        plugin: &Plugin,
        upstreams: Upstreams,
        number: u64,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let listener = folder.join(format!("listener-{number}.yaml"));
        let envoy = Envoy::start_with("envoy", folder, |ports, access_log| {
            let text = change(render(plugin, upstreams, ports, access_log));
            let begin = text.find("  listeners:\n").expect("listeners");
            let end = text.find("  clusters:\n").expect("clusters");
            let own = text[begin..end].trim_start().trim_start_matches("listeners:\n");
            let kind = "    - \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n      name:";
            fs::write(&listener, format!("resources:\n{}", own.replacen("    - name:", kind, 1)))
                .expect("listener");
            let path = listener.display();
            let dynamic = format!(
                "dynamic_resources:\n  lds_config: {{ path_config_source: {{ path: \"{path}\" }} }}\n\n"
            );
            format!(
                "{}{}",
                text[..begin].replace("static_resources:", &format!("{dynamic}static_resources:")),
                &text[end..]
            )
        });
        Self { envoy, listener }
    }

    /// Replaces text in the listener; Envoy takes the new one and drains the old one.
    pub fn reload(&self, change: impl FnOnce(String) -> String) {
        let text = change(fs::read_to_string(&self.listener).expect("listener"));
        let new = self.listener.with_extension("new");
        fs::write(&new, text).expect("listener");
        // Envoy watches for a file that is moved into place.
        fs::rename(new, &self.listener).expect("listener");
    }

    /// How many listener updates Envoy has taken, and how many it has refused.
    pub fn updates(&self) -> (u64, u64) {
        let text = self.envoy.admin("/stats?filter=listener_manager.lds.update_").text();
        let count = |name: &str| {
            text.lines().find_map(|line| line.split_once(name)?.1.trim().parse().ok()).unwrap_or(0)
        };
        (count("update_success:"), count("update_rejected:"))
    }

    /// Listeners that were replaced and are not gone yet.
    pub fn draining(&self) -> u64 {
        let text = self.envoy.admin("/stats?filter=listener_manager.total_listeners_draining").text();
        text.trim().rsplit_once(": ").and_then(|(_, count)| count.parse().ok()).unwrap_or(0)
    }
}

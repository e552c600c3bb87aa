//! Envoys of one base id, of which the next takes the sockets of the one before it.

use std::{fs, path::Path};

use crate::{
    Envoy, Plugin, Protocol, Request,
    envoy::{Ports, SYNC_TOKEN, Upstreams, WORKERS, binary, render},
    eventually,
    process::{Process, free_port},
};

/// How long the old one stays when the new one has started, in seconds: as long as a slow machine needs for what is asked of both.
const OVERLAP: u32 = 15;

/// The first Envoy, with a base id of its own.
pub fn first(folder: &Path, plugin: &Plugin, upstreams: Upstreams) -> Envoy {
    start(folder, plugin, upstreams, (0, OVERLAP), (free_port(), free_port()))
}

/// The next one, with the same ports. It is live when this returns, and the old one is still there.
pub fn next(folder: &Path, plugin: &Plugin, upstreams: Upstreams, old: &Envoy) -> Envoy {
    next_beside(folder, plugin, upstreams, old, OVERLAP)
}

/// The same; the old one stays for so many seconds.
pub fn next_beside(folder: &Path, plugin: &Plugin, upstreams: Upstreams, old: &Envoy, overlap: u32) -> Envoy {
    start(folder, plugin, upstreams, (1, overlap), (old.port, old.admin))
}

fn start(
    folder: &Path,
    plugin: &Plugin,
    upstreams: Upstreams,
    (epoch, overlap): (u32, u32),
    ports: Ports,
) -> Envoy {
    let name = if epoch == 0 { "envoy-0" } else { "envoy-1" };
    let access_log = folder.join(format!("{name}-access.log"));
    let config = folder.join(format!("{name}.yaml"));
    let base_id = folder.join("base-id");
    fs::write(&config, render(plugin, upstreams, ports, &access_log)).expect("Envoy's configuration");
    let process = Process::start(name, &binary(), folder, |command| {
        command.arg("-c").arg(&config).args(["--concurrency", &WORKERS.to_string()]);
        if epoch == 0 {
            command.arg("--use-dynamic-base-id").arg("--base-id-path").arg(&base_id);
        } else {
            let id = fs::read_to_string(&base_id).expect("the base id");
            command.args(["--restart-epoch", &epoch.to_string(), "--base-id", id.trim()]);
        }
        command.args(["--parent-shutdown-time-s", &overlap.to_string(), "--drain-time-s", "1"]);
        command.args(["--drain-strategy", "immediate", "--log-level", "warning"]);
        command.args(["--component-log-level", "wasm:debug", "--file-flush-interval-msec", "20"]);
        command.env("FLAMEGATE_SYNC_TOKEN", SYNC_TOKEN);
    });
    let mut envoy = Envoy { process, port: ports.0, admin: ports.1, access_log };
    eventually("Envoy of this epoch is live", || {
        envoy.process.assert_alive();
        let info = Request::get("/server_info").send(Protocol::Http1, envoy.admin)?.json();
        let is = (&info["state"], &info["command_line_options"]["restart_epoch"]);
        if *is.0 == "LIVE" && *is.1 == epoch { Ok(()) } else { Err(format!("{is:?}")) }
    });
    envoy
}

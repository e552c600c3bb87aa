//! Attacks byte by byte and frame by frame, and what they share: a gateway with a recording upstream, bytes sent over fresh connections, and the checks that hold
//! after every attack.

#[path = "wire/frames.rs"]
mod frames;
#[path = "wire/http1.rs"]
mod http1;
#[path = "wire/http2.rs"]
mod http2;
#[path = "wire/load.rs"]
mod load;
#[path = "wire/mutations.rs"]
mod mutations;
#[path = "wire/recorder.rs"]
mod recorder;

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use flamegate_e2e::{
    Control, Envoy, Plugin, Request,
    control::NewKey,
    envoy::{Upstreams, render, with_upstream_protocol},
    process::Folder,
};
use recorder::Recorder;
use serde_json::json;

/// How long an attacker listens for an answer. What is answered at all is answered within milliseconds, unless the machine is
/// busy; an attack that is not has to be given up.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long an attacker listens for more of it.
const PATIENCE_FOR_MORE: Duration = Duration::from_millis(250);
/// Attackers at once.
const ATTACKERS: usize = 16;

/// A gateway whose upstream notes what arrives.
pub struct Target {
    /// The gateway.
    pub envoy: Envoy,
    /// The upstream.
    pub recorder: Recorder,
    /// A good key.
    pub key: NewKey,
    _control: Control,
    _folder: Folder,
}

impl Target {
    /// Starts it with one good key that both workers know.
    pub fn start(name: &str) -> Self {
        let folder = Folder::new(name);
        let recorder = Recorder::start();
        let mut control = Control::prepare(&folder);
        control.start();
        control.create_workspace("e2e");
        let upstreams = Upstreams { upstream: recorder.port, control: control.port };
        let plugin = Plugin::singleton(json!({}));
        let envoy = Envoy::start_with("envoy", &folder, |ports, log| {
            // The recorder reads HTTP/1.1, whatever the client speaks.
            let text = render(&plugin, upstreams, ports, log);
            // One door more than the shipped file has: HTTP/2 clients may ask for another protocol.
            let streams = "max_concurrent_streams: 100\n";
            assert!(text.contains(streams));
            let text =
                text.replacen(streams, &format!("{streams}                  allow_connect: true\n"), 1);
            with_upstream_protocol(&text, "explicit_http_config: { http_protocol_options: {} }")
        });
        let limits = json!([{"requests": 1_000_000, "window_seconds": 60}]);
        let key = control.create_key("e2e", "live", json!({"limits": limits}));
        let target = Self { envoy, recorder, key, _control: control, _folder: folder };
        target.assert_well("at the start");
        target
    }

    /// Good requests pass on every worker, nothing forbidden has arrived, and no VM was lost.
    pub fn assert_well(&self, about: &str) {
        self.envoy.wait_for(&Request::get("/v1/agents").bearer(&self.key.key), 200);
        self.recorder.judge(about, &self.key.id);
        for (name, value) in self.envoy.metrics().iter().filter(|(name, _)| name.contains("vm_reload")) {
            assert!(value == 0.0, "{about}: {name} is {value}");
        }
        let log = self.envoy.log();
        for word in ["panicked", "panic at", "Uncaught", "[critical]", "wasm_fail_stream"] {
            assert!(!log.contains(word), "{about}: Envoy's log says {word:?}");
        }
        let traps =
            self.envoy.access_lines().iter().filter(|line| line["details"] == "wasm_fail_stream").count();
        assert_eq!(traps, 0, "{about}: requests of a VM that trapped");
    }

    /// Connections that the gateway has open.
    pub fn connections(&self) -> u64 {
        let text = self.envoy.admin("/stats?filter=^http.gateway.downstream_cx_active$").text();
        text.trim().rsplit_once(": ").and_then(|(_, count)| count.parse().ok()).expect("a gauge")
    }

    /// Bytes of Envoy's heap that are in use: the median of five looks. While its threads are still freeing, a single look can
    /// be wrong by megabytes, in both directions, and nothing says when they are done.
    pub fn settled_heap_bytes(&self) -> u64 {
        let mut looks = [0; 5];
        for look in &mut looks {
            thread::sleep(Duration::from_millis(50));
            let memory = self.envoy.admin("/memory").json();
            *look = memory["allocated"].as_str().and_then(|text| text.parse().ok()).expect("bytes");
        }
        looks.sort_unstable();
        looks[looks.len() / 2]
    }

    /// Sends each attack `times` over connections of its own, and judges each by its name: what was answered, and how many.
    pub fn attack(&self, attacks: &[(String, Vec<u8>)], times: usize) -> usize {
        let port = self.envoy.port;
        let share = attacks.len().div_ceil(ATTACKERS).max(1);
        let answered: usize = thread::scope(|scope| {
            let attackers: Vec<_> = attacks
                .chunks(share)
                .map(|chunk| {
                    scope.spawn(move || {
                        let sends = chunk.iter().flat_map(|(_, bytes)| std::iter::repeat_n(bytes, times));
                        sends.filter(|bytes| !exchange(port, bytes).is_empty()).count()
                    })
                })
                .collect();
            attackers.into_iter().map(|attacker| attacker.join().expect("attacker")).sum()
        });
        self.recorder.judge("an attack (run them one by one to see which)", &self.key.id);
        answered
    }
}

/// Sends bytes and reads until the gateway closes or says nothing more.
pub fn exchange(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("timeout");
    // The gateway may close before it has read everything; that is an answer, too.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    let mut part = [0; 16_384];
    while let Ok(count) = stream.read(&mut part) {
        if count == 0 {
            break;
        }
        answer.extend_from_slice(&part[..count]);
        stream.set_read_timeout(Some(PATIENCE_FOR_MORE)).expect("timeout");
    }
    drop(stream.shutdown(Shutdown::Both));
    answer
}

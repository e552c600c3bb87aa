//! `flamegate-bench ratios`: throughput and latency with a check relative to those without, from runs that take turns, so
//! that whatever else the machine does meets both.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    client::Client,
    control::Control,
    envoy::{ENVIRONMENT, Flamegate, Setup, table},
    haproxy,
    keys::{Key, Kind},
    load::Load,
    measure::{START, must_refuse_unknown, wait_for_envoy},
    process::{Process, artifact, new_folder},
    results::{Ratio, ratio_step},
    rows,
};

/// A running proxy.
struct Proxy {
    port: u16,
    /// The proxy, and the server that it asks.
    processes: Vec<Process>,
}

/// One run of one proxy.
struct Run {
    per_second: f64,
    p50: f64,
    p99: f64,
    /// Clock ticks of processor time per request, of all the processes together, while `wrk` ran.
    cpu: f64,
}

/// All of them.
const NAMES: [&str; 9] = [
    "bare-hot",
    "headers-plain",
    "shipped-hot",
    EMPTY,
    "api-key-auth-limit",
    "lua",
    "ext-authz-http",
    "ext-authz-grpc",
    HAPROXY,
];
const EMPTY: &str = "empty-filter";
const HAPROXY: &str = "haproxy";
/// Keys in the tables.
const KEYS: u32 = 1_000;
/// Pairs of runs.
const PAIRS: u32 = 7;
/// `wrk`: threads, connections, length.
const WRK: [&str; 6] = ["-t", "1", "-c", "32", "-d", "2"];
/// Requests of the latency part, one after the other.
const ONE_BY_ONE: u32 = 2_000;

/// The names of the measurements of which results consist.
pub fn steps() -> Vec<String> {
    NAMES.into_iter().map(ratio_step).collect()
}

/// Measures everything whose name is wanted, and hands each over as it comes.
pub fn run(wanted: &dyn Fn(&str) -> bool, take: &mut dyn FnMut(Ratio) -> Result<()>) -> Result<()> {
    if !NAMES.into_iter().any(wanted) {
        return Ok(());
    }
    let mut bench = Bench { folder: new_folder("ratios")?, take };
    let control = Control::start(table(KEYS))?;
    let none = bench.envoy("none", &Setup::none(), None)?;
    let states = [
        ("bare-hot", Flamegate::Bare),
        ("headers-plain", Flamegate::Headers),
        ("shipped-hot", Flamegate::Shipped),
    ];
    for (id, state) in states {
        if wanted(id) {
            let setup = Setup::flamegate(state, control.port, 20)?;
            let proxy = bench.envoy(id, &setup, Some(control.keys().all().len()))?;
            bench.compare(id, &none, &proxy)?;
        }
    }
    let own = [
        (EMPTY, Setup::empty_filter(&artifact("target/bench/empty-filter.wasm", "make bench-build")?)),
        ("api-key-auth-limit", Setup::api_key_auth(KEYS, true, false)),
        ("lua", Setup::lua(KEYS, false)),
    ];
    for (id, setup) in own {
        if wanted(id) {
            let proxy = bench.envoy(id, &setup, None)?;
            bench.compare(id, &none, &proxy)?;
        }
    }
    for (grpc, id) in [(false, "ext-authz-http"), (true, "ext-authz-grpc")] {
        if wanted(id) {
            let (server, port) = bench.authz(grpc)?;
            let mut proxy = bench.envoy(id, &Setup::ext_authz(grpc, port, false), None)?;
            proxy.processes.push(server);
            bench.compare(id, &none, &proxy)?;
        }
    }
    drop(none);
    if wanted(HAPROXY) {
        let (none, check) = (bench.haproxy("haproxy-none", None)?, bench.haproxy(HAPROXY, Some(KEYS))?);
        bench.compare(HAPROXY, &none, &check)?;
    }
    Ok(())
}

struct Bench<'a> {
    folder: PathBuf,
    take: &'a mut dyn FnMut(Ratio) -> Result<()>,
}

impl Bench<'_> {
    fn envoy(&self, name: &str, setup: &Setup, synced: Option<usize>) -> Result<Proxy> {
        let (line, ports) = setup.write(name, &self.folder)?;
        let mut process = Process::start(name, &self.folder, &line, ENVIRONMENT)?;
        wait_for_envoy(&mut process, ports, synced)?;
        if name != "none" && name != EMPTY {
            must_refuse_unknown(ports.gateway)?;
        }
        Ok(Proxy { port: ports.gateway, processes: vec![process] })
    }

    fn authz(&self, grpc: bool) -> Result<(Process, u16)> {
        let (line, port) = rows::authz_server(grpc, KEYS, false)?;
        let mut server = Process::start("authz", &self.folder, &line, &[])?;
        server.wait_until("the server listens", START, || Client::connect(port).is_ok())?;
        Ok((server, port))
    }

    fn haproxy(&self, name: &str, keys: Option<u32>) -> Result<Proxy> {
        let (line, port) = haproxy::write(name, &self.folder, keys, false)?;
        let mut process = Process::start(name, &self.folder, &line, &[])?;
        process.wait_until("HAProxy listens", START, || Client::connect(port).is_ok())?;
        Ok(Proxy { port, processes: vec![process] })
    }

    fn compare(&mut self, id: &str, without: &Proxy, with: &Proxy) -> Result<()> {
        let mut ratio = Ratio {
            id: id.to_owned(),
            what: rows::what(id).to_owned(),
            throughput: Vec::new(),
            latency_p50: Vec::new(),
            latency_p99: Vec::new(),
            cpu: Vec::new(),
        };
        for proxy in [without, with] {
            one_run(proxy)?;
        }
        for pair in 0..PAIRS {
            // Which one goes first changes, too.
            let (a, b) = if pair % 2 == 0 {
                let a = one_run(without)?;
                (a, one_run(with)?)
            } else {
                let b = one_run(with)?;
                (one_run(without)?, b)
            };
            ratio.throughput.push(b.per_second / a.per_second);
            ratio.latency_p50.push(b.p50 / a.p50);
            ratio.latency_p99.push(b.p99 / a.p99);
            ratio.cpu.push(b.cpu / a.cpu);
        }
        for list in [&mut ratio.throughput, &mut ratio.latency_p50, &mut ratio.latency_p99, &mut ratio.cpu] {
            list.sort_by(f64::total_cmp);
            list.iter_mut().for_each(|value| *value = (*value * 1e3).round() / 1e3);
        }
        println!("{id:<18} throughput {:?} cpu {:?}", ratio.throughput, ratio.cpu);
        println!("{:18} p50 {:?} p99 {:?}", "", ratio.latency_p50, ratio.latency_p99);
        (self.take)(ratio)
    }
}

impl Proxy {
    fn processor_time(&self) -> Result<f64> {
        self.processes.iter().map(Process::processor_time).sum()
    }
}

/// Throughput with 32 connections, then latency with one.
fn one_run(proxy: &Proxy) -> Result<Run> {
    let port = proxy.port;
    let before = proxy.processor_time()?;
    let key = Key { kind: Kind::Ordinary, number: 0 }.plaintext();
    let output = Command::new("wrk")
        .args(WRK)
        .args(["-H", &format!("Authorization: Bearer {key}"), &format!("http://127.0.0.1:{port}/v1/agents")])
        .stdin(Stdio::null())
        .output()
        .context("wrk, of Debian's package of that name")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && !text.contains("Non-2xx"), "wrk: {text}");
    let used = proxy.processor_time()? - before;
    let requests = text.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok());
    let requests: f64 = requests.with_context(|| format!("wrk: {text}"))?;
    let per_second = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    let per_second = per_second.with_context(|| format!("wrk: {text}"))?;
    let mut client = Client::connect(port)?;
    let request = Load::Hot(Kind::Ordinary).request(0, "");
    let mut waits = Vec::new();
    for _ in 0..ONE_BY_ONE {
        let sent = Instant::now();
        client.expect(&request, 200)?;
        waits.push(sent.elapsed().as_secs_f64());
    }
    waits.sort_by(f64::total_cmp);
    Ok(Run {
        per_second,
        p50: waits[waits.len() / 2],
        p99: waits[waits.len() * 99 / 100],
        cpu: used / requests,
    })
}

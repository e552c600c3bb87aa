//! An Envoy's workers one by one: each sees a change in its own time, and counts for itself.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::{DEADLINE, Envoy, Protocol, Request, envoy::WORKERS, eventually, http1};

/// Asks all workers in turn, by a connection to each, until every one gives this status; how long the last one took.
pub fn until(workers: &mut [http1::Connection], request: &Request, status: u16) -> Duration {
    let started = Instant::now();
    for connection in workers {
        loop {
            let answer = connection.send(request).expect("answer");
            if answer.status == status {
                break;
            }
            assert!(started.elapsed() < DEADLINE, "still {} after {:?}", answer.status, started.elapsed());
        }
    }
    started.elapsed()
}

impl Envoy {
    /// Asks each worker until it gives this status: each of them sees a change in its own time.
    pub fn wait_for(&self, request: &Request, status: u16) {
        self.wait_for_at(self.port, request, status);
    }

    /// The same at the port of another listener.
    pub fn wait_for_at(&self, port: u16, request: &Request, status: u16) {
        for (worker, connection) in self.connection_to_each_worker_at(port).iter_mut().enumerate() {
            eventually("a worker's verdict", || match connection.send(request) {
                Ok(answer) => answer.expect_status(status).map(drop),
                Err(error) => {
                    *connection = self.connection_to_each_worker_at(port).swap_remove(worker);
                    Err(error.to_string())
                }
            });
        }
    }

    /// Which messages about Wasm it logs from now on.
    pub fn set_wasm_log_level(&self, level: &str) {
        let request = Request::new("POST", &format!("/logging?wasm={level}"));
        let answer = request.send(Protocol::Http1, self.admin).and_then(|answer| answer.expect_status(200));
        answer.expect("Envoy's admin interface");
    }

    /// Waits until the main thread and every worker have begun and ended a tick: what they had to count is counted, and what
    /// the sync had written they have seen.
    pub fn wait_for_ticks(&self) {
        self.set_wasm_log_level("trace");
        let skip = self.log().len();
        eventually("ticks", || {
            let log = self.log();
            let mut ticks: HashMap<&str, u32> = HashMap::new();
            for line in log[skip..].lines().filter(|line| line.contains("[host<-vm] proxy_on_tick")) {
                *ticks.entry(line.split("][").nth(1).unwrap_or("")).or_default() += 1;
            }
            // The first one may have begun before.
            let ticked = ticks.values().filter(|count| **count >= 2).count();
            if ticked > WORKERS { Ok(()) } else { Err(format!("{ticks:?}")) }
        });
        self.set_wasm_log_level("debug");
    }

    /// One connection to each worker.
    pub fn connection_to_each_worker(&self) -> Vec<http1::Connection> {
        self.connection_to_each_worker_at(self.port)
    }

    /// The same to the port of another listener.
    pub fn connection_to_each_worker_at(&self, port: u16) -> Vec<http1::Connection> {
        let mut found: Vec<Option<http1::Connection>> = (0..WORKERS).map(|_| None).collect();
        for _ in 0..200 {
            let before = self.connections_at(port);
            let connection = http1::Connection::open(port).expect("connection to the gateway");
            let worker = eventually("a worker has accepted the connection", || {
                let after = self.connections_at(port);
                (0..WORKERS)
                    .find(|worker| after[*worker] > before[*worker])
                    .ok_or_else(|| format!("{after:?}"))
            });
            found[worker] = Some(connection);
            if found.iter().all(Option::is_some) {
                return found.into_iter().flatten().collect();
            }
        }
        panic!("200 connections, and none of them to one of the {WORKERS} workers");
    }

    /// How many connections each worker has accepted so far.
    pub fn connections_by_worker(&self) -> Vec<u64> {
        self.connections_at(self.port)
    }

    fn connections_at(&self, port: u16) -> Vec<u64> {
        let text = self.admin("/stats?filter=listener.127.0.0.1_.*worker_.*downstream_cx_total").text();
        let count = |worker: usize| {
            let name = format!("_{port}.worker_{worker}.downstream_cx_total: ");
            text.lines().find_map(|line| line.split_once(&name)?.1.parse().ok()).unwrap_or(0)
        };
        (0..WORKERS).map(count).collect()
    }
}

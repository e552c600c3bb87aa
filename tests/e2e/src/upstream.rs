//! The demo upstream, which echoes what reaches it.

use std::path::Path;

use serde_json::Value;

use crate::{
    Answer, Protocol, Request,
    client::Lines,
    eventually,
    process::{Process, free_port, root},
};

/// A running upstream.
pub struct Upstream {
    process: Process,
    /// Its port.
    pub port: u16,
}

impl Upstream {
    /// Starts it and waits until it answers.
    pub fn start(folder: &Path) -> Self {
        let port = free_port();
        let process = Process::start("upstream", &root().join("dist/demo-upstream"), folder, |command| {
            command.arg(format!("127.0.0.1:{port}"));
        });
        let mut upstream = Self { process, port };
        eventually("the upstream answers", || {
            upstream.process.assert_alive();
            Request::get("/healthz").send(Protocol::Http1, port)?.expect_status(200)
        });
        upstream
    }

    /// Sends it a signal by its name.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// The request headers as they reached the upstream, from its answer: each name with its values as bytes. `None` when
/// the answer is not the upstream's.
pub fn echoed(answer: &Answer) -> Option<Lines> {
    // A gRPC message has five bytes in front.
    let json: Value =
        [0, 5].iter().find_map(|skip| serde_json::from_slice(answer.body.get(*skip..)?).ok())?;
    let mut lines = Vec::new();
    for (name, values) in json["headers"].as_object()? {
        for value in values.as_array()? {
            let bytes = value.as_str()?.chars().map(|c| u8::try_from(c).expect("a byte")).collect();
            lines.push((name.clone(), bytes));
        }
    }
    Some(lines)
}

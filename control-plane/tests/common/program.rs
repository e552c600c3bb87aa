//! The built program as a process: its server on a free port, and its commands.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use super::{ADMIN, SYNC};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_flamegate-control");

/// The program as a client of the server at `url`.
pub fn command(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).env_clear().env("FLAMEGATE_CONTROL_URL", url).env("FLAMEGATE_ADMIN_TOKEN", ADMIN);
    command
}

/// The program beside a database, without a server.
pub fn offline(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).env_clear().output().unwrap()
}

#[track_caller]
pub fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
pub fn json_of(output: &Output) -> Value {
    serde_json::from_str(&succeeded(output)).unwrap()
}

#[track_caller]
pub fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The program's own server, on a free port. Dropping it kills it.
pub struct Program {
    pub url: String,
    child: Child,
    log: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Program {
    /// With the tokens of the tests, logging everything.
    pub fn serve(database: &Path) -> Self {
        Self::serve_by(&[], database, &[("FLAMEGATE_LOG", "trace")])
    }

    /// Started by another program (such as `unshare`), and with more environment.
    pub fn serve_by(starter: &[&str], database: &Path, environment: &[(&str, &str)]) -> Self {
        let tokens = [("FLAMEGATE_ADMIN_TOKEN", ADMIN), ("FLAMEGATE_SYNC_TOKEN", SYNC)];
        let starter =
            [starter, &[PROGRAM, "serve", "--init", "--database", database.to_str().unwrap()]].concat();
        Self::start(&starter, &[&tokens, environment].concat())
    }

    /// With a database and tokens that the starter knows of.
    pub fn serve_plain(starter: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start(&[starter, &[PROGRAM, "serve"]].concat(), environment)
    }

    fn start(line: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).args(["--listen", "127.0.0.1:0"]).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        for (name, value) in environment {
            // Nothing takes a variable away.
            if value.is_empty() {
                command.env_remove(name)
            } else {
                command.env(name, value)
            };
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = Arc::<Mutex<Vec<u8>>>::default();
        let written = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            let mut part = [0; 16 * 1024];
            while let Ok(length @ 1..) = stderr.read(&mut part) {
                written.lock().unwrap().extend_from_slice(&part[..length]);
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("listening on ").map(str::to_owned);
        let Some(url) = url else {
            drop((child.wait(), reader.join()));
            panic!("it does not listen: {}", String::from_utf8_lossy(&log.lock().unwrap()));
        };
        Self { child, url, log, reader: Some(reader) }
    }

    pub fn cli(&self, args: &[&str]) -> Value {
        json_of(&command(&self.url, &[args, &["--json"]].concat()).output().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// True when it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap()).into_owned()
    }

    /// Waits for it: its exit code, if it was not killed, and everything that it logged.
    pub fn end(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        self.reader.take().unwrap().join().unwrap();
        (code, self.log())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

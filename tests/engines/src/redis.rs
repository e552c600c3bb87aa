//! A Redis (or Valkey) that keeps everything in memory.

mod talk;

use std::path::PathBuf;

use crate::{
    eventually,
    folder::DataFolder,
    process::{Process, free_port},
};

/// A running Redis. Dropping it ends it.
pub struct Redis {
    program: PathBuf,
    process: Option<Process>,
    folder: DataFolder,
    settings: Vec<(String, String)>,
    /// Where it listens on 127.0.0.1, the same after a restart.
    pub port: u16,
}

impl Redis {
    /// Starts one, empty.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with these settings, as in `redis.conf`, now and after a restart.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let programs = ["/usr/bin/redis-server", "/usr/bin/valkey-server"].map(PathBuf::from);
        let program = programs.into_iter().find(|path| path.exists());
        Self::of(program.expect("no Redis: run tests/engines/setup.sh first"), settings)
    }

    /// Starts a Valkey, empty.
    pub fn start_valkey() -> Self {
        let folders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache"));
        let folders = folders.into_iter().flatten().flatten().map(|entry| entry.path());
        let programs = folders.map(|folder| folder.join("valkey-server"));
        let program = programs.filter(|path| path.exists()).max();
        Self::of(program.expect("no Valkey: run tests/engines/setup.sh first"), &[])
    }

    fn of(program: PathBuf, settings: &[(&str, &str)]) -> Self {
        let settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (folder, port) = (DataFolder::new(None), free_port());
        let mut redis = Self { program, process: None, folder, settings, port };
        redis.start_again();
        redis
    }

    /// Starts it when it does not run: empty again.
    pub fn start_again(&mut self) {
        let (folder, port, settings) = (&self.folder, self.port, &self.settings);
        let process = self.process.insert(Process::start("redis", &self.program, folder, |command| {
            command.args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
            ]);
            // A replica need not wait for others that may come.
            command.args(["--repl-diskless-sync-delay", "0"]);
            command.arg("--dir").arg(&**folder);
            for (name, value) in settings {
                command.arg(format!("--{name}")).arg(value);
            }
        }));
        eventually("Redis answers", || {
            process.assert_alive();
            talk::answers(port)
        });
    }

    /// A command, and its answer: of several values one a line. The error is what it says, or why it says nothing.
    pub fn say(&self, words: &[&str]) -> Result<String, String> {
        talk::talk(self.port, words)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it where it stands (SIGSTOP).
    pub fn freeze(&self) {
        self.process.as_ref().expect("a started Redis").signal("STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.process.as_ref().expect("a started Redis").signal("CONT");
    }
}

/// A sentinel that watches one Redis and puts a replica in its place. Dropping it ends it.
pub struct Sentinel {
    _process: Process,
    _folder: DataFolder,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

impl Sentinel {
    /// Starts one that decides alone, after a second of silence.
    pub fn watch(redis: &Redis, name: &str) -> Self {
        Self::watch_with(redis, name, redis.port, &[])
    }

    /// The same with more lines of `sentinel.conf`, and with the port at which it finds Redis.
    pub fn watch_with(redis: &Redis, name: &str, at: u16, more: &[String]) -> Self {
        let (folder, port) = (DataFolder::new(None), free_port());
        let file = folder.join("sentinel.conf");
        let lines = [
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", folder.display()),
            format!("sentinel monitor {name} 127.0.0.1 {at} 1"),
            format!("sentinel down-after-milliseconds {name} 1000"),
            format!("sentinel failover-timeout {name} 10000"),
        ];
        let lines: Vec<_> = lines.iter().chain(more).map(String::as_str).collect();
        std::fs::write(&file, lines.join("\n") + "\n").expect("a sentinel's configuration");
        let mut process = Process::start("sentinel", &redis.program, &folder, |command| {
            command.arg(&file).arg("--sentinel");
        });
        eventually("the sentinel answers", || {
            process.assert_alive();
            talk::answers(port)
        });
        Self { _process: process, _folder: folder, port }
    }

    /// A command, and its answer, as [`Redis::say`].
    pub fn say(&self, words: &[&str]) -> Result<String, String> {
        talk::talk(self.port, words)
    }
}

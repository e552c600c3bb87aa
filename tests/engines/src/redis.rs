//! A Redis (or Valkey) that keeps everything in memory.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
};

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
    /// Where it listens on 127.0.0.1, the same after a restart.
    pub port: u16,
}

impl Redis {
    /// Starts one, empty.
    pub fn start() -> Self {
        let programs = ["/usr/bin/redis-server", "/usr/bin/valkey-server"].map(PathBuf::from);
        let program = programs.into_iter().find(|path| path.exists());
        Self::of(program.expect("no Redis: run tests/engines/setup.sh first"))
    }

    /// Starts a Valkey, empty.
    pub fn start_valkey() -> Self {
        let folders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache"));
        let folders = folders.into_iter().flatten().flatten().map(|entry| entry.path());
        let programs = folders.map(|folder| folder.join("valkey-server"));
        let program = programs.filter(|path| path.exists()).max();
        Self::of(program.expect("no Valkey: run tests/engines/setup.sh first"))
    }

    fn of(program: PathBuf) -> Self {
        let mut redis = Self { program, process: None, folder: DataFolder::new(None), port: free_port() };
        redis.start_again();
        redis
    }

    /// Starts it when it does not run: empty again.
    pub fn start_again(&mut self) {
        let (folder, port) = (&self.folder, self.port);
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
            command.arg("--dir").arg(&**folder);
        }));
        eventually("Redis answers", || {
            process.assert_alive();
            ping(port).map_err(|error| error.to_string())
        });
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
    /// Starts one that decides alone, after half a second of silence.
    pub fn watch(redis: &Redis, name: &str) -> Self {
        let (folder, port) = (DataFolder::new(None), free_port());
        let file = folder.join("sentinel.conf");
        let lines = [
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", folder.display()),
            format!("sentinel monitor {name} 127.0.0.1 {} 1", redis.port),
            format!("sentinel down-after-milliseconds {name} 500"),
            format!("sentinel failover-timeout {name} 5000"),
        ];
        std::fs::write(&file, lines.join("\n") + "\n").expect("a sentinel's configuration");
        let mut process = Process::start("sentinel", &redis.program, &folder, |command| {
            command.arg(&file).arg("--sentinel");
        });
        eventually("the sentinel answers", || {
            process.assert_alive();
            ping(port).map_err(|error| error.to_string())
        });
        Self { _process: process, _folder: folder, port }
    }
}

fn ping(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    if &answer == b"+PONG\r\n" { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

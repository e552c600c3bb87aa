//! The engine that limits are kept in: one Redis, or a primary with two replicas and a Sentinel; what breaks, and how often it was asked.

use std::{
    fs,
    io::{BufRead, BufReader, Write as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use flamegate_engines::{Link, Passage, Redis};

use crate::{
    client::tcp,
    process::{Process, free_port},
};

/// An engine, and the way to it that gateways' services know, as they would a service's name: it leads to the primary.
pub struct Engine {
    primary: Redis,
    /// The way that clients know.
    pub way: Link,
    guarded: Option<Guarded>,
}

/// What stands beside a primary.
struct Guarded {
    replicas: [Redis; 2],
    /// Replicas hear of writes by it.
    replication: Link,
    sentinel: Process,
    port: u16,
}

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The primary's name at the Sentinel.
const MASTER: &str = "limits";
/// For so long the replicas hear nothing before the primary dies: what is written then is lost.
const DEAF: Duration = Duration::from_millis(900);

impl Engine {
    /// One Redis alone.
    pub fn alone() -> Self {
        let primary = Redis::start();
        let way = Link::to(primary.port);
        Self { primary, way, guarded: None }
    }

    /// A primary with two replicas, of which one has to hear of each write within a second or two, and a Sentinel.
    pub fn guarded(folder: &Path) -> Result<Self> {
        let mut engine = Self::alone();
        let replication = Link::to(engine.primary.port);
        let replicas = [Redis::start(), Redis::start()];
        for port in [engine.primary.port, replicas[0].port, replicas[1].port] {
            for (name, value) in [("repl-diskless-sync-delay", "0"), ("min-replicas-max-lag", "1")] {
                ask(port, &["CONFIG", "SET", name, value])?;
            }
        }
        for replica in &replicas {
            ask(replica.port, &["REPLICAOF", "127.0.0.1", &replication.port.to_string()])?;
            until("a replica follows", || {
                let seen = ask(replica.port, &["INFO", "replication"])?;
                Ok(seen.contains("master_link_status:up").then_some(()))
            })?;
        }
        for port in [engine.primary.port, replicas[0].port, replicas[1].port] {
            ask(port, &["CONFIG", "SET", "min-replicas-to-write", "1"])?;
        }
        let (sentinel, port) = start_sentinel(engine.primary.port, folder)?;
        until("the Sentinel knows both replicas", || {
            let seen = ask(port, &["SENTINEL", "REPLICAS", MASTER])?;
            let known = |replica: &Redis| seen.contains(&format!("127.0.0.1:{}", replica.port));
            Ok(replicas.iter().all(known).then_some(()))
        })?;
        engine.guarded = Some(Guarded { replicas, replication, sentinel, port });
        Ok(engine)
    }

    /// Ends the engine; it begins again with nothing.
    pub fn restart_empty(&mut self) {
        self.primary.kill();
        self.primary.start_again();
    }

    /// The primary's last writes reach no replica; then it dies, the Sentinel makes a replica the primary, and the way leads there.
    pub fn fail_over(&mut self) -> Result<()> {
        let guarded = self.guarded.as_mut().context("no replicas")?;
        guarded.replication.set(Passage::Swallowed);
        thread::sleep(DEAF);
        self.primary.kill();
        let new = until("a replica takes over", || {
            guarded.sentinel.check_alive()?;
            let address = ask(guarded.port, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER])?;
            let new =
                guarded.replicas.iter().find(|replica| address.ends_with(&format!(" {}", replica.port)));
            Ok(new.map(|replica| replica.port))
        })?;
        self.way.lead_to(new);
        Ok(())
    }

    /// Where Flamegate's control plane is told that it is: a primary with replicas it finds by the Sentinel.
    pub fn address(&self) -> String {
        match &self.guarded {
            None => format!("redis://127.0.0.1:{}", self.way.port),
            Some(guarded) => format!("redis+sentinel://127.0.0.1:{}/{MASTER}", guarded.port),
        }
    }

    /// How many scripts and functions it has run: what a client's call is here. What scripts do inside counts for nothing.
    pub fn calls(&self) -> Result<u64> {
        let text = ask(self.primary.port, &["INFO", "commandstats"])?;
        let calls = |line: &str| -> Option<u64> {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let counted = ["eval", "evalsha", "fcall"].contains(&name);
            counted.then(|| rest.split(',').next()?.parse().ok())?
        };
        Ok(text.lines().filter_map(calls).sum())
    }
}

fn start_sentinel(primary: u16, folder: &Path) -> Result<(Process, u16)> {
    let port = free_port();
    let path = folder.join(format!("sentinel-{port}.conf"));
    let text = format!(
        "bind 127.0.0.1\nport {port}\ndir {}\nsentinel monitor {MASTER} 127.0.0.1 {primary} 1\n\
         sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 5000\n",
        folder.display()
    );
    fs::write(&path, text)?;
    let programs = ["/usr/bin/redis-server", "/usr/bin/valkey-server"];
    let program = programs.into_iter().find(|path| Path::new(path).exists());
    let program = program.context("no Redis: run tests/engines/setup.sh first")?;
    let line = [program.to_owned(), path.display().to_string(), "--sentinel".to_owned()];
    let mut sentinel = Process::start(&format!("sentinel-{port}"), folder, &line, &[])?;
    sentinel.wait_until("the Sentinel answers", PATIENCE, || ask(port, &["PING"]).is_ok())?;
    Ok((sentinel, port))
}

/// Sends one command to an engine on loopback; the texts of the answer, with spaces in between.
fn ask(port: u16, words: &[&str]) -> Result<String> {
    let mut stream = tcp(port)?;
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(command.as_bytes())?;
    let mut texts = Vec::new();
    read(&mut BufReader::new(stream), &mut texts)?;
    Ok(texts.join(" "))
}

/// One value of RESP.
fn read(from: &mut impl BufRead, texts: &mut Vec<String>) -> Result<()> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let (kind, rest) = line.trim_end().split_at_checked(1).context("an empty answer")?;
    match kind {
        "+" | ":" => texts.push(rest.to_owned()),
        "-" => bail!("the engine says {rest}"),
        "$" if rest.starts_with('-') => {}
        "$" => texts.push(text(from, rest.parse()?)?),
        "*" => {
            for _ in 0..rest.parse::<i64>()? {
                read(from, texts)?;
            }
        }
        other => bail!("no answer of an engine: {other}"),
    }
    Ok(())
}

fn text(from: &mut impl BufRead, length: usize) -> Result<String> {
    let mut bytes = vec![0; length + 2];
    from.read_exact(&mut bytes)?;
    bytes.truncate(length);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Asks until there is something.
fn until<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = ask()? {
            return Ok(value);
        }
        ensure!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

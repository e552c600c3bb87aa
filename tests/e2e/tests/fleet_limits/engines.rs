//! A Redis with two replicas and a sentinel, and what can happen to them.

use flamegate_e2e::eventually;
use flamegate_engines::{Link, Passage, Redis, Sentinel};

/// What the sentinel calls them.
const NAME: &str = "limits";
/// Replicas answer once a second, so an engine that may wait for less than two stops now and then on a busy machine (`min-replicas-max-lag`).
const SETTINGS: [(&str, &str); 3] =
    [("min-replicas-to-write", "1"), ("min-replicas-max-lag", "2"), ("repl-ping-replica-period", "1")];

/// So long it says nothing until it is taken for dead.
const DOWN_AFTER_MS: &str = "500";

/// All of them.
pub struct Engines {
    nodes: Vec<Redis>,
    primary: usize,
    sentinel: Sentinel,
    /// By it replicas hear of the primary.
    link: Link,
}

impl Engines {
    pub fn start() -> Self {
        let nodes: Vec<_> = (0..3).map(|_| Redis::start_with(&SETTINGS)).collect();
        let link = Link::to(nodes[0].port);
        // It decides sooner, and again soon after the last time.
        let quicker = [
            format!("sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}"),
            format!("sentinel failover-timeout {NAME} 3000"),
        ];
        let sentinel = Sentinel::watch_with(&nodes[0], NAME, nodes[0].port, &quicker);
        // It asks for news more often than it would, and rests for less long when the machine was too slow for it.
        let debug = ["SENTINEL", "DEBUG", "INFO-PERIOD", "500", "TILT-PERIOD", "1000"];
        sentinel.say(&debug).expect("quicker");
        let mut engines = Self { nodes, primary: 0, sentinel, link };
        engines.heal();
        engines
    }

    /// The address for control planes.
    pub fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/{NAME}", self.sentinel.port)
    }

    /// Kills the primary.
    pub fn kill(&mut self) {
        self.nodes[self.primary].kill();
    }

    /// Stops the primary where it stands, without anybody taking its place.
    pub fn freeze(&self) {
        self.is_down_after("600000");
        self.nodes[self.primary].freeze();
    }

    /// The primary goes on, and the sentinel has seen it.
    pub fn thaw(&self) {
        self.nodes[self.primary].thaw();
        eventually("the sentinel hears the primary", || {
            let silence = self.watched("last-ok-ping-reply")?;
            if silence.parse().is_ok_and(|ms: u64| ms < 200) { Ok(()) } else { Err(silence) }
        });
        self.is_down_after(DOWN_AFTER_MS);
    }

    fn is_down_after(&self, ms: &str) {
        let set = ["SENTINEL", "SET", NAME, "down-after-milliseconds", ms];
        self.sentinel.say(&set).expect("another patience");
    }

    /// How much of what the old primary had written, in bytes, the one in its place has never had.
    pub fn lost(&self, written: u64) -> u64 {
        let successor = self.nodes.iter().find(|node| Ok(node.port) == self.address()).expect("a successor");
        let had =
            number_of(&successor.say(&["INFO", "replication"]).expect("a primary"), "second_repl_offset");
        // The first byte that is its own.
        written.saturating_sub(had.expect("it was a replica").saturating_sub(1))
    }

    /// Keeps from the replicas what is written from now on; how much was written until now, in bytes.
    pub fn hold_back(&mut self) -> u64 {
        // The sentinel may have told them to follow the primary by its own port.
        self.heal();
        self.link.set(Passage::Swallowed);
        self.written().expect("a primary")
    }

    /// How much was written, in bytes.
    pub fn written(&self) -> Result<u64, String> {
        let info = self.nodes[self.primary].say(&["INFO", "replication"])?;
        number_of(&info, "master_repl_offset").ok_or(info)
    }

    /// The primary goes on, and neither its replicas nor the sentinel hear of it: to who watches it is dead, and cannot be told to follow.
    pub fn part(&mut self) {
        self.hold_back();
        let deaf = ["ACL", "SETUSER", "default", "-ping", "-slaveof", "-replicaof"];
        self.nodes[self.primary].say(&deaf).expect("deaf");
    }

    /// The primary ends and is there again at once, empty.
    pub fn restart(&mut self) {
        let primary = &mut self.nodes[self.primary];
        primary.kill();
        primary.start_again();
    }

    /// A replica takes over because somebody wants it.
    pub fn hand_over(&self) {
        eventually("the sentinel hands over", || self.sentinel.say(&["SENTINEL", "FAILOVER", NAME]));
    }

    /// Waits until the sentinel has put another one in the primary's place.
    pub fn await_successor(&self) {
        let old = self.nodes[self.primary].port;
        eventually("a replica takes over", || match self.address()? {
            port if port == old => Err("not yet".to_owned()),
            _ => Ok(()),
        });
    }

    /// Whoever is the primary now has two replicas again, empty ones where they had to be started.
    pub fn heal(&mut self) {
        eventually("there is a primary with two replicas", || self.heal_once());
    }

    fn heal_once(&mut self) -> Result<(), String> {
        let flags = self.watched("flags")?;
        if flags != "master" {
            // A change of it is under way, or looks so to the sentinel.
            return Err(flags);
        }
        let port = self.address()?;
        let at = self.nodes.iter().position(|node| node.port == port).ok_or("another one's port")?;
        let role = self.nodes[at].say(&["ROLE"])?;
        if !role.starts_with("master") {
            return Err(format!("the primary is {role}"));
        }
        if std::mem::replace(&mut self.primary, at) != at {
            self.link.lead_to(port);
        }
        self.link.set(Passage::Open);
        let link = self.link.port.to_string();
        for node in self.nodes.iter_mut().filter(|node| node.port != port) {
            // One that was a primary, too, or does not run.
            if !node.say(&["ROLE"]).is_ok_and(|role| role.starts_with("slave")) {
                node.kill();
                node.start_again();
            }
            node.say(&["REPLICAOF", "127.0.0.1", &link])?;
        }
        let info = self.nodes[at].say(&["INFO", "replication"])?;
        let known = self.sentinel.say(&["SENTINEL", "REPLICAS", NAME])?;
        let ready = known.matches("master-link-status\nok").count();
        if info.matches("state=online").count() == 2 && ready == 2 {
            Ok(())
        } else {
            Err(format!("{info}{known}"))
        }
    }

    /// Of the primary, once a change of it is over: by its address alone the sentinel names the next one sooner.
    fn address(&self) -> Result<u16, String> {
        let port = self.watched("port")?;
        port.parse().map_err(|_| port)
    }

    /// What the sentinel says of the primary under this name.
    fn watched(&self, name: &str) -> Result<String, String> {
        let found = self.sentinel.say(&["SENTINEL", "MASTER", NAME])?;
        let value = found.split_once(&format!("\n{name}\n")).and_then(|(_, rest)| rest.lines().next());
        value.map(str::to_owned).ok_or(found)
    }
}

/// A number of `INFO`.
fn number_of(info: &str, name: &str) -> Option<u64> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
}

//! A random history: replicas that die, freeze and come back, gateways that move and share names, operators who forget them, and a
//! database that loses what was not on disk.

use std::time::Duration;

use super::super::{Hello, Poll};
use super::plane::{Plane, head};
use super::table::{At, Table};
use crate::domain::credentials::Credential;
use crate::service::clock::Clock;

/// A gateway's process.
struct Process {
    name: String,
    session: u8,
    /// What all its workers enforce.
    enforces: Option<At>,
    /// Where it polls, and what it gets there; `None` while that is not decided.
    poll: Option<(usize, Poll, Option<At>)>,
}

pub struct World {
    clock: Clock,
    random: u64,
    /// Behind which revision each was committed, by their tags.
    behind: Vec<u32>,
    table: Table,
    /// The table as it is on disk for certain: what came later may be lost.
    durable: Table,
    planes: Vec<Plane>,
    processes: Vec<Process>,
    names: u32,
    /// How many receipts said "all".
    pub all: u32,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let clock = Clock::default();
        clock.stop();
        let mut world = Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            behind: vec![0, 0],
            table: Table { log: vec![1], ..Table::default() },
            durable: Table { log: vec![1], ..Table::default() },
            planes: Vec::new(),
            processes: Vec::new(),
            names: 0,
            all: 0,
            clock,
        };
        for _ in 0..3 {
            world.start();
        }
        world
    }

    fn start(&mut self) {
        let mut plane = Plane::new(&self.clock, self.table.head());
        for _ in 0..2 {
            plane.tells(&mut self.table, self.clock.instant());
        }
        plane.hears(&self.table, &self.clock);
        self.planes.push(plane);
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % u64::try_from(bound).unwrap()).unwrap()
    }

    pub fn step(&mut self) {
        let (chosen, now) = (self.below(self.planes.len()), self.clock.instant());
        let what = self.below(100);
        let plane = &mut self.planes[chosen];
        match what {
            0..3 => plane.frozen = !plane.frozen && what < 2,
            3..5 => self.lose_the_newest(),
            5 => self.replace(chosen),
            6..12 => {
                let by = Duration::from_millis(1 << self.below(14));
                self.clock.advance(by);
            }
            12..24 => self.move_somebody(chosen),
            24..52 => self.go_on_with_polls(),
            52..55 => self.forget_who_ended(chosen),
            55..60 => self.settle(),
            _ if plane.frozen => {}
            60..63 => {
                let tag = u32::try_from(self.behind.len()).unwrap();
                self.behind.push(self.table.head().tag);
                self.table.log.push(tag);
                let committed = self.table.head();
                let turn = plane.gateways.inner.registry.lock().shared.as_mut().unwrap().begin_receipt();
                plane.committed = Some((committed, turn));
                // What was lost may have had the same number.
                if committed.revision >= plane.head.revision {
                    plane.head = committed;
                }
            }
            63..68 => plane.head = self.table.head(),
            68..76 => plane.says(now),
            76..84 => {
                plane.writes(&mut self.table, now);
                self.make_durable(chosen);
            }
            84..92 => plane.is_told(),
            _ => {
                if what == 99 {
                    plane.gateways.inner.registry.lock().shared.as_mut().unwrap().all_seen_at = None;
                }
                plane.hears(&self.table, &self.clock);
            }
        }
    }

    /// A calm while: who is not frozen tells and hears, and gateways get what they wait for.
    fn settle(&mut self) {
        for _ in 0..2 {
            for plane in self.planes.iter_mut().filter(|plane| !plane.frozen) {
                plane.head = self.table.head();
                plane.is_told();
                plane.tells(&mut self.table, self.clock.instant());
            }
            for plane in self.planes.iter().filter(|plane| !plane.frozen) {
                plane.hears(&self.table, &self.clock);
            }
            for chosen in 0..self.processes.len() {
                (0..2).for_each(|_| self.go_on_with(chosen));
                if self.processes[chosen].poll.is_none() {
                    let to = self.below(self.planes.len());
                    self.poll(chosen, to);
                    (0..2).for_each(|_| self.go_on_with(chosen));
                }
            }
        }
        self.durable = self.table.clone();
    }

    /// An operator forgets gateways that are gone for good, or many new ones push them out.
    fn forget_who_ended(&mut self, chosen: usize) {
        let pushes_out = self.below(2) == 0;
        let now = self.clock.instant();
        let mut entries = self.planes[chosen].gateways.inner.registry.lock();
        let lives = |session: &Option<[u8; 32]>| {
            self.processes.iter().any(|process| *session == Some([process.session; 32]))
        };
        let gone = entries.iter().filter(|(_, gateway)| !lives(&gateway.session));
        for id in gone.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            if pushes_out {
                entries.push_out(id, now);
            } else {
                entries.forget(&id, now);
            }
        }
    }

    /// Not everything is on disk at once. Who has no row yet is.
    fn make_durable(&mut self, chosen: usize) {
        let said = self.planes[chosen].answer.as_ref().map(|(said, _)| said);
        let is_new = said.is_some_and(|said| said.gateways.iter().any(|line| line.is_new));
        if is_new || self.below(3) > 0 {
            self.durable = self.table.clone();
        }
    }

    /// The database is killed, and comes back without what was not on disk: a standby has lost revisions with that, and otherwise the
    /// log is there.
    fn lose_the_newest(&mut self) {
        let standby = self.below(2) == 0;
        let log = std::mem::take(&mut self.table.log);
        self.table = self.durable.clone();
        if !standby {
            self.table.log = log;
        }
    }

    /// A replica is killed, and another one starts.
    fn replace(&mut self, chosen: usize) {
        self.planes.remove(chosen);
        for process in &mut self.processes {
            match &process.poll {
                Some((at, ..)) if *at == chosen => process.poll = None,
                _ => {}
            }
            if let Some((at, ..)) = &mut process.poll {
                *at -= usize::from(*at > chosen);
            }
        }
        self.start();
    }

    /// A gateway polls this replica: a new one, or one that was somewhere else.
    fn move_somebody(&mut self, to: usize) {
        if self.processes.len() < 4 || self.below(8) == 0 {
            self.names += 1;
            let session = u8::try_from(self.names % 250 + 1).unwrap();
            // Some come under a name that is taken.
            let name = format!("gw-{}", self.below(6));
            self.processes.push(Process { name, session, enforces: None, poll: None });
        }
        if self.processes.len() > 6 {
            // One that ends takes nothing with it; its connection breaks.
            let gone = self.below(self.processes.len());
            self.processes.remove(gone);
        }
        let chosen = self.below(self.processes.len());
        self.poll(chosen, to);
    }

    fn poll(&mut self, chosen: usize, to: usize) {
        let process = &mut self.processes[chosen];
        let plane = &self.planes[to];
        let poll = plane.gateways.begin(Hello {
            accepts: crate::contract::Protocol::Two,
            shadow: Some(false),
            credential: Credential::shared(),
            name: process.name.clone(),
            session: Some([process.session; 32]),
            version: None,
            wait: Duration::from_secs(25),
            stale: false,
            workers: None,
        });
        process.poll = Some((to, poll, None));
    }

    /// A poll gets its page once all know of the gateway, and the gateway has it some time later.
    fn go_on_with_polls(&mut self) {
        let chosen = self.below(self.processes.len().max(1));
        self.go_on_with(chosen);
    }

    fn go_on_with(&mut self, chosen: usize) {
        let Some(process) = self.processes.get_mut(chosen) else { return };
        let Some((at, poll, page)) = &mut process.poll else { return };
        let plane = &self.planes[*at];
        if page.is_none() && !plane.frozen {
            match poll.is_known_now() {
                Some(true) => {
                    let is_ours = |at: &At| *at == plane.head || self.table.has(*at);
                    let ours = process.enforces.filter(is_ours);
                    poll.acknowledges(ours.map(|at| at.revision), &head(plane.head));
                    // What is not at hand is read.
                    let known = if self.table.has(plane.head) { plane.head } else { self.table.head() };
                    let newer = ours.filter(|at| at.revision > known.revision);
                    *page = Some(newer.unwrap_or(known));
                }
                Some(false) => process.poll = None,
                None => {}
            }
        } else if let Some(revision) = *page {
            process.enforces = Some(revision);
            if let Some((_, poll, _)) = process.poll.take() {
                poll.finish();
            }
        }
    }

    /// True when the change is part of the history up to there.
    fn has_seen(&self, at: At, change: At) -> bool {
        let mut tag = at.tag;
        while tag > change.tag {
            tag = self.behind[usize::try_from(tag).unwrap()];
        }
        tag == change.tag
    }

    /// Whoever has a receipt that says "all" is right.
    pub fn check(&mut self) {
        for plane in self.planes.iter().filter(|plane| !plane.frozen) {
            // What is lost with its database has no receipt that could be right.
            let Some((change, turn)) = plane.committed.filter(|(at, _)| self.table.has(*at)) else {
                continue;
            };
            let revision = change.revision;
            let receipt = plane.gateways.line_up(revision, None, Some(turn));
            if !receipt.is_confirmed() || receipt.gateways.is_empty() {
                continue;
            }
            self.all += 1;
            for process in &self.processes {
                let page = process.poll.as_ref().and_then(|(_, _, page)| *page);
                let serves = process.enforces.or(page);
                assert!(
                    serves.is_none_or(|at| self.has_seen(at, change)),
                    "{} enforces {serves:?}, and a receipt says that all enforce {revision}: {receipt:?}",
                    process.name
                );
            }
        }
    }
}

//! Several replicas on one table: what each says and hears in cases that are told, and in random histories of replicas that die,
//! freeze and come back, gateways that move, writes that arrive late, and a database that loses the newest of them. In all of them no
//! receipt ever says "all" while a gateway serves, or will serve, without the change.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::shared::Shared;
use super::*;
use crate::domain::credentials::Credential;
use crate::domain::log::Head;
use crate::domain::replicas::{ALIVE, Publication, Published, Replica, SharedGateway, Sight};
use crate::service::clock::Clock;

/// The table as the store keeps it (`tests/store/replicas.rs` holds the engines to the same).
#[derive(Clone, Default)]
struct Table {
    /// The tags of all revisions, from the first one.
    log: Vec<u32>,
    replicas: BTreeMap<String, (Replica, Option<Instant>)>,
    gateways: BTreeMap<String, (SharedGateway, Option<Instant>)>,
}

impl Table {
    fn head(&self) -> At {
        At { revision: u64::try_from(self.log.len()).unwrap(), tag: *self.log.last().unwrap() }
    }

    fn has(&self, at: At) -> bool {
        let place = usize::try_from(at.revision).unwrap() - 1;
        self.log.get(place) == Some(&at.tag)
    }

    fn publish(&mut self, said: &Publication, now: Instant) -> Published {
        let is_ours =
            |(revision, tag): &(u64, String)| self.has(At { revision: *revision, tag: tag.parse().unwrap() });
        if !said.rests_on.iter().all(is_ours) {
            return Published::OtherHistory;
        }
        let before = self.replicas.get(&said.replica);
        if before.map_or(0, |(row, _)| row.beat) + 1 != said.beat {
            return Published::Superseded;
        }
        let was_alive = before.is_some_and(|(_, at)| at.is_some_and(|at| now - at <= ALIVE));
        if let Some(gone) = &said.instead_of {
            self.replicas.remove(gone);
        }
        let row = Replica {
            id: said.replica.clone(),
            version: said.version.clone(),
            started_at: said.started_at,
            polls: said.polls,
            head: said.head,
            beat: said.beat,
            age: Duration::ZERO,
        };
        self.replicas.insert(said.replica.clone(), (row, Some(now)));
        let mut lost = Vec::new();
        // Who was forgotten may be back.
        let (taken, kept): (Vec<_>, Vec<_>) = said.gateways.iter().partition(|line| line.takes);
        for line in kept.into_iter().chain(taken) {
            let id = &line.gateway.id;
            let there = self.gateways.get(id).map(|(row, _)| row);
            let is_kept = there.is_some_and(|row| row.keeper == line.gateway.keeper);
            let is_same = there.is_none_or(|row| {
                row.forgotten || row.session.is_none() || row.session == line.gateway.session
            });
            if (line.takes || is_kept) && is_same {
                let row = SharedGateway {
                    keeper: Some(said.replica.clone()),
                    beat: said.beat,
                    ..line.gateway.clone()
                };
                self.gateways.insert(id.clone(), (row, Some(now)));
            } else {
                lost.push(id.clone());
            }
        }
        Published::Done { was_alive, lost }
    }

    fn look(&self, gateways: &Gateways, now: Instant) -> Sight {
        let entries = gateways.inner.registry.lock();
        let (me, seen, ids) = entries.shared.as_ref().unwrap().question();
        let since = |at: &Option<Instant>| now - at.unwrap();
        let replicas = self.replicas.values();
        let rows = self.gateways.values().filter(|(row, _)| {
            let keeper = row.keeper.clone().unwrap_or_default();
            keeper != me && (seen.get(&keeper).is_none_or(|seen| row.beat > *seen) || ids.contains(&row.id))
        });
        Sight {
            replicas: replicas.map(|(row, at)| Replica { age: since(at), ..row.clone() }).collect(),
            gateways: rows
                .map(|(row, at)| SharedGateway {
                    acknowledged_ago: row.acknowledged_ago + since(at),
                    expected_for: row.expected_for.saturating_sub(since(at)),
                    leaving_for: row.leaving_for.saturating_sub(since(at)),
                    ..row.clone()
                })
                .collect(),
        }
    }
}

/// A revision of some history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    revision: u64,
    tag: u32,
}

/// A control plane, as far as this goes.
struct Plane {
    gateways: Gateways,
    /// Where the log stands, as far as it knows.
    head: At,
    /// What it has committed last, and its turn then.
    committed: Option<(At, u64)>,
    /// What it has put together and not written yet.
    said: Option<Publication>,
    /// What became of what it has written last, and has not heard yet.
    answer: Option<(Publication, Published)>,
    frozen: bool,
    /// Its last write found that others may have taken it for dead.
    revived: bool,
}

fn head(at: At) -> Head {
    Head { epoch: "e".to_owned(), revision: at.revision, tag: at.tag.to_string() }
}

impl Plane {
    fn new(clock: &Clock, head: At) -> Self {
        let gateways = Gateways::new(clock.clone());
        gateways.inner.registry.lock().shared = Some(Shared::new(clock.now()).unwrap());
        Self { gateways, head, committed: None, said: None, answer: None, frozen: false, revived: false }
    }

    fn says(&mut self, now: Instant) {
        if self.said.is_none() && self.answer.is_none() {
            self.said = self.gateways.inner.registry.lock().publication(&head(self.head), now);
        }
    }

    fn writes(&mut self, table: &mut Table, now: Instant) {
        let Some(said) = self.said.take() else { return };
        let what = table.publish(&said, now);
        // The commit behind one that made it alive again tells where the log stands.
        if self.revived && table.head().revision > self.head.revision {
            self.head = table.head();
        }
        self.revived = matches!(what, Published::Done { was_alive: false, .. });
        self.answer = Some((said, what));
    }

    fn is_told(&mut self) {
        let Some((said, what)) = self.answer.take() else { return };
        self.gateways.inner.registry.lock().published(&said, what).unwrap();
    }

    fn tells(&mut self, table: &mut Table, now: Instant) {
        self.says(now);
        self.writes(table, now);
        self.is_told();
    }

    fn hears(&self, table: &Table, clock: &Clock) {
        let now = clock.instant();
        let sight = table.look(&self.gateways, now);
        let seen = self.gateways.inner.registry.lock().saw(sight, now, clock.now());
        if seen.is_none() {
            let sight = table.look(&self.gateways, now);
            self.gateways.inner.registry.lock().saw(sight, now, clock.now()).unwrap();
        }
    }
}

/// A gateway's process.
struct Process {
    name: String,
    session: u8,
    /// What all its workers enforce.
    enforces: Option<At>,
    /// Where it polls, and what it gets there; `None` while that is not decided.
    poll: Option<(usize, Poll, Option<At>)>,
}

struct World {
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
    all: u32,
}

impl World {
    fn new(seed: u64) -> Self {
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

    fn step(&mut self) {
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
            _ => plane.hears(&self.table, &self.clock),
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

    /// An operator forgets gateways that are gone for good.
    fn forget_who_ended(&mut self, chosen: usize) {
        let now = self.clock.instant();
        let mut entries = self.planes[chosen].gateways.inner.registry.lock();
        let lives = |session: &Option<[u8; 32]>| {
            self.processes.iter().any(|process| *session == Some([process.session; 32]))
        };
        let gone = entries.iter().filter(|(_, gateway)| !lives(&gateway.session));
        for id in gone.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            entries.forget(&id, now);
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
    fn check(&mut self) {
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

#[test]
fn no_receipt_says_all_too_early() {
    let histories = std::env::var("HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let mut all = 0;
    for seed in 0..histories {
        let mut world = World::new(seed);
        for step in 0..250 {
            world.step();
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.check()));
            assert!(caught.is_ok(), "seed {seed}, step {step}");
        }
        all += world.all;
    }
    // It is not by saying nothing that they are right.
    assert!(all > u32::try_from(histories).unwrap(), "{all}");
}

/// A poll of the gateway `g` at this replica.
fn poll(plane: &Plane) -> Poll {
    poll_of(plane, 7)
}

/// The same, of this process.
fn poll_of(plane: &Plane, session: u8) -> Poll {
    plane.gateways.begin(Hello {
        credential: Credential::shared(),
        name: "g".to_owned(),
        session: Some([session; 32]),
        version: None,
        wait: Duration::from_secs(25),
        stale: false,
        workers: None,
    })
}

/// A table and replicas that know each other.
fn planes(clock: &Clock, count: usize) -> (Table, Vec<Plane>) {
    clock.stop();
    let mut table = Table { log: vec![1], ..Table::default() };
    let mut planes: Vec<_> = (0..count).map(|_| Plane::new(clock, table.head())).collect();
    for _ in 0..3 {
        for plane in &mut planes {
            plane.tells(&mut table, clock.instant());
            plane.hears(&table, clock);
        }
    }
    (table, planes)
}

#[test]
fn what_was_acknowledged_of_a_lost_revision_is_not_that_of_the_one_with_its_number() {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 1);
    let plane = &mut planes[0];
    let first = poll(plane);
    plane.tells(&mut table, clock.instant());
    first.acknowledges(Some(1), &head(plane.head));
    plane.tells(&mut table, clock.instant());
    let durable = table.clone();
    table.log.push(2);
    plane.head = table.head();
    first.finish();
    // It has the page with 2, and says so, while the database dies.
    let second = poll(plane);
    second.acknowledges(Some(2), &head(plane.head));
    let said = plane.gateways.inner.registry.lock().publication(&head(plane.head), clock.instant()).unwrap();
    plane.gateways.inner.registry.lock().not_published(said);
    // The standby has not got that, and our next commit there takes its number.
    table = durable;
    table.log.push(3);
    plane.head = table.head();
    let turn = plane.gateways.inner.registry.lock().shared.as_mut().unwrap().begin_receipt();
    for _ in 0..3 {
        plane.tells(&mut table, clock.instant());
        plane.hears(&table, &clock);
    }
    let receipt = plane.gateways.line_up(2, None, Some(turn));
    assert!(!receipt.is_confirmed() && !receipt.gateways.is_empty(), "{receipt:?}");
}

#[test]
fn a_look_is_news_when_it_passes_a_turn_or_a_replica_dies() {
    let clock = Clock::default();
    let (mut table, planes) = planes(&clock, 2);
    let looks = |table: &Table| {
        let sight = table.look(&planes[0].gateways, clock.instant());
        planes[0].gateways.inner.registry.lock().saw(sight, clock.instant(), clock.now()).unwrap()
    };
    assert!(!looks(&table), "nothing is new");
    // A receipt waits for that, and nobody else has anything to say.
    let said = planes[0].gateways.inner.registry.lock().publication(&head(table.head()), clock.instant());
    let (said, at) = (said.unwrap(), clock.instant());
    let what = table.publish(&said, at);
    planes[0].gateways.inner.registry.lock().published(&said, what).unwrap();
    assert!(looks(&table), "it is behind a later turn");
    assert!(!looks(&table));
    clock.advance(ALIVE + Duration::from_millis(1));
    assert!(looks(&table), "nobody is there any more");
    assert!(!looks(&table));
}

#[test]
fn a_poll_goes_on_under_no_other_process_though_it_has_the_same_id() {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 2);
    let second = poll_of(&planes[0], 4);
    // The first one under this name came to the other replica, which was faster.
    let first = poll_of(&planes[1], 3);
    planes[1].tells(&mut table, clock.instant());
    planes[0].tells(&mut table, clock.instant());
    planes[0].hears(&table, &clock);
    first.finish();
    // Then it comes here, before the second one is told to take another id.
    let moved = poll_of(&planes[0], 3);
    assert_eq!((moved.is_known_now(), second.is_known_now()), (Some(true), Some(false)));
    second.acknowledges(Some(1), &head(planes[0].head));
    assert_eq!(planes[0].gateways.list()[0].acknowledged, None);
}

#[test]
fn only_who_is_new_is_written_for_good() {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 2);
    for (at, is_new) in [(0, true), (1, false), (0, false)] {
        let plane = &mut planes[at];
        plane.hears(&table, &clock);
        let poll = poll(plane);
        plane.says(clock.instant());
        let lines: Vec<_> =
            plane.said.iter().flat_map(|said| &said.gateways).map(|line| (line.takes, line.is_new)).collect();
        assert_eq!(lines, [(true, is_new)]);
        plane.writes(&mut table, clock.instant());
        plane.is_told();
        assert_eq!(poll.is_known_now(), Some(true));
        poll.finish();
    }
}

#[test]
fn a_gateway_whose_polls_go_to_two_replicas_in_turn_is_ended_by_neither() {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 2);
    for turn in 0..6_u32 {
        let (at, other) = if turn % 2 == 0 { (0, 1) } else { (1, 0) };
        // Neither has looked since: that is once a second.
        let plane = &mut planes[at];
        plane.head = table.head();
        let poll = poll(plane);
        plane.tells(&mut table, clock.instant());
        poll.acknowledges(Some(plane.head.revision), &head(plane.head));
        plane.tells(&mut table, clock.instant());
        {
            let over = std::pin::pin!(poll.is_over());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(over.poll(&mut context).is_pending(), "turn {turn}");
        }
        let (row, _) = table.gateways.values().next().unwrap();
        assert_eq!(row.acknowledged, Some(plane.head.revision), "turn {turn}");
        poll.finish();
        // What the other one says late of the last poll there takes nothing.
        if turn > 3 {
            planes[other].tells(&mut table, clock.instant());
        }
        let keeper = table.gateways.values().next().and_then(|(row, _)| row.keeper.clone());
        assert_eq!(keeper, planes[at].gateways.replica(), "turn {turn}");
        clock.advance(Duration::from_millis(200));
        table.log.push(turn + 10);
    }
}

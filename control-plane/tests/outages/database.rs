//! The database is stopped, killed, frozen, out of reach, read-only, full, or has no connection left.

use std::time::Instant;

use flamegate_engines::{Database, Passage, Postgres, Stop};
use reqwest::Method;

use super::blocking;
use super::common::eventually;
use super::common::fleet::Fleet;
use super::common::follower::{Follower, Seen};

const GATEWAYS: usize = 3;

/// Two control planes and their gateways, before, during and after it.
struct Outage {
    fleet: Fleet,
    database: Database,
    gateways: Vec<Follower>,
    /// A key that everybody knows.
    known: String,
    before: Vec<Seen>,
    begin: Instant,
}

impl Outage {
    async fn prepare() -> Self {
        Self::on(blocking(|| Database::start(2, None))).await
    }

    async fn on(database: Database) -> Self {
        let fleet = Fleet::on(&database, 2).await;
        let gateways: Vec<_> = (0..GATEWAYS).map(|number| fleet.follower(&format!("gw-{number}"))).collect();
        let known = fleet.create(0).await;
        fleet.each(&gateways, "knows the key", |gateway| gateway.has(&known)).await;
        // Everybody is known everywhere before it begins.
        fleet.all_enforce(1, GATEWAYS).await;
        let before = gateways.iter().map(Follower::seen).collect();
        Self { fleet, database, gateways, known, before, begin: Instant::now() }
    }

    /// Changes are refused at both, and say that they may be tried again; the log says why.
    async fn refuses_changes(&self, cause: &str) {
        let fleet = &self.fleet;
        let (create, revoke) = (|at| fleet.try_create(at), |at| fleet.try_revoke(at, &self.known, "0s"));
        let (a, b, c, d) = tokio::join!(create(0), create(1), revoke(0), revoke(1));
        for answer in [a, b, c, d] {
            answer.expect("an answer in bounded time").refused(503, "UNAVAILABLE");
        }
        for program in &fleet.programs {
            // The log is read by a thread of its own.
            eventually(cause, || program.log().contains(cause)).await;
        }
        self.gateways_go_on();
    }

    /// Nothing can be read either, but the program itself is well.
    async fn refuses_reads(&self) {
        for number in 0..2 {
            let path = format!("/v1/api-keys/{}", self.known);
            let get = |path| self.fleet.call(number, Method::GET, path, None);
            let (read, healthy, ready) = tokio::join!(get(&path), get("/healthz"), get("/readyz"));
            read.expect("an answer in bounded time").refused(503, "UNAVAILABLE");
            assert_eq!(healthy.unwrap().status, 200, "a restart would mend nothing");
            assert_eq!(ready.unwrap().status, 503);
        }
        self.gateways_go_on();
    }

    /// Every gateway has its table, and asks no more often than its pauses between tries allow.
    fn gateways_go_on(&self) {
        for (gateway, before) in self.gateways.iter().zip(&self.before) {
            let now = gateway.seen();
            assert!(gateway.has(&self.known), "{} has lost its table", gateway.name);
            assert_eq!(now.resets, before.resets, "{} was sent its table again", gateway.name);
            let most = 10 + self.begin.elapsed().as_millis() / 25;
            assert!(
                u128::from(now.polls - before.polls) <= most,
                "a storm: {} polls",
                now.polls - before.polls
            );
        }
    }

    /// Nobody does anything, and everything works: changes reach every gateway, receipts are complete, and no gateway was sent its table again.
    async fn is_over(&mut self) {
        for number in 0..2 {
            let new = self.fleet.recovers(number).await;
            self.fleet.each(&self.gateways, "knows the new key", |gateway| gateway.has(&new)).await;
            self.fleet.all_enforce(number, GATEWAYS).await;
        }
        for (gateway, before) in self.gateways.iter().zip(&self.before) {
            let now = gateway.seen();
            assert_eq!((now.resets, &now.epochs), (before.resets, &before.epochs), "{}", gateway.name);
            assert!(now.risen.is_empty(), "keys came back: {:?}", now.risen);
        }
        for program in &mut self.fleet.programs {
            assert!(!program.has_ended(), "a control plane ended: {}", program.log());
        }
    }

    /// What was refused while nobody could write was not done.
    async fn nothing_was_done(&self) {
        let known = self.fleet.get(0, &format!("/v1/api-keys/{}", self.known)).await.expect(200);
        assert_eq!(known["status"], "active");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_postgres_is_waited_for() {
    let mut outage = Outage::prepare().await;
    blocking(|| outage.database.primary.stop(Stop::Fast));
    outage.refuses_changes("the database cannot be reached").await;
    outage.refuses_reads().await;
    blocking(|| outage.database.primary.start_again());
    outage.is_over().await;
    outage.nothing_was_done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres_has_lost_nothing() {
    let mut outage = Outage::prepare().await;
    blocking(|| outage.database.primary.kill());
    outage.refuses_changes("the database does not answer").await;
    blocking(|| outage.database.primary.start_again());
    outage.is_over().await;
    outage.nothing_was_done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_hangs_holds_nobody_for_long() {
    let mut outage = Outage::prepare().await;
    outage.database.primary.freeze();
    tokio::join!(outage.refuses_changes("in time"), outage.refuses_reads());
    outage.database.primary.thaw();
    // What had no answer may still be done.
    outage.is_over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_is_cut_is_tried_again() {
    let mut outage = Outage::prepare().await;
    let all = |passage| outage.database.links.iter().for_each(|link| link.set(passage));
    all(Passage::Cut);
    outage.refuses_changes("the database cannot be reached").await;
    all(Passage::Open);
    outage.is_over().await;
    outage.nothing_was_done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_postgres_refuses_changes_only() {
    let mut outage = Outage::prepare().await;
    blocking(|| outage.database.primary.read_only(true));
    outage.refuses_changes("the database takes no changes").await;
    for number in 0..2 {
        outage.fleet.get(number, &format!("/v1/api-keys/{}", outage.known)).await.expect(200);
    }
    blocking(|| outage.database.primary.read_only(false));
    outage.is_over().await;
    outage.nothing_was_done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_postgres_refuses_changes_only() {
    let database = blocking(|| Database::on(Postgres::on_small_disk(), 2, None));
    let mut outage = Outage::on(database).await;
    outage.database.primary.fill_disk();
    // What fits into pages that are there is still taken.
    loop {
        let answer = outage.fleet.try_create(0).await.unwrap();
        if answer.status != 201 {
            answer.refused(503, "UNAVAILABLE");
            break;
        }
    }
    let program = &outage.fleet.programs[0];
    eventually("the cause in the log", || program.log().contains("No space left on device")).await;
    outage.fleet.get(1, &format!("/v1/api-keys/{}", outage.known)).await.expect(200);
    outage.gateways_go_on();
    outage.database.primary.free_disk();
    outage.is_over().await;
    outage.nothing_was_done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_connection_to_spare_those_that_are_there_go_on() {
    let database = blocking(|| Database::on(Postgres::start_with(&[("max_connections", "40")]), 2, None));
    let mut outage = Outage::on(database).await;
    let primary = &outage.database.primary;
    let held = blocking(|| primary.exhaust_connections(&outage.database.name));
    // A restart of the way makes both need new ones.
    outage.database.links.iter().for_each(|link| link.set(Passage::Cut));
    let more = blocking(|| primary.exhaust_connections(&outage.database.name));
    outage.database.links.iter().for_each(|link| link.set(Passage::Open));
    outage.refuses_changes("the database has no room for this").await;
    drop((held, more));
    outage.is_over().await;
    outage.nothing_was_done().await;
}

//! The sync on the fake host, with workers that follow: what the control plane sends is what they enforce, and what the
//! gateway acknowledges is true.

use std::rc::Rc;

use super::*;
use crate::config::{Config, SyncMode};
use crate::contract::samples::{self, hash, record};
use crate::contract::usage::{UsageOutcome, UsagePost};
use crate::host::fake::FakeHost;
use crate::worker::{Worker, roster};

const TICK_NS: u64 = 20_000_000;

fn config() -> SyncConfig {
    SyncConfig {
        mode: SyncMode::Elected,
        cluster: "control".to_owned(),
        authority: "control".to_owned(),
        gateway: String::new(),
        token: "secret-token".to_owned(),
        wait_seconds: 25,
        page_size: 100,
        first_page_size: 5_000,
        retry_ms: (200, 5_000),
    }
}

fn worker() -> Worker {
    let json = br#"{"sync":{"mode":"singleton"}}"#;
    Worker::new(Rc::new(Config::parse(json, |_| None).unwrap()))
}

fn page(revision: u64, reset: bool, upserts: &[u8], removals: &[u8]) -> Vec<u8> {
    tagged_page(None, revision, reset, upserts, removals)
}

fn tagged_page(tag: Option<&str>, revision: u64, reset: bool, upserts: &[u8], removals: &[u8]) -> Vec<u8> {
    let upserts = upserts.iter().map(|seed| (hash(*seed), record(seed)));
    let page = samples::page(revision, upserts, removals.iter().copied().map(hash));
    let page = Page { tag: tag.map(str::to_owned), reset, ..page };
    serde_json::to_vec(&page).unwrap()
}

/// Ticks the driver until it has sent a call that it had not sent before; gives the call's number and path.
fn next_call(driver: &mut Driver, host: &FakeHost, sent: usize) -> (u32, String) {
    for _ in 0..500 {
        driver.tick(host);
        let calls = host.sent();
        if calls.len() > sent {
            return (u32::try_from(calls.len()).unwrap(), calls[calls.len() - 1].clone());
        }
        host.advance_ns(TICK_NS);
    }
    panic!("no call within ten seconds");
}

fn knows(worker: &mut Worker, host: &FakeHost, seed: u8) -> bool {
    worker.find(host, &hash(seed)).is_ok_and(|key| key.is_some())
}

#[test]
fn workers_enforce_what_the_control_plane_sent_and_the_acknowledgement_waits_for_them() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "node~1/a", 0);
    let (mut first, mut second) = (worker(), worker());
    let (call, path) = next_call(&mut driver, &host, 0);
    assert!(
        path.starts_with("/sync/v1/changes?after=0&gateway=node1a-") || path.contains("gateway=node"),
        "{path}"
    );
    assert!(!path.contains("epoch"), "{path}");
    assert!(first.find(&host, &hash(1)).is_err(), "not synced is not unknown");
    driver.answer(&host, call, Ok(&page(5, true, &[1, 2], &[])));
    for worker in [&mut first, &mut second] {
        for _ in 0..2 {
            worker.tick(&host);
        }
        assert!(knows(worker, &host, 1) && knows(worker, &host, 2) && !knows(worker, &host, 3));
    }
    let (call, path) = next_call(&mut driver, &host, 1);
    assert!(path.contains("after=5&") && path.contains("epoch=e_1"), "{path}");

    driver.answer(&host, call, Ok(&page(6, false, &[3], &[1])));
    host.advance_ns(TICK_NS);
    first.tick(&host);
    driver.tick(&host);
    assert_eq!(host.sent().len(), 2, "the second worker still has the old table");
    assert!(!knows(&mut first, &host, 1) && knows(&mut first, &host, 3));
    second.tick(&host);
    driver.tick(&host);
    assert_eq!(host.sent().len(), 3);
    assert!(host.sent()[2].contains("after=6&"));
}

#[test]
fn a_worker_that_died_delays_the_acknowledgement_but_does_not_block_it() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "n", 0);
    let mut dying = worker();
    dying.tick(&host);
    dying.tick(&host);
    let (call, _) = next_call(&mut driver, &host, 0);
    driver.answer(&host, call, Ok(&page(5, true, &[1], &[])));
    let before = host.now().monotonic;
    let (_, path) = next_call(&mut driver, &host, 1);
    assert!(path.contains("after=5&"), "{path}");
    let waited = host.now().monotonic - before;
    assert!((roster::DEAD_AFTER_NS / 2..roster::DEAD_AFTER_NS + 2 * TICK_NS).contains(&waited), "{waited}");
}

#[test]
fn garbage_errors_and_silence_keep_the_last_good_table() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "n", 0);
    let mut reader = worker();
    let (call, _) = next_call(&mut driver, &host, 0);
    driver.answer(&host, call, Ok(&page(5, true, &[1], &[])));
    let twice = page(6, false, &[1, 1], &[]);
    let garbage: [&[u8]; 7] = [
        &twice,
        b"",
        b"<html>",
        b"{}",
        br#"{"epoch":"e_1","revision":6,"more":false,"reset":true,"upserts":[{}]}"#,
        b"\xff\xfe",
        b"[[[[[[[[",
    ];
    for (index, bytes) in garbage.iter().enumerate() {
        let (call, path) = next_call(&mut driver, &host, index + 1);
        assert!(path.contains("after=5&"), "{path}");
        driver.answer(&host, call, Ok(bytes));
        reader.tick(&host);
        assert!(knows(&mut reader, &host, 1));
    }
    let (call, _) = next_call(&mut driver, &host, 8);
    driver.answer(&host, call, Err(Failure::status(b"500", true)));
    driver.answer(&host, call, Ok(&page(9, false, &[], &[1])));
    assert!(knows(&mut reader, &host, 1), "an answer counts once");
    assert_eq!(driver.counts.get(Counter::SyncFailures), 8);
    assert_eq!(driver.counts.get(Counter::SyncPages), 1);
}

#[test]
fn another_candidate_goes_on_from_where_the_table_stands() {
    let host = FakeHost::at(1_000);
    let (mut first, mut second) = (Driver::new(config(), "n", 0), Driver::new(config(), "n", 0));
    let (call, path) = next_call(&mut first, &host, 0);
    second.tick(&host);
    assert!(first.is_leading() && !second.is_leading());
    first.answer(&host, call, Ok(&page(5, true, &[1], &[])));
    let name = |path: &str| {
        path.split("gateway=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().to_owned()
    };
    // The first one's VM is gone; the second waits for the end of the lease.
    drop(first);
    let (_, next) = next_call(&mut second, &host, 1);
    assert!(next.contains("after=5&"), "{next}");
    assert_eq!(name(&next), name(&path), "one process is one gateway");
}

#[test]
fn a_retired_candidate_hands_over_at_once_and_ignores_late_answers() {
    let host = FakeHost::at(1_000);
    let (mut first, mut second) = (Driver::new(config(), "n", 0), Driver::new(config(), "n", 0));
    let (call, _) = next_call(&mut first, &host, 0);
    first.retire(&host);
    second.tick(&host);
    assert!(second.is_leading());
    first.answer(&host, call, Ok(&page(5, true, &[1], &[])));
    assert!(Status::read(&host).unwrap().is_none());
}

#[test]
fn a_missing_cluster_is_tried_again() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "n", 0);
    host.refuse_sending(true);
    for _ in 0..100 {
        driver.tick(&host);
        host.advance_ns(TICK_NS);
    }
    let failures = driver.counts.get(Counter::SyncFailures);
    assert!((2..10).contains(&failures), "{failures} tries in two seconds");
    host.refuse_sending(false);
    next_call(&mut driver, &host, 0);
}

#[test]
fn a_poll_says_how_many_workers_have_the_table_and_is_short_while_none_has() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "n", 0);
    let (call, path) = next_call(&mut driver, &host, 0);
    assert!(path.contains("wait=2s&") && path.contains("&workers=0"), "{path}");
    driver.answer(&host, call, Ok(&page(5, true, &[1], &[])));
    let (call, path) = next_call(&mut driver, &host, 1);
    assert!(path.contains("wait=2s&") && path.contains("&workers=0"), "a filter of another vm_id: {path}");
    let mut readers = [worker(), worker()];
    readers.iter_mut().for_each(|reader| reader.tick(&host));
    driver.answer(&host, call, Ok(&page(6, false, &[2], &[])));
    readers.iter_mut().for_each(|reader| reader.tick(&host));
    let (_, path) = next_call(&mut driver, &host, 2);
    assert!(path.contains("wait=25s&") && path.contains("&workers=2"), "{path}");
}

#[test]
fn a_wrong_token_is_counted_by_itself_too() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "n", 0);
    for (index, status) in [b"401", b"403", b"500", b"401"].into_iter().enumerate() {
        let (call, _) = next_call(&mut driver, &host, index);
        driver.answer(&host, call, Err(Failure::status(status, true)));
    }
    assert_eq!(driver.counts.get(Counter::SyncFailures), 4);
    assert_eq!(driver.counts.get(Counter::SyncUnauthorized), 2);
}

#[test]
fn another_databases_table_is_counted() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "n", 0);
    let mut reader = worker();
    for (index, epoch) in ["e_1", "e_1", "e_2"].into_iter().enumerate() {
        reader.tick(&host);
        let (call, _) = next_call(&mut driver, &host, index);
        let page = samples::page(5 + index as u64, [(hash(1), record(1))], []);
        let page = Page { epoch: epoch.to_owned(), reset: true, ..page };
        driver.answer(&host, call, Ok(&serde_json::to_vec(&page).unwrap()));
    }
    assert_eq!(driver.counts.get(Counter::TableEpochChanges), 1);
}

#[test]
fn shared_data_that_is_lost_is_fetched_again_at_once() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "n", 0);
    let mut reader = worker();
    let (call, _) = next_call(&mut driver, &host, 0);
    driver.answer(&host, call, Ok(&page(5, true, &[1], &[])));
    reader.tick(&host);
    let (held, _) = next_call(&mut driver, &host, 1);
    host.wipe();
    reader.tick(&host);
    assert!(reader.find(&host, &hash(1)).is_err());
    let (call, path) = next_call(&mut driver, &host, 2);
    assert!(path.contains("after=0&") && !path.contains("epoch"), "{path}");
    driver.answer(&host, held, Ok(&page(6, false, &[2], &[])));
    driver.answer(&host, call, Ok(&page(6, true, &[1, 2], &[])));
    reader.tick(&host);
    assert!(knows(&mut reader, &host, 1) && knows(&mut reader, &host, 2));
}

#[test]
fn a_damaged_bucket_brings_a_whole_new_table() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "n", 0);
    let mut reader = worker();
    let (call, _) = next_call(&mut driver, &host, 0);
    driver.answer(&host, call, Ok(&page(5, true, &[1], &[])));
    reader.tick(&host);
    next_call(&mut driver, &host, 1);
    host.write("flamegate/keys/0/0", b"\x09damage", crate::host::Expect::Any).unwrap();
    assert!(reader.find(&host, &hash(1)).is_err());
    let (call, path) = next_call(&mut driver, &host, 2);
    assert!(path.contains("after=0&"), "{path}");
    driver.answer(&host, call, Ok(&page(5, true, &[1], &[])));
    reader.tick(&host);
    assert!(knows(&mut reader, &host, 1));
}

#[test]
fn a_new_leader_waits_for_the_workers_before_it_acknowledges() {
    let host = FakeHost::at(1_000);
    let mut first = Driver::new(config(), "n", 0);
    let mut reader = worker();
    let (call, _) = next_call(&mut first, &host, 0);
    first.answer(&host, call, Ok(&page(5, true, &[1], &[])));
    reader.tick(&host);
    assert!(knows(&mut reader, &host, 1));
    let (call, _) = next_call(&mut first, &host, 1);
    first.answer(&host, call, Ok(&page(6, false, &[], &[1])));
    first.retire(&host);
    let mut second = Driver::new(config(), "n", 1);
    second.tick(&host);
    assert!(second.is_leading());
    assert!(knows(&mut reader, &host, 1));
    assert_eq!(host.sent().len(), 2, "nothing is acknowledged while a worker accepts the key");
    reader.tick(&host);
    let (_, path) = next_call(&mut second, &host, 2);
    assert!(path.contains("after=6&"), "{path}");
}

#[test]
fn an_elected_candidate_that_always_fails_makes_room() {
    let host = FakeHost::at(1_000);
    let (mut broken, mut working) = (Driver::new(config(), "n", 0), Driver::new(config(), "n", 0));
    broken.tick(&host);
    for _ in 0..3_000 {
        broken.tick(&host);
        let call = u32::try_from(host.sent().len()).unwrap();
        broken.answer(&host, call, Err(Failure::status(b"401", true)));
        working.tick(&host);
        if working.is_leading() {
            return;
        }
        host.advance_ns(TICK_NS);
    }
    panic!("the broken candidate kept the lease for a minute");
}

#[test]
fn the_token_is_not_in_any_text_about_the_driver() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "n", 0);
    let (_, path) = next_call(&mut driver, &host, 0);
    assert!(!path.contains("secret-token"));
    let text = format!("{driver:?}");
    assert!(!text.contains("secret-token"));
    let session = host.sessions()[0].to_hex();
    assert!(!text.contains(&session) && !path.contains(&session));
}

#[test]
fn every_poll_carries_the_session_of_the_process_whoever_leads() {
    let host = FakeHost::at(1_000);
    let (mut first, mut second) = (Driver::new(config(), "n", 0), Driver::new(config(), "n", 0));
    assert_eq!(host.keys(), [""; 0], "nothing is made before the first tick");
    let (call, _) = next_call(&mut first, &host, 0);
    first.answer(&host, call, Ok(&page(5, true, &[1], &[])));
    next_call(&mut first, &host, 1);
    // Its VM is gone, or its configuration is replaced.
    drop(first);
    next_call(&mut second, &host, 2);
    let sessions = host.sessions();
    assert!(sessions.len() == 3 && sessions.iter().all(|session| *session == sessions[0]));
    host.wipe();
    next_call(&mut second, &host, 3);
    assert!(
        host.sessions()[3] != sessions[0],
        "shared data is gone, so it is another process for all we know"
    );
}

#[test]
fn a_process_whose_session_cannot_be_kept_does_not_poll() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "n", 0);
    driver.tick(&host);
    host.wipe();
    host.fail_writes(Some(10));
    for _ in 0..10 {
        host.advance_ns(TICK_NS);
        driver.tick(&host);
    }
    assert_eq!(host.sent().len(), 1);
    host.fail_writes(None);
    next_call(&mut driver, &host, 1);
}

#[test]
fn the_tag_outlives_a_leader_and_speaks_for_its_position_only() {
    let host = FakeHost::at(1_000);
    let mut first = Driver::new(config(), "n", 0);
    let (call, path) = next_call(&mut first, &host, 0);
    assert!(!path.contains("tag="), "{path}");
    first.answer(&host, call, Ok(&tagged_page(Some("t_5"), 5, true, &[1], &[])));
    let (call, path) = next_call(&mut first, &host, 1);
    assert!(path.contains("after=5&") && path.contains("tag=t_5"), "{path}");
    first.answer(&host, call, Ok(&tagged_page(Some("t_6"), 6, false, &[2], &[])));
    first.retire(&host);
    let mut second = Driver::new(config(), "n", 1);
    let (call, path) = next_call(&mut second, &host, 2);
    assert!(path.contains("after=6&") && path.contains("tag=t_6"), "{path}");
    // The next leader dies between `status` and the tag, as if it had not come to write that.
    second.answer(&host, call, Ok(&tagged_page(Some("t_7"), 7, false, &[3], &[])));
    second.retire(&host);
    crate::table::tag::write(&host, "e_1", 6, "t_6").unwrap();
    let (_, path) = next_call(&mut Driver::new(config(), "n", 2), &host, 3);
    assert!(path.contains("after=7&") && !path.contains("tag="), "{path}");
}

#[test]
fn a_gateway_that_is_ahead_takes_the_table_that_it_gets() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "n", 0);
    let mut reader = worker();
    let (call, _) = next_call(&mut driver, &host, 0);
    driver.answer(&host, call, Ok(&tagged_page(Some("t_9"), 9, true, &[1, 2], &[])));
    reader.tick(&host);
    let (call, _) = next_call(&mut driver, &host, 1);
    driver.answer(&host, call, Ok(&tagged_page(Some("t_4"), 4, true, &[1], &[])));
    reader.tick(&host);
    assert!(knows(&mut reader, &host, 1) && !knows(&mut reader, &host, 2));
    let (_, path) = next_call(&mut driver, &host, 2);
    assert!(path.contains("after=4&") && path.contains("tag=t_4"), "{path}");
}

/// A balancer answers 504 when a poll is ten seconds old, and nothing changes: the table is confirmed all the same.
#[test]
fn a_balancer_that_cuts_polls_does_not_make_the_table_stale() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "n", 0);
    let json = br#"{"sync":{"mode":"singleton"},"max_staleness_seconds":60}"#;
    let mut worker = Worker::new(Rc::new(Config::parse(json, |_| None).unwrap()));
    let (call, _) = next_call(&mut driver, &host, 0);
    driver.answer(&host, call, Ok(&page(5, true, &[1], &[])));
    worker.tick(&host);
    let mut out: Option<(usize, u64, u64)> = None;
    let mut cut = 0;
    for _ in 0..300 * SECOND / TICK_NS {
        host.advance_ns(TICK_NS);
        driver.tick(&host);
        worker.tick(&host);
        assert!(knows(&mut worker, &host, 1), "refused at {}", host.now().monotonic / SECOND);
        let sent = host.sent();
        if sent.len() > call as usize && out.is_none_or(|(known, ..)| known != sent.len()) {
            let path = sent.last().unwrap();
            let wait =
                path.split_once("&wait=").unwrap().1.split_once('s').unwrap().0.parse::<u64>().unwrap();
            assert!(!path.contains("stale"), "{path}");
            out = Some((sent.len(), host.now().monotonic, wait));
        }
        let Some((number, since, wait)) = out else { continue };
        let (number, lived) = (u32::try_from(number).unwrap(), host.now().monotonic - since);
        if driver.call != Some(number) {
            continue;
        }
        if lived >= wait * SECOND {
            driver.answer(&host, number, Ok(&page(5, false, &[], &[])));
        } else if lived >= 10 * SECOND {
            cut += 1;
            driver.answer(&host, number, Err(Failure::status(b"504", false)));
        }
    }
    assert_eq!(cut, 1, "it does not run into the same wall again and again");
}

#[test]
fn a_gateway_that_refuses_because_its_table_is_too_old_says_so() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "n", 0);
    let json = br#"{"sync":{"mode":"singleton"},"max_staleness_seconds":60}"#;
    let mut worker = Worker::new(Rc::new(Config::parse(json, |_| None).unwrap()));
    let (call, _) = next_call(&mut driver, &host, 0);
    driver.answer(&host, call, Ok(&page(5, true, &[1], &[])));
    worker.tick(&host);
    let (call, path) = next_call(&mut driver, &host, 1);
    assert!(path.contains("&wait=25s") && !path.contains("stale"), "{path}");
    host.advance_ns(61 * SECOND);
    worker.tick(&host);
    assert!(!knows(&mut worker, &host, 1));
    driver.answer(&host, call, Err(Failure::status(b"504", false)));
    let (call, path) = next_call(&mut driver, &host, 2);
    // It asks for an answer at once: an older control plane holds a poll as long as it is told.
    assert!(path.contains("after=5&") && path.contains("&wait=0s") && path.contains("&stale=true"), "{path}");
    host.advance_ns(6 * SECOND);
    worker.tick(&host);
    driver.answer(&host, call, Ok(&page(5, false, &[], &[])));
    let (_, path) = next_call(&mut driver, &host, 3);
    assert!(!path.contains("stale") && !path.contains("&wait=0s"), "{path}");
    assert!(
        knows(&mut worker, &host, 1) || {
            worker.tick(&host);
            knows(&mut worker, &host, 1)
        }
    );
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn usage_is_posted_beside_the_polls_under_the_processs_session_and_by_nobody_who_lost_the_lease() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "node", 0);
    let mut worker = worker();
    let (call, _) = next_call(&mut driver, &host, 0);
    driver.answer(&host, call, Ok(&page(5, true, &[1], &[])));
    worker.tick(&host);
    let key = worker.find(&host, &hash(1)).unwrap().unwrap();
    worker.usage.count(&key, UsageOutcome::Admitted);
    let post = |driver: &mut Driver, worker: &mut Worker, sent: usize| {
        for _ in 0..2_000 {
            driver.tick(&host);
            worker.tick(&host);
            if host.posted().len() > sent {
                return host.posted().pop().unwrap();
            }
            host.advance_ns(TICK_NS);
        }
        panic!("no post within forty seconds");
    };
    let (call, body) = post(&mut driver, &mut worker, 0);
    let parsed = UsagePost::parse(&body).unwrap();
    assert!(parsed.gateway.starts_with("node-") && parsed.sequence == 1);
    assert_eq!((parsed.counts[0].key_id.as_str(), parsed.counts[0].requests), ("key_1", 1));
    let number = usize::try_from(call).unwrap() - 1;
    assert_eq!(host.sent()[number], "/sync/v1/usage");
    assert!(host.sessions()[number] == host.sessions()[0]);
    // Another candidate leads by the time that the answer comes: it says the same again, and the first one writes nothing.
    let mut next = Driver::new(config(), "node", 1);
    host.advance_ns(4_000_000_000);
    next.tick(&host);
    assert!(next.is_leading());
    driver.answer(&host, call, Ok(br#"{"sequence":1}"#));
    assert!(!driver.is_leading());
    let (call, again) = post(&mut next, &mut worker, 1);
    assert!(again == body);
    next.answer(&host, call, Ok(br#"{"sequence":1}"#));
    worker.usage.count(&key, UsageOutcome::RateLimited);
    let (_, third) = post(&mut next, &mut worker, 2);
    let third = UsagePost::parse(&third).unwrap();
    assert_eq!((third.sequence, third.counts[0].outcome), (2, UsageOutcome::RateLimited));
}

#[test]
fn what_is_understood_is_said_for_all_workers_of_the_process() {
    let host = FakeHost::at(1_000);
    let mut driver = Driver::new(config(), "n", 0);
    let (call, path) = next_call(&mut driver, &host, 0);
    assert!(path.contains("&accepts=2"), "{path}");
    // A filter of the version before is added to the same process.
    let mut old = roster::Presence::new(7);
    let announce = |old: &mut roster::Presence| {
        let status = Status::read(&host).unwrap();
        let position = status.map_or((0, 0), |status| (status.incarnation, status.sequence));
        old.announce(&host, position, host.now().monotonic);
    };
    announce(&mut old);
    driver.answer(&host, call, Ok(&tagged_page(Some("t_a.2"), 5, true, &[1], &[])));
    announce(&mut old);
    let (call, path) = next_call(&mut driver, &host, 1);
    assert!(
        !path.contains("accepts") && path.contains("tag=t_a.2"),
        "what it has was made for others: {path}"
    );
    driver.answer(&host, call, Ok(&tagged_page(Some("t_a"), 5, true, &[1], &[])));
    old.leave(&host);
    let (_, path) = next_call(&mut driver, &host, 2);
    assert!(path.contains("&accepts=2") && path.contains("tag=t_a&"), "{path}");
}

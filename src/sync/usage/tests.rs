//! Posts are repeated until they are acknowledged, by whoever leads, and each has its number.

use super::*;
use crate::contract::samples::{hash, record};
use crate::contract::usage::UsageOutcome;
use crate::decision::known_key::KnownKey;
use crate::host::Clock as _;
use crate::host::fake::FakeHost;
use crate::worker::usage::Usage;
use std::rc::Rc;

struct Leader {
    poster: Poster,
    sent: Vec<Vec<u8>>,
    counts: Counts,
}

impl Leader {
    fn new(host: &FakeHost) -> Self {
        let poster = Poster::new(host, "gw-1".to_owned(), host.now().monotonic);
        Self { poster, sent: Vec::new(), counts: Counts::default() }
    }

    /// So many seconds, with a tick each; what was sent.
    fn wait(&mut self, host: &FakeHost, seconds: u64) -> Vec<Vec<u8>> {
        let before = self.sent.len();
        for _ in 0..seconds {
            host.advance_ns(1_000_000_000);
            let sent = &mut self.sent;
            self.poster.tick(host, host.now().monotonic, &mut self.counts, |body| {
                sent.push(body.to_vec());
                Ok(u32::try_from(sent.len()).unwrap())
            });
        }
        self.sent[before..].to_vec()
    }

    fn answer(&mut self, host: &FakeHost, answer: Result<&str, Kind>) {
        assert!(self.poster.waits_for(u32::try_from(self.sent.len()).unwrap()));
        let answer = answer.map(str::as_bytes).map_err(|kind| Failure::new(kind, "test"));
        self.poster.answered(host, answer, host.now().monotonic, &mut self.counts);
    }
}

fn use_keys(host: &FakeHost, keys: std::ops::Range<u32>, outcome: UsageOutcome) {
    let mut usage = Usage::new(true, false);
    for n in keys {
        usage.count(&Rc::new(KnownKey::new(hash(1), record(n))), outcome);
    }
    usage.hand_over(host, 3, host.now(), true);
}

fn parsed(body: &[u8]) -> UsagePost {
    UsagePost::parse(body).unwrap()
}

#[test]
fn a_post_is_repeated_byte_for_byte_until_it_is_acknowledged_by_a_new_leader_too() {
    let host = FakeHost::at(1_000);
    let mut leader = Leader::new(&host);
    assert!(leader.wait(&host, 20).is_empty(), "nothing was used");
    use_keys(&host, 1..3, UsageOutcome::Admitted);
    let [first] = leader.wait(&host, 10).try_into().unwrap();
    assert_eq!((parsed(&first).sequence, parsed(&first).counts.len()), (1, 2));
    use_keys(&host, 1..2, UsageOutcome::RateLimited);
    leader.answer(&host, Err(Kind::Lost));
    let [second] = leader.wait(&host, 11).try_into().unwrap();
    assert!(second == first);
    // No answer ever comes, and then the leader is gone.
    assert!(leader.wait(&host, 65).iter().all(|post| *post == first));
    let mut next = Leader::new(&host);
    let [third] = next.wait(&host, 10).try_into().unwrap();
    assert!(third == first);
    next.answer(&host, Ok(r#"{"sequence":1}"#));
    let [fourth] = next.wait(&host, 10).try_into().unwrap();
    let fourth = parsed(&fourth);
    assert_eq!((fourth.sequence, fourth.counts.len()), (2, 1));
    assert_eq!(fourth.counts[0].outcome, UsageOutcome::RateLimited);
    next.answer(&host, Ok(r#"{"sequence":1}"#));
    let [fifth] = next.wait(&host, 11).try_into().unwrap();
    assert_eq!(parsed(&fifth), fourth, "an acknowledgement of what was before is none");
    next.answer(&host, Ok(r#"{"sequence":2}"#));
    assert!(next.wait(&host, 30).is_empty());
}

#[test]
fn more_than_one_post_follow_each_other_at_once() {
    let host = FakeHost::at(1_000);
    let mut leader = Leader::new(&host);
    use_keys(&host, 0..2_500, UsageOutcome::Admitted);
    let mut posts = Vec::new();
    leader.wait(&host, 10);
    for sequence in 1..=3 {
        let post = parsed(leader.sent.last().unwrap());
        assert_eq!(post.sequence, sequence);
        assert!(leader.sent.last().unwrap().len() < 256 * 1024);
        posts.extend(post.counts);
        leader.answer(&host, Ok(&format!("{{\"sequence\":{sequence}}}")));
        leader.wait(&host, 1);
    }
    let ids: std::collections::BTreeSet<_> = posts.iter().map(|count| &count.key_id).collect();
    assert_eq!((posts.len(), ids.len(), leader.sent.len()), (2_500, 2_500, 3));
}

#[test]
fn a_control_plane_that_does_not_know_the_path_is_asked_seldom_and_one_that_rejects_a_post_never_again() {
    let host = FakeHost::at(1_000);
    let mut leader = Leader::new(&host);
    use_keys(&host, 1..2, UsageOutcome::Admitted);
    let [first] = leader.wait(&host, 10).try_into().unwrap();
    leader.answer(&host, Err(Kind::NoSuchPath));
    assert!(leader.wait(&host, 599).is_empty());
    let [again] = leader.wait(&host, 2).try_into().unwrap();
    assert!(again == first, "it may be a newer one now");
    leader.answer(&host, Err(Kind::Rejected));
    assert!(leader.wait(&host, 30).is_empty(), "it would be rejected for ever");
    use_keys(&host, 1..2, UsageOutcome::Admitted);
    let [next] = leader.wait(&host, 10).try_into().unwrap();
    assert_eq!(parsed(&next).sequence, 2);
}

#[test]
fn what_shared_data_does_not_take_waits_in_the_leader() {
    let host = FakeHost::at(1_000);
    let mut leader = Leader::new(&host);
    use_keys(&host, 1..2, UsageOutcome::Admitted);
    host.fail_writes(Some(1));
    assert!(leader.wait(&host, 20).is_empty());
    host.fail_writes(None);
    let [post] = leader.wait(&host, 10).try_into().unwrap();
    assert_eq!(parsed(&post).counts.len(), 1);
    leader.answer(&host, Ok(r#"{"sequence":1}"#));
    host.wipe();
    use_keys(&host, 1..2, UsageOutcome::Admitted);
    assert!(leader.wait(&host, 10).is_empty(), "no cells: they are made for the next");
    use_keys(&host, 1..2, UsageOutcome::Admitted);
    assert_eq!(parsed(&leader.wait(&host, 10)[0]).sequence, 1);
}

#[test]
fn what_passed_in_shadow_goes_with_the_counts_and_never_makes_a_post_too_long() {
    let host = FakeHost::at(1_000);
    let mut leader = Leader::new(&host);
    let mut usage = Usage::new(true, true);
    for n in 0..1_500_u32 {
        usage.count(&Rc::new(KnownKey::new(hash(1), record(n))), UsageOutcome::RateLimited);
        usage.shadowed("rate_limited.key");
    }
    usage.hand_over(&host, 3, host.now(), true);
    let (mut counted, mut shadowed, mut requests, mut posts) = (0, 0, 0, leader.wait(&host, 10));
    for number in 1.. {
        let [body] = posts.as_slice() else { break };
        let post = parsed(body);
        assert!(post.counts.len() + post.shadow.keys.len() <= MAX_COUNTS);
        counted += post.counts.len();
        shadowed += post.shadow.keys.len();
        requests += post.shadow.reasons.iter().map(|count| count.requests).sum::<u64>();
        leader.answer(&host, Ok(&format!("{{\"sequence\":{number}}}")));
        posts = leader.wait(&host, 1);
    }
    assert_eq!((counted, shadowed, requests), (1_500, 1_500, 1_500));
}

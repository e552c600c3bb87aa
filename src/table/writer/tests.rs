//! The writer against a model: whatever pages come in whatever order, the table answers like a map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::steps::replace;
use super::*;
use crate::contract::key::KeyHash;
use crate::contract::page::Page;
use crate::contract::record::KeyRecord;
use crate::contract::samples::{self, record};
use crate::host::Clock as _;
use crate::host::fake::FakeHost;
use crate::table::bucket_of;
use crate::table::status::{ChangeRing, STATUS_KEY, Status};
use crate::table::{Found, Unreadable, find};

type Model = BTreeMap<KeyHash, KeyRecord>;

fn hash(seed: u64) -> KeyHash {
    use sha2::Digest as _;
    KeyHash(sha2::Sha256::digest(seed.to_le_bytes()).into())
}

fn page(revision: u64, upserts: &[(KeyHash, KeyRecord)], removals: &[KeyHash]) -> Page {
    samples::page(revision, upserts.iter().cloned(), removals.iter().copied())
}

/// Sends `model` as a reset in pages of `size`.
fn reset(writer: &mut TableWriter, host: &FakeHost, model: &Model, revision: u64, size: usize) -> Status {
    let all: Vec<_> = model.clone().into_iter().collect();
    let mut pages: Vec<&[_]> = all.chunks(size).collect();
    if pages.is_empty() {
        pages.push(&[]);
    }
    let mut cursor = None;
    for (index, part) in pages.iter().enumerate() {
        let more = index + 1 < pages.len();
        let part = Page { reset: true, more, ..page(revision, part, &[]) };
        let done = writer.apply_reset(host, &part, cursor, host.now()).unwrap();
        assert_eq!(done.is_some(), !more);
        cursor = part.upserts.last().map(|upsert| upsert.hash.0);
    }
    Status::read(host).unwrap().unwrap()
}

fn assert_equal(host: &FakeHost, model: &Model, probes: u64) {
    let status = Status::read(host).unwrap().unwrap();
    assert_eq!(status.keys, u64::try_from(model.len()).unwrap());
    for seed in 0..probes {
        assert_eq!(
            find(host, &status, &hash(seed)).unwrap().record().as_ref(),
            model.get(&hash(seed)),
            "seed {seed}"
        );
    }
}

fn model(seeds: std::ops::Range<u64>) -> Model {
    seeds.map(|seed| (hash(seed), record(seed))).collect()
}

#[test]
fn a_reset_replaces_the_whole_table_in_place_or_beside_it() {
    let host = FakeHost::at(1);
    let mut writer = TableWriter::default();
    for (revision, seeds, size) in
        [(1, 0..0, 10), (2, 0..500, 70), (3, 250..750, 100), (4, 0..20, 500), (5, 0..3000, 500)]
    {
        let wanted = model(seeds);
        let before = Status::read(&host).unwrap().map_or(0, |status| status.sequence);
        let status = reset(&mut writer, &host, &wanted, revision, size);
        assert_eq!(status.revision, revision);
        assert!(status.sequence > before);
        while writer.is_busy() {
            writer.housekeeping(&host, true).unwrap();
        }
        assert_equal(&host, &wanted, 3000);
        let buckets = host.keys().iter().filter(|key| key.starts_with("flamegate/keys/")).count();
        assert_eq!(buckets, 1 << status.bits, "nothing of an older table is left");
    }
}

#[test]
fn the_first_page_tells_how_large_the_table_will_be() {
    let host = FakeHost::at(1);
    let status = reset(&mut TableWriter::default(), &host, &model(0..4000), 1, 250);
    assert!((6..=8).contains(&status.bits), "{} bits for 4000 keys", status.bits);
}

#[test]
fn a_difference_changes_what_it_names_and_lists_the_buckets() {
    let host = FakeHost::at(1);
    let mut writer = TableWriter::default();
    let mut wanted = model(0..1000);
    let before = reset(&mut writer, &host, &wanted, 1, 300);
    let change = page(2, &[(hash(5), record(5005)), (hash(2000), record(2000))], &[hash(6), hash(9_999)]);
    let after = writer.apply_difference(&host, &change, host.now()).unwrap();
    wanted.insert(hash(5), record(5005));
    wanted.insert(hash(2000), record(2000));
    wanted.remove(&hash(6));
    assert_equal(&host, &wanted, 2100);
    let ring = ChangeRing::read(&host).unwrap();
    let changed: Vec<u32> = ring.since(before.sequence).unwrap().collect();
    let mut expected: Vec<u32> = [5, 6, 2000, 9_999].map(|seed| bucket_of(&hash(seed), after.bits)).to_vec();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(changed, expected);
}

#[test]
fn a_removal_wins_over_an_upsert_of_the_same_page() {
    let host = FakeHost::at(1);
    let mut writer = TableWriter::default();
    reset(&mut writer, &host, &model(0..3), 1, 300);
    writer.apply_difference(&host, &page(2, &[(hash(1), record(1))], &[hash(1)]), host.now()).unwrap();
    let status = Status::read(&host).unwrap().unwrap();
    assert_eq!(find(&host, &status, &hash(1)).map(Found::record), Ok(None));
}

#[test]
fn a_difference_needs_its_table() {
    let host = FakeHost::at(1);
    let mut writer = TableWriter::default();
    let change = page(2, &[], &[hash(1)]);
    assert_eq!(writer.apply_difference(&host, &change, host.now()), Err(ApplyError::NoTable));
    reset(&mut writer, &host, &model(0..3), 1, 300);
    let other = Page { epoch: "e_2".to_owned(), ..change.clone() };
    assert_eq!(writer.apply_difference(&host, &other, host.now()), Err(ApplyError::NoTable));
    host.wipe();
    assert_eq!(writer.apply_difference(&host, &change, host.now()), Err(ApplyError::NoTable));
}

#[test]
fn a_reset_page_out_of_turn_is_refused() {
    let host = FakeHost::at(1);
    let mut writer = TableWriter::default();
    let all: Vec<_> = model(0..100).into_iter().collect();
    let first = Page { reset: true, more: true, ..page(1, &all[..50], &[]) };
    let second = Page { reset: true, ..page(1, &all[50..], &[]) };
    let cursor = Some(all[49].0);
    assert_eq!(writer.apply_reset(&host, &second, cursor, host.now()), Err(ApplyError::BrokenReset));
    assert_eq!(writer.apply_reset(&host, &first, None, host.now()), Ok(None));
    assert_eq!(writer.apply_reset(&host, &first, cursor, host.now()), Err(ApplyError::BrokenReset));
    assert!(Status::read(&host).unwrap().is_none(), "an unfinished table is not announced");
}

#[test]
fn another_writer_is_noticed() {
    let host = FakeHost::at(1);
    let mut writer = TableWriter::default();
    reset(&mut writer, &host, &model(0..3), 1, 300);
    host.inject_conflicts(1);
    let change = page(2, &[], &[hash(1)]);
    assert_eq!(writer.apply_difference(&host, &change, host.now()), Err(ApplyError::Contended));
    let status = Status::read(&host).unwrap().unwrap();
    assert_eq!((status.revision, status.epoch.as_str()), (1, ""), "a whole table is needed");
    assert_eq!(writer.apply_difference(&host, &change, host.now()), Err(ApplyError::NoTable));
}

#[test]
fn a_writer_that_was_overtaken_cannot_put_an_old_status_back() {
    let host = FakeHost::at(1);
    reset(&mut TableWriter::default(), &host, &model(0..3), 1, 300);
    let (old, expect) = Status::read_versioned(&host).unwrap();
    TableWriter::default().apply_difference(&host, &page(3, &[], &[hash(1)]), host.now()).unwrap();
    let stale = old.unwrap().encode();
    assert_eq!(replace(&host, STATUS_KEY, &stale, expect), Err(ApplyError::Contended));
}

#[test]
fn a_reset_in_place_that_nobody_finishes_is_no_table() {
    let host = FakeHost::at(1);
    let mut writer = TableWriter::default();
    reset(&mut writer, &host, &model(0..100), 5, 300);
    let other: Vec<_> = model(200..300).into_iter().collect();
    let first = Page { epoch: "e_2".to_owned(), reset: true, more: true, ..page(1, &other[..50], &[]) };
    let before = Status::read(&host).unwrap().unwrap();
    assert_eq!(writer.apply_reset(&host, &first, None, host.now()), Ok(None));
    let status = Status::read(&host).unwrap().unwrap();
    assert_eq!(status.epoch, "");
    assert!(status.sequence > before.sequence, "workers forget what the page replaced");
    assert!(ChangeRing::read(&host).unwrap().since(before.sequence).is_none());
    let mut next = TableWriter::resume(Some(&status));
    assert_eq!(next.apply_difference(&host, &page(6, &[], &[]), host.now()), Err(ApplyError::NoTable));
    assert_eq!(TableWriter::confirm(&host, "e_1", host.now()), Err(ApplyError::NoTable));
    let wanted = model(0..120);
    reset(&mut next, &host, &wanted, 7, 50);
    assert_equal(&host, &wanted, 400);
}

#[test]
fn a_page_that_overlaps_the_one_before_is_refused() {
    let host = FakeHost::at(1);
    let mut writer = TableWriter::default();
    let all: Vec<_> = model(0..100).into_iter().collect();
    let first = Page { reset: true, more: true, ..page(1, &all[..50], &[]) };
    for start in [0, 49] {
        assert_eq!(writer.apply_reset(&host, &first, None, host.now()), Ok(None));
        let second = Page { reset: true, ..page(1, &all[start..], &[]) };
        let cursor = Some(all[49].0);
        assert_eq!(writer.apply_reset(&host, &second, cursor, host.now()), Err(ApplyError::BrokenReset));
    }
}

#[test]
fn a_reset_across_a_loss_of_shared_data_is_refused() {
    let host = FakeHost::at(1);
    let mut writer = TableWriter::default();
    reset(&mut writer, &host, &model(0..100), 1, 300);
    let all: Vec<_> = model(0..100).into_iter().collect();
    let first = Page { reset: true, more: true, ..page(2, &all[..50], &[]) };
    assert_eq!(writer.apply_reset(&host, &first, None, host.now()), Ok(None));
    host.wipe();
    let second = Page { reset: true, ..page(2, &all[50..], &[]) };
    let cursor = Some(all[49].0);
    assert_eq!(writer.apply_reset(&host, &second, cursor, host.now()), Err(ApplyError::BrokenReset));
}

#[test]
fn what_a_dead_writer_left_beside_the_table_is_emptied_by_the_next() {
    let host = FakeHost::at(1);
    reset(&mut TableWriter::default(), &host, &model(0..3000), 1, 500);
    let part: Vec<_> = model(5000..5100).into_iter().collect();
    let first = Page { reset: true, more: false, ..page(9, &part[..3], &[]) };
    let mut dying = TableWriter::default();
    dying.apply_reset(&host, &first, None, host.now()).unwrap();
    let status = Status::read(&host).unwrap().unwrap();
    assert!(status.other.is_some());
    let mut next = TableWriter::resume(Some(&status));
    while next.is_busy() {
        next.housekeeping(&host, true).unwrap();
    }
    let status = Status::read(&host).unwrap().unwrap();
    assert_eq!(status.other, None);
    let buckets = host.keys().iter().filter(|key| key.starts_with("flamegate/keys/")).count();
    assert_eq!(buckets, 1 << status.bits);
}

#[test]
fn two_resets_that_overlap_never_end_as_one_table() {
    let all: Vec<_> = model(0..100).into_iter().collect();
    let other: Vec<_> = model(500..600).into_iter().collect();
    let page_of = |epoch: &str, part: &[_], more| Page {
        epoch: epoch.to_owned(),
        reset: true,
        more,
        ..page(9, part, &[])
    };
    for first_boot in [true, false] {
        let host = FakeHost::at(1);
        if !first_boot {
            reset(&mut TableWriter::default(), &host, &model(0..100), 1, 300);
        }
        let (mut a, mut b) = (TableWriter::default(), TableWriter::default());
        a.apply_reset(&host, &page_of("e_a", &all[..50], true), None, host.now()).unwrap();
        b.apply_reset(&host, &page_of("e_b", &other[..50], true), None, host.now()).unwrap();
        if !first_boot {
            let late = a.apply_reset(&host, &page_of("e_a", &all[50..], false), Some(all[49].0), host.now());
            assert_eq!(late, Err(ApplyError::BrokenReset));
        }
        // The lease keeps the other one from its next page; without a status there is nothing else that could.
        let done = b.apply_reset(&host, &page_of("e_b", &other[50..], false), Some(other[49].0), host.now());
        assert!(done.is_ok_and(|status| status.is_some()));
        assert_equal(&host, &other.iter().cloned().collect(), 700);
    }
}

#[test]
fn a_reset_beside_that_breaks_off_is_taken_up_or_cleaned_up() {
    let host = FakeHost::at(1);
    let mut writer = TableWriter::default();
    reset(&mut writer, &host, &model(0..3), 1, 300);
    let all: Vec<_> = model(0..3000).into_iter().collect();
    let first = Page { epoch: "e_2".to_owned(), reset: true, more: true, ..page(9, &all[..500], &[]) };
    writer.apply_reset(&host, &first, None, host.now()).unwrap();
    let strange = Page { epoch: "e_3".to_owned(), ..first.clone() };
    assert_eq!(
        writer.apply_reset(&host, &strange, Some(all[499].0), host.now()),
        Err(ApplyError::BrokenReset)
    );
    let beside = Status::read(&host).unwrap().unwrap().other.expect("a table beside");
    let status = reset(&mut writer, &host, &model(0..3000), 10, 500);
    assert_eq!(status.bits, beside, "the next reset goes on there, not in a table that is too small");
    assert_equal(&host, &model(0..3000), 3100);
    writer.apply_reset(&host, &Page { more: false, upserts: Vec::new(), ..first }, None, host.now()).unwrap();
    for _ in 0..1000 {
        writer.adopt_leftovers(Status::read(&host).unwrap().as_ref());
        writer.housekeeping(&host, true).unwrap();
    }
    let status = Status::read(&host).unwrap().unwrap();
    assert_eq!(status.other, None);
    let buckets = host.keys().iter().filter(|key| key.starts_with("flamegate/keys/")).count();
    assert_eq!(buckets, 1 << status.bits);
}

#[test]
fn one_record_cannot_ask_for_a_million_buckets() {
    let host = FakeHost::at(1);
    let tiny = KeyHash([0; 32]);
    let first = Page { reset: true, more: true, ..page(1, &[(tiny, record(1))], &[]) };
    TableWriter::default().apply_reset(&host, &first, None, host.now()).unwrap();
    assert!(host.calls().1 < 10_000, "{} writes", host.calls().1);
}

#[test]
fn the_table_grows_while_changes_go_on_and_readers_never_see_a_hole() {
    let host = FakeHost::at(1);
    let mut writer = TableWriter::default();
    let mut wanted = model(0..10);
    reset(&mut writer, &host, &wanted, 1, 300);
    let mut old_layouts = vec![Status::read(&host).unwrap().unwrap()];
    for step in 1..80u64 {
        let fresh: Vec<_> = (step * 100..step * 100 + 100).map(|seed| (hash(seed), record(seed))).collect();
        let gone = hash(step * 100 - 50);
        writer.apply_difference(&host, &page(1 + step, &fresh, &[gone]), host.now()).unwrap();
        wanted.extend(fresh);
        wanted.remove(&gone);
        writer.housekeeping(&host, step % 3 == 0).unwrap();
        assert_equal(&host, &wanted, step * 100 + 200);
        let status = Status::read(&host).unwrap().unwrap();
        if old_layouts.last().unwrap().bits != status.bits {
            old_layouts.push(status);
        }
    }
    assert!(old_layouts.len() > 2, "it grew more than once");
    while writer.is_busy() {
        writer.housekeeping(&host, true).unwrap();
    }
    assert_equal(&host, &wanted, 9000);
    for old in &old_layouts[..old_layouts.len() - 1] {
        assert_eq!(
            find(&host, old, &hash(7_999)),
            Err(Unreadable::Missing),
            "an emptied table is no empty table"
        );
    }
}

#[test]
fn a_writer_that_dies_loses_nothing() {
    let host = FakeHost::at(1);
    let wanted = model(0..3000);
    reset(&mut TableWriter::default(), &host, &wanted, 1, 500);
    // A reset beside it that nobody finishes, then a growth, both abandoned; each time a new writer goes on.
    let mut dying = TableWriter::default();
    let part: Vec<_> = model(5000..5100).into_iter().collect();
    dying
        .apply_reset(&host, &Page { reset: true, more: true, ..page(9, &part[..3], &[]) }, None, host.now())
        .unwrap();
    let status = Status::read(&host).unwrap().unwrap();
    assert_eq!((status.revision, status.keys), (1, 3000));
    assert_equal(&host, &wanted, 3100);
    let again = reset(&mut TableWriter::default(), &host, &wanted, 2, 400);
    assert_eq!(again.revision, 2);
    assert_equal(&host, &wanted, 3100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_history_ends_like_the_map(
        steps in proptest::collection::vec((any::<bool>(), proptest::collection::vec((0u64..200, any::<bool>()), 0..30)), 1..12),
    ) {
        let host = FakeHost::at(1);
        let mut writer = TableWriter::default();
        let mut wanted = Model::new();
        reset(&mut writer, &host, &wanted, 1, 10);
        for (revision, (whole, changes)) in (2u64..).zip(steps) {
            let (mut upserts, mut removals) = (Model::new(), Vec::new());
            for (seed, add) in changes {
                wanted.remove(&hash(seed));
                upserts.remove(&hash(seed));
                if add {
                    wanted.insert(hash(seed), record(seed + revision));
                    upserts.insert(hash(seed), record(seed + revision));
                    removals.retain(|gone| *gone != hash(seed));
                } else {
                    removals.push(hash(seed));
                }
            }
            if whole {
                reset(&mut writer, &host, &wanted, revision, 7);
            } else {
                let upserts: Vec<_> = upserts.into_iter().collect();
                writer.apply_difference(&host, &page(revision, &upserts, &removals), host.now()).unwrap();
            }
            let _ = writer.housekeeping(&host, true);
            assert_equal(&host, &wanted, 200);
        }
    }
}

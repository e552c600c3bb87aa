//! Buckets, status and ring as bytes: they come back as they were, and foreign bytes are refused.

use proptest::prelude::*;

use super::bucket::{Bucket, EncodedRecord, Entry, encode_bucket};
use super::status::{ChangeRing, RING_CAPACITY, Status};
use super::*;
use crate::contract::key::{Environment, KeyHash};
use crate::contract::record::{KeyRecord, Limit, Reach, Scope, WhenUnreachable};
use crate::contract::restrict::Restrict;
use crate::host::Now;

fn hash(prefix: u64) -> KeyHash {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&prefix.to_be_bytes());
    KeyHash(bytes)
}

#[test]
fn the_bucket_is_the_first_bits_of_the_hash() {
    assert_eq!(bucket_of(&hash(u64::MAX), 0), 0);
    assert_eq!(bucket_of(&hash(1 << 63), 1), 1);
    assert_eq!(bucket_of(&hash(0xABCD_0000_0000_0000), 16), 0xABCD);
    assert_eq!(bucket_of(&hash(u64::MAX), MAX_BITS), (1 << 20) - 1);
}

#[test]
fn the_ring_says_what_changed_or_that_it_does_not_know() {
    let mut ring = ChangeRing { floor: 10, entries: Vec::new() };
    ring.push(11, [3, 4]);
    ring.push(12, [5]);
    let since = |ring: &ChangeRing, at| ring.since(at).map(Iterator::collect::<Vec<_>>);
    assert_eq!(since(&ring, 9), None);
    assert_eq!(since(&ring, 10), Some(vec![3, 4, 5]));
    assert_eq!(since(&ring, 11), Some(vec![5]));
    assert_eq!(since(&ring, 12), Some(vec![]));
    ring.push(13, 0..u32::try_from(RING_CAPACITY).unwrap());
    assert_eq!(ring.floor, 12);
    assert_eq!(since(&ring, 11), None);
    assert_eq!(since(&ring, 12).map(|buckets| buckets.len()), Some(RING_CAPACITY));
    ring.push(14, 0..1_000);
    assert_eq!(since(&ring, 13), None, "a change larger than the ring makes everybody forget everything");
    assert_eq!(since(&ring, 14), Some(vec![]));
}

#[test]
fn the_age_is_by_the_clock_that_says_longer() {
    let synced = Now { monotonic: 100, wall: 1_000 };
    let status = Status {
        incarnation: 1,
        sequence: 1,
        revision: 1,
        bits: 0,
        keys: 0,
        synced,
        epoch: String::new(),
        other: None,
    };
    assert_eq!(status.age_ns(Now { monotonic: 150, wall: 900 }), 50, "the wall clock was set back");
    assert_eq!(status.age_ns(Now { monotonic: 101, wall: 9_000 }), 8_000, "the machine slept");
}

fn names() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_.-]{1,64}"
}

prop_compose! {
    fn limits()(
        name in names(), workspace: bool, requests in 1u32.., window in 1u32.., burst: u32, fleet: bool, refuse: bool,
    ) -> Limit {
        Limit {
            name,
            scope: if workspace { Scope::Workspace } else { Scope::Key },
            burst: burst.try_into().ok(),
            reach: if fleet { Reach::Fleet } else { Reach::Gateway },
            when_unreachable: if refuse { WhenUnreachable::Refuse } else { WhenUnreachable::Gateway },
            ..Limit::per(requests.try_into().unwrap(), window.try_into().unwrap())
        }
    }
}

prop_compose! {
    fn restrictions()(
        methods in proptest::collection::vec("[A-Z]{1,32}", 0..4),
        paths in proptest::collection::vec("/[a-z/]{0,254}", 0..33),
        addresses in proptest::collection::vec("[0-9a-f:./]{1,43}", 0..4),
    ) -> Restrict {
        Restrict { methods, paths, addresses }
    }
}

prop_compose! {
    fn records()(
        id in names(), workspace in names(), test: bool, expires_at: Option<u64>,
        limits in proptest::collection::vec(limits(), 0..5),
        restrict in proptest::option::weighted(0.2, restrictions()),
        plan in proptest::option::weighted(0.2, names()), workspace_plan in proptest::option::weighted(0.2, names()), shadow: bool,
    ) -> KeyRecord {
        let environment = if test { Environment::Test } else { Environment::Live };
        KeyRecord { id, workspace, environment, expires_at, limits, restrict, plan, workspace_plan, shadow }
    }
}

proptest! {
    #[test]
    fn a_record_comes_back(record in records()) {
        prop_assert_eq!(EncodedRecord::new(&record).decode(), Some(record));
    }

    #[test]
    fn a_bucket_finds_its_keys_and_no_others(
        mut entries in proptest::collection::btree_map(any::<[u8; 32]>(), records(), 0..40), other: [u8; 32],
        shared in proptest::collection::vec(limits(), 0..5),
    ) {
        // Most keys of a table have the same limits.
        entries.values_mut().skip(2).for_each(|record| record.limits.clone_from(&shared));
        let encoded: Vec<Entry<'_>> =
            entries.iter().map(|(hash, record)| (KeyHash(*hash), EncodedRecord::new(record))).collect();
        let bytes = encode_bucket(&encoded);
        let bucket = Bucket::parse(&bytes).unwrap();
        prop_assert_eq!(bucket.len(), entries.len());
        for (hash, record) in &entries {
            let found = bucket.find(&KeyHash(*hash)).and_then(|record| record.decode());
            prop_assert_eq!(found.as_ref(), Some(record));
        }
        prop_assert_eq!(bucket.find(&KeyHash(other)).is_some(), entries.contains_key(&other));
        prop_assert!(bucket.entries().eq(encoded.iter().cloned()));
        prop_assert!(Bucket::parse(&bytes[..bytes.len() - 1]).is_none());
    }

    #[test]
    fn foreign_bytes_are_refused_or_read_without_panic(bytes: Vec<u8>) {
        if let Some(bucket) = Bucket::parse(&bytes) {
            bucket.entries().for_each(|(_, record)| drop(record.decode()));
        }
        let _ = (Status::decode(&bytes), ChangeRing::decode(&bytes));
        for version in [1, 2] {
            let mut versioned = vec![version];
            versioned.extend_from_slice(&bytes);
            if let Some(bucket) = Bucket::parse(&versioned) {
                bucket.entries().for_each(|(_, record)| drop(record.decode()));
            }
            let _ = (Status::decode(&versioned), ChangeRing::decode(&versioned));
        }
    }

    #[test]
    fn status_and_ring_come_back(numbers: [u64; 6], bits in 0..=MAX_BITS, other in proptest::option::of(0..=MAX_BITS), epoch in names(), entries: Vec<(u64, u32)>) {
        let [incarnation, sequence, revision, keys, monotonic, wall] = numbers;
        let status = Status { incarnation, sequence, revision, bits, keys, synced: Now { monotonic, wall }, epoch, other };
        prop_assert_eq!(Status::decode(&status.encode()), Some(status));
        let ring = ChangeRing { floor: sequence, entries };
        prop_assert_eq!(ChangeRing::decode(&ring.encode()), Some(ring));
    }
}

//! Unknown keys: what they cost, and that a worker's memory of them never outlives the truth.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn reads(gateway: &Gateway) -> u64 {
    gateway.host.calls().0
}

#[test]
fn unknown_keys_cost_one_read_per_bucket_and_no_more() {
    let mut gateway = Gateway::new(SYNCED);
    assert_eq!(gateway.find(200), Ok(false));
    let before = reads(&gateway);
    for seed in (3..=255).filter(|seed| seed % 32 != 1 && seed % 32 != 2) {
        assert_eq!(gateway.find(seed), Ok(false));
    }
    assert_eq!(reads(&gateway), before, "the bucket's two keys leave 254 of 256 bits clear");
    assert_eq!(gateway.find(1), Ok(true));
}

#[test]
fn a_key_that_was_unknown_is_found_once_it_is_made() {
    let mut gateway = Gateway::new(SYNCED);
    assert_eq!(gateway.find(9), Ok(false));
    gateway.change(2, &[(9, None)], &[]);
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.find(9), Ok(true));
    assert_eq!(gateway.find(10), Ok(false));
    gateway.reset(3, &[(10, None)]);
    gateway.worker.tick(&gateway.host);
    assert_eq!((gateway.find(9), gateway.find(10)), (Ok(false), Ok(true)));
    gateway.host.wipe();
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.find(77), Err(Unavailable::NotSynced), "nothing is known of a table that is gone");
}

proptest! {
    /// A worker that asks in any order between any changes answers like the set of keys.
    #[test]
    fn a_worker_answers_like_the_table(steps in proptest::collection::vec((0u8..4, any::<u8>()), 1..200)) {
        let mut gateway = Gateway::new(SYNCED);
        let mut keys = BTreeSet::from([1u8, 2]);
        for (revision, (kind, seed)) in (2u64..).zip(steps) {
            match kind {
                0 => {
                    gateway.change(revision, &[(seed, None)], &[]);
                    keys.insert(seed);
                }
                1 => {
                    gateway.change(revision, &[], &[seed]);
                    keys.remove(&seed);
                }
                _ => {}
            }
            gateway.worker.tick(&gateway.host);
            for asked in [seed, seed ^ 0x40, seed.wrapping_add(1)] {
                prop_assert_eq!(gateway.find(asked), Ok(keys.contains(&asked)), "key {}", asked);
            }
        }
    }
}

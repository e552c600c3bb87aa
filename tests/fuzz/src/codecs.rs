//! What lies in shared data: buckets of keys, status, change ring. Bytes of anybody are either refused or mean one thing: what
//! was read, written again, is read the same.

use flamegate::contract::key::KeyHash;
use flamegate::table::bucket::{Bucket, EncodedRecord, Entry, encode_bucket};
use flamegate::table::status::{ChangeRing, Status};
use flamegate::table::summary::Summary;

/// The first byte chooses what the rest is.
pub fn codecs(input: &[u8]) {
    let (kind, bytes) = input.split_first().unwrap_or((&0, &[]));
    match kind % 3 {
        0 => bucket(bytes),
        1 => {
            if let Some(status) = Status::decode(bytes) {
                assert_eq!(Status::decode(&status.encode()), Some(status));
            }
        }
        _ => ring(bytes),
    }
}

fn bucket(bytes: &[u8]) {
    let Some(bucket) = Bucket::parse(bytes) else { return };
    let hashes: Vec<KeyHash> = bucket.hashes().collect();
    assert_eq!((hashes.len(), hashes.is_empty()), (bucket.len(), bucket.is_empty()));
    let summary = Summary::of(hashes.iter().copied());
    assert!(hashes.iter().all(|hash| !summary.excludes(hash)), "a key that is there is excluded");
    let entries: Vec<Entry<'_>> = bucket.entries().collect();
    assert_eq!(entries.len(), hashes.len(), "an entry without a record");
    // Only the writer makes buckets; its own are sorted.
    if !hashes.is_sorted_by(|a, b| a < b) {
        return;
    }
    for (hash, record) in &entries {
        let found = bucket.find(hash).expect("a key that is there");
        assert_eq!(found.decode(), record.decode());
        if let Some(decoded) = record.decode().filter(|decoded| decoded.problems().is_empty()) {
            assert_eq!(EncodedRecord::new(&decoded).decode(), Some(decoded), "a record changes");
        }
    }
    let again = encode_bucket(&entries);
    let again = Bucket::parse(&again).expect("our own bucket");
    assert!(again.entries().eq(entries.iter().map(|(hash, record)| (*hash, record.borrowed()))));
}

fn ring(bytes: &[u8]) {
    let Some(ring) = ChangeRing::decode(bytes) else { return };
    assert_eq!(ChangeRing::decode(&ring.encode()).as_ref(), Some(&ring));
    assert!(ring.floor == 0 || ring.since(ring.floor - 1).is_none(), "older than the ring");
    let listed = ring.since(ring.floor).expect("as old as the ring").count();
    assert_eq!(listed, ring.entries.iter().filter(|(at, _)| *at > ring.floor).count());
    let mut pushed = ring.clone();
    pushed.push(u64::MAX, [7]);
    assert!(
        pushed.since(pushed.floor).expect("as old as the ring").any(|bucket| bucket == 7)
            || pushed.floor == u64::MAX
    );
}

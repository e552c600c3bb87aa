//! What a worker remembers of buckets in which it looked for an unknown key, so that the next unknown key of the bucket needs
//! no look at shared data. Random keys at full speed would otherwise take the process's one mutex for each request, and
//! that is everybody's.
//!
//! Memory: 72 bytes per place, as many places as the table has buckets and at most [`MAX_PLACES`], from the first unknown key
//! on. Nothing that clients send makes it grow further.

use crate::contract::key::KeyHash;
use crate::table::bucket_of;
use crate::table::summary::Summary;

/// Summaries of buckets, each in the one place that its number allows.
#[derive(Debug, Default)]
pub struct Absences {
    places: Vec<Option<(u32, Summary)>>,
    bits: u8,
}

/// Most places: a table of a million keys has about as many buckets.
pub const MAX_PLACES: usize = 32_768;

impl Absences {
    /// True when the table of `2^bits` buckets does not hold `hash` for certain.
    pub fn excludes(&self, hash: &KeyHash, bits: u8) -> bool {
        let bucket = bucket_of(hash, bits);
        let known = || self.places.get(self.place(bucket)?)?.filter(|(other, _)| *other == bucket);
        self.bits == bits && known().is_some_and(|(_, summary)| summary.excludes(hash))
    }

    /// Keeps what was seen in the bucket of `hash`.
    pub fn note(&mut self, hash: &KeyHash, bits: u8, summary: Summary) {
        if self.bits != bits || self.places.is_empty() {
            self.bits = bits;
            let buckets = 1usize.checked_shl(u32::from(bits)).unwrap_or(MAX_PLACES);
            self.places = vec![None; buckets.min(MAX_PLACES)];
        }
        let bucket = bucket_of(hash, bits);
        if let Some(place) = self.place(bucket).and_then(|place| self.places.get_mut(place)) {
            *place = Some((bucket, summary));
        }
    }

    /// Forgets these buckets.
    pub fn forget(&mut self, buckets: &[u32]) {
        for bucket in buckets {
            if let Some(place) = self.place(*bucket).and_then(|place| self.places.get_mut(place)) {
                *place = None;
            }
        }
    }

    /// Forgets everything; the memory stays.
    pub fn clear(&mut self) {
        self.places.fill(None);
    }

    fn place(&self, bucket: u32) -> Option<usize> {
        usize::try_from(bucket).ok()?.checked_rem(self.places.len())
    }
}

#[cfg(test)]
mod tests {
    //! It excludes what is not there and nothing else, whatever shares its place.

    use super::*;

    fn hash(first: u8, last: u8) -> KeyHash {
        let mut bytes = [0; 32];
        (bytes[0], bytes[31]) = (first, last);
        KeyHash(bytes)
    }

    #[test]
    fn only_what_was_seen_to_be_missing_is_excluded() {
        let mut absences = Absences::default();
        let present = hash(0x80, 7);
        assert!(!absences.excludes(&hash(0x80, 8), 1), "nothing is known yet");
        absences.note(&hash(0x80, 8), 1, Summary::of([present].into_iter()));
        assert!(absences.excludes(&hash(0x80, 8), 1));
        assert!(absences.excludes(&hash(0xFF, 9), 1), "the same bucket");
        assert!(!absences.excludes(&present, 1));
        assert!(!absences.excludes(&hash(0x81, 7), 1), "the bit of another key");
        assert!(!absences.excludes(&hash(0x00, 8), 1), "another bucket");
        assert!(!absences.excludes(&hash(0x80, 8), 2), "another table");
    }

    #[test]
    fn a_change_forgets_its_bucket_only() {
        let mut absences = Absences::default();
        let empty = Summary::of(std::iter::empty());
        absences.note(&hash(0x00, 1), 1, empty);
        absences.note(&hash(0x80, 1), 1, empty);
        absences.forget(&[1]);
        assert!(absences.excludes(&hash(0x00, 1), 1));
        assert!(!absences.excludes(&hash(0x80, 1), 1));
        absences.clear();
        assert!(!absences.excludes(&hash(0x00, 1), 1));
    }

    #[test]
    fn buckets_that_share_a_place_are_told_apart() {
        let mut absences = Absences::default();
        let bits = 16;
        let (low, high) = (hash(0x00, 1), hash(0x80, 1));
        assert_eq!(bucket_of(&high, bits), u32::try_from(MAX_PLACES).unwrap());
        absences.note(&low, bits, Summary::of(std::iter::empty()));
        assert!(absences.excludes(&low, bits) && !absences.excludes(&high, bits));
        absences.note(&high, bits, Summary::of(std::iter::empty()));
        assert!(!absences.excludes(&low, bits) && absences.excludes(&high, bits));
    }
}

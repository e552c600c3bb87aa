//! Things in progress that are held for a while, such as polls: so many in all, and of these so many for one owner, so that one never
//! takes them from the others.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// The slots, by whom they are for.
pub struct Slots<K: Clone + Eq + Hash> {
    most: usize,
    share: usize,
    used: Mutex<Used<K>>,
}

struct Used<K> {
    total: usize,
    by_owner: HashMap<K, usize>,
}

/// A slot; dropping it gives it back.
pub struct Slot<K: Clone + Eq + Hash> {
    slots: Arc<Slots<K>>,
    owner: K,
}

impl<K: Clone + Eq + Hash> Slots<K> {
    /// `most` in all, and `share` of them for each owner.
    pub fn new(most: usize, share: usize) -> Self {
        Self { most, share, used: Mutex::new(Used { total: 0, by_owner: HashMap::new() }) }
    }

    /// A slot, when there is one for this owner.
    pub fn take(self: &Arc<Self>, owner: &K) -> Option<Slot<K>> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = used.by_owner.get(owner).copied().unwrap_or_default();
        if used.total >= self.most || theirs >= self.share {
            return None;
        }
        used.total += 1;
        used.by_owner.insert(owner.clone(), theirs + 1);
        Some(Slot { slots: Arc::clone(self), owner: owner.clone() })
    }
}

impl<K: Clone + Eq + Hash> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut used = self.slots.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.total -= 1;
        if let Some(theirs) = used.by_owner.get_mut(&self.owner) {
            *theirs -= 1;
            if *theirs == 0 {
                used.by_owner.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::admission::connections::three_quarters;

    #[test]
    fn one_credential_leaves_a_quarter_to_the_others() {
        let slots = Arc::new(Slots::new(9, three_quarters(9)));
        let (thief, other) = ("thief", "other");
        let mut held: Vec<_> = std::iter::repeat_with(|| slots.take(&thief)).map_while(|slot| slot).collect();
        assert_eq!(held.len(), 6);
        let others: Vec<_> = std::iter::repeat_with(|| slots.take(&other)).map_while(|slot| slot).collect();
        assert_eq!(others.len(), 3);
        held.pop();
        assert!(slots.take(&thief).is_some(), "a slot that was given back");
        assert_eq!(three_quarters(1), 1, "at least one");
        drop((held, others));
        assert!(slots.used.lock().unwrap().by_owner.is_empty(), "who has none costs nothing");
    }
}

//! What forms have made a moment ago, so that one that is sent again is answered as it was the first time: with the key.
//!
//! This is the only place that holds a key after its creation: in memory, for a minute, for the session and the form that
//! made it, and only so many. Nothing else knows it: after a restart, or when there was no room, the form is told that its
//! key exists. A form makes one key in any case; that is the database's to know (`keys/idempotency.rs`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::domain::keys::secret::PlaintextKey;
use crate::service::clock::Clock;

/// A form of a session: a hash, so that no token of a session is held here.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FormId([u8; 32]);

/// What a form asked for, as it was sent: a hash, so that nothing that was typed is held here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Asked(FormId);

/// What a form has made, or a revocation that it caused. Clones share the key, which is wiped with the last of them.
#[derive(Clone)]
pub struct Made {
    /// What was asked for.
    pub asked: Asked,
    /// The key.
    pub id: String,
    /// Its plaintext; `None` for a revocation.
    pub plaintext: Option<Arc<PlaintextKey>>,
    /// The revision of the change.
    pub revision: u64,
    /// When it was committed.
    pub at: Instant,
}

/// What one form has made; empty until it has. Who works on the form holds it, and a second one waits.
pub type Slot = Arc<tokio::sync::Mutex<Option<Made>>>;

/// The slots of all forms. Clones share them.
#[derive(Clone)]
pub struct Kept {
    slots: Arc<Mutex<HashMap<FormId, Entry>>>,
    clock: Clock,
}

struct Entry {
    slot: Slot,
    /// Row of the person whose form it is.
    person: i64,
    since: Instant,
}

/// How long a form is answered as the first time.
pub const KEEP: Duration = Duration::from_secs(60);
/// Most forms.
const MOST: usize = 1_024;
/// Most forms of one person.
const SHARE: usize = 32;

impl FormId {
    /// From what names the form and its session.
    pub fn new(parts: &[&str]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }
}

impl Asked {
    /// From what is done and the fields of the form.
    pub fn new(parts: &[&str]) -> Self {
        Self(FormId::new(parts))
    }
}

impl Kept {
    /// Empty.
    pub fn new(clock: Clock) -> Self {
        Self { slots: Arc::default(), clock }
    }

    /// The slot of a form. Where there is no room, the person's oldest form makes some, or else the oldest of all.
    pub fn slot(&self, form: FormId, person: i64) -> Slot {
        let now = self.clock.instant();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, entry| entry.is_fresh(now));
        if let Some(entry) = slots.get(&form) {
            return Arc::clone(&entry.slot);
        }
        let theirs = slots.values().filter(|entry| entry.person == person).count();
        if theirs >= SHARE || slots.len() >= MOST {
            let candidates = slots.iter().filter(|(_, entry)| theirs < SHARE || entry.person == person);
            let oldest = candidates.min_by_key(|(_, entry)| entry.since).map(|(form, _)| *form);
            oldest.map(|form| slots.remove(&form));
        }
        let slot = Slot::default();
        slots.insert(form, Entry { slot: Arc::clone(&slot), person, since: now });
        slot
    }

    /// Forgets what a form has made, because its key was copied or there is nothing to tell.
    pub fn forget(&self, form: &FormId) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(form);
    }

    /// How many forms there are, finished or under way.
    pub fn forms(&self) -> usize {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Forgets what is too old, whether anybody asks or not.
    pub fn sweep(&self) {
        let now = self.clock.instant();
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, entry| entry.is_fresh(now));
    }
}

impl Entry {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < KEEP
    }
}

#[cfg(test)]
mod tests {
    use crate::contract::Environment;

    use super::*;
    use crate::domain::keys::secret::GeneratedKey;

    fn form(number: usize) -> FormId {
        FormId::new(&["session", &number.to_string()])
    }

    fn fill(kept: &Kept, form: FormId, person: i64) -> std::sync::Weak<PlaintextKey> {
        let plaintext = Arc::new(GeneratedKey::new(Environment::Live).unwrap().plaintext);
        let weak = Arc::downgrade(&plaintext);
        let (asked, id) = (Asked::new(&["create"]), "key_x".to_owned());
        let made = Made { asked, id, plaintext: Some(plaintext), revision: 1, at: Instant::now() };
        *kept.slot(form, person).try_lock().unwrap() = Some(made);
        weak
    }

    fn holds(kept: &Kept, form: &FormId) -> bool {
        kept.slots.lock().unwrap().contains_key(form)
    }

    #[test]
    fn a_key_leaves_the_memory_after_a_minute_or_when_it_was_copied() {
        let clock = Clock::default();
        let kept = Kept::new(clock.clone());
        let (old, copied) = (fill(&kept, form(1), 1), fill(&kept, form(2), 1));
        assert!(kept.slot(form(1), 1).try_lock().unwrap().is_some());
        kept.forget(&form(2));
        assert!(copied.upgrade().is_none() && old.upgrade().is_some());
        clock.advance(KEEP);
        kept.sweep();
        assert!(old.upgrade().is_none() && kept.slots.lock().unwrap().is_empty());
        assert!(kept.slot(form(1), 1).try_lock().unwrap().is_none());
    }

    #[test]
    fn one_person_pushes_out_their_own_and_all_together_are_bounded() {
        let clock = Clock::default();
        let kept = Kept::new(clock.clone());
        fill(&kept, form(0), 2);
        for number in 1..=2 * SHARE {
            clock.advance(Duration::from_millis(1));
            fill(&kept, form(number), 1);
        }
        assert!(holds(&kept, &form(0)) && !holds(&kept, &form(SHARE)) && holds(&kept, &form(SHARE + 1)));
        for person in 10..10 + i64::try_from(MOST).unwrap() {
            clock.advance(Duration::from_millis(1));
            fill(&kept, FormId::new(&[&person.to_string()]), person);
        }
        assert_eq!(kept.slots.lock().unwrap().len(), MOST);
        assert!(!holds(&kept, &form(0)));
    }

    #[test]
    fn parts_of_a_name_do_not_run_together() {
        assert!(FormId::new(&["ab", "c"]) != FormId::new(&["a", "bc"]));
    }
}

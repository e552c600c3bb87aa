//! Where the log stands, for everybody who follows it.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::domain::log::Head;

/// The newest head that was committed.
pub struct Heads {
    newest: watch::Sender<Head>,
    /// When it became known. What was asked for before that may be older.
    since: Mutex<Instant>,
    /// The mark of the last change of gateways' credentials, where others may change them.
    credentials: watch::Sender<u64>,
    /// When the database was asked for the head that it has answered last. `None` where only we commit, and so know.
    asked: Mutex<Option<Instant>>,
}

impl Heads {
    /// The head at the beginning, where only we commit.
    pub(crate) fn new(head: Head) -> Self {
        Self {
            newest: watch::channel(head).0,
            since: Mutex::new(Instant::now()),
            credentials: watch::channel(0).0,
            asked: Mutex::new(None),
        }
    }

    /// The head that the database has just answered, where others commit, too: it has to be asked for again and again.
    pub(crate) fn followed(head: Head) -> Self {
        Self { asked: Mutex::new(Some(Instant::now())), ..Self::new(head) }
    }

    /// A head that was committed. Whoever committed after it may have been faster: it never goes back.
    pub(crate) fn publish(&self, head: &Head) {
        self.set(head, |published| head.revision > published.revision);
    }

    /// A head that the database answered to whoever asked at `begun`. When it is behind what was published before that, or of another
    /// history, commits are lost: a standby that did not have them has taken the place of the server. Returns what is gone.
    pub(crate) fn observe(&self, head: &Head, begun: Instant) -> Option<Head> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *asked = (*asked).max(Some(begun));
        drop(asked);
        let mut gone = None;
        self.set(head, |published| {
            if head.epoch == published.epoch && head.revision > published.revision {
                return true;
            }
            let is_late = *self.since.lock().unwrap_or_else(PoisonError::into_inner) >= begun;
            let is_other = head != published && !is_late;
            gone = is_other.then(|| published.clone());
            is_other
        });
        gone
    }

    /// When the newest head was surely that of the database: what others have committed since may not be known. `None` where only we
    /// commit.
    pub(crate) fn asked(&self) -> Option<Instant> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest.
    pub(crate) fn newest(&self) -> Head {
        self.newest.borrow().clone()
    }

    /// Changes with each that is newer.
    pub(crate) fn watch(&self) -> watch::Receiver<Head> {
        self.newest.subscribe()
    }

    /// The mark of the last change of gateways' credentials, as the database answered.
    pub(crate) fn observe_credentials(&self, mark: u64) {
        self.credentials.send_if_modified(|known| std::mem::replace(known, mark) != mark);
    }

    /// Changes with each change of credentials that the database told of.
    pub(crate) fn watch_credentials(&self) -> watch::Receiver<u64> {
        self.credentials.subscribe()
    }

    fn set(&self, head: &Head, is_wanted: impl FnOnce(&Head) -> bool) {
        self.newest.send_if_modified(|published| {
            let is_wanted = is_wanted(published);
            if is_wanted {
                published.clone_from(head);
                *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            }
            is_wanted
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn head(revision: u64, tag: &str) -> Head {
        Head { epoch: "e".to_owned(), revision, tag: tag.to_owned() }
    }

    #[test]
    fn a_head_that_comes_late_is_not_the_newest() {
        let heads = Heads::new(head(1, "a"));
        for (published, newest) in
            [(head(3, "c"), 3), (head(2, "b"), 3), (head(3, "x"), 3), (head(4, "d"), 4)]
        {
            heads.publish(&published);
            assert_eq!(heads.newest().revision, newest);
        }
        heads.publish(&head(4, "other"));
        assert_eq!(heads.newest().tag, "d");
    }

    #[test]
    fn where_others_commit_a_head_is_as_old_as_the_question_for_it() {
        assert_eq!(Heads::new(head(1, "a")).asked(), None);
        let heads = Heads::followed(head(1, "a"));
        let begun = heads.asked().unwrap() + Duration::from_secs(1);
        heads.publish(&head(2, "b"));
        assert!(heads.asked().unwrap() < begun, "what we commit says nothing of the others");
        heads.observe(&head(2, "b"), begun);
        assert_eq!(heads.asked(), Some(begun));
    }

    #[test]
    fn a_head_goes_back_only_when_the_database_says_so_afterwards() {
        let before = Instant::now();
        let heads = Heads::new(head(5, "e"));
        assert_eq!(heads.observe(&head(4, "d"), before), None);
        assert_eq!(heads.newest(), head(5, "e"), "asked before, answered late");
        assert_eq!(heads.observe(&head(6, "f"), before), None);
        assert_eq!(heads.newest(), head(6, "f"), "newer is newer");
        let after = Instant::now() + Duration::from_millis(1);
        assert_eq!(heads.observe(&head(6, "f"), after), None);
        let mut watch = heads.watch();
        watch.mark_unchanged();
        assert_eq!(heads.observe(&head(3, "x"), after), Some(head(6, "f")));
        assert!(heads.newest() == head(3, "x") && watch.has_changed().unwrap());
        let later = Instant::now() + Duration::from_millis(1);
        assert_eq!(
            heads.observe(&head(3, "y"), later),
            Some(head(3, "x")),
            "another history of the same length"
        );
        let restored = Head { epoch: "r".to_owned(), ..head(9, "z") };
        assert_eq!(heads.observe(&restored, Instant::now() + Duration::from_millis(1)), Some(head(3, "y")));
        assert_eq!(heads.newest(), restored);
    }
}

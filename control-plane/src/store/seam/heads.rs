//! Where the log stands, for everybody who follows it.

use tokio::sync::watch;

use crate::domain::log::Head;

/// The newest head that was committed.
pub struct Heads(watch::Sender<Head>);

impl Heads {
    /// The head at the beginning.
    pub(crate) fn new(head: Head) -> Self {
        Self(watch::channel(head).0)
    }

    /// A head that was committed. Whoever committed after it may have been faster: it never goes back.
    pub(crate) fn publish(&self, head: &Head) {
        self.0.send_if_modified(|published| {
            let newer = head.revision > published.revision;
            if newer {
                published.clone_from(head);
            }
            newer
        });
    }

    /// The newest.
    pub(crate) fn newest(&self) -> Head {
        self.0.borrow().clone()
    }

    /// Changes with each that is newer.
    pub(crate) fn watch(&self) -> watch::Receiver<Head> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_comes_late_is_not_the_newest() {
        let head = |revision, tag: &str| Head { epoch: "e".to_owned(), revision, tag: tag.to_owned() };
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
}

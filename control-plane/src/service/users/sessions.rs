//! The sessions of one user: listed, and ended one by one.

use serde_json::json;

use super::manage::note_with;
use super::service::Users;
use crate::domain::audit::{Action, Actor};
use crate::domain::error::Error;
use crate::domain::sessions::{Session, StoredSession, hash_begins};
use crate::domain::users::User;

/// Most sessions in one part of the list.
pub const SESSIONS_SHOWN: u32 = 200;

impl Users {
    /// The sessions in which the user is signed in, behind the first so many: the last used first; and behind how many the next ones are.
    pub async fn sessions(
        &self,
        user: &User,
        (offset, limit): (u32, u32),
    ) -> Result<(Vec<Session>, Option<u32>), Error> {
        let now = self.clock.now();
        let found = self.store.read().await?.sessions_of(&user.id, now, (offset, limit)).await?;
        let more = (found.len() == limit as usize).then_some(offset.saturating_add(limit));
        let live = found.iter().filter(|session| self.is_live(session, user, now));
        let mut shown: Vec<_> = live.filter_map(StoredSession::shown).collect();
        shown.sort_by_key(|session| std::cmp::Reverse(session.seen));
        Ok((shown, more))
    }

    /// Ends one of them.
    pub async fn end_session(&self, user: &User, id: &str, by: Actor) -> Result<(), Error> {
        let (this, user, id, now) = (self.clone(), user.clone(), id.to_owned(), self.clock.now());
        let begins = hash_begins(&id).ok_or(Error::NotFound("session"))?;
        let write = self.store.write(move |tx| {
            Box::pin(async move {
                let meant = tx.session_of(&user.id, now, &begins).await?;
                let meant = meant.filter(|session| this.is_live(session, &user, now));
                let meant = meant.ok_or(Error::NotFound("session"))?;
                tx.delete_session(meant.id_hash).await?;
                note_with(tx, &by, now, Action::SessionEnded, &user, &json!({ "session": id })).await
            })
        });
        write.await.map(|_| ())
    }

    fn is_live(&self, session: &StoredSession, user: &User, now: jiff::Timestamp) -> bool {
        let longest = i64::try_from(self.longest_session.as_secs()).unwrap_or(i64::MAX);
        let who = session.who();
        who.is_some_and(|who| who.stamp == user.stamp && now.as_second() - who.began < longest)
    }
}

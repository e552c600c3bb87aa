//! The sessions of one user: listed, and ended one by one.

use serde_json::json;

use super::manage::note_with;
use super::service::Users;
use crate::domain::audit::{Action, Actor};
use crate::domain::error::Error;
use crate::domain::sessions::{Session, StoredSession, public_id};
use crate::domain::users::User;
use crate::store::View;

/// Most sessions that are listed. A user has as many as they signed in and did not sign out again within hours.
const MOST: u32 = 200;
/// More than anybody has.
const ALL: u32 = 10_000;

impl Users {
    /// The sessions in which the user is signed in, the last used first.
    pub async fn sessions(&self, user: &User) -> Result<Vec<Session>, Error> {
        let now = self.clock.now();
        let found = self.live_sessions(&mut *self.store.read().await?, (user, MOST), now).await?;
        let mut shown: Vec<_> = found.iter().filter_map(StoredSession::shown).collect();
        shown.sort_by_key(|session| std::cmp::Reverse(session.seen));
        Ok(shown)
    }

    /// Ends one of them.
    pub async fn end_session(&self, user: &User, id: &str, by: Actor) -> Result<(), Error> {
        let (this, user, id, now) = (self.clone(), user.clone(), id.to_owned(), self.clock.now());
        let write = self.store.write(move |tx| {
            Box::pin(async move {
                let found = this.live_sessions(tx, (&user, ALL), now).await?;
                let meant = found.into_iter().find(|session| public_id(&session.id_hash) == id);
                let meant = meant.ok_or(Error::NotFound("session"))?;
                tx.delete_session(meant.id_hash).await?;
                note_with(tx, &by, now, Action::SessionEnded, &user, &json!({ "session": id })).await
            })
        });
        write.await.map(|_| ())
    }

    async fn live_sessions(
        &self,
        tx: &mut View,
        (user, most): (&User, u32),
        now: jiff::Timestamp,
    ) -> Result<Vec<StoredSession>, Error> {
        let longest = i64::try_from(self.longest_session.as_secs()).unwrap_or(i64::MAX);
        let mut found = tx.sessions_of(&user.id, now, most).await?;
        found.retain(|session| {
            session.who().is_some_and(|who| who.stamp == user.stamp && now.as_second() - who.began < longest)
        });
        Ok(found)
    }
}

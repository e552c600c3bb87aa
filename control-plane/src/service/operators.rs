//! Tokens of operators, `fgo_…`: made and revoked by whoever has one for all of `/v1`. The first of them is made with a token of the
//! environment, which has no name and cannot be revoked here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::watch;

use super::clock::Clock;
use super::credentials::Doors;
use super::good::{Good, Reload, follow, reload_surely};
use super::workspaces;
use crate::domain::access::{Place, Scope};
use crate::domain::audit::{Action, Actor};
use crate::domain::credentials::{ID_PART, NewToken, TokenOf, is_id_part};
use crate::domain::error::{Error, Problems};
use crate::domain::keys::End;
use crate::domain::keys::draft::check_expiry;
use crate::domain::lists;
use crate::domain::names::twins::{Letters, refuse_twin};
use crate::domain::operators::{MOST_TOKENS, OperatorToken, TokenDraft, TokenStatus};
use crate::domain::random;
use crate::domain::tokens::Digest;
use crate::domain::users::Role;
use crate::store::{Purpose, Store, Tx};

/// The service. Clones share it.
#[derive(Clone)]
pub struct Operators {
    store: Store,
    clock: Clock,
    doors: Arc<dyn Doors>,
    good: Good<Arc<OperatorToken>>,
    uses: Arc<Mutex<Uses>>,
}

/// When tokens were used, in whole minutes, by id. Only of tokens that are or were good.
#[derive(Default)]
struct Uses {
    last: HashMap<String, Timestamp>,
    /// What the database has not heard.
    untold: HashMap<String, Timestamp>,
}

impl Operators {
    /// The service, with the good tokens of the database.
    pub async fn load(store: Store, clock: Clock, doors: Arc<dyn Doors>) -> Result<Self, Error> {
        let this = Self { store, clock, doors, good: Good::new(), uses: Arc::default() };
        this.reload().await?;
        Ok(this)
    }

    /// The same service, reading by other readers.
    pub fn over(&self, store: Store) -> Self {
        Self { store, ..self.clone() }
    }

    /// The token of this digest, when it is good; it counts as used.
    pub fn identify(&self, digest: &Digest) -> Option<Arc<OperatorToken>> {
        let now = self.clock.now();
        let token = self.good.find(digest).filter(|token| token.status(now) == TokenStatus::Active)?;
        if let Ok(minute) = Timestamp::from_second(now.as_second().div_euclid(60) * 60) {
            self.uses.lock().unwrap_or_else(PoisonError::into_inner).note(&token.id, minute);
        }
        Some(token)
    }

    /// Tokens behind this one, oldest first, revoked ones too, and where the next page begins.
    pub async fn list(&self, after: i64, limit: u32) -> Result<(Vec<OperatorToken>, Option<i64>), Error> {
        let found = self.store.read().await?.list_tokens(after, limit.saturating_add(1)).await?;
        let (mut tokens, next) = lists::part(found, limit, |token| token.seq);
        let uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        for token in &mut tokens {
            token.last_used_at = token.last_used_at.max(uses.last.get(&token.id).copied());
        }
        Ok((tokens, next))
    }

    /// The one with this name.
    pub async fn find(&self, name: &str) -> Result<OperatorToken, Error> {
        self.store.read().await?.find_token(name).await?.ok_or(MISSING)
    }

    /// Makes one. The token is shown to the caller and kept as a hash.
    pub async fn create(&self, draft: TokenDraft, by: Actor) -> Result<(OperatorToken, NewToken), Error> {
        let now = self.clock.now();
        let wanted = check(draft, now)?;
        let (token, id) = (NewToken::generate(TokenOf::Operators)?, random::id("opt_")?);
        let hash = token.hash();
        let there = self.store.read().await?.token_names().await?;
        refuse_twin(&wanted.name, there, Letters::All)?;
        let write = self.store.write(move |tx| {
            Box::pin(async move {
                let scope = scope(tx, wanted.place.as_ref()).await?;
                if let Some(taken) = tx.find_token(&wanted.name).await? {
                    let how =
                        if taken.status(now) == TokenStatus::Active { "is taken" } else { "was used before" };
                    let message = format!("the name {how}: the audit log tells tokens apart by it");
                    return Err(Error::Conflict { message, id: Some(taken.id) });
                }
                if tx.good_tokens(now).await?.len() >= MOST_TOKENS as usize {
                    let message = format!("there are {MOST_TOKENS} tokens: revoke some that nobody uses");
                    return Err(Error::Conflict { message, id: None });
                }
                let made = OperatorToken {
                    seq: 0,
                    id,
                    name: wanted.name,
                    scope,
                    created_at: now,
                    created_by: by.name.clone(),
                    expires_at: wanted.expires_at,
                    revoked_at: None,
                    last_used_at: None,
                };
                tx.insert_token(&made, &hash).await?;
                let details = json!({
                    "role": made.scope.place().map(|place| place.role.as_str()),
                    "expires_at": made.expires_at.map(|end| end.to_string()),
                });
                by.did(tx, now, Action::TokenCreated, made.as_target(), details).await?;
                Ok(made)
            })
        });
        let made = write.await?.value;
        reload_surely(self).await;
        Ok((made, token))
    }

    /// Ends one for good: it opens nothing any more. Again, it changes nothing.
    pub async fn revoke(&self, name: &str, by: Actor) -> Result<OperatorToken, Error> {
        let (this, name) = (self.clone(), name.to_owned());
        // To its end, even when whoever asked has hung up: a list that still had it would let it in until a restart.
        tokio::spawn(async move { this.revoke_and_end(name, by).await }).await.map_err(Error::internal)?
    }

    async fn revoke_and_end(&self, asked: String, by: Actor) -> Result<OperatorToken, Error> {
        let now = self.clock.now();
        let write = self.store.write(move |tx| {
            Box::pin(async move {
                let token = tx.find_token(&asked).await?.ok_or(MISSING)?;
                if token.revoked_at.is_some() {
                    return Ok(token);
                }
                tx.revoke_token(&token.name, now).await?;
                by.did(tx, now, Action::TokenRevoked, token.as_target(), json!({})).await?;
                Ok(OperatorToken { revoked_at: Some(now), ..token })
            })
        });
        let token = write.await?.value;
        let ended = self.good.end(|good| good.id == token.id);
        self.shut(ended);
        // A list that was read while it was made, and is on its way, may still have it.
        reload_surely(self).await;
        Ok(token)
    }

    /// Reads them again whenever another control plane has changed some, until the server goes down.
    pub async fn follow(self, shutdown: watch::Receiver<bool>) {
        follow(&self, self.store.watch_credentials(), shutdown).await;
    }

    /// Writes down which were used, at most once a minute for each.
    pub async fn note_uses(&self) -> Result<(), Error> {
        let untold = std::mem::take(&mut self.uses.lock().unwrap_or_else(PoisonError::into_inner).untold);
        if untold.is_empty() {
            return Ok(());
        }
        let uses: Vec<_> = untold.into_iter().collect();
        let again = uses.clone();
        let note = self.store.note(move |tx| Box::pin(async move { tx.note_token_uses(&uses).await }));
        let noted = note.await;
        if noted.is_err() {
            let mut kept = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
            for (id, at) in again {
                kept.untold.entry(id).or_insert(at);
            }
        }
        noted
    }
}

impl Operators {
    fn shut(&self, ended: Vec<(Arc<OperatorToken>, Digest)>) {
        for (token, digest) in ended {
            self.uses.lock().unwrap_or_else(PoisonError::into_inner).last.remove(&token.id);
            self.doors.shut_operators(&digest);
        }
    }
}

#[async_trait]
impl Reload for Operators {
    const WHOSE: &str = "operators'";

    async fn reload(&self) -> Result<(), Error> {
        let now = self.clock.now();
        let store = self.store.reading_for(Purpose::Sync);
        let before = self.good.reload(async {
            let found = store.read().await?.good_tokens(now).await?;
            Ok(found.into_iter().map(|(token, hash)| (Arc::new(token), hash)).collect())
        });
        let mut ended = before.await?;
        ended.retain(|(token, _)| !self.good.any(|good| good.id == token.id));
        self.shut(ended);
        Ok(())
    }
}

const MISSING: Error = Error::NotFound("token");

/// A draft that is fine in itself.
struct Wanted {
    name: String,
    /// The workspace as it was named, and the role.
    place: Option<(String, Role)>,
    expires_at: Option<End>,
}

fn check(draft: TokenDraft, now: Timestamp) -> Result<Wanted, Error> {
    let mut problems = Problems::default();
    if !is_id_part(&draft.name) {
        problems.add("name", ID_PART);
    }
    let role = draft.role.as_deref().map(Role::named);
    if role == Some(None) {
        problems.add("role", "must be owner, member or viewer");
    }
    match (&draft.workspace, &draft.role) {
        (Some(_), None) => problems.add("role", "is needed with a workspace: owner, member or viewer"),
        (None, Some(_)) => {
            problems.add("workspace", "is needed with a role; without both the token is for all of /v1")
        }
        _ => {}
    }
    let expires_at = check_expiry(draft.expires_at.as_ref(), now, &mut problems);
    problems.check()?;
    let place = draft.workspace.zip(role.flatten());
    Ok(Wanted { name: draft.name, place, expires_at })
}

async fn scope(tx: &mut Tx, place: Option<&(String, Role)>) -> Result<Scope, Error> {
    let Some((named, role)) = place else { return Ok(Scope::Everything) };
    let workspace = workspaces::named(tx, "workspace", named).await?;
    let (workspace_seq, workspace, slug) = (workspace.seq, workspace.id, workspace.slug);
    Ok(Scope::Workspace(Place { workspace_seq, workspace, slug, role: *role }))
}

impl Uses {
    fn note(&mut self, id: &str, minute: Timestamp) {
        if self.last.get(id).is_some_and(|last| *last >= minute) {
            return;
        }
        self.last.insert(id.to_owned(), minute);
        self.untold.insert(id.to_owned(), minute);
    }
}

//! Workspaces: whom keys belong to, and the limits that keys get when they ask for none.

use flamegate::record::Limit;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::audit::{Action, Actor, Target};
use crate::clock::Clock;
use crate::error::{Error, Problems};
use crate::keys::check_name;
use crate::limits::{self, LimitDraft};
use crate::random;
use crate::store::{Store, Tx, Written, sqlite};

/// A stored workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Row number: order of creation. Zero before it is stored.
    pub seq: i64,
    /// Public name, `ws_…`; what the upstream sees.
    pub id: String,
    /// Short name for people and scripts.
    pub slug: String,
    /// Descriptive name.
    pub name: String,
    /// The limits of its keys that have none of their own.
    pub default_limits: Vec<Limit>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A workspace to be made.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateWorkspace)]
pub struct WorkspaceDraft {
    /// Descriptive name, 1 to 100 characters.
    #[schema(required, value_type = String, min_length = 1, max_length = 100, example = "Demo")]
    pub name: Option<String>,
    /// 1 to 40 lower-case letters, digits and inner hyphens. Made from the name when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "demo", pattern = "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
    pub slug: Option<String>,
    /// Limits of keys that have none of their own; the server's default when it is not given, `[]` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_limits: Option<Vec<LimitDraft>>,
}

/// Changes of a workspace; what is not given stays. The slug stays for ever, because scripts use it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UpdateWorkspace)]
pub struct WorkspacePatch {
    /// Another descriptive name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// Other default limits. Gateways learn of it for every key that follows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_limits: Option<Vec<LimitDraft>>,
}

/// The service.
#[derive(Clone)]
pub struct Workspaces {
    store: Store,
    clock: Clock,
    default_limits: Vec<Limit>,
}

const MAX_SLUG_LEN: usize = 40;

impl Workspaces {
    /// The service over a database; `default_limits` are those of a new workspace that names none.
    pub const fn new(store: Store, clock: Clock, default_limits: Vec<Limit>) -> Self {
        Self { store, clock, default_limits }
    }

    /// Makes a workspace. A slug that is taken is a conflict.
    pub async fn create(&self, draft: WorkspaceDraft, by: Actor) -> Result<Workspace, Error> {
        let mut problems = Problems::default();
        let name =
            check_name("name", draft.name.as_deref().unwrap_or_default(), &mut problems).unwrap_or_default();
        let slug = draft.slug.unwrap_or_else(|| slug_of(&name));
        if !is_slug(&slug) {
            let rule = format!("1 to {MAX_SLUG_LEN} lower-case letters, digits and inner hyphens");
            problems.add("slug", rule);
        }
        let default_limits = match draft.default_limits {
            Some(drafts) => limits::check(&drafts, "default_limits", &mut problems),
            None => self.default_limits.clone(),
        };
        problems.check()?;
        let id = random::id("ws_")?;
        let now = self.clock.now();
        let workspace = Workspace { seq: 0, id, slug, name, default_limits, created_at: now };
        let written = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    if let Some(taken) = sqlite::workspaces::find(tx, &workspace.slug).await? {
                        let message = "the slug is taken".to_owned();
                        return Err(Error::Conflict { message, id: Some(taken.id) });
                    }
                    sqlite::workspaces::insert(tx, &workspace).await?;
                    let made = existing(tx, &workspace.id).await?;
                    by.did(tx, now, Action::WorkspaceCreated, made.as_target(), made.audited()).await?;
                    Ok(made)
                })
            })
            .await?;
        Ok(written.value)
    }

    /// One workspace, by id or slug.
    pub async fn find(&self, id_or_slug: &str) -> Result<Workspace, Error> {
        existing(&mut *self.store.read().await?, id_or_slug).await
    }

    /// Workspaces, oldest first, and where the next page begins.
    pub async fn list(&self, after: i64, limit: u32) -> Result<(Vec<Workspace>, Option<i64>), Error> {
        let mut connection = self.store.read().await?;
        let mut found = sqlite::workspaces::list(&mut connection, after, limit.saturating_add(1)).await?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| more).map(|workspace| workspace.seq);
        Ok((found, next))
    }

    /// Changes name or default limits.
    pub async fn update(
        &self,
        id_or_slug: &str,
        patch: WorkspacePatch,
        by: Actor,
    ) -> Result<Written<Workspace>, Error> {
        let now = self.clock.now();
        let mut problems = Problems::default();
        let name = patch.name.and_then(|name| check_name("name", &name, &mut problems));
        let limits =
            patch.default_limits.map(|drafts| limits::check(&drafts, "default_limits", &mut problems));
        problems.check()?;
        let id = id_or_slug.to_owned();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let workspace = existing(tx, &id).await?;
                    if let Some(name) = &name {
                        sqlite::workspaces::rename(tx, workspace.seq, name).await?;
                    }
                    if let Some(limits) = limits.as_deref().filter(|new| *new != workspace.default_limits) {
                        sqlite::workspaces::set_default_limits(tx, workspace.seq, limits).await?;
                    }
                    let changed = existing(tx, &workspace.id).await?;
                    if changed.name != workspace.name || changed.default_limits != workspace.default_limits {
                        let (on, details) = (changed.as_target(), changed.audited());
                        by.did(tx, now, Action::WorkspaceUpdated, on, details).await?;
                    }
                    Ok(changed)
                })
            })
            .await
    }
}

impl Workspace {
    fn as_target(&self) -> Target<'_> {
        Target { workspace_seq: Some(self.seq), id: Some(&self.id), name: &self.name }
    }

    /// What the audit log tells of it.
    fn audited(&self) -> serde_json::Value {
        let limits: Vec<_> = self.default_limits.iter().map(limits::to_text).collect();
        json!({ "slug": self.slug, "default_limits": limits })
    }
}

/// The workspace that a field of a request names, or the problem that there is none.
pub(crate) async fn named(tx: &mut Tx, path: &str, id_or_slug: &str) -> Result<Workspace, Error> {
    sqlite::workspaces::find(tx, id_or_slug).await?.ok_or_else(|| Error::invalid(path, "no such workspace"))
}

async fn existing(tx: &mut Tx, id_or_slug: &str) -> Result<Workspace, Error> {
    sqlite::workspaces::find(tx, id_or_slug).await?.ok_or(Error::NotFound("workspace"))
}

fn is_slug(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty()
        && text.len() <= MAX_SLUG_LEN
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// `Production App` becomes `production-app`; what has no letters or digits becomes empty, which no slug may be.
fn slug_of(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => slug.push(c),
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    slug.truncate(MAX_SLUG_LEN);
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_made_from_names_are_slugs() {
        assert_eq!(slug_of("Production App (EU)"), "production-app-eu");
        assert_eq!(slug_of("  a__b  "), "a-b");
        assert!(is_slug(&slug_of(&"long name ".repeat(20))));
        assert!(!is_slug(&slug_of("東京")));
    }
}

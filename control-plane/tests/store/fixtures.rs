//! Databases to begin with, and things to put into them.

use std::num::NonZeroU32;
use std::slice;

pub use flamegate::contract::key::{Environment, KeyHash};
pub use flamegate::contract::record::{Limit, Scope};
use flamegate_control::config::database::DatabaseAddress;
use flamegate_control::domain::bounds::Bounds;
pub use flamegate_control::domain::error::Error;
use flamegate_control::domain::keys::{Key, NewKey};
use flamegate_control::domain::users::{NewUser, User};
use flamegate_control::domain::workspaces::Workspace;
use flamegate_control::store::{Store, Tx, Work, Written};
use jiff::Timestamp;
use tempfile::TempDir;

pub use crate::server::{SERVER, migrated};

/// A database of one engine.
pub struct Database {
    pub store: Store,
    pub at: DatabaseAddress,
    name: Option<String>,
    _folder: Option<TempDir>,
}

/// An empty one on SQLite.
pub async fn sqlite() -> Database {
    let folder = tempfile::tempdir().unwrap();
    let at = DatabaseAddress::from(folder.path().join("control.db").as_path());
    Database { store: Store::open_or_make(&at).await.unwrap(), at, name: None, _folder: Some(folder) }
}

/// An empty one on PostgreSQL.
pub async fn postgres() -> Database {
    let name = migrated();
    let url = SERVER.url(&name);
    let at = DatabaseAddress::read(Some(&url), &|_| None).unwrap();
    Database { store: Store::open_or_make(&at).await.unwrap(), at, name: Some(name), _folder: None }
}

impl Database {
    /// Its name on the server.
    pub fn name(&self) -> &str {
        self.name.as_deref().expect("a database on the server")
    }

    /// The same, closed and opened again.
    pub async fn again(self) -> Self {
        self.store.close().await;
        Self { store: Store::open(&self.at).await.unwrap(), ..self }
    }

    /// A write that succeeds.
    pub async fn write<T, F>(&self, work: F) -> Written<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T> + Send + 'static,
    {
        self.store.write(work).await.unwrap()
    }

    /// A new workspace without limits.
    pub async fn workspace(&self, slug: &str) -> Workspace {
        self.workspace_with(slug, Vec::new(), Bounds::default()).await
    }

    pub async fn workspace_with(&self, slug: &str, default_limits: Vec<Limit>, bounds: Bounds) -> Workspace {
        let workspace = new_workspace(slug, default_limits, bounds);
        let write = self.write(move |tx| {
            Box::pin(async move {
                tx.insert_workspace(&workspace).await?;
                Ok(tx.find_workspace(&workspace.id).await?.unwrap())
            })
        });
        write.await.value
    }

    /// A new key; each name has an id and a hash of its own.
    pub async fn key(&self, workspace: &Workspace, name: &str) -> Key {
        self.store_key(new_key(workspace, name)).await.value
    }

    pub async fn store_key(&self, key: NewKey) -> Written<Key> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.insert_keys(slice::from_ref(&key)).await?;
                Ok(tx.find_key(&key.id).await?.unwrap())
            })
        })
        .await
    }

    pub async fn user(&self, email: &str) -> User {
        let user = new_user(email);
        let write = self.write(move |tx| {
            Box::pin(async move {
                tx.insert_user(&user).await?;
                Ok(tx.find_user(&user.email).await?.unwrap())
            })
        });
        write.await.value
    }

    pub async fn find_key(&self, id: &str) -> Option<Key> {
        self.store.read().await.unwrap().find_key(id).await.unwrap()
    }
}

pub fn new_workspace(slug: &str, default_limits: Vec<Limit>, bounds: Bounds) -> Workspace {
    let (id, name) = (format!("ws_{slug}"), format!("Workspace {slug}"));
    Workspace {
        seq: 0,
        id,
        slug: slug.to_owned(),
        name,
        default_limits,
        bounds,
        plan: None,
        created_at: at(0),
    }
}

pub fn new_key(workspace: &Workspace, name: &str) -> NewKey {
    NewKey {
        restrict: None,
        plan: None,
        shadow: false,
        id: format!("key_{name}"),
        hash: hash_of(name),
        workspace_seq: workspace.seq,
        environment: Environment::Live,
        name: name.to_owned(),
        hint: "sk_live_…a1B2".to_owned(),
        limits: None,
        created_at: at(0),
        created_by: "admin token".to_owned(),
        expires_at: None,
        rotated_from: None,
    }
}

pub fn new_user(email: &str) -> NewUser {
    NewUser {
        id: format!("usr_{}", email.replace('@', "_")),
        email: email.to_owned(),
        password_hash: "$argon2id$v=19$".to_owned(),
        stamp: "stamp".to_owned(),
        created_at: at(0),
    }
}

/// Hashes in order of the numbers that names end in.
pub fn hash_of(name: &str) -> KeyHash {
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    let mut hash = [0x55; 32];
    hash[..4].copy_from_slice(&digits.parse::<u32>().unwrap_or(u32::MAX).to_be_bytes());
    for (place, byte) in name.bytes().enumerate() {
        hash[4 + place % 28] ^= byte.rotate_left(u32::try_from(place / 28).unwrap());
    }
    KeyHash(hash)
}

/// Seconds after some moment.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + seconds).unwrap()
}

pub fn limit(name: &str, scope: Scope, requests: u32) -> Limit {
    let number = |n| NonZeroU32::new(n).unwrap();
    Limit { name: name.to_owned(), scope, ..Limit::per(number(requests), number(60)) }
}

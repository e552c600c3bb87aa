//! Rows of `users` and `memberships`.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::Tx;
use super::keys::timestamp;
use crate::error::Error;
use crate::users::{Membership, Role, User};

/// A user to be stored.
#[derive(Clone)]
pub struct NewUserRow {
    /// `usr_…`.
    pub id: String,
    /// Lower-case.
    pub email: String,
    /// argon2id, PHC string.
    pub password_hash: String,
    /// See [`User::stamp`].
    pub stamp: String,
    /// When the user was made.
    pub created_at: Timestamp,
}

/// Memberships come as JSON, so that a list of users is one statement.
const SELECT: &str = "SELECT u.seq, u.id, u.email, u.stamp, u.created_at, u.disabled_at,
        (SELECT json_group_array(json_object('workspace_seq', w.seq, 'workspace', w.id, 'slug', w.slug, 'name', w.name,
             'role', m.role) ORDER BY w.seq)
         FROM memberships m JOIN workspaces w ON w.seq = m.workspace_seq WHERE m.user_seq = u.seq) AS memberships
    FROM users u";

/// Stores a new user.
pub async fn insert(tx: &mut Tx, user: &NewUserRow) -> Result<(), Error> {
    sqlx::query("INSERT INTO users (id, email, password_hash, stamp, created_at) VALUES (?, ?, ?, ?, ?)")
        .bind(&user.id)
        .bind(&user.email)
        .bind(&user.password_hash)
        .bind(&user.stamp)
        .bind(user.created_at.as_millisecond())
        .execute(tx)
        .await?;
    Ok(())
}

/// The user with this id or (lower-case) e-mail address. No address looks like an id.
pub async fn find(tx: &mut Tx, id_or_email: &str) -> Result<Option<User>, Error> {
    let sql = format!("{SELECT} WHERE u.id = ?1 OR u.email = ?1");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id_or_email).fetch_optional(tx).await?;
    row.as_ref().map(user).transpose()
}

/// The user's password hash.
pub async fn password_hash(tx: &mut Tx, seq: i64) -> Result<String, Error> {
    Ok(sqlx::query_scalar("SELECT password_hash FROM users WHERE seq = ?").bind(seq).fetch_one(tx).await?)
}

/// Users in order of creation from behind `after`, of one workspace or all.
pub async fn list(
    tx: &mut Tx,
    workspace_seq: Option<i64>,
    after: i64,
    limit: u32,
) -> Result<Vec<User>, Error> {
    let sql = format!(
        "{SELECT} WHERE u.seq > ?1 AND (?2 IS NULL OR EXISTS (
             SELECT 1 FROM memberships m WHERE m.user_seq = u.seq AND m.workspace_seq = ?2)) ORDER BY u.seq LIMIT ?3"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(workspace_seq).bind(limit);
    query.fetch_all(tx).await?.iter().map(user).collect()
}

/// Gives the user a role in a workspace, or takes it away.
pub async fn set_role(
    tx: &mut Tx,
    user_seq: i64,
    workspace_seq: i64,
    role: Option<Role>,
) -> Result<(), Error> {
    let query = match role {
        Some(role) => sqlx::query(
            "INSERT INTO memberships (user_seq, workspace_seq, role) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET role = ?3",
        )
        .bind(user_seq)
        .bind(workspace_seq)
        .bind(role.as_str()),
        None => sqlx::query("DELETE FROM memberships WHERE user_seq = ? AND workspace_seq = ?")
            .bind(user_seq)
            .bind(workspace_seq),
    };
    query.execute(tx).await?;
    Ok(())
}

/// Gives the user another password.
pub async fn set_password_hash(tx: &mut Tx, seq: i64, hash: &str) -> Result<(), Error> {
    sqlx::query("UPDATE users SET password_hash = ? WHERE seq = ?").bind(hash).bind(seq).execute(tx).await?;
    Ok(())
}

/// Gives the user another stamp: every session of theirs has ended.
pub async fn set_stamp(tx: &mut Tx, seq: i64, stamp: &str) -> Result<(), Error> {
    sqlx::query("UPDATE users SET stamp = ? WHERE seq = ?").bind(stamp).bind(seq).execute(tx).await?;
    Ok(())
}

/// Locks the user out, or lets them in again.
pub async fn set_disabled(tx: &mut Tx, seq: i64, at: Option<Timestamp>) -> Result<(), Error> {
    sqlx::query("UPDATE users SET disabled_at = ? WHERE seq = ?")
        .bind(at.map(Timestamp::as_millisecond))
        .bind(seq)
        .execute(tx)
        .await?;
    Ok(())
}

fn user(row: &SqliteRow) -> Result<User, Error> {
    let memberships: String = row.try_get("memberships")?;
    let memberships: Vec<Membership> = serde_json::from_str(&memberships).map_err(Error::internal)?;
    let disabled: Option<i64> = row.try_get("disabled_at")?;
    Ok(User {
        seq: row.try_get("seq")?,
        id: row.try_get("id")?,
        email: row.try_get("email")?,
        stamp: row.try_get("stamp")?,
        memberships,
        created_at: timestamp(row.try_get("created_at")?)?,
        disabled_at: disabled.map(timestamp).transpose()?,
    })
}

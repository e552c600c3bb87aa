//! Rows of `users` and `memberships`.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::values::timestamp;
use crate::domain::error::Error;
use crate::domain::users::user::NewUser;
use crate::domain::users::{Membership, Role, User};
use crate::store::seam::users::{ReadUsers, WriteUsers};

/// Memberships come as JSON, so that a list of users is one statement.
const SELECT: &str = "SELECT u.seq, u.id, u.email, u.stamp, u.is_operator, u.created_at, u.disabled_at,
        (SELECT json_group_array(json_object('workspace_seq', w.seq, 'workspace', w.id, 'slug', w.slug, 'name', w.name,
             'role', m.role) ORDER BY w.seq)
         FROM memberships m JOIN workspaces w ON w.seq = m.workspace_seq WHERE m.user_seq = u.seq) AS memberships
    FROM users u";

#[async_trait]
impl ReadUsers for SqliteConnection {
    async fn find_user(&mut self, id_or_email: &str) -> Result<Option<User>, Error> {
        let sql = format!("{SELECT} WHERE u.id = ?1 OR u.email = ?1");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id_or_email).fetch_optional(self).await?;
        row.as_ref().map(user).transpose()
    }

    async fn user_emails(&mut self, also_plain: bool) -> Result<Vec<(String, String)>, Error> {
        let sql = "SELECT id, email FROM users WHERE ? OR email GLOB '*[^ -~]*'";
        Ok(sqlx::query_as(sql).bind(also_plain).fetch_all(self).await?)
    }

    async fn password_hash(&mut self, seq: i64) -> Result<String, Error> {
        Ok(sqlx::query_scalar("SELECT password_hash FROM users WHERE seq = ?")
            .bind(seq)
            .fetch_one(self)
            .await?)
    }

    async fn list_users(
        &mut self,
        workspace_seq: Option<i64>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<User>, Error> {
        let sql = format!(
            "{SELECT} WHERE u.seq > ?1 AND (?2 IS NULL OR EXISTS (
                 SELECT 1 FROM memberships m WHERE m.user_seq = u.seq AND m.workspace_seq = ?2)) ORDER BY u.seq LIMIT ?3"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(workspace_seq).bind(limit);
        query.fetch_all(self).await?.iter().map(user).collect()
    }
}

#[async_trait]
impl WriteUsers for SqliteConnection {
    async fn insert_user(&mut self, user: &NewUser) -> Result<(), Error> {
        sqlx::query("INSERT INTO users (id, email, password_hash, stamp, created_at) VALUES (?, ?, ?, ?, ?)")
            .bind(&user.id)
            .bind(&user.email)
            .bind(&user.password_hash)
            .bind(&user.stamp)
            .bind(user.created_at.as_millisecond())
            .execute(self)
            .await?;
        Ok(())
    }

    async fn set_role(&mut self, user_seq: i64, workspace_seq: i64, role: Option<Role>) -> Result<(), Error> {
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
        query.execute(self).await?;
        Ok(())
    }

    async fn set_password_hash(&mut self, seq: i64, hash: &str) -> Result<(), Error> {
        sqlx::query("UPDATE users SET password_hash = ? WHERE seq = ?")
            .bind(hash)
            .bind(seq)
            .execute(self)
            .await?;
        Ok(())
    }

    async fn set_stamp(&mut self, seq: i64, stamp: &str) -> Result<(), Error> {
        sqlx::query("UPDATE users SET stamp = ? WHERE seq = ?").bind(stamp).bind(seq).execute(self).await?;
        Ok(())
    }

    async fn set_operator(&mut self, seq: i64, is_operator: bool) -> Result<(), Error> {
        sqlx::query("UPDATE users SET is_operator = ? WHERE seq = ?")
            .bind(is_operator)
            .bind(seq)
            .execute(self)
            .await?;
        Ok(())
    }

    async fn set_disabled(&mut self, seq: i64, at: Option<Timestamp>) -> Result<(), Error> {
        sqlx::query("UPDATE users SET disabled_at = ? WHERE seq = ?")
            .bind(at.map(Timestamp::as_millisecond))
            .bind(seq)
            .execute(self)
            .await?;
        Ok(())
    }
}

/// Locks out everybody who is not locked out already; returns how many that were.
pub(super) async fn disable_all(tx: &mut SqliteConnection, at: Timestamp) -> Result<u64, Error> {
    let done = sqlx::query("UPDATE users SET disabled_at = ? WHERE disabled_at IS NULL")
        .bind(at.as_millisecond())
        .execute(tx)
        .await?;
    Ok(done.rows_affected())
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
        is_operator: row.try_get("is_operator")?,
        memberships,
        created_at: timestamp(row.try_get("created_at")?)?,
        disabled_at: disabled.map(timestamp).transpose()?,
    })
}

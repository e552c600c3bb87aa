//! Rows of `users` and `memberships`.

use async_trait::async_trait;
use jiff::Timestamp;

use super::columns::Columns;
use super::statement::{Dialect, Sql, Statement};
use super::values::{timestamp, unsigned};
use crate::domain::error::Error;
use crate::domain::users::user::NewUser;
use crate::domain::users::{Membership, Role, User};
use crate::store::seam::users::{ReadUsers, WriteUsers};

/// The beginning of every statement that finds users. Memberships come as JSON, so that a list of users is one statement.
fn select(dialect: Dialect) -> String {
    let (list, object) = match dialect {
        Dialect::Sqlite => ("json_group_array", "json_object"),
        Dialect::Postgres => ("json_agg", "json_build_object"),
    };
    format!(
        "SELECT u.seq, u.id, u.email, u.stamp, u.is_operator, u.created_at, u.disabled_at, u.vouched_by,
             (SELECT count(*) FROM second_factors f WHERE f.user_seq = u.seq) AS has_second_factor,
             (SELECT CAST({list}({object}('workspace_seq', w.seq, 'workspace', w.id, 'slug', w.slug, 'name', w.name,
                  'role', m.role) ORDER BY w.seq) AS TEXT)
              FROM memberships m JOIN workspaces w ON w.seq = m.workspace_seq WHERE m.user_seq = u.seq) AS memberships
         FROM users u"
    )
}

#[async_trait]
impl<S: Sql> ReadUsers for S {
    async fn find_user(&mut self, id_or_email: &str) -> Result<Option<User>, Error> {
        let find = format!("{} WHERE u.id = $1 OR u.email = $1", select(S::DIALECT));
        self.row(Statement::new(find).bind(id_or_email)).await?.as_ref().map(user).transpose()
    }

    async fn user_of_subject(&mut self, subject: &str) -> Result<Option<User>, Error> {
        let find = format!("{} WHERE u.oidc_subject = $1", select(S::DIALECT));
        self.row(Statement::new(find).bind(subject)).await?.as_ref().map(user).transpose()
    }

    async fn subject_of(&mut self, seq: i64) -> Result<Option<String>, Error> {
        let find = Statement::new("SELECT oidc_subject FROM users WHERE seq = $1").bind(seq);
        let row = self.row(find).await?;
        row.ok_or_else(|| Error::internal("there is no such user"))?.maybe_text("oidc_subject")
    }

    async fn user_emails(&mut self, also_plain: bool) -> Result<Vec<(String, String)>, Error> {
        let sql = "SELECT id, email FROM users WHERE $1 OR octet_length(email) <> length(email) ORDER BY seq";
        let rows = self.rows(Statement::new(sql).bind(also_plain)).await?;
        rows.iter().map(|row| Ok((row.text("id")?, row.text("email")?))).collect()
    }

    async fn password_hash(&mut self, seq: i64) -> Result<String, Error> {
        let find = Statement::new("SELECT password_hash FROM users WHERE seq = $1").bind(seq);
        let row = self.row(find).await?;
        row.ok_or_else(|| Error::internal("there is no such user"))?.text("password_hash")
    }

    async fn list_users(
        &mut self,
        workspace_seq: Option<i64>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<User>, Error> {
        let list = format!(
            "{} WHERE u.seq > $1 AND ($2 IS NULL OR EXISTS (
                 SELECT 1 FROM memberships m WHERE m.user_seq = u.seq AND m.workspace_seq = $2)) ORDER BY u.seq LIMIT $3",
            select(S::DIALECT)
        );
        let list = Statement::new(list).bind(after).bind(workspace_seq).bind(limit);
        self.rows(list).await?.iter().map(user).collect()
    }

    async fn count_owners(&mut self, workspace_seq: i64) -> Result<u64, Error> {
        let count = Statement::new(
            "SELECT count(*) AS n FROM memberships m JOIN users u ON u.seq = m.user_seq
             WHERE m.workspace_seq = $1 AND m.role = 'owner' AND u.disabled_at IS NULL",
        );
        unsigned(self.number(count.bind(workspace_seq)).await?)
    }
}

#[async_trait]
impl<S: Sql> WriteUsers for S {
    async fn insert_user(&mut self, user: &NewUser) -> Result<(), Error> {
        let insert = Statement::new(
            "INSERT INTO users (id, email, password_hash, stamp, created_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&user.id)
        .bind(&user.email)
        .bind(&user.password_hash)
        .bind(&user.stamp)
        .bind(user.created_at.as_millisecond());
        self.run(insert).await.map(drop)
    }

    async fn set_role(&mut self, user_seq: i64, workspace_seq: i64, role: Option<Role>) -> Result<(), Error> {
        let set = match role {
            Some(role) => Statement::new(
                "INSERT INTO memberships (user_seq, workspace_seq, role) VALUES ($1, $2, $3)
                 ON CONFLICT (user_seq, workspace_seq) DO UPDATE SET role = excluded.role",
            )
            .bind(user_seq)
            .bind(workspace_seq)
            .bind(role.as_str()),
            None => Statement::new("DELETE FROM memberships WHERE user_seq = $1 AND workspace_seq = $2")
                .bind(user_seq)
                .bind(workspace_seq),
        };
        self.run(set).await.map(drop)
    }

    async fn set_vouched_by(&mut self, seq: i64, workspace_seq: Option<i64>) -> Result<(), Error> {
        let set = Statement::new("UPDATE users SET vouched_by = $1 WHERE seq = $2");
        self.run(set.bind(workspace_seq).bind(seq)).await.map(drop)
    }

    async fn set_password_hash(&mut self, seq: i64, hash: &str) -> Result<(), Error> {
        let set = Statement::new("UPDATE users SET password_hash = $1 WHERE seq = $2");
        self.run(set.bind(hash).bind(seq)).await.map(drop)
    }

    async fn set_subject(&mut self, seq: i64, subject: &str) -> Result<(), Error> {
        let set = Statement::new("UPDATE users SET oidc_subject = $1 WHERE seq = $2");
        self.run(set.bind(subject).bind(seq)).await.map(drop)
    }

    async fn set_stamp(&mut self, seq: i64, stamp: &str) -> Result<(), Error> {
        let set = Statement::new("UPDATE users SET stamp = $1 WHERE seq = $2");
        self.run(set.bind(stamp).bind(seq)).await.map(drop)
    }

    async fn set_operator(&mut self, seq: i64, is_operator: bool) -> Result<(), Error> {
        let set = Statement::new("UPDATE users SET is_operator = $1 WHERE seq = $2");
        self.run(set.bind(i64::from(is_operator)).bind(seq)).await.map(drop)
    }

    async fn set_disabled(&mut self, seq: i64, at: Option<Timestamp>) -> Result<(), Error> {
        let set = Statement::new("UPDATE users SET disabled_at = $1 WHERE seq = $2");
        self.run(set.bind(at.map(Timestamp::as_millisecond)).bind(seq)).await.map(drop)
    }
}

/// Locks out everybody who is not locked out already; returns how many that were.
pub async fn disable_all(sql: &mut impl Sql, at: Timestamp) -> Result<u64, Error> {
    let disable = Statement::new("UPDATE users SET disabled_at = $1 WHERE disabled_at IS NULL");
    sql.run(disable.bind(at.as_millisecond())).await
}

fn user(row: &impl Columns) -> Result<User, Error> {
    // One engine's list of nothing is empty, another one's is NULL.
    let memberships = row.maybe_text("memberships")?.unwrap_or_else(|| "[]".to_owned());
    let memberships: Vec<Membership> = serde_json::from_str(&memberships).map_err(Error::internal)?;
    Ok(User {
        seq: row.number("seq")?,
        id: row.text("id")?,
        email: row.text("email")?,
        stamp: row.text("stamp")?,
        is_operator: row.flag("is_operator")?,
        memberships,
        created_at: timestamp(row.number("created_at")?)?,
        disabled_at: row.maybe_number("disabled_at")?.map(timestamp).transpose()?,
        vouched_by: row.maybe_number("vouched_by")?,
        has_second_factor: row.flag("has_second_factor")?,
    })
}

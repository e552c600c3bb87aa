//! Rows of `operator_tokens`.

use async_trait::async_trait;
use jiff::Timestamp;

use super::columns::Columns;
use super::credentials::{hash, tell_others};
use super::statement::{Sql, Statement};
use super::values::{timestamp, unsigned};
use crate::domain::access::{Place, Scope};
use crate::domain::error::Error;
use crate::domain::keys::End;
use crate::domain::operators::OperatorToken;
use crate::domain::users::Role;
use crate::store::seam::operators::{ReadOperators, WriteOperators};

const SELECT: &str = "SELECT t.seq, t.id, t.name, t.hash, t.role, t.created_at, t.created_by, t.expires_at, t.revoked_at, t.last_used_at,
        t.workspace_seq, w.id AS workspace, w.slug
    FROM operator_tokens t LEFT JOIN workspaces w ON w.seq = t.workspace_seq";

#[async_trait]
impl<S: Sql> ReadOperators for S {
    async fn list_tokens(&mut self, after: i64, limit: u32) -> Result<Vec<OperatorToken>, Error> {
        let list = Statement::new(format!("{SELECT} WHERE t.seq > $1 ORDER BY t.seq LIMIT $2"));
        self.rows(list.bind(after).bind(limit)).await?.iter().map(token).collect()
    }

    async fn good_tokens(&mut self, now: Timestamp) -> Result<Vec<(OperatorToken, [u8; 32])>, Error> {
        let good = Statement::new(format!(
            "{SELECT} WHERE t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $1) ORDER BY t.seq"
        ));
        let rows = self.rows(good.bind(now.as_second())).await?;
        rows.iter().map(|row| Ok((token(row)?, hash(row)?))).collect()
    }

    async fn find_token(&mut self, name: &str) -> Result<Option<OperatorToken>, Error> {
        let find = Statement::new(format!("{SELECT} WHERE t.name = $1")).bind(name);
        self.row(find).await?.as_ref().map(token).transpose()
    }

    async fn token_names(&mut self) -> Result<Vec<(String, String)>, Error> {
        let rows = self.rows(Statement::new("SELECT id, name FROM operator_tokens ORDER BY seq")).await?;
        rows.iter().map(|row| Ok((row.text("id")?, row.text("name")?))).collect()
    }
}

#[async_trait]
impl<S: Sql> WriteOperators for S {
    async fn insert_token(&mut self, token: &OperatorToken, hash: &[u8; 32]) -> Result<(), Error> {
        let place = token.scope.place();
        let insert = Statement::new(
            "INSERT INTO operator_tokens (id, name, hash, workspace_seq, role, created_at, created_by, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&token.id)
        .bind(&token.name)
        .bind(hash.as_slice())
        .bind(place.map(|place| place.workspace_seq))
        .bind(place.map(|place| place.role.as_str().to_owned()))
        .bind(token.created_at.as_millisecond())
        .bind(&token.created_by)
        .bind(token.expires_at.map(End::second));
        self.run(insert).await?;
        tell_others(self).await
    }

    async fn revoke_token(&mut self, name: &str, now: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE operator_tokens SET revoked_at = $1 WHERE name = $2 AND revoked_at IS NULL";
        self.run(Statement::new(sql).bind(now.as_millisecond()).bind(name)).await?;
        tell_others(self).await
    }

    async fn note_token_uses(&mut self, uses: &[(String, Timestamp)]) -> Result<(), Error> {
        let sql = "UPDATE operator_tokens SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)";
        // In one order, so that two replicas with the same tokens never wait for each other.
        let mut uses = uses.to_vec();
        uses.sort();
        for (id, at) in uses {
            self.run(Statement::new(sql).bind(at.as_millisecond()).bind(id)).await?;
        }
        Ok(())
    }
}

/// Ends every token; returns how many that were.
pub(super) async fn revoke_all(sql: &mut impl Sql, now: Timestamp) -> Result<u64, Error> {
    let revoke = "UPDATE operator_tokens SET revoked_at = $1 WHERE revoked_at IS NULL";
    sql.run(Statement::new(revoke).bind(now.as_millisecond())).await
}

/// How many tokens nobody has ended.
pub(super) async fn count_good(sql: &mut impl Sql) -> Result<u64, Error> {
    let count = Statement::new("SELECT COUNT(*) AS n FROM operator_tokens WHERE revoked_at IS NULL");
    unsigned(sql.number(count).await?)
}

fn token(row: &impl Columns) -> Result<OperatorToken, Error> {
    let time = |name: &str| row.maybe_number(name)?.map(timestamp).transpose();
    let scope = match (row.maybe_number("workspace_seq")?, row.maybe_text("role")?) {
        (Some(workspace_seq), Some(role)) => Scope::Workspace(Place {
            workspace_seq,
            workspace: row.text("workspace")?,
            slug: row.text("slug")?,
            role: Role::named(&role).ok_or_else(|| Error::internal("a token has a role that is none"))?,
        }),
        (None, None) => Scope::Everything,
        _ => return Err(Error::internal("a token has half a scope")),
    };
    Ok(OperatorToken {
        seq: row.number("seq")?,
        id: row.text("id")?,
        name: row.text("name")?,
        scope,
        created_at: timestamp(row.number("created_at")?)?,
        created_by: row.text("created_by")?,
        expires_at: row.maybe_number("expires_at")?.map(end).transpose()?,
        revoked_at: time("revoked_at")?,
        last_used_at: time("last_used_at")?,
    })
}

fn end(second: i64) -> Result<End, Error> {
    End::from_second(second).ok_or_else(|| Error::internal("a token has an end that is none"))
}

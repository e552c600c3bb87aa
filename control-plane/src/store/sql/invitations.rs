//! Rows of `invitations`.

use async_trait::async_trait;
use jiff::Timestamp;

use super::columns::Columns;
use super::statement::{Sql, Statement};
use super::values::timestamp;
use crate::domain::error::Error;
use crate::domain::users::{Invitation, Role};
use crate::store::seam::invitations::{ReadInvitations, WriteInvitations};

const SELECT: &str =
    "SELECT id, workspace_seq, email, role, created_by, created_at, expires_at FROM invitations";

#[async_trait]
impl<S: Sql> ReadInvitations for S {
    async fn find_invitation(&mut self, hash: [u8; 32], now: Timestamp) -> Result<Option<Invitation>, Error> {
        let find = Statement::new(format!("{SELECT} WHERE hash = $1 AND expires_at > $2"));
        let find = find.bind(hash.as_slice()).bind(now.as_millisecond());
        self.row(find).await?.as_ref().map(invitation).transpose()
    }

    async fn list_invitations(
        &mut self,
        workspace_seq: i64,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Invitation>, Error> {
        let list = Statement::new(format!(
            "{SELECT} WHERE workspace_seq = $1 AND expires_at > $2 ORDER BY created_at, id LIMIT $3"
        ));
        let list = list.bind(workspace_seq).bind(now.as_millisecond()).bind(limit);
        self.rows(list).await?.iter().map(invitation).collect()
    }
}

#[async_trait]
impl<S: Sql> WriteInvitations for S {
    async fn insert_invitation(&mut self, invitation: &Invitation, hash: [u8; 32]) -> Result<(), Error> {
        let insert = Statement::new(
            "INSERT INTO invitations (hash, id, workspace_seq, email, role, created_by, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(hash.as_slice())
        .bind(&invitation.id)
        .bind(invitation.workspace_seq)
        .bind(&invitation.email)
        .bind(invitation.role.as_str())
        .bind(&invitation.created_by)
        .bind(invitation.created_at.as_millisecond())
        .bind(invitation.expires_at.as_millisecond());
        self.run(insert).await.map(drop)
    }

    async fn delete_invitation(&mut self, workspace_seq: i64, id: &str) -> Result<bool, Error> {
        let delete = Statement::new("DELETE FROM invitations WHERE id = $1 AND workspace_seq = $2");
        Ok(self.run(delete.bind(id).bind(workspace_seq)).await? == 1)
    }

    async fn delete_invitations_by(&mut self, created_by: &str) -> Result<(), Error> {
        let delete = Statement::new("DELETE FROM invitations WHERE created_by = $1");
        self.run(delete.bind(created_by)).await.map(drop)
    }

    async fn forget_expired_invitations(&mut self, now: Timestamp) -> Result<(), Error> {
        let forget = Statement::new("DELETE FROM invitations WHERE expires_at < $1");
        self.run(forget.bind(now.as_millisecond())).await.map(drop)
    }
}

fn invitation(row: &impl Columns) -> Result<Invitation, Error> {
    let role = Role::named(&row.text("role")?).ok_or_else(|| Error::internal("a stored role is none"))?;
    Ok(Invitation {
        id: row.text("id")?,
        workspace_seq: row.number("workspace_seq")?,
        email: row.text("email")?,
        role,
        created_by: row.text("created_by")?,
        created_at: timestamp(row.number("created_at")?)?,
        expires_at: timestamp(row.number("expires_at")?)?,
    })
}

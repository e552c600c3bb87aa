//! What must hold of a database whatever the engine, what it holds, and what is done when it was restored from a backup.

use jiff::Timestamp;
use serde_json::json;

use super::columns::Columns as _;
use super::statement::{Sql, Statement};
use super::{changes, operators, users};
use crate::domain::audit::{Action, Actor, NewEntry, Via};
use crate::domain::error::Error;
use crate::store::seam::audit::WriteAudit as _;

/// What must hold of the revision log, as a count of what breaks it.
const RULES: [(&str, &str); 5] = [
    ("revision_log must have one row", "SELECT abs(COUNT(*) - 1) AS n FROM revision_log"),
    (
        "keys have a revision that was never given out",
        "SELECT COUNT(*) AS n FROM api_keys WHERE revision > (SELECT revision FROM revision_log)",
    ),
    (
        "the log's floor is above its revision",
        "SELECT COUNT(*) AS n FROM revision_log WHERE floor > revision OR floor < 0",
    ),
    (
        "removals below the log's floor are still in the log",
        "SELECT COUNT(*) AS n FROM api_keys WHERE listed = 0 AND revision <= (SELECT floor FROM revision_log)",
    ),
    (
        "revoked keys are in the gateways' table",
        "SELECT COUNT(*) AS n FROM api_keys WHERE listed = 1 AND revoked_at IS NOT NULL",
    ),
];

/// What a database holds.
pub struct Holdings {
    pub epoch: String,
    pub revision: i64,
    pub keys: i64,
    pub listed: i64,
}

/// What a restore has done.
pub struct BegunAnew {
    /// How many users there are.
    pub users: u64,
    /// How many of them were locked out.
    pub locked: u64,
    /// How many tokens of operators nobody has ended.
    pub tokens: u64,
}

/// Adds the rules that are broken.
pub async fn judge(sql: &mut impl Sql, problems: &mut Vec<String>) -> Result<(), Error> {
    for (rule, count) in RULES {
        let broken = sql.number(Statement::new(count)).await?;
        if broken > 0 {
            problems.push(format!("{rule} ({broken})"));
        }
    }
    Ok(())
}

/// Counts.
pub async fn holdings(sql: &mut impl Sql) -> Result<Holdings, Error> {
    let log = sql.row(Statement::new("SELECT epoch, revision FROM revision_log LIMIT 1")).await?;
    let (epoch, revision) = match log {
        Some(row) => (row.text("epoch")?, row.number("revision")?),
        None => (String::new(), 0),
    };
    let keys = sql.number(Statement::new("SELECT COUNT(*) AS n FROM api_keys")).await?;
    let listed = sql.number(Statement::new("SELECT COUNT(*) AS n FROM api_keys WHERE listed = 1")).await?;
    Ok(Holdings { epoch, revision, keys, listed })
}

/// What is done to a database that was restored: another history begins, every session ends, and perhaps every user is locked out, with every
/// token of operators. That is
/// written into the audit log in the name of the command: one entry for all.
pub async fn begin_anew(sql: &mut impl Sql, lock_users: bool, command: &str) -> Result<BegunAnew, Error> {
    changes::new_epoch(sql).await?;
    sql.run(Statement::new("DELETE FROM sessions")).await?;
    // One that was used or withdrawn since would let somebody in again.
    sql.run(Statement::new("DELETE FROM invitations")).await?;
    let users = sql.number(Statement::new("SELECT COUNT(*) AS n FROM users")).await?.unsigned_abs();
    if !lock_users {
        let tokens = operators::count_good(sql).await?;
        return Ok(BegunAnew { users, locked: 0, tokens });
    }
    let now = Timestamp::now();
    let locked = users::disable_all(sql, now).await?;
    let tokens = operators::revoke_all(sql, now).await?;
    let by = Actor { name: format!("{command} --lock-users"), ..Actor::admin_token(Via::Cli, None) };
    let entry = NewEntry {
        by: &by,
        action: Action::UserDisabled,
        workspace_seq: None,
        target_id: None,
        target: "every user",
        details: json!({ "users": locked, "tokens": tokens }),
    };
    sql.append_entry(&entry, now).await?;
    Ok(BegunAnew { users, locked, tokens })
}

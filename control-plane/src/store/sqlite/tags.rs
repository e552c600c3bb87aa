//! Tags of revisions: a random name for each commit that took some. A gateway says the tag with its revision; when both are
//! ours, it has seen our history and no other, whatever copies of the database there are.

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::values::{signed, unsigned};
use crate::domain::error::Error;
use crate::domain::log::Head;
use crate::domain::random;

/// Where the log stands.
pub(super) async fn head(tx: &mut SqliteConnection) -> Result<Head, Error> {
    let (head, tag) = untagged_head(tx).await?;
    Ok(Head { tag: tag.ok_or_else(|| Error::internal("the newest revision has no tag"))?, ..head })
}

/// The same at the end of a commit: revisions that have no tag yet get one.
pub(super) async fn seal(tx: &mut SqliteConnection) -> Result<Head, Error> {
    let (head, tag) = untagged_head(tx).await?;
    if let Some(tag) = tag {
        return Ok(Head { tag, ..head });
    }
    let tag = random::id("t_")?;
    sqlx::query("INSERT INTO revision_tags (revision, tag) VALUES (?, ?)")
        .bind(signed(head.revision)?)
        .bind(&tag)
        .execute(tx)
        .await?;
    Ok(Head { tag, ..head })
}

/// The tag of a revision: that of the commit which took it. `None` for one that was never given out.
pub(super) async fn of(tx: &mut SqliteConnection, revision: u64) -> Result<Option<String>, Error> {
    let query =
        sqlx::query_scalar("SELECT tag FROM revision_tags WHERE revision >= ? ORDER BY revision LIMIT 1");
    Ok(query.bind(signed(revision)?).fetch_optional(tx).await?)
}

async fn untagged_head(tx: &mut SqliteConnection) -> Result<(Head, Option<String>), Error> {
    let sql = "SELECT epoch, revision, (SELECT tag FROM revision_tags t WHERE t.revision = l.revision) AS tag \
        FROM revision_log l";
    let row = sqlx::query(sql).fetch_one(tx).await?;
    let revision = unsigned(row.try_get("revision")?)?;
    Ok((Head { epoch: row.try_get("epoch")?, revision, tag: String::new() }, row.try_get("tag")?))
}

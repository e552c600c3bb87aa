//! Tags of revisions: a random name for each commit that took some. A gateway says the tag with its revision; when both are
//! ours, it has seen our history and no other, whatever copies of the database there are.

use super::columns::Columns as _;
use super::statement::{Sql, Statement};
use super::values::{signed, unsigned};
use crate::domain::error::Error;
use crate::domain::log::Head;
use crate::domain::random;

/// Where the log stands.
pub async fn head(sql: &mut impl Sql) -> Result<Head, Error> {
    let (head, tag) = untagged_head(sql).await?;
    Ok(Head { tag: tag.ok_or_else(|| Error::internal("the newest revision has no tag"))?, ..head })
}

/// The same at the end of a commit: revisions that have no tag yet get one. Says whether there were any.
pub async fn seal(sql: &mut impl Sql) -> Result<(Head, bool), Error> {
    let (head, tag) = untagged_head(sql).await?;
    if let Some(tag) = tag {
        return Ok((Head { tag, ..head }, false));
    }
    let tag = random::id("t_")?;
    let insert = Statement::new("INSERT INTO revision_tags (revision, tag) VALUES ($1, $2)");
    sql.run(insert.bind(signed(head.revision)?).bind(&tag)).await?;
    Ok((Head { tag, ..head }, true))
}

/// The tag of a revision: that of the commit which took it. `None` for one that was never given out.
pub async fn of(sql: &mut impl Sql, revision: u64) -> Result<Option<String>, Error> {
    let find = Statement::new("SELECT tag FROM revision_tags WHERE revision >= $1 ORDER BY revision LIMIT 1");
    sql.row(find.bind(signed(revision)?)).await?.map(|row| row.text("tag")).transpose()
}

async fn untagged_head(sql: &mut impl Sql) -> Result<(Head, Option<String>), Error> {
    let find = "SELECT epoch, revision, (SELECT tag FROM revision_tags t WHERE t.revision = l.revision) AS tag \
        FROM revision_log l";
    let row = sql.row(Statement::new(find)).await?;
    let row = row.ok_or_else(|| Error::internal("there is no revision log"))?;
    let revision = unsigned(row.number("revision")?)?;
    Ok((Head { epoch: row.text("epoch")?, revision, tag: String::new() }, row.maybe_text("tag")?))
}

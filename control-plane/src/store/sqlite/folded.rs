//! `api_keys.folded`: what a search of keys looks at. Written with the name; for keys from before there was such a column it is
//! filled in when the database is opened, so that a search never meets a key without it.

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use crate::domain::error::Error;
use crate::domain::fold::fold;

/// Most rows in one transaction.
const AT_ONCE: u32 = 1_000;

/// Name, hint and id of a key, folded. No name has a line feed in it, so nothing is found across two of them.
pub(super) fn text(name: &str, hint: &str, id: &str) -> String {
    fold(&format!("{name}\n{hint}\n{id}"))
}

/// Fills in what is missing, some at once; true while there may be more.
pub(super) async fn fill(tx: &mut SqliteConnection) -> Result<bool, Error> {
    let rows =
        sqlx::query("SELECT seq, name, hint, id FROM api_keys WHERE folded IS NULL ORDER BY seq LIMIT ?")
            .bind(AT_ONCE)
            .fetch_all(&mut *tx)
            .await?;
    for row in &rows {
        let text = text(row.try_get("name")?, row.try_get("hint")?, row.try_get("id")?);
        sqlx::query("UPDATE api_keys SET folded = ? WHERE seq = ?")
            .bind(text)
            .bind(row.try_get::<i64, _>("seq")?)
            .execute(&mut *tx)
            .await?;
    }
    Ok(rows.len() == AT_ONCE as usize)
}

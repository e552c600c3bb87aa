//! `api_keys.folded`: what a search of keys looks at. Written with the name; for keys from before there was such a column it is
//! filled in when the database is opened, so that a search never meets a key without it.

use super::columns::Columns as _;
use super::statement::{Sql, Statement};
use crate::domain::error::Error;
use crate::domain::fold::fold;

/// Most rows in one transaction.
const AT_ONCE: u32 = 1_000;

/// Name, hint and id of a key, folded. No name has a line feed in it, so nothing is found across two of them.
pub fn text(name: &str, hint: &str, id: &str) -> String {
    fold(&format!("{name}\n{hint}\n{id}"))
}

/// Fills in what is missing, some at once; true while there may be more.
pub async fn fill(sql: &mut impl Sql) -> Result<bool, Error> {
    let find = "SELECT seq, name, hint, id FROM api_keys WHERE folded IS NULL ORDER BY seq LIMIT $1";
    let rows = sql.rows(Statement::new(find).bind(AT_ONCE)).await?;
    for row in &rows {
        let text = text(&row.text("name")?, &row.text("hint")?, &row.text("id")?);
        let fill = Statement::new("UPDATE api_keys SET folded = $1 WHERE seq = $2");
        sql.run(fill.bind(text).bind(row.number("seq")?)).await?;
    }
    Ok(rows.len() == AT_ONCE as usize)
}

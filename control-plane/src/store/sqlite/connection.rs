//! A connection to a file runs the store's statements.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Sqlite};

use crate::domain::error::Error;
use crate::store::seam::tx::Work;
use crate::store::sql::statement::{Dialect, Sql, Statement};

#[async_trait]
impl Sql for SqliteConnection {
    type Row = SqliteRow;
    const DIALECT: Dialect = Dialect::Sqlite;

    async fn rows(&mut self, statement: Statement) -> Result<Vec<SqliteRow>, Error> {
        Ok(statement.bound::<Sqlite>().fetch_all(self).await?)
    }

    async fn run(&mut self, statement: Statement) -> Result<u64, Error> {
        Ok(statement.bound::<Sqlite>().execute(self).await?.rows_affected())
    }

    async fn at_one_moment<T, F>(&mut self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Self) -> Work<'c, T> + Send + 'static,
    {
        let mut tx = self.begin().await?;
        let found = work(&mut tx).await?;
        tx.commit().await?;
        Ok(found)
    }
}

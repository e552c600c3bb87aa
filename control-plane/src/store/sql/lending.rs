//! The row of `saved_books`.

use async_trait::async_trait;

use super::columns::Columns as _;
use super::statement::{Sql, Statement};
use crate::domain::error::Error;
use crate::store::seam::lending::WriteLending;

#[async_trait]
impl<S: Sql> WriteLending for S {
    async fn save_books(&mut self, saved: &[u8]) -> Result<(), Error> {
        self.run(Statement::new("DELETE FROM saved_books")).await?;
        let insert = Statement::new("INSERT INTO saved_books (only_row, books) VALUES (1, $1)");
        self.run(insert.bind(saved)).await.map(drop)
    }

    async fn take_books(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let taken = self.row(Statement::new("DELETE FROM saved_books RETURNING books")).await?;
        taken.map(|row| row.bytes("books")).transpose()
    }
}

//! A statement and the values in it, and what a connection of an engine does with one.

use std::borrow::Cow;

use async_trait::async_trait;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Database, Encode, Type};

use super::columns::Columns;
use crate::domain::error::Error;
use crate::store::seam::tx::Work;

/// Most rows in one statement.
pub(in crate::store::sql) const ROWS_PER_STATEMENT: usize = 1_000;

/// A statement. Its values stand as `$1`, `$2` and so on, which every engine reads.
#[derive(Clone, Debug)]
pub struct Statement {
    sql: Cow<'static, str>,
    values: Vec<Value>,
}

/// A value; what may be NULL has its type all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A whole number.
    Number(Option<i64>),
    /// A text.
    Text(Option<String>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
    /// For conditions; columns hold 0 and 1.
    Flag(bool),
}

/// In what the engines' words differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// A connection that runs statements.
#[async_trait]
pub trait Sql: Send + Sized {
    /// What comes back.
    type Row: Columns;
    /// The words that it reads.
    const DIALECT: Dialect;

    /// All rows of the answer.
    async fn rows(&mut self, statement: Statement) -> Result<Vec<Self::Row>, Error>;

    /// How many rows were changed.
    async fn run(&mut self, statement: Statement) -> Result<u64, Error>;

    /// Does this work on the database as it is at one moment.
    async fn at_one_moment<T, F>(&mut self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Self) -> Work<'c, T> + Send + 'static;

    /// The answer's row, of which there is at most one.
    async fn row(&mut self, statement: Statement) -> Result<Option<Self::Row>, Error> {
        Ok(self.rows(statement).await?.pop())
    }

    /// The number in the column `n` of the one row.
    async fn number(&mut self, statement: Statement) -> Result<i64, Error> {
        let row = self.row(statement).await?;
        row.ok_or_else(|| Error::internal("a statement that answers one row answered none"))?.number("n")
    }
}

impl Statement {
    /// Without values yet.
    pub fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    /// The value of the next number.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// More text.
    pub fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.to_mut().push_str(sql);
        self
    }

    /// A value in this place.
    pub fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let number = self.values.len();
        self.push(&format!("${number}"))
    }

    /// Values in this place, with commas between them.
    pub fn push_list(&mut self, values: impl IntoIterator<Item = Value>) -> &mut Self {
        for (place, value) in values.into_iter().enumerate() {
            self.push(if place == 0 { "" } else { ", " }).push_bind(value);
        }
        self
    }
}

impl Statement {
    /// For an engine whose texts have no NUL: instead of one, a character that stands for nothing and is in no text that is kept, so that
    /// whoever looks for one finds nothing.
    pub fn without_nul(mut self) -> Self {
        for value in &mut self.values {
            if let Value::Text(Some(text)) = value
                && text.contains('\0')
            {
                *text = text.replace('\0', "\u{fdd0}");
            }
        }
        self
    }

    /// The same with words before it, such as those that ask for its plan.
    #[cfg(test)]
    pub fn after(&self, words: &str) -> Self {
        Self { sql: format!("{words} {}", self.sql).into(), values: self.values.clone() }
    }

    /// Its text.
    #[cfg(test)]
    pub fn text(&self) -> &str {
        &self.sql
    }

    /// As the database library takes it. What stands in the text is ours: nothing that people give is ever pushed.
    pub fn bound<D: Database>(self) -> Query<'static, D, D::Arguments>
    where
        Option<i64>: Encode<'static, D> + Type<D>,
        Option<String>: Encode<'static, D> + Type<D>,
        Option<Vec<u8>>: Encode<'static, D> + Type<D>,
        bool: Encode<'static, D> + Type<D>,
    {
        let query = sqlx::query(AssertSqlSafe(self.sql));
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Flag(flag) => query.bind(flag),
        })
    }
}

impl Dialect {
    /// The statement that wakes other control planes when what it stands in is committed.
    pub const fn wake(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SELECT pg_notify('flamegate', '')"),
        }
    }

    /// The statement that makes what is noted in this transaction durable before its commit is known; where every commit is, none.
    pub const fn durable(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SET LOCAL synchronous_commit = on"),
        }
    }

    /// What stands behind a query whose rows nobody else may change until the transaction ends: so they are taken in its order.
    pub const fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// The condition that one text is part of another one.
    pub const fn contains(self) -> &'static str {
        match self {
            Self::Sqlite => "instr",
            Self::Postgres => "strpos",
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Flag(value)
    }
}

impl From<&Option<String>> for Value {
    fn from(value: &Option<String>) -> Self {
        Self::Text(value.clone())
    }
}

/// Values that are kept as another type, each also as what may be NULL.
macro_rules! values {
    ($($from:ty => $kind:ident: $change:expr;)+) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$kind(Some($change(value)))
            }
        }

        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                Self::$kind(value.map($change))
            }
        })+
    };
}

values! {
    i64 => Number: |number| number;
    u32 => Number: i64::from;
    String => Text: |text| text;
    &String => Text: String::clone;
    &str => Text: str::to_owned;
    Vec<u8> => Bytes: |bytes| bytes;
    &[u8] => Bytes: <[u8]>::to_vec;
}

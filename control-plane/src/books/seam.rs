//! What a keeper of books can do.

use async_trait::async_trait;

use super::history::History;
use crate::domain::lending::{Lent, Numbers, Step};

/// One step at the book of one limit.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Whose limit, and which: the book's name.
    pub subject: String,
    /// The limit's numbers.
    pub numbers: Numbers,
    /// The mark of a history that began before there was this limit's owner: it has no debt from before that.
    pub young_in: Option<u32>,
    /// What is asked; its generation as gateways were told it.
    pub step: Step,
}

/// What came of steps.
#[derive(Clone, Debug)]
pub struct Stepped {
    /// The history in which they were done.
    pub history: History,
    /// One for each step, generations as gateways are told them.
    pub lent: Vec<Lent>,
}

/// Why nothing can be lent now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Away {
    /// A history has just begun: leases from before may not have ended.
    #[error("what was lent before is not known: nothing is lent until it has ended")]
    Silent,
    /// The engine does not answer, or may not be used.
    #[error("{0}")]
    Engine(String),
}

/// A keeper of books.
#[async_trait]
pub trait Books: Send + Sync {
    /// Does all steps, in order. Nothing is done twice: a step whose answer is lost is lost.
    async fn step(&self, entries: &[Entry]) -> Result<Stepped, Away>;

    /// What the books of these limits have left and lent, without a change.
    async fn look(&self, entries: &[Entry]) -> Result<Vec<Lent>, Away>;

    /// The history that is going on, and whether it lends, as far as is known without asking.
    async fn history(&self) -> Result<History, Away>;

    /// What must outlive this process when it ends in order; `None` where the books do anyway. Nothing is lent after that.
    fn close(&self) -> Option<Vec<u8>>;
}

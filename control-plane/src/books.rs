//! Where the books of fleet limits are kept: the memory of this process, where it is the only control plane, or Redis (Valkey) for all.
//! Both do the same steps; `tests/lending` holds them to it.
//!
//! A *history* is a time in which nothing that a book has said was lost. When one begins, nobody knows what was lent before: nothing is
//! lent until every older lease has ended, and then each bucket counts as full (DESIGN of the rule: `domain::lending`).

mod history;
pub mod memory;
pub mod redis;
mod seam;

pub use self::history::{History, Rows};
pub use self::seam::{Away, Books, Entry, Stepped};

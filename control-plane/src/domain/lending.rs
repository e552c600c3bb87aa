//! Lending the tokens of limits of the whole fleet: the book's rule.

pub mod book;

pub use self::book::{Book, Lent, Numbers, Step};

//! Lending the tokens of limits of the whole fleet: the book's rule, and whether there can be such limits.

pub mod book;
pub mod possible;

pub use self::book::{Book, Lent, Numbers, Step};
pub use self::possible::{NO_ENGINE, Possible};

//! Where a key may stand, when a configuration names more than `authorization`: which places, in which order, and what a request says
//! there ([`Found`]). A configuration that names none does not read them.
//!
//! Whatever stands in one of the places is the credential's and goes no further: not upstream, and into no answer's log. Two different
//! keys in one request are refused: which of them counts would be a guess, and an upstream or a log might guess otherwise.
//! docs/adr/0052-key-sources.md.

mod found;
pub mod parts;
mod places;

pub use self::found::{Change, Found};
pub use self::places::{KeySources, MAX_NAME_LEN, MAX_SOURCES, Source};

#[cfg(test)]
mod tests;

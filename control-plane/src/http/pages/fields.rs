//! The fields of a form.

use std::collections::HashMap;

use axum::extract::Query;
use axum::http::Uri;

use crate::domain::keys::paste::may_hold_key;

/// The fields of a form. What is not there reads as empty.
#[derive(Default)]
pub(super) struct Fields(HashMap<String, String>);

impl Fields {
    /// Those that were sent; of a name that comes twice the last one counts.
    pub fn of(pairs: Vec<(String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// Those of a query: what a link fills in. None, when it cannot be read.
    pub fn of_query(uri: &Uri) -> Self {
        Self::of(pairs_of(uri).unwrap_or_default())
    }

    /// Without what may hold a key: that is not shown again.
    pub fn without_keys(mut self) -> Self {
        self.0.retain(|name, value| !may_hold_key(name) && !may_hold_key(value));
        self
    }

    /// The same with a value for what was not sent: what was emptied stays empty.
    pub fn or_absent(mut self, name: &str, value: &str) -> Self {
        self.0.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        self
    }

    /// A field, without the white space around it.
    pub fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// Whether there is such a field, filled in or not.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All of them, in order of their names.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        let mut pairs: Vec<_> = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        pairs.sort_unstable();
        pairs
    }

    /// A field as it is.
    pub fn raw(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// True when a query may hold a key, or cannot be read. Every name and value is looked at: of a name that comes twice,
/// [`Fields`] has only the last value, and an address has both.
pub(super) fn query_may_hold_key(uri: &Uri) -> bool {
    let is_key = |(name, value): &(String, String)| may_hold_key(name) || may_hold_key(value);
    pairs_of(uri).is_none_or(|pairs| pairs.iter().any(is_key))
}

fn pairs_of(uri: &Uri) -> Option<Vec<(String, String)>> {
    Query::try_from_uri(uri).ok().map(|Query(pairs)| pairs)
}

//! The named functions in SQL, written once for every engine: a connection that runs statements ([`statement::Sql`]) has all of them.
//! Where engines differ in their words, [`statement::Dialect`] says how.

pub(super) mod audit;
pub(super) mod candidates;
pub(super) mod changes;
pub(super) mod columns;
pub(super) mod copying;
pub(super) mod credentials;
mod dialect;
pub(super) mod errors;
pub(super) mod folded;
pub(super) mod gateways;
pub(super) mod idempotency;
pub(super) mod idle_keys;
pub(super) mod invitations;
pub(super) mod key_gateways;
pub(super) mod key_plans;
pub(super) mod keys;
pub(super) mod lending;
pub(super) mod migrations;
pub(super) mod operators;
pub(super) mod receipts;
pub(super) mod replicas;
pub(super) mod second_factors;
pub(super) mod sessions;
pub(super) mod shadow;
pub(super) mod shared_gateways;
pub(super) mod signing;
pub(super) mod statement;
pub(super) mod tags;
pub(super) mod throttles;
pub(super) mod upkeep;
pub(super) mod usage;
pub(super) mod usage_lines;
pub(super) mod users;
pub(super) mod values;
pub(super) mod workspaces;

#[cfg(test)]
mod plans;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }

    /// A server refuses a prepared statement whose columns a migration of the next release has made others.
    #[test]
    fn every_column_that_is_read_is_named() {
        for path in files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/sql"))) {
            let text = fs::read_to_string(&path).unwrap();
            let words: Vec<_> = text.split_whitespace().collect();
            let is_all =
                |word: &str| word.trim_end_matches(',').trim_matches('"').ends_with(".*") || word == "*";
            let asks = words.windows(2).find(|pair| {
                // What a subquery has is named by the query around it.
                ["SELECT", "DISTINCT", "RETURNING"].iter().any(|verb| pair[0].ends_with(verb))
                    && !pair[0].ends_with("(SELECT")
                    && is_all(pair[1])
            });
            assert!(asks.is_none(), "{}: {asks:?}", path.display());
        }
    }
}

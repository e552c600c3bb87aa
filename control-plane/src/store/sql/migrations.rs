//! Whether this program can use a database that certain migrations were applied to.
//!
//! Two programs, one release apart, may share a database (replicas are replaced one by one): a release only adds to the schema, and takes
//! away what the release before it needed no more. So a migration that this program does not know is no obstacle, unless its name
//! begins with `contract`: then something is gone that this program reads.

use std::fmt;

use sqlx::migrate::Migrator;

/// A migration that was applied, as the database tells it.
#[derive(Debug)]
pub struct Applied {
    pub version: i64,
    pub description: String,
    pub checksum: Vec<u8>,
    pub success: bool,
}

impl From<(i64, String, Vec<u8>, bool)> for Applied {
    fn from((version, description, checksum, success): (i64, String, Vec<u8>, bool)) -> Self {
        Self { version, description, checksum, success }
    }
}

/// What a database needs before this program can use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// Migrations, up to this one.
    Migrations(i64),
}

/// Why this program cannot use a database.
#[derive(Debug, PartialEq, Eq)]
pub enum Unusable {
    /// A migration did not end.
    Unfinished(i64),
    /// A migration was another one than the one that is known here under its number.
    Other(i64),
    /// A later release has taken away what this one needs.
    TooNew(i64),
}

/// What must be done to the database before it is used.
pub fn judge(known: &Migrator, applied: &[Applied]) -> Result<Needs, Unusable> {
    for Applied { version, description, checksum, success } in applied {
        match known.iter().find(|known| known.version == *version) {
            _ if !success => return Err(Unusable::Unfinished(*version)),
            Some(known) if known.checksum.as_ref() != checksum.as_slice() => {
                return Err(Unusable::Other(*version));
            }
            None if description.starts_with("contract") => return Err(Unusable::TooNew(*version)),
            _ => {}
        }
    }
    let missing =
        known.iter().filter(|known| !applied.iter().any(|applied| applied.version == known.version));
    Ok(missing.map(|known| known.version).max().map_or(Needs::Nothing, Needs::Migrations))
}

impl std::error::Error for Unusable {}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfinished(version) => write!(f, "migration {version} was begun and did not end"),
            Self::Other(version) => write!(f, "migration {version} was not applied as it is known here"),
            Self::TooNew(version) => write!(
                f,
                "its schema {version} is of a later release, which has taken away what this one needs: use that release, or the one before it"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static KNOWN: Migrator = sqlx::migrate!("migrations/sqlite");

    fn applied() -> Vec<Applied> {
        let applied = |known: &sqlx::migrate::Migration| Applied {
            version: known.version,
            description: known.description.to_string(),
            checksum: known.checksum.to_vec(),
            success: true,
        };
        KNOWN.iter().map(applied).collect()
    }

    fn later(version: i64, description: &str) -> Applied {
        Applied { version, description: description.to_owned(), checksum: vec![1], success: true }
    }

    #[test]
    fn what_a_later_release_has_added_is_no_obstacle_and_what_it_has_taken_away_is() {
        let newest = KNOWN.iter().map(|known| known.version).max().unwrap();
        assert_eq!(judge(&KNOWN, &[]), Ok(Needs::Migrations(newest)));
        assert_eq!(judge(&KNOWN, &applied()), Ok(Needs::Nothing));
        let mut newer = applied();
        newer.push(later(9998, "more"));
        assert_eq!(judge(&KNOWN, &newer), Ok(Needs::Nothing));
        newer.push(later(9999, "contract what nobody reads"));
        assert_eq!(judge(&KNOWN, &newer), Err(Unusable::TooNew(9999)));
    }

    #[test]
    fn a_migration_that_is_another_one_or_did_not_end_is_refused() {
        let mut other = applied();
        other[1].checksum = vec![0];
        assert_eq!(judge(&KNOWN, &other), Err(Unusable::Other(other[1].version)));
        let mut unfinished = applied();
        unfinished[0].success = false;
        assert_eq!(judge(&KNOWN, &unfinished), Err(Unusable::Unfinished(unfinished[0].version)));
        let mut behind = applied();
        let last = behind.pop().unwrap();
        assert_eq!(judge(&KNOWN, &behind), Ok(Needs::Migrations(last.version)));
    }
}

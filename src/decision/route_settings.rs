//! What a route says of the requests that go there, in its metadata: what they cost, and whose keys it is for.
//!
//! The host hands the settings over as a map of fields and values ([`super::headers`]); what kind of value it was is not said. A field
//! that nobody knows, or a value that cannot be what the field says, makes the whole unreadable: a typing error must not make
//! requests cheaper or open a route.

use std::fmt;

use crate::contract::key::Environment;
use crate::contract::record::MAX_REQUESTS;

use super::headers::{Header, read_map};

/// Most that a request may cost, in tokens of each of its key's limits.
pub const MAX_COST: u32 = MAX_REQUESTS;
/// Longest settings that are read, in bytes.
pub const MAX_BYTES: usize = 512;

/// The settings of one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteSettings {
    /// Tokens that a request takes from each limit of its key; 0 takes none and always has them.
    pub cost: u32,
    live: bool,
    test: bool,
}

/// Why settings cannot be read: the field and what is wrong with it. Values are not repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(String);

impl Default for RouteSettings {
    fn default() -> Self {
        Self { cost: 1, live: true, test: true }
    }
}

impl RouteSettings {
    /// Understands what the host says of a route.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        if bytes.len() > MAX_BYTES {
            return Err(Unreadable(format!("longer than {MAX_BYTES} bytes")));
        }
        let (mut settings, mut wrong) = (Self::default(), None);
        let whole = read_map(bytes, |field| {
            if let Err(why) = settings.take(field) {
                wrong = Some(why);
            }
        });
        match (whole, wrong) {
            (None, _) => Err(Unreadable("no fields".to_owned())),
            (_, Some(why)) => Err(Unreadable(why)),
            (Some(()), None) => Ok(settings),
        }
    }

    /// Whether keys of this environment may be used here.
    pub const fn admits(self, environment: Environment) -> bool {
        match environment {
            Environment::Live => self.live,
            Environment::Test => self.test,
        }
    }

    fn take(&mut self, field: Header<'_>) -> Result<(), String> {
        match field.name() {
            b"cost" => {
                let wrong = || format!("cost: a whole number from 0 to {MAX_COST}");
                self.cost = cost(field.value()).ok_or_else(wrong)?;
            }
            b"environments" => {
                let wrong = || r#"environments: a list of "live" and "test", at least one"#.to_owned();
                (self.live, self.test) = environments(field.value()).ok_or_else(wrong)?;
            }
            name => return Err(format!("unknown field \"{}\"", shown(name))),
        }
        Ok(())
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Unreadable {
    /// The host cannot even hand it over.
    pub fn of_no_kind() -> Self {
        Self("a value of a kind that cannot be read, as null".to_owned())
    }
}

/// A number of a route's metadata: eight bytes, little-endian, a double.
fn cost(value: &[u8]) -> Option<u32> {
    let number = f64::from_le_bytes(value.try_into().ok()?);
    let is_whole = number.fract() == 0.0 && (0.0..=f64::from(MAX_COST)).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 0 to MAX_COST"
    )]
    is_whole.then_some(number as u32)
}

/// A list of a route's metadata: a map with the entries for names.
fn environments(value: &[u8]) -> Option<(bool, bool)> {
    let (mut live, mut test, mut others) = (false, false, false);
    read_map(value, |entry| match (entry.name(), entry.value()) {
        (b"live", b"") => live = true,
        (b"test", b"") => test = true,
        _ => others = true,
    })?;
    (!others && (live || test)).then_some((live, test))
}

/// The beginning of a name that somebody wrote, without anything that a log could take for its own.
fn shown(name: &[u8]) -> String {
    let most = name.get(..MOST_SHOWN).unwrap_or(name);
    most.escape_ascii().to_string()
}

const MOST_SHOWN: usize = 40;

#[cfg(test)]
mod tests;

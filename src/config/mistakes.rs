//! What is wrong with a configuration: all of it, each mistake with its place.

use std::fmt;

/// Every mistake of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Mistake>);

/// One mistake: where and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Path of the field, as `bypass[0].path`; empty for the whole text.
    pub path: String,
    /// What is wrong with it and what is right.
    pub problem: String,
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Notes a mistake.
    pub fn add(&mut self, path: &str, problem: impl Into<String>) {
        self.0.push(Mistake { path: path.to_owned(), problem: problem.into() });
    }

    /// True when there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of their paths' first mention.
    pub fn into_error(self) -> ConfigError {
        ConfigError(self.0)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mistake(s) in the plugin configuration", self.0.len())?;
        for mistake in &self.0 {
            let path = if mistake.path.is_empty() { "configuration" } else { &mistake.path };
            write!(f, "; {path}: {}", mistake.problem)?;
        }
        Ok(())
    }
}

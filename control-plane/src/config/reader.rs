//! Reads settings: a flag, else a variable, else the default; every mistake is noted.

use super::urls;
use crate::contract::{Limit, Reach};
use crate::domain::limits;

/// Where settings come from: `std::env::var` in the program, a map in tests.
pub type Source<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What is read from, and the mistakes so far, and what is odd.
pub(super) struct Reader<'a> {
    pub source: Source<'a>,
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
}

impl Reader<'_> {
    /// A flag, else a variable, else the default. Notes the mistake when it cannot be read.
    pub fn setting<T: std::str::FromStr>(
        &mut self,
        flag: &str,
        variable: &str,
        given: &Option<String>,
        default: &str,
    ) -> Option<T> {
        let (name, text) = self.text(flag, variable, given, default);
        let value = if text.is_empty() { None } else { text.parse().ok() };
        if value.is_none() {
            self.errors.push(format!("{name}: '{text}' is not valid (an example is {default})"));
        }
        value
    }

    /// `Some(None)` when there is none.
    pub fn origin(
        &mut self,
        flag: &str,
        variable: &str,
        given: &Option<String>,
        default: &str,
    ) -> Option<Option<String>> {
        let (name, text) = self.text(flag, variable, given, default);
        if text.is_empty() {
            return Some(None);
        }
        urls::origin(&text).map(Some).map_err(|error| self.errors.push(format!("{name}: {error}"))).ok()
    }

    pub fn one_limit(
        &mut self,
        flag: &str,
        variable: &str,
        given: &Option<String>,
        default: &str,
    ) -> Option<Limit> {
        let mut limits = self.limits(flag, variable, given, default);
        if limits.len() > 1 {
            self.errors.push(format!("{variable}: must be one limit, or none"));
        }
        if limits.iter().any(|limit| limit.reach == Reach::Fleet) {
            self.errors.push(format!(
                "{variable}: each control plane counts for itself, so it cannot be a fleet limit"
            ));
        }
        limits.pop()
    }

    pub fn limits(
        &mut self,
        flag: &str,
        variable: &str,
        given: &Option<String>,
        default: &str,
    ) -> Vec<Limit> {
        let (name, text) = self.text(flag, variable, given, default);
        limits::parse_list(&text).unwrap_or_else(|error| {
            self.errors.push(format!("{name}: {error}"));
            Vec::new()
        })
    }

    /// The text of a setting and the name under which it was given.
    pub fn text(
        &self,
        flag: &str,
        variable: &str,
        given: &Option<String>,
        default: &str,
    ) -> (String, String) {
        match (given, (self.source)(variable)) {
            (Some(text), _) => (format!("--{flag}"), text.clone()),
            (None, Some(text)) => (variable.to_owned(), text),
            (None, None) => (format!("--{flag}"), default.to_owned()),
        }
    }
}

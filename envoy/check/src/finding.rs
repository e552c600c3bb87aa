//! What was found: where, what, why it matters, what to do. Why and what to do belong to the rule (`rules`), and a finding never
//! repeats a value that may be a secret.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::node::At;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Requests are refused, or pass that should not; Envoy or the sync does not start.
    Error,
    /// It works until something else happens, or something that you want to see does not show.
    Warning,
    /// Worth knowing.
    Hint,
}

/// One kind of mistake.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, for scripts.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub rule: &'static Rule,
    /// Where: a path in the configuration, or what was asked.
    pub path: String,
    /// Line of the text; 0 when it is not known.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// All that were found, and what is known already: rule, path, line, words.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Finding>, HashSet<(&'static str, String, usize, String)>);

impl Severity {
    /// As a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Hint => "hint",
        }
    }
}

impl Finding {
    /// For scripts.
    pub fn to_json(&self) -> Value {
        json!({
            "severity": self.rule.severity.as_str(),
            "rule": self.rule.name,
            "path": self.path,
            "line": (self.line > 0).then_some(self.line),
            "what": self.what,
            "why": self.rule.why,
            "fix": self.rule.fix,
        })
    }
}

impl Findings {
    /// Notes one at a node.
    pub fn at(&mut self, rule: &'static Rule, at: &At<'_>, what: impl Into<String>) {
        self.add(rule, &at.path(), at.node.line, what);
    }

    /// Notes one that has no node.
    pub fn add(&mut self, rule: &'static Rule, path: &str, line: usize, what: impl Into<String>) {
        let (path, what) = (path.to_owned(), what.into());
        // By a set: a file may have as many mistakes as lines.
        if self.1.insert((rule.name, path.clone(), line, what.clone())) {
            self.0.push(Finding { rule, path, line, what });
        }
    }

    /// The worst first; otherwise in the order in which they were found.
    pub fn sorted(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|finding| finding.rule.severity);
        self.0
    }
}

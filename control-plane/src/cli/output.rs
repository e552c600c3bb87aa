//! What people and scripts read: tables or JSON.

use std::io::Write as _;

use serde_json::{Value, json};

use super::CliError;

/// How to print.
#[derive(Clone, Copy)]
pub(super) struct Output {
    /// JSON instead of tables.
    pub json: bool,
}

/// A column: its title, and where its value lies (a JSON pointer).
pub(super) type Column = (&'static str, &'static str);

impl Output {
    /// Entries as a table or as a JSON array.
    pub fn list(self, entries: &[Value], columns: &[Column]) {
        if self.json {
            return self.line(&pretty(&json!(entries)));
        }
        let mut rows = vec![columns.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>()];
        rows.extend(
            entries.iter().map(|entry| columns.iter().map(|(_, at)| cell(entry.pointer(at))).collect()),
        );
        self.rows(&rows);
    }

    /// One thing as lines of name and value, or as a JSON object.
    pub fn one(self, entry: &Value, fields: &[Column]) {
        if self.json {
            return self.line(&pretty(entry));
        }
        let rows: Vec<_> =
            fields.iter().map(|(title, at)| vec![(*title).to_owned(), cell(entry.pointer(at))]).collect();
        self.rows(&rows);
    }

    /// A line on standard output.
    pub fn line(self, text: &str) {
        // A reader that closed the pipe has read enough.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// A line for people on standard error; nothing with `--json`.
    pub fn note(self, text: &str) {
        if !self.json {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// An error on standard error.
    pub fn error(self, error: &CliError) {
        let mut stderr = std::io::stderr();
        let _ = match error {
            CliError::Api { error, .. } if self.json => writeln!(stderr, "{error}"),
            error => writeln!(stderr, "error: {error}"),
        };
    }

    fn rows(self, rows: &[Vec<String>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for row in rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            self.line(cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// A value as people write it. Control characters, which a name cannot have, would not reach the terminal anyway.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.chars().filter(|c| !c.is_control()).collect(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::Array(entries)) if entries.is_empty() => "none".to_owned(),
        Some(Value::Array(entries)) => {
            let limits = entries.iter().map(limit);
            limits
                .collect::<Option<Vec<_>>>()
                .map_or_else(|| json!(entries).to_string(), |texts| texts.join(", "))
        }
        Some(other) => other.to_string(),
    }
}

/// A limit in the form that `--limit` takes.
fn limit(value: &Value) -> Option<String> {
    serde_json::from_value(value.clone()).ok().map(|limit| crate::limits::to_text(&limit))
}

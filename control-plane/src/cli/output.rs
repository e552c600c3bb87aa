//! What people and scripts read: tables or JSON.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use serde_json::{Value, json};

use super::error::CliError;
use crate::domain::keys::restrict::in_words;

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
    pub fn list(self, entries: &[Value], columns: &[Column]) -> Result<(), CliError> {
        if self.json {
            return self.line(&pretty(&json!(entries)));
        }
        let mut rows = vec![columns.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>()];
        rows.extend(
            entries.iter().map(|entry| columns.iter().map(|(_, at)| cell(entry.pointer(at))).collect()),
        );
        self.rows(&rows)
    }

    /// One thing as lines of name and value, or as a JSON object.
    pub fn one(self, entry: &Value, fields: &[Column]) -> Result<(), CliError> {
        if self.json {
            return self.line(&pretty(entry));
        }
        let rows: Vec<_> =
            fields.iter().map(|(title, at)| vec![(*title).to_owned(), cell(entry.pointer(at))]).collect();
        self.rows(&rows)
    }

    /// A line on standard output. A reader that closed the pipe has read enough.
    pub fn line(self, text: &str) -> Result<(), CliError> {
        match write(text) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CliError::Other(format!(
                "standard output cannot be written: {error}; what was asked for is done all the same"
            ))),
            _ => Ok(()),
        }
    }

    /// What is shown this one time: the secret alone or, with `--json`, the whole answer. When it does not get to standard
    /// output it is lost: nothing then says that it worked, and the error is `lost`, which tells what to do now.
    pub fn once(self, answer: &Value, secret: &str, lost: &str) -> Result<(), CliError> {
        let written =
            refuse_closed().and_then(|()| if self.json { write(&pretty(answer)) } else { write(secret) });
        written
            .map_err(|error| CliError::Other(format!("standard output cannot be written: {error}. {lost}")))
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

    fn rows(self, rows: &[Vec<String>]) -> Result<(), CliError> {
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
            self.line(cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// A line, all the way out: what is only in a buffer has not been shown.
fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// An error when standard output was closed at the start. The runtime then puts the null device in its place, for reading and
/// writing, and every write succeeds; `> /dev/null` is for writing only, and somebody's own choice.
fn refuse_closed() -> io::Result<()> {
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let null = std::fs::metadata("/dev/null").map(|null| null.rdev()).ok();
    let is_null = null.is_some_and(|null| stdout.metadata().is_ok_and(|found| found.rdev() == null));
    if is_null && stdout.read(&mut [0]).is_ok() {
        return Err(io::Error::other("it is closed"));
    }
    Ok(())
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
        Some(other) => restrictions(other).unwrap_or_else(|| other.to_string()),
    }
}

/// What a key may be used for, as people say it.
fn restrictions(value: &Value) -> Option<String> {
    serde_json::from_value(value.clone()).ok().map(|restrict| in_words(&restrict))
}

/// A limit in the form that `--limit` takes.
fn limit(value: &Value) -> Option<String> {
    serde_json::from_value(value.clone()).ok().map(|limit| crate::domain::limits::to_text(&limit))
}

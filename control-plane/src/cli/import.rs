//! `keys import --file`: streams a file of JSON lines in batches, so that 100,000 keys need neither memory nor patience. A line
//! that is refused is told, by its number and why, and stops no other.

use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use crate::contract::ApiKey;
use crate::domain::error::Error;
use crate::domain::keys::{MAX_BATCH, secret};
use crate::http::error::Failure;
use crate::http::json;
use crate::http::keys::drafts::ImportKey;

/// What nobody can know of a key that came as a hash.
pub(super) const ONLY_A_HASH: &str = "a hash does not show whether gateways accept its key: that begins with sk_live_ or sk_test_, \
    has at most 256 visible ASCII characters, and no comma; whoever has it can look: flamegate-control explain < FILE";

/// Most bytes of lines in a batch; the server takes 2 MiB.
const MAX_BATCH_BYTES: usize = 1_500_000;

/// What has been done so far.
struct Progress {
    output: Output,
    imported: u64,
    skipped: u64,
    /// Of those that were imported, the ones that came as a hash.
    only_a_hash: u64,
    revision: u64,
    lines_read: u64,
    /// Lines that were refused, each with its problems.
    refused: Vec<Value>,
}

/// Lines that may be imported.
type Batch = Vec<Line>;

/// A line that may be imported.
struct Line {
    number: u64,
    /// As the server takes it.
    key: Value,
    /// The line had a hash, and not the key.
    only_a_hash: bool,
}

pub(super) async fn file(client: &Client, output: Output, path: &Path) -> Result<(), CliError> {
    let mut lines: Box<dyn BufRead> = if path.as_os_str() == "-" {
        Box::new(stdin().lock())
    } else {
        let file =
            File::open(path).map_err(|error| CliError::Other(format!("{}: {error}", path.display())))?;
        Box::new(BufReader::new(file))
    };
    let mut progress = Progress::new(output);
    loop {
        let first = progress.lines_read + 1;
        let Some(batch) = progress.read_batch(&mut lines)? else { break };
        let context =
            format!("lines {first} to {} (and nothing after them) were not imported", progress.lines_read);
        progress.send(client, batch).await.inspect_err(|_| output.note(&context))?;
    }
    progress.end()
}

impl Progress {
    fn new(output: Output) -> Self {
        Self {
            output,
            imported: 0,
            skipped: 0,
            only_a_hash: 0,
            revision: 0,
            lines_read: 0,
            refused: Vec::new(),
        }
    }

    /// The next lines that can be sent, perhaps none; `None` at the end of the file.
    fn read_batch(&mut self, lines: &mut dyn BufRead) -> Result<Option<Batch>, CliError> {
        let (mut batch, mut bytes, mut line) = (Batch::new(), 0, Vec::new());
        let before = self.lines_read;
        while batch.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
            line.clear();
            let read = lines.read_until(b'\n', &mut line);
            if read.map_err(|error| CliError::Other(error.to_string()))? == 0 {
                return Ok((self.lines_read > before).then_some(batch));
            }
            self.lines_read += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            bytes += line.len();
            match draft(&line) {
                Ok((key, only_a_hash)) => batch.push(Line { number: self.lines_read, key, only_a_hash }),
                Err(problems) => self.refuse(self.lines_read, &problems),
            }
        }
        Ok(Some(batch))
    }

    async fn send(&mut self, client: &Client, batch: Batch) -> Result<(), CliError> {
        if batch.is_empty() {
            return Ok(());
        }
        let (lines, keys): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|line| ((line.number, line.only_a_hash), line.key)).unzip();
        let call = client.call(Method::POST, &["api-keys", "import-batch"]);
        let done = call.body(json!({ "keys": keys, "partial": true })).send().await?;
        let number = |name| done.get(name).and_then(Value::as_u64).unwrap_or_default();
        self.imported += number("imported");
        self.skipped += number("skipped");
        self.revision = number("revision");
        let outcomes = done.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for ((line, only_a_hash), outcome) in lines.into_iter().zip(outcomes) {
            let created = outcome.get("created").and_then(Value::as_bool).unwrap_or_default();
            self.only_a_hash += u64::from(created && only_a_hash);
            if let Some(problems) = outcome.get("problems") {
                self.refuse(line, problems);
            }
        }
        Ok(())
    }

    fn refuse(&mut self, line: u64, problems: &Value) {
        let text = |problem: &Value, name| problem.get(name).and_then(Value::as_str).map(str::to_owned);
        let told = problems.as_array().into_iter().flatten().map(|problem| {
            let (path, message) = (text(problem, "path"), text(problem, "message").unwrap_or_default());
            path.filter(|path| !path.is_empty()).map_or(message.clone(), |path| format!("{path}: {message}"))
        });
        self.output.note(&format!("line {line} is refused: {}", told.collect::<Vec<_>>().join("; ")));
        self.refused.push(json!({ "line": line, "problems": problems }));
    }

    fn end(self) -> Result<(), CliError> {
        let Self { output, imported, skipped, only_a_hash, revision, refused, .. } = self;
        let count = refused.len();
        if output.json {
            let told = json!({ "imported": imported, "skipped": skipped, "only_a_hash": only_a_hash, "refused": count,
                "revision": revision, "refused_lines": refused });
            output.one(&told, &[])?;
        } else {
            let refused = if count == 0 { String::new() } else { format!(", refused {count}") };
            output.line(&format!(
                "imported {imported} keys, skipped {skipped} that were known already{refused}"
            ))?;
        }
        if only_a_hash > 0 {
            output.note(&format!("{only_a_hash} came as a hash; {ONLY_A_HASH}"));
        }
        match count {
            0 => Ok(()),
            1 => Err(CliError::Partly("1 line was refused".to_owned())),
            _ => Err(CliError::Partly(format!("{count} lines were refused"))),
        }
    }
}

/// A line as the server takes it and whether it had no more than the hash, or what is wrong with it. The key itself, if the line has
/// it, goes no further than this.
fn draft(line: &[u8]) -> Result<(Value, bool), Value> {
    let problem = |path: &str, message: &str| json!([{ "path": path, "message": message }]);
    let mut value: Value = serde_json::from_slice(line).map_err(|_| problem("", "it is not JSON"))?;
    if let Some(key) = value.as_object_mut().and_then(|fields| fields.remove("key")) {
        if value.get("hash").is_some() {
            return Err(problem("key", "give key or hash, not both"));
        }
        let known = key.as_str().and_then(|key| ApiKey::from_bytes(key.as_bytes()));
        let known = known.ok_or_else(|| {
            problem("key", "gateways accept no such key: it must begin with sk_live_ or sk_test_")
        })?;
        value["hash"] = json!(known.hash().to_hex());
        let environment = known.environment();
        if value.get("environment").is_some_and(|given| *given != environment.as_str()) {
            return Err(problem("environment", "must be that of the key's prefix"));
        }
        value["environment"] = json!(environment.as_str());
        let key = key.as_str().unwrap_or_default();
        match value.get("key_hint").filter(|hint| !hint.is_null()) {
            None => value["key_hint"] = json!(secret::hint_of(environment, key)),
            Some(hint) if hint.as_str().is_some_and(|hint| secret::is_hint_of(environment, hint, key)) => {}
            Some(_) => {
                return Err(problem(
                    "key_hint",
                    "is not that of the key: leave it out, and it is made of the key",
                ));
            }
        }
        return checked(value.to_string().as_bytes(), value).map(|value| (value, false));
    }
    checked(line, value).map(|value| (value, true))
}

/// The value, when the server can read it: one that it cannot would be the end of its whole batch.
fn checked(text: &[u8], value: Value) -> Result<Value, Value> {
    match json::parse::<ImportKey>(text) {
        Ok(_) => Ok(value),
        Err(Failure::Failed(Error::Invalid(problems))) => Err(problems.to_json()),
        Err(error) => Err(json!([{ "path": "", "message": error.to_string() }])),
    }
}

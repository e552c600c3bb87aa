//! `keys import --file`: streams a file of JSON lines in batches, so that 100,000 keys need neither memory nor patience.

use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use super::CliError;
use super::client::Client;
use super::output::Output;
use crate::keys::MAX_BATCH;

/// Most bytes of lines in a batch; the server takes 2 MiB.
const MAX_BATCH_BYTES: usize = 1_500_000;

/// What has been done so far.
#[derive(Default)]
struct Progress {
    imported: u64,
    skipped: u64,
    revision: u64,
}

pub(super) async fn file(client: &Client, output: Output, path: &Path) -> Result<(), CliError> {
    let mut lines: Box<dyn BufRead> = if path.as_os_str() == "-" {
        Box::new(stdin().lock())
    } else {
        let file =
            File::open(path).map_err(|error| CliError::Other(format!("{}: {error}", path.display())))?;
        Box::new(BufReader::new(file))
    };
    let (mut progress, mut line_number) = (Progress::default(), 0);
    loop {
        let first = line_number + 1;
        let batch = read_batch(&mut lines, &mut line_number)?;
        if batch.is_empty() {
            break;
        }
        let context = format!("lines {first} to {line_number} (and nothing after them) were not imported");
        send(client, batch, &mut progress).await.inspect_err(|_| output.note(&context))?;
    }
    let Progress { imported, skipped, revision } = progress;
    if output.json {
        output.one(&json!({ "imported": imported, "skipped": skipped, "revision": revision }), &[]);
    } else {
        output.line(&format!("imported {imported} keys, skipped {skipped} that were known already"));
    }
    Ok(())
}

fn read_batch(lines: &mut dyn BufRead, line_number: &mut u64) -> Result<Vec<Value>, CliError> {
    let (mut batch, mut bytes, mut line) = (Vec::new(), 0, String::new());
    while batch.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
        line.clear();
        if lines.read_line(&mut line).map_err(|error| CliError::Other(error.to_string()))? == 0 {
            break;
        }
        *line_number += 1;
        if line.trim().is_empty() {
            continue;
        }
        bytes += line.len();
        let bad = |_| CliError::Usage(format!("line {line_number} is not JSON"));
        batch.push(serde_json::from_str(&line).map_err(bad)?);
    }
    Ok(batch)
}

async fn send(client: &Client, batch: Vec<Value>, progress: &mut Progress) -> Result<(), CliError> {
    let call = client.call(Method::POST, &["api-keys", "import-batch"]);
    let done = call.body(json!({ "keys": batch })).send().await?;
    let number = |name| done.get(name).and_then(Value::as_u64).unwrap_or_default();
    progress.imported += number("imported");
    progress.skipped += number("skipped");
    progress.revision = number("revision");
    Ok(())
}

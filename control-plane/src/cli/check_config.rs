//! `check-config`: plugin configurations and Envoy's, read by the checker; and how findings are shown, for `doctor`, too.

use std::io::Read;

use clap::{Args, ValueEnum};
use flamegate_check::{Finding, Options, Role, Severity, check};
use serde_json::{Value, json};

use super::error::CliError;
use super::output::Output;

/// What to check.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct CheckConfigArgs {
    /// Files: plugin configurations, whole Envoy files, /config_dump of a running Envoy, resources of Istio or Envoy Gateway; YAML or
    /// JSON. - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// What a plugin configuration is for
    #[arg(long, value_enum)]
    role: Option<RoleArg>,
}

/// A role on the command line.
#[derive(Clone, Copy, ValueEnum)]
enum RoleArg {
    /// The HTTP filter
    Filter,
    /// The bootstrap singleton
    Sync,
}

const AFTER_HELP: &str = "\
Whether the sync token is set is looked up in the environment of this command: run it in Envoy's.

Exit codes:
  0 no error (there may be warnings and hints)   1 at least one error   2 usage, or a file that cannot be read";

/// Checks files without starting anything.
pub(super) fn run(output: Output, args: &CheckConfigArgs) -> Result<(), CliError> {
    let environment = |name: &str| std::env::var(name).ok();
    let role = args.role.map(|role| match role {
        RoleArg::Filter => Role::Filter,
        RoleArg::Sync => Role::Sync,
    });
    let options = Options { environment: Some(&environment), role };
    let mut all = Vec::new();
    for file in &args.files {
        let text = read(file).map_err(|error| CliError::Usage(format!("{file} cannot be read: {error}")))?;
        all.extend(check(&text, &options).into_iter().map(|finding| (file.clone(), finding)));
    }
    show(output, &all)
}

/// More than any configuration, and than what `doctor` reads of a gateway.
const MOST_BYTES: u64 = 128 << 20;

fn read(file: &str) -> std::io::Result<String> {
    let from: Box<dyn Read> =
        if file == "-" { Box::new(std::io::stdin()) } else { Box::new(std::fs::File::open(file)?) };
    let mut text = String::new();
    from.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(std::io::Error::other(format!("it has more than {} MiB", MOST_BYTES >> 20)));
    }
    Ok(text)
}

/// Prints findings with where they were found (a file or nothing); an error when one of them is an error.
pub(super) fn show(output: Output, all: &[(String, Finding)]) -> Result<(), CliError> {
    if output.json {
        let entries: Vec<Value> = all.iter().map(|(file, finding)| with_file(file, finding)).collect();
        output.list(&entries, &[])?;
    } else {
        all.iter().try_for_each(|(file, finding)| output.line(&in_words(file, finding)))?;
    }
    let count = |severity| all.iter().filter(|(_, finding)| finding.rule.severity == severity).count();
    let counts = format!(
        "{} errors, {} warnings, {} hints",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Hint)
    );
    if count(Severity::Error) > 0 {
        return Err(CliError::Other(counts));
    }
    output.note(&counts);
    Ok(())
}

fn with_file(file: &str, finding: &Finding) -> Value {
    let mut entry = finding.to_json();
    entry["file"] = if file.is_empty() { Value::Null } else { json!(file) };
    entry
}

/// `file:line: severity rule: what`, and below it where exactly, why it matters, what to do.
fn in_words(file: &str, finding: &Finding) -> String {
    let Finding { rule, path, line, what } = finding;
    let place = match (file.is_empty(), *line) {
        (true, _) => String::new(),
        (false, 0) => format!("{file}: "),
        (false, line) => format!("{file}:{line}: "),
    };
    let at = if path.is_empty() { String::new() } else { format!("\n  at:  {}", shown(path)) };
    let severity = rule.severity.as_str();
    format!("{place}{severity} {}: {}{at}\n  why: {}\n  do:  {}", rule.name, shown(what), rule.why, rule.fix)
}

/// What comes from a file or from somebody else reaches the terminal without control characters.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

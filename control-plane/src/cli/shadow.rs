//! `shadow`: what would have been refused and has passed in shadow.

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::output::{Column, Output};

#[derive(Args)]
pub(super) struct ShadowArgs {
    /// How many days (UTC), today included: 1 to 31
    #[arg(long, default_value_t = 7)]
    days: u32,
    /// Most keys
    #[arg(long, default_value_t = 1_000)]
    max: usize,
}

const GATEWAY_COLUMNS: [Column; 7] = [
    ("GATEWAY", "/id"),
    ("MODE", "/mode"),
    ("CONNECTED", "/connected"),
    ("VERDICT", "/verdict"),
    ("REASON", "/reason"),
    ("REQUESTS", "/requests"),
    ("LAST", "/last_at"),
];

const KEY_COLUMNS: [Column; 10] = [
    ("KEY", "/id"),
    ("NAME", "/name"),
    ("WORKSPACE", "/workspace_slug"),
    ("IN SHADOW", "/shadow"),
    ("LIMITED", "/rate_limited"),
    ("FORBIDDEN", "/forbidden"),
    ("EXPIRED", "/expired"),
    ("ENVIRONMENT", "/environment"),
    ("SINCE", "/since"),
    ("LAST", "/last_at"),
];

/// Gateways with their reasons, then keys; with `--json` the report with a list `keys_detail`.
pub(super) async fn run(client: &Client, output: Output, args: ShadowArgs) -> Result<(), CliError> {
    let days = args.days.to_string();
    let mut report = client.call(Method::GET, &["shadow"]).query("days", Some(&days)).send().await?;
    let (keys, more) = client.list(&["shadow", "keys"], &[("days", Some(&days))], args.max).await?;
    if output.json {
        report["keys_detail"] = json!(keys);
        return output.one(&report, &[]);
    }
    let gateways = report.get("gateways").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    output.list(&gateways.iter().flat_map(lines).collect::<Vec<_>>(), &GATEWAY_COLUMNS)?;
    if !keys.is_empty() {
        output.line("")?;
        output.list(&keys, &KEY_COLUMNS)?;
    }
    let number = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or_default();
    let from = report.get("from").and_then(Value::as_str).unwrap_or_default();
    output.note(&format!(
        "since {from}: {} keys would have been refused; {} gateways and {} keys are in shadow",
        number("keys"),
        number("gateways_in_shadow"),
        number("keys_in_shadow")
    ));
    if number("gateways_silent") > 0 {
        output.note(&format!(
            "{} gateways do not say what they would have refused: update their filters",
            number("gateways_silent")
        ));
    }
    if more {
        output.note(&format!("(the latest {} keys; see --max)", args.max));
    }
    Ok(())
}

/// A gateway with each of its reasons, or alone.
fn lines(gateway: &Value) -> Vec<Value> {
    let reasons = gateway.get("reasons").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let line = |reason: Option<&Value>| {
        let mut line = gateway.clone();
        for (name, value) in reason.and_then(Value::as_object).into_iter().flatten() {
            line[name] = value.clone();
        }
        line
    };
    if reasons.is_empty() {
        vec![line(None)]
    } else {
        reasons.iter().map(|reason| line(Some(reason))).collect()
    }
}

//! `keys usage`.

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::Value;

use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::output::{Column, Output};
use crate::domain::limits::seconds;

#[derive(Args)]
pub(in crate::cli) struct UsageArgs {
    /// key_…
    pub id: String,
    /// How far back: 90m, 24h, 30d
    #[arg(long, default_value = "24h", value_name = "TIME")]
    pub since: String,
    /// minute, hour or day; what suits the time when it is not given
    #[arg(long)]
    pub step: Option<String>,
}

const COLUMNS: [Column; 9] = [
    ("START", "/start"),
    ("ADMITTED", "/admitted"),
    ("LIMITED", "/rate_limited"),
    ("FORBIDDEN", "/forbidden"),
    ("EXPIRED", "/expired"),
    ("ENVIRONMENT", "/environment"),
    ("REVOKED", "/revoked"),
    ("SHADOW LIMITED", "/shadow_limited"),
    ("SHADOW REFUSED", "/shadow_refused"),
];

/// What a key was used for: buckets with requests as a table, and when it was last used.
pub(super) async fn usage(client: &Client, output: Output, args: UsageArgs) -> Result<(), CliError> {
    let back = seconds(&args.since).filter(|seconds| *seconds > 0);
    let back =
        back.ok_or_else(|| CliError::Usage("--since must be a time such as 90m, 24h or 30d".to_owned()))?;
    let from = Timestamp::now().checked_sub(SignedDuration::from_secs(back)).unwrap_or(Timestamp::MIN);
    let from = from.to_string();
    let call = client.call(Method::GET, &["api-keys", &args.id, "usage"]).query("from", Some(&from));
    let usage = call.query("step", args.step.as_deref()).send().await?;
    if output.json {
        return output.one(&usage, &[]);
    }
    let is_used = |bucket: &&Value| {
        COLUMNS.iter().skip(1).any(|(_, at)| bucket.pointer(at).is_some_and(|count| count != 0))
    };
    let buckets = usage.get("buckets").and_then(Value::as_array);
    let mut rows: Vec<Value> = buckets.into_iter().flatten().filter(is_used).cloned().collect();
    if let Some(mut totals) = usage.get("totals").cloned() {
        if let Some(totals) = totals.as_object_mut() {
            totals.insert("start".to_owned(), "total".into());
        }
        rows.push(totals);
    }
    output.list(&rows, &COLUMNS)?;
    let text = |name| usage.get(name).and_then(Value::as_str);
    output.note(&match (text("counted_since"), text("last_used_at")) {
        (None, _) => "nothing was counted yet: no gateway has posted".to_owned(),
        (Some(since), None) => format!("never used since {since}, when counting began"),
        (_, Some(at)) => format!("last used {at} at {}", text("last_used_by").unwrap_or_default()),
    });
    let gateways = usage.get("gateways").and_then(Value::as_array);
    for gateway in gateways.into_iter().flatten().filter(|_| gateways.is_some_and(|all| all.len() > 1)) {
        let of = |name: &str| gateway.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        output.note(&format!("in the hour of {} at {}", of("last_used_at"), of("id")));
    }
    if let Some(at) = text("last_refused_at") {
        let by = text("last_refused_by").unwrap_or_default();
        output.note(&format!("it had ended, and somebody still came with it {at} at {by}"));
    }
    Ok(())
}

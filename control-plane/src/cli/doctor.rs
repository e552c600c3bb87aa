//! `doctor`: what is wrong with the tokens here, the control plane and gateways. Everything is asked for once, within bounds of time
//! and size, and judged by the checker.

mod http;
mod local;

use clap::Args;
use flamegate_check::{
    Admin, Control, Finding, STATS_FILTER, Severity, control, gateway_rules as rules, look, summary,
};
use reqwest::Url;
use serde_json::Value;

use self::http::Http;
use super::check_config::show;
use super::client;
use super::error::CliError;
use super::output::Output;
use super::reach::Authorities;
use crate::config::urls;

/// Which gateways to look at.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct DoctorArgs {
    /// Envoy's admin interface, as http://127.0.0.1:9901; may be given several times
    #[arg(long, value_name = "URL")]
    envoy_admin: Vec<String>,
}

const AFTER_HELP: &str = "\
Looks at the tokens and the database that the environment names, at the control plane (--url; with the token of --token-file, if
there is one), and at each gateway. Changes nothing.

Environment:
  FLAMEGATE_ADMIN_TOKEN, FLAMEGATE_SYNC_TOKEN, FLAMEGATE_METRICS_TOKEN, and with _FILE; FLAMEGATE_DATABASE; FLAMEGATE_CONTROL_URL;
  FLAMEGATE_CA_FILE

Exit codes:
  0 no error (there may be warnings and hints)   1 at least one error   2 usage";

/// How long a change may take to arrive before a gateway counts as behind.
const SECOND_LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// Looks at everything and says what is wrong.
pub(super) async fn run(
    output: Output,
    (url, token_file): (Option<String>, Option<String>),
    authorities: Option<&Authorities>,
    args: DoctorArgs,
) -> Result<(), CliError> {
    let base = client::base_url(url)?;
    let admins = args.envoy_admin.iter().map(|url| urls::parse(url));
    let admins: Vec<Url> = admins
        .collect::<Result<_, _>>()
        .map_err(|error| CliError::Usage(format!("--envoy-admin: {error}")))?;
    let given =
        token_file.map(|path| client::token_of_file(client::TOKEN_FILE, &path, output)).transpose()?;
    let (mut findings, token) = local::look().await;
    let token = given.or(token);
    let http = Http::new(admins.iter().chain([&base]), authorities)?;
    let mut seen = Vec::new();
    for admin in &admins {
        seen.push((admin, envoy(&http, admin).await));
    }
    // Asked after the gateways: none of them is ahead of it then.
    let (answers, of_control) = control_plane(&http, &base, token.as_deref()).await;
    findings.extend(of_control);
    findings.extend(local::served(&answers.database).await);
    output.note(&answers.summary());
    for (url, admin) in seen {
        match admin {
            Ok(admin) => {
                output.note(&summary(&admin));
                findings.extend(gateway(&http, url, admin, &answers).await);
            }
            Err(why) => findings.push(unreachable_admin(url, why)),
        }
    }
    findings.sort_by_key(|finding| finding.rule.severity);
    let all: Vec<_> = findings.into_iter().map(|finding| (String::new(), finding)).collect();
    let sound = !all.iter().any(|(_, finding)| finding.rule.severity == Severity::Error);
    if sound && args.envoy_admin.is_empty() {
        output.note("no gateway was looked at: give --envoy-admin");
    }
    show(output, &all)
}

/// The control plane, and what is wrong with it. Where a gateway has acknowledged nothing it is asked again: that one may have started
/// just now.
async fn control_plane(http: &Http, base: &Url, token: Option<&str>) -> (Control, Vec<Finding>) {
    let look = |answers: &Control| control(answers, env!("CARGO_PKG_VERSION"));
    let answers = ask(http, base, token).await;
    let findings = look(&answers);
    let starts = [rules::WITHOUT_OUR_TABLE.name, rules::SERVES_NOBODY.name];
    if !findings.iter().any(|finding| starts.contains(&finding.rule.name)) {
        return (answers, findings);
    }
    tokio::time::sleep(SECOND_LOOK).await;
    let again = ask(http, base, token).await;
    let findings = look(&again);
    (again, findings)
}

/// What is wrong with a gateway. One that is behind is asked again: a change may have been on its way.
async fn gateway(http: &Http, url: &Url, admin: Admin, answers: &Control) -> Vec<Finding> {
    let known = answers.known();
    let findings = look(&admin, &known);
    if !findings.iter().any(|finding| finding.rule.name == rules::BEHIND.name) {
        return findings;
    }
    tokio::time::sleep(SECOND_LOOK).await;
    match envoy(http, url).await {
        Ok(again) => look(&again, &known),
        Err(_) => findings,
    }
}

fn unreachable_admin(url: &Url, why: String) -> Finding {
    Finding { rule: &rules::ADMIN_UNREACHABLE, path: url.to_string(), line: 0, what: why }
}

/// The pages of an admin interface.
async fn envoy(http: &Http, admin: &Url) -> Result<Admin, String> {
    let info = http.get(admin, "server_info", &[], None).await?;
    let config_dump = http.get(admin, "config_dump", &[], None).await?.text;
    let stats = http.get(admin, "stats", &[("filter", STATS_FILTER)], None).await?.text;
    let url = admin.as_str().trim_end_matches('/').to_owned();
    Ok(Admin { url, config_dump, server_info: info.text, stats, ahead_seconds: info.ahead_seconds })
}

/// What the control plane says of itself and its gateways.
async fn ask(http: &Http, base: &Url, token: Option<&str>) -> Control {
    let url = base.as_str().trim_end_matches('/').to_owned();
    let health = match http.get(base, "healthz", &[], None).await {
        Ok(health) => health,
        Err(why) => return Control { url, unreachable: Some(why), ..Control::default() },
    };
    let body: Value = serde_json::from_str(&health.text).unwrap_or_default();
    let version = body.pointer("/data/version").and_then(Value::as_str).map(str::to_owned);
    let ready = http.get(base, "readyz", &[], None).await.map_or(0, |answer| answer.status);
    let mut answers =
        Control { url, version, ready, ahead_seconds: health.ahead_seconds, ..Control::default() };
    // A token goes to nobody who does not look like a control plane.
    if answers.version.is_none() {
        return answers;
    }
    if let Some(token) = token {
        let listed = http.get(base, "v1/gateways", &[], Some(token)).await;
        answers.status = Some(listed.as_ref().map_or(0, |answer| answer.status));
        let body: Value =
            listed.ok().and_then(|answer| serde_json::from_str(&answer.text).ok()).unwrap_or_default();
        let database = http.get(base, "v1/database", &[], Some(token)).await;
        let told = database.ok().and_then(|answer| serde_json::from_str::<Value>(&answer.text).ok());
        answers.database = told.and_then(|body| body.get("data").cloned()).unwrap_or_default();
        answers.gateways = body.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    }
    let metrics = http.get(base, "metrics", &[], local::metrics_token().as_deref()).await;
    answers.metrics =
        metrics.ok().filter(|answer| answer.status == 200).map(|answer| answer.text).unwrap_or_default();
    answers
}

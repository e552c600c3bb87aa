//! The control plane, by what it answers, and the tokens of an environment.

use serde_json::Value as Json;

use crate::finding::{Finding, Findings};
use crate::gateway_rules as rules;
use crate::looked_at::Known;

/// What a control plane has answered.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// Where it is, for people.
    pub url: String,
    /// Why it cannot be reached, when it cannot.
    pub unreachable: Option<String>,
    /// Its version, from `/healthz`; nothing when that is not ours.
    pub version: Option<String>,
    /// Status of `/readyz`.
    pub ready: u16,
    /// Status of `/v1/gateways`; nothing without a token to ask with.
    pub status: Option<u16>,
    /// `data` of that.
    pub gateways: Vec<Json>,
    /// `data` of `/v1/database`; nothing when it is not told.
    pub database: Json,
    /// `/metrics`; empty when it is not given out.
    pub metrics: String,
    /// How many seconds its clock is ahead of ours.
    pub ahead_seconds: Option<i64>,
}

/// Tokens as a variable, or the file that another names, has them.
#[derive(Clone, Debug, Default)]
pub struct Token {
    /// The variable: `FLAMEGATE_ADMIN_TOKEN`.
    pub variable: String,
    /// Text of the variable.
    pub text: Option<String>,
    /// The file that `<variable>_FILE` names.
    pub file: Option<TokenFile>,
}

/// A file with tokens.
#[derive(Clone, Debug)]
pub struct TokenFile {
    /// Its path.
    pub path: String,
    /// What it holds, or why it cannot be read.
    pub text: Result<String, String>,
    /// What is wrong with who may use it, and whether the control plane starts all the same.
    pub mode: Option<(String, bool)>,
}

/// Clocks that differ by more are worth a word.
const CLOCK_SECONDS: i64 = 5;

impl Control {
    /// What it knows of its gateways.
    pub fn known(&self) -> Known {
        let gateways = (self.status == Some(200)).then(|| self.gateways.clone());
        Known { revision: self.metric("revision"), gateways, database: self.database() }
    }

    /// Its database for people.
    fn database(&self) -> Option<String> {
        let text = |name| self.database.get(name).and_then(Json::as_str);
        Some(format!("the control plane's database is {} (epoch {})", text("path")?, text("epoch")?))
    }

    /// A metric without labels.
    fn metric(&self, name: &str) -> Option<u64> {
        let name = format!("flamegate_control_{name} ");
        self.metrics.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse().ok())
    }

    /// Wrong tokens of gateways.
    fn refused(&self) -> u64 {
        let name = "flamegate_control_refused_tokens_total{kind=\"sync\"} ";
        self.metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_default()
    }

    /// In a line, whatever is wrong with it.
    pub fn summary(&self) -> String {
        if self.unreachable.is_some() {
            return format!("control plane {}: not reached", self.url);
        }
        let Some(version) = self.version.as_deref() else {
            return format!("control plane {}: what answers there is none of Flamegate", self.url);
        };
        let connected = self.gateways.iter().filter(|gateway| is(gateway, "connected")).count();
        let revision =
            self.metric("revision").map_or_else(|| "not told".to_owned(), |revision| revision.to_string());
        let database = self.database().map_or(String::new(), |database| format!("; {database}"));
        format!(
            "control plane {}: {version}, revision {revision}, {connected} gateways connected{database}",
            self.url
        )
    }
}

fn is(gateway: &Json, field: &str) -> bool {
    gateway.get(field).and_then(Json::as_bool).unwrap_or_default()
}

/// What is wrong with a control plane; `here` is the version of this program.
pub fn control(answers: &Control, here: &str) -> Vec<Finding> {
    let mut findings = Findings::default();
    let place = |path: &str| format!("{}{path}", answers.url);
    if let Some(why) = &answers.unreachable {
        findings.add(
            &rules::CONTROL_UNREACHABLE,
            &answers.url,
            0,
            format!("the control plane cannot be reached: {why}"),
        );
        return findings.sorted();
    }
    let Some(version) = &answers.version else {
        findings.add(
            &rules::CONTROL_UNREACHABLE,
            &place("/healthz"),
            0,
            "what answers there is no control plane of Flamegate",
        );
        return findings.sorted();
    };
    if version != here {
        findings.add(
            &rules::CONTROL_VERSION,
            &place("/healthz"),
            0,
            format!("the server is {version}, this program {here}"),
        );
    }
    if answers.ready != 200 {
        findings.add(
            &rules::CONTROL_NOT_READY,
            &place("/readyz"),
            0,
            format!("/readyz answers {}", answers.ready),
        );
    }
    if let Some(ahead) = answers.ahead_seconds.filter(|ahead| ahead.abs() > CLOCK_SECONDS) {
        let (far, which) = (ahead.abs(), if ahead > 0 { "ahead of" } else { "behind" });
        findings.add(
            &rules::CLOCK,
            &answers.url,
            0,
            format!("the control plane's clock is {far} s {which} this machine's"),
        );
    }
    match answers.status {
        Some(200) => gateways(answers, &mut findings),
        Some(401) => {
            findings.add(&rules::ADMIN_TOKEN, &place("/v1/gateways"), 0, "the admin token is refused")
        }
        Some(status) => {
            findings.add(&rules::CONTROL_NOT_READY, &place("/v1/gateways"), 0, format!("it answers {status}"))
        }
        None => findings.add(
            &rules::NO_ADMIN_TOKEN,
            &place("/v1/gateways"),
            0,
            "there is no admin token to ask with",
        ),
    }
    databases(answers, &mut findings);
    if answers.refused() > 0 {
        findings.add(
            &rules::REFUSED_TOKENS,
            &place("/metrics"),
            0,
            format!("{} polls had a wrong token since the control plane's start", answers.refused()),
        );
    }
    findings.sorted()
}

/// Its acknowledgements may not count.
fn has_no_session(gateway: &Json) -> bool {
    gateway.get("session") == Some(&Json::Bool(false))
}

/// The database, and gateways that have another one's table.
fn databases(answers: &Control, findings: &mut Findings) {
    if let Some(database) = answers.database().filter(|_| answers.database["revision"] == 0) {
        let place = format!("{}/v1/database", answers.url);
        findings.add(&rules::TABLE_EMPTY, &place, 0, format!("no key was ever made; {database}"));
    }
    let foreign = answers.metric("foreign_epochs_total").unwrap_or_default();
    let place = format!("{}/metrics", answers.url);
    let what = format!("{foreign} polls had the table of another epoch since the control plane's start");
    let has_other = |gateway: &Json| is(gateway, "connected") && is(gateway, "other_database");
    let is_over = answers.status == Some(200) && !answers.gateways.iter().any(has_other);
    // More than one for each gateway is more than a restore makes: two control planes, perhaps, of which one is asked now.
    if foreign > 0 && is_over && foreign <= answers.gateways.len() as u64 {
        let what = format!("{}: {what}; no connected gateway has one now", rules::FOREIGN_EPOCHS.name);
        findings.add(&rules::EARLIER, &place, 0, what);
    } else if foreign > 0 {
        let now = if is_over { "; no connected gateway has one now" } else { "" };
        findings.add(&rules::FOREIGN_EPOCHS, &place, 0, format!("{what}{now}"));
    }
}

fn gateways(answers: &Control, findings: &mut Findings) {
    let place = format!("{}/v1/gateways", answers.url);
    let id = |gateway: &Json| gateway.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
    if !answers.gateways.iter().any(|gateway| is(gateway, "connected")) {
        findings.add(&rules::NO_GATEWAY, &place, 0, "no gateway is connected");
    }
    for gateway in &answers.gateways {
        let (connected, acknowledged) = (is(gateway, "connected"), gateway.get("acknowledged_revision"));
        if connected && is(gateway, "other_database") {
            let database = answers.database().map_or(String::new(), |database| format!("; {database}"));
            let what = format!("{} has the table of another database and keeps it{database}", id(gateway));
            findings.add(&rules::OTHER_HISTORY, &place, 0, what);
        } else if connected && is(gateway, "stale") {
            findings.add(&rules::STALE, &place, 0, format!("{} is stale", id(gateway)));
        } else if !connected && acknowledged.is_some_and(Json::is_u64) {
            findings.add(&rules::CUT_OFF, &place, 0, format!("{} is cut off", id(gateway)));
        } else if connected && gateway.get("workers").and_then(Json::as_u64) == Some(0) {
            findings.add(
                &rules::SERVES_NOBODY,
                &place,
                0,
                format!("no worker of {} has a table", id(gateway)),
            );
        } else if connected && acknowledged.is_none_or(Json::is_null) && !has_no_session(gateway) {
            let what = format!("{} has acknowledged nothing of this database", id(gateway));
            findings.add(&rules::WITHOUT_OUR_TABLE, &place, 0, what);
        } else if connected && gateway.get("behind").and_then(Json::as_u64).unwrap_or_default() > 0 {
            findings.add(
                &rules::BEHIND,
                &place,
                0,
                format!("{} is {} revisions behind", id(gateway), gateway["behind"]),
            );
        }
        if connected && has_no_session(gateway) {
            findings.add(&rules::NO_SESSION, &place, 0, format!("{} sends no session", id(gateway)));
        }
    }
}

/// What is wrong with the tokens of an environment; `flaw` says what keeps a text from being one.
pub fn tokens(all: &[Token], flaw: &dyn Fn(&str) -> Option<String>) -> Vec<Finding> {
    let mut findings = Findings::default();
    let list = |text: &str| {
        let tokens = text.split([',', '\n']).map(str::trim).filter(|token| !token.is_empty());
        tokens.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut lists: Vec<(String, Vec<String>)> = Vec::new();
    for token in all {
        let (name, text) = match (&token.text, &token.file) {
            (Some(_), Some(_)) => {
                let what = format!("{0} and {0}_FILE cannot both be set", token.variable);
                findings.add(&rules::TOKEN_FILE, &token.variable, 0, what);
                continue;
            }
            (Some(text), None) => (token.variable.clone(), text.clone()),
            (None, Some(TokenFile { path, text: Ok(text), mode })) => {
                if let Some((what, starts)) = mode {
                    let rule = if *starts { &rules::TOKEN_MODE_OTHER } else { &rules::TOKEN_MODE };
                    findings.add(rule, path, 0, what);
                }
                (path.clone(), text.clone())
            }
            (None, Some(TokenFile { path, text: Err(why), .. })) => {
                let what = format!("{}_FILE cannot be read: {why}", token.variable);
                findings.add(&rules::TOKEN_FILE, path, 0, what);
                continue;
            }
            (None, None) => continue,
        };
        let found = list(&text);
        if found.is_empty() {
            findings.add(&rules::TOKEN_FILE, &name, 0, format!("there is no token for {}", token.variable));
        }
        for flaw in found.iter().filter_map(|token| flaw(token)) {
            findings.add(&rules::TOKEN_FLAW, &name, 0, flaw);
        }
        for (other, others) in &lists {
            if found.iter().any(|token| others.contains(token)) {
                findings.add(
                    &rules::TOKENS_EQUAL,
                    &name,
                    0,
                    format!("{} and {other} have a token in common", token.variable),
                );
            }
        }
        lists.push((token.variable.clone(), found));
    }
    findings.sorted()
}

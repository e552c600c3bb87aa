//! What the environment names on this machine: tokens, their files, the database.

use flamegate_check::{Finding, Token, TokenFile, gateway_rules as rules, tokens};
use serde_json::Value;

use crate::config::database::DatabaseAddress;
use crate::config::secret_file;
use crate::domain::tokens::{flaw, token_list};
use crate::store::maintenance;

const ADMIN: &str = "FLAMEGATE_ADMIN_TOKEN";
const METRICS: &str = "FLAMEGATE_METRICS_TOKEN";
const VARIABLES: [&str; 3] = [ADMIN, "FLAMEGATE_SYNC_TOKEN", METRICS];

/// What is wrong here, and the admin token to ask with, if there is one.
pub(super) async fn look() -> (Vec<Finding>, Option<String>) {
    let all: Vec<_> = VARIABLES.iter().map(|variable| read(variable)).collect();
    let mut findings = tokens(&all, &flaw);
    findings.extend(database().await);
    (findings, first(ADMIN))
}

/// The token for `/metrics`, if there is one.
pub(super) fn metrics_token() -> Option<String> {
    first(METRICS)
}

fn first(variable: &str) -> Option<String> {
    let Token { text, file, .. } = read(variable);
    let text = text.or_else(|| file?.text.ok())?;
    token_list(&text).next().map(str::to_owned)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn read(name: &str) -> Token {
    let file = variable(&format!("{name}_FILE")).map(|path| {
        let mode = match secret_file::mode_of(&path) {
            Ok(warning) => warning.map(|what| (what, true)),
            Err(why) => Some((why, false)),
        };
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        TokenFile { path, text, mode }
    });
    Token { variable: name.to_owned(), text: variable(name), file }
}

/// Whether the database that the environment names is the one that is served.
pub(super) async fn served(database: &Value) -> Option<Finding> {
    variable("FLAMEGATE_DATABASE")?;
    let address = DatabaseAddress::read(None, &variable).ok()?;
    let text = |name| database.get(name).and_then(Value::as_str);
    let (served, epoch) = (text("path")?, text("epoch")?);
    let ours = maintenance::inspect(&address).await.ok()?.epoch;
    let what = format!("FLAMEGATE_DATABASE is epoch {ours}, and the server serves {served} (epoch {epoch})");
    (ours != epoch).then(|| Finding {
        rule: &rules::DATABASE_OTHER,
        path: address.to_string(),
        line: 0,
        what,
    })
}

/// The database, when it is on this machine.
async fn database() -> Vec<Finding> {
    let named = variable("FLAMEGATE_DATABASE").is_some();
    let address = match DatabaseAddress::read(None, &variable) {
        Ok(address) => address,
        Err(what) => {
            return vec![Finding {
                rule: &rules::DATABASE,
                path: "FLAMEGATE_DATABASE".to_owned(),
                line: 0,
                what,
            }];
        }
    };
    let finding = |rule, what| Finding { rule, path: address.to_string(), line: 0, what };
    if address.file().is_some_and(|path| !path.exists()) {
        let missing = || finding(&rules::DATABASE_MISSING, "there is no such file".to_owned());
        return named.then(missing).into_iter().collect();
    }
    match maintenance::inspect(&address).await {
        Ok(inspection) => {
            inspection.problems.into_iter().map(|problem| finding(&rules::DATABASE, problem)).collect()
        }
        Err(error) => vec![finding(&rules::DATABASE, error.to_string())],
    }
}

//! `explain`: what is known of a key, and what each gateway answers to it. A key is read from standard input, hashed here, and never
//! sent; on the command line, where others would see it, it is refused.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _, Read as _};

use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::keys;
use super::output::{Column, Output};
use crate::contract::{ApiKey, KeyHash};
use crate::domain::audit_text::details_text;
use crate::domain::keys::paste::may_hold_key;

/// Which key.
#[derive(clap::Args)]
pub(super) struct ExplainArgs {
    /// Its id (key_…), its hint (sk_live_…a1B2) or its SHA-256 (64 hexadecimal digits). When it is not given, or is -, the key
    /// itself is read from standard input; it is hashed here and never sent
    #[arg(value_name = "ID | HINT | SHA-256 | -")]
    key: Option<String>,
}

const KEY_FIELDS: [Column; 16] = [
    ("KEY", "/key/id"),
    ("NAME", "/key/name"),
    ("HINT", "/key/key_hint"),
    ("ENVIRONMENT", "/key/environment"),
    ("STATUS", "/key/status"),
    ("WORKSPACE", "/workspace/id"),
    ("WORKSPACE SLUG", "/workspace/slug"),
    ("CREATED", "/key/created_at"),
    ("CREATED BY", "/key/created_by"),
    ("EXPIRES", "/key/expires_at"),
    ("REVOKED", "/key/revoked_at"),
    ("RESTRICTIONS", "/key/restrict"),
    ("PLAN", "/key/plan"),
    ("SHADOW", "/key/shadow"),
    ("REVISION", "/key/revision"),
    ("LOG'S REVISION", "/revision"),
];

/// Each with its burst.
const LIMIT_FIELDS: [Column; 6] = [
    ("LIMITS IN FORCE", "/limits/effective"),
    ("  ITS OWN", "/limits/own"),
    ("  WORKSPACE DEFAULT", "/limits/workspace_default"),
    ("  CEILING", "/limits/ceiling"),
    ("  OF THE WORKSPACE", "/limits/workspace"),
    ("  OF ITS PLANS", "/limits/plans"),
];

const GATEWAY_COLUMNS: [Column; 7] = [
    ("GATEWAY", "/id"),
    ("CONNECTED", "/connected"),
    ("STALE", "/stale"),
    ("REVISION", "/acknowledged_revision"),
    ("LAST SEEN", "/last_seen"),
    ("ANSWERS", "/answer/status"),
    ("REASON", "/answer/reason"),
];

/// What is sent of the key that somebody has.
struct Shown {
    hash: KeyHash,
    /// What can be told of it here.
    note: Option<&'static str>,
}

/// Longest line that is read: a key has at most 256 characters.
const MAX_LINE: u64 = 64 * 1024;
const NO_FORM: &str = "every gateway answers 401 INVALID_API_KEY: this has not the form of a key, which is sk_live_ or sk_test_ and \
    visible ASCII characters behind it, at most 256 in all, without comma or blank";
const A_JWT: &str = "this begins like a JWT and is no key: where Envoy's JWT filter looks at such requests it decides, which is not known here; \
    everywhere else gateways answer 401 INVALID_API_KEY";
const NO_CHECKSUM: &str = "the key does not end in its checksum: if it was made here, it is mistyped or cut (one that was imported \
    need not have any; a gateway with require_checksum refuses it)";

pub(super) async fn run(client: &Client, output: Output, args: ExplainArgs) -> Result<(), CliError> {
    let (call, note) = match args.key.as_deref() {
        None | Some("-") => {
            let Shown { hash, note } = read_key()?;
            (client.call(Method::POST, &["explain"]).body(json!({ "hash": hash.to_hex() })), note)
        }
        Some(text) => (by_name(client, text)?, None),
    };
    let known = call.send().await?;
    if output.json {
        output.one(&known, &[])?;
    } else {
        print(output, &known)?;
    }
    if let Some(note) = note {
        output.note(note);
    }
    // For scripts: the same as for an id that nobody has.
    let is_unknown = known.get("key").is_none_or(Value::is_null)
        && known.get("candidates").and_then(Value::as_array).is_none_or(Vec::is_empty);
    if is_unknown { Err(not_found("no key here has this hash")) } else { Ok(()) }
}

/// A request about what people may put on a command line.
fn by_name<'a>(client: &'a Client, text: &str) -> Result<super::client::Call<'a>, CliError> {
    let hint = text.replace("...", "…");
    if may_hold_key(&hint) {
        return Err(CliError::Usage(
            "this looks like an API key, which others on this machine can see on a command line: give it on standard input \
             (flamegate-control explain < FILE), and revoke it if others may have seen it"
                .to_owned(),
        ));
    }
    let call = client.call(Method::GET, &["explain"]);
    if KeyHash::from_hex(text).is_some() {
        return Ok(client.call(Method::POST, &["explain"]).body(json!({ "hash": text })));
    }
    Ok(if hint.contains('…') { call.query("hint", Some(&hint)) } else { call.query("id", Some(text)) })
}

/// The hash of the key in the first line of standard input, as people paste it: alone, behind `Bearer`, or in quotes.
fn read_key() -> Result<Shown, CliError> {
    let stdin = std::io::stdin();
    let failed = |error| CliError::Other(format!("standard input cannot be read: {error}"));
    if stdin.is_terminal() {
        // Not shown while it is pasted.
        return shown(
            rpassword::prompt_password("Key (hashed here, not sent): ").map_err(failed)?.as_bytes(),
        );
    }
    let mut line = Vec::new();
    stdin.lock().take(MAX_LINE).read_until(b'\n', &mut line).map_err(failed)?;
    shown(&line)
}

fn shown(line: &[u8]) -> Result<Shown, CliError> {
    let line = String::from_utf8_lossy(line);
    let quotes = ['"', '\'', '`'];
    let word = line.split_whitespace().next_back().unwrap_or_default().trim_matches(quotes);
    if word.is_empty() {
        return Err(CliError::Usage("there is no key on standard input".to_owned()));
    }
    // `{"` in base64url.
    let otherwise = if word.starts_with("eyJ") { A_JWT } else { NO_FORM };
    let key = ApiKey::from_bytes(word.as_bytes()).ok_or_else(|| not_found(otherwise))?;
    let note = (!key.has_valid_checksum()).then_some(NO_CHECKSUM);
    Ok(Shown { hash: key.hash(), note })
}

fn not_found(message: &str) -> CliError {
    let (code, message) = ("NOT_FOUND".to_owned(), message.to_owned());
    let error = json!({ "code": code, "message": message });
    CliError::Api { status: 404, code, message, error }
}

fn print(output: Output, known: &Value) -> Result<(), CliError> {
    let entries = |name| known.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let candidates = entries("candidates");
    if !candidates.is_empty() {
        output.list(candidates, &keys::COLUMNS)?;
        let more = known.get("more_candidates").and_then(Value::as_bool).unwrap_or_default();
        output.note(if more {
            "(the newest 50 that have this hint)"
        } else {
            "Several keys have this hint."
        });
        output.note("Explain one of them by its id.");
        return Ok(());
    }
    output.line(&answer(known.pointer("/answer")))?;
    if known.get("key").is_some_and(Value::is_object) {
        output.one(known, &KEY_FIELDS)?;
        output.one(&in_words(known), &LIMIT_FIELDS)?;
        for restrict in entries("plan_restrictions") {
            output.one(restrict, &[("RESTRICTIONS OF ITS PLANS", "")])?;
        }
        for (what, name) in [("REPLACES", "predecessor"), ("REPLACED BY", "successor")] {
            if let Some(other) = known.get(name).filter(|other| other.is_object()) {
                output.line(&format!("{what}  {}", other_key(other)))?;
            }
        }
        output.line(&format!("LAST CHANGE  {}", last_change(known.get("last_change"))))?;
    }
    let gateways = entries("gateways");
    if gateways.is_empty() {
        return output.line("No gateway has asked for keys in the last day.");
    }
    output.list(gateways, &GATEWAY_COLUMNS)?;
    let reasons = gateways.iter().filter_map(|gateway| {
        let text = |name| gateway.pointer(name).and_then(Value::as_str);
        Some((text("/answer/reason")?, text("/answer/why")?))
    });
    for (reason, why) in reasons.collect::<BTreeMap<_, _>>() {
        output.line(&format!("{reason}: {why}"))?;
    }
    Ok(())
}

/// The limits of a key as people say them.
fn in_words(known: &Value) -> Value {
    let words = |value: &Value| match value {
        Value::Array(limits) if !limits.is_empty() => {
            json!(limits.iter().map(limit).collect::<Vec<_>>().join("; "))
        }
        Value::Object(_) => json!(limit(value)),
        other => other.clone(),
    };
    let limits = known.get("limits").and_then(Value::as_object);
    let limits = limits.into_iter().flatten().map(|(name, value)| (name.clone(), words(value)));
    json!({ "limits": limits.collect::<serde_json::Map<_, _>>() })
}

/// `default: 600 per 60 s, 5 at once`.
fn limit(value: &Value) -> String {
    let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name| value.get(name).and_then(Value::as_u64);
    let [requests, seconds] = ["requests", "window_seconds"].map(|name| number(name).unwrap_or_default());
    let burst = number("burst").map_or(String::new(), |burst| format!(", {burst} at once"));
    let scope = if text("scope") == "workspace" { " (whole workspace)" } else { "" };
    format!("{}: {requests} per {seconds} s{burst}{scope}", text("name"))
}

/// `ANSWER  401 INVALID_API_KEY: the key is revoked`.
fn answer(answer: Option<&Value>) -> String {
    let at = |name| answer.and_then(|answer| answer.get(name));
    let text = |name| at(name).and_then(Value::as_str);
    let status = at("status").and_then(Value::as_u64).map_or("-".to_owned(), |status| status.to_string());
    let code = text("code").map_or(String::new(), |code| format!(" {code}"));
    format!("ANSWER  {status}{code}: {}", text("why").unwrap_or_default())
}

fn other_key(key: &Value) -> String {
    let text = |name| key.get(name).and_then(Value::as_str);
    let end = text("expires_at").map_or(String::new(), |end| format!(", ends {end}"));
    let word = |name| text(name).unwrap_or_default();
    format!("{} ({}), {}{end}", word("id"), word("key_hint"), word("status"))
}

fn last_change(entry: Option<&Value>) -> String {
    let Some(entry) = entry.filter(|entry| entry.is_object()) else {
        return "none of its own in the audit log: see CREATED".to_owned();
    };
    let text = |at: &str| entry.pointer(at).and_then(Value::as_str).unwrap_or("-");
    let details = details_text(entry.get("details").unwrap_or(&Value::Null));
    let [action, at, who, via, from] =
        ["/action", "/at", "/actor/name", "/actor/via", "/actor/address"].map(text);
    format!("{action} at {at} by {who} ({via}, from {from}): {details}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_said_in_words() {
        let own = json!({"name": "a", "requests": 600, "window_seconds": 60, "burst": 5});
        let shared = json!({"name": "b", "requests": 9, "window_seconds": 1, "scope": "workspace"});
        let limits = json!({"effective": [own, shared], "own": null, "ceiling": own, "workspace": []});
        let words = in_words(&json!({ "limits": limits }));
        let told = "a: 600 per 60 s, 5 at once";
        assert_eq!(words["limits"]["effective"], format!("{told}; b: 9 per 1 s (whole workspace)"));
        assert_eq!((&words["limits"]["own"], &words["limits"]["ceiling"]), (&Value::Null, &json!(told)));
    }

    #[test]
    fn a_key_is_found_as_people_paste_it_and_nothing_else_is_one() {
        let key = "sk_live_legacy-4711";
        let hash = ApiKey::from_bytes(key.as_bytes()).unwrap().hash();
        for line in [format!("{key}\r\n"), format!("Authorization: Bearer {key}\n"), format!(" \"{key}\" \n")]
        {
            assert_eq!(shown(line.as_bytes()).ok().map(|shown| shown.hash), Some(hash), "{line}");
        }
        assert!(matches!(shown(b"\n"), Err(CliError::Usage(_))));
        for line in [&b"pk_live_other\n"[..], b"eyJhbGciOi.J9.x\n", b"\xff\xfe\n"] {
            assert!(matches!(shown(line), Err(CliError::Api { status: 404, .. })));
        }
    }
}

//! `keys …`.

mod args;
mod usage;

use reqwest::Method;
use serde_json::{Map, Value, json};

use self::args::{CreateArgs, ImportArgs, ListArgs, RotateArgs, Switch, UpdateArgs};
use super::client::Client;
use super::error::CliError;
use super::import;
use super::output::{Column, Output};
use crate::domain::gateways::PUSHED_OUT;

pub(super) use self::args::{ExpiryArgs, KeysCommand};

pub(super) const COLUMNS: [Column; 9] = [
    ("ID", "/id"),
    ("NAME", "/name"),
    ("WORKSPACE", "/workspace_slug"),
    ("ENV", "/environment"),
    ("STATUS", "/status"),
    ("KEY", "/key_hint"),
    ("CREATED", "/created_at"),
    ("EXPIRES", "/expires_at"),
    ("LAST USED", "/last_used_at"),
];

const FIELDS: [Column; 21] = [
    ("ID", "/id"),
    ("NAME", "/name"),
    ("WORKSPACE", "/workspace"),
    ("WORKSPACE SLUG", "/workspace_slug"),
    ("ENVIRONMENT", "/environment"),
    ("STATUS", "/status"),
    ("KEY", "/key_hint"),
    ("LIMITS", "/limits"),
    ("RESTRICTIONS", "/restrict"),
    ("PLAN", "/plan"),
    ("SHADOW", "/shadow"),
    ("CREATED", "/created_at"),
    ("EXPIRES", "/expires_at"),
    ("REVOKED", "/revoked_at"),
    ("ROTATED FROM", "/rotated_from"),
    ("ROTATED TO", "/rotated_to"),
    ("LAST USED", "/last_used_at"),
    ("LAST USED BY", "/last_used_by"),
    ("LAST REFUSED", "/last_refused_at"),
    ("LAST REFUSED BY", "/last_refused_by"),
    ("NOTE", "/note"),
];

pub(super) async fn run(client: &Client, output: Output, command: KeysCommand) -> Result<(), CliError> {
    match command {
        KeysCommand::Create(args) => create(client, output, args).await,
        KeysCommand::List(args) => list(client, output, args).await,
        KeysCommand::Get { id } => {
            output.one(&client.call(Method::GET, &["api-keys", &id]).send().await?, &FIELDS)
        }
        KeysCommand::Usage(args) => usage::usage(client, output, args).await,
        KeysCommand::Rename { id, name } => {
            patch(client, output, &id, json!({ "name": name }), None).await.map(|_| ())
        }
        KeysCommand::Update(args) => update(client, output, args).await,
        KeysCommand::Revoke { id, wait } => revoke(client, output, &id, &wait).await,
        KeysCommand::Shadow { id, to, wait } => shadow(client, output, &id, to, wait.as_deref()).await,
        KeysCommand::Rotate(args) => rotate(client, output, args).await,
        KeysCommand::Import(args) => import_keys(client, output, args).await,
    }
}

async fn create(client: &Client, output: Output, args: CreateArgs) -> Result<(), CliError> {
    let body = object([
        ("workspace", Some(json!(args.workspace))),
        ("name", Some(json!(args.name))),
        ("environment", Some(json!(args.environment))),
        ("expires_at", args.expiry.to_json()?),
        ("limits", args.limits.to_json()),
        ("restrict", args.restrict.to_json()),
        ("plan", args.plan.map(Value::from)),
        ("note", args.note.map(Value::from)),
    ]);
    let call = client.call(Method::POST, &["api-keys"]).wait(args.wait.as_deref()).body(body);
    let made = call.idempotency_key(args.idempotency_key).send().await?;
    show_new(output, &made)?;
    enforced(made.get("receipt"))
}

async fn rotate(client: &Client, output: Output, args: RotateArgs) -> Result<(), CliError> {
    let expires_at = if args.never_expires { Some(Value::Null) } else { args.expiry.to_json()? };
    let body = object([("grace", Some(Value::from(args.grace))), ("expires_at", expires_at)]);
    let call = client.call(Method::POST, &["api-keys", &args.id, "rotate"]).wait(args.wait.as_deref());
    let made = call.body(body).idempotency_key(args.idempotency_key).send().await?;
    show_new(output, &made)?;
    enforced(made.get("receipt"))
}

/// The key goes to standard output, everything around it to standard error.
fn show_new(output: Output, made: &Value) -> Result<(), CliError> {
    let text = |at: &str| made.pointer(at).and_then(Value::as_str).unwrap_or_default();
    output.once(made, text("/key"), &lost_key(made))?;
    output.note(&format!("{} ({}) in workspace {}", text("/id"), text("/name"), text("/workspace_slug")));
    if let Some(old) = made.pointer("/previous/id").and_then(Value::as_str) {
        let end = made.pointer("/previous/expires_at").and_then(Value::as_str);
        let end = end.filter(|_| text("/previous/status") == "active");
        output.note(&format!(
            "replaces {old}, which {}",
            end.map_or("is revoked".into(), |t| format!("ends {t}"))
        ));
        let own = made.get("expires_at").and_then(Value::as_str);
        output.note(&own.map_or("does not expire".into(), |end| format!("ends {end} itself")));
    }
    output.note("Copy the key now, it is not shown again.");
    Ok(())
}

/// What to do about a key that nobody has seen.
fn lost_key(made: &Value) -> String {
    let text = |at: &str| made.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let id = text("/id");
    let mut told =
        format!("{id} was made, and nobody has the key. Revoke it: flamegate-control keys revoke {id}");
    if let Some(old) = made.pointer("/previous/id").and_then(Value::as_str) {
        let end = made.pointer("/previous/expires_at").and_then(Value::as_str);
        let end = end.filter(|_| text("/previous/status") == "active");
        told.push_str(&format!(
            ". It was to replace {old}, which {}",
            end.map_or("is revoked".into(), |t| format!("ends {t}"))
        ));
    }
    told
}

async fn list(client: &Client, output: Output, args: ListArgs) -> Result<(), CliError> {
    let query = [
        ("workspace", args.workspace.as_deref()),
        ("environment", args.environment.as_deref()),
        ("status", args.status.as_deref()),
        ("plan", args.plan.as_deref()),
        ("shadow", args.shadow.then_some("true")),
        ("unused_for", args.unused_for.as_deref()),
        ("still_used", args.still_used.then_some("true")),
    ];
    let (entries, more) = client.list(&["api-keys"], &query, args.max).await?;
    output.list(&entries, &COLUMNS)?;
    if more {
        output.note(&format!("(the newest {}; see --max)", args.max));
    }
    Ok(())
}

async fn update(client: &Client, output: Output, args: UpdateArgs) -> Result<(), CliError> {
    let expires_at = if args.never_expires { Some(Value::Null) } else { args.expiry.to_json()? };
    let limits = if args.inherit_limits { Some(Value::Null) } else { args.limits.to_json() };
    let restrict = if args.no_restrictions { Some(Value::Null) } else { args.restrict.to_json() };
    let plan = if args.no_plan { Some(Value::Null) } else { args.plan.map(Value::from) };
    let note = if args.no_note { Some(Value::Null) } else { args.note.map(Value::from) };
    let name = args.name.map(Value::from);
    let body = object([
        ("name", name),
        ("expires_at", expires_at),
        ("limits", limits),
        ("restrict", restrict),
        ("plan", plan),
        ("note", note),
    ]);
    let revives = body.get("expires_at").is_some();
    let key = patch(client, output, &args.id, body, args.wait.as_deref()).await?;
    if let Some(next) = key.get("rotated_to").and_then(Value::as_str).filter(|_| revives) {
        let end = key.get("expires_at").and_then(Value::as_str);
        let until = end.map_or("for good".into(), |end| format!("until {end}"));
        output.note(&format!("{} was replaced by {next}, and works beside it {until}", args.id));
    }
    enforced(key.get("receipt"))
}

async fn patch(
    client: &Client,
    output: Output,
    id: &str,
    body: Value,
    wait: Option<&str>,
) -> Result<Value, CliError> {
    let call = client.call(Method::PATCH, &["api-keys", id]).wait(wait);
    let key = call.body(body).send().await?;
    output.one(&key, &FIELDS)?;
    Ok(key)
}

async fn shadow(
    client: &Client,
    output: Output,
    id: &str,
    to: Switch,
    wait: Option<&str>,
) -> Result<(), CliError> {
    let body = json!({ "shadow": to == Switch::On });
    let call = client.call(Method::PUT, &["api-keys", id, "shadow"]).wait(wait);
    let key = call.body(body).send().await?;
    output.one(&key, &FIELDS)?;
    enforced(key.get("receipt"))
}

async fn revoke(client: &Client, output: Output, id: &str, wait: &str) -> Result<(), CliError> {
    let call = client.call(Method::POST, &["api-keys", id, "revoke"]).wait(Some(wait));
    let receipt = call.send().await?;
    if output.json {
        output.one(&receipt, &[])?;
    } else {
        output.line(&receipt_text(id, &receipt))?;
    }
    for earlier in receipt.get("still_working").and_then(Value::as_array).into_iter().flatten() {
        output.note(&still_working_text(id, earlier));
    }
    enforced(Some(&receipt))
}

/// `key_… is revoked: refused on 3 of 3 gateways, slowest 41 ms`.
fn receipt_text(id: &str, receipt: &Value) -> String {
    let number = |name| receipt.get(name).and_then(Value::as_u64);
    let (enforced, gateways) =
        (number("enforced").unwrap_or_default(), number("gateways").unwrap_or_default());
    let mut text = format!("{id} is revoked: refused on {enforced} of {gateways} gateways");
    if let Some(slowest) = number("slowest_ms") {
        text.push_str(&format!(", slowest {slowest} ms"));
    }
    let cut_off = names(receipt, "cut_off");
    if !cut_off.is_empty() {
        text.push_str(&format!("; cut off, may still serve: {cut_off}"));
    }
    let behind = names(receipt, "replicas_behind");
    if !behind.is_empty() {
        text.push_str(&format!(
            "; {BEHIND}: {behind} (a gateway may have come to one of them that is not counted here)"
        ));
    }
    if cut_off.contains(PUSHED_OUT) {
        text.push_str(&format!(
            "; {PUSHED_OUT}: gateways that had acknowledged were forgotten because there were too many, and may still serve; \
             when you know that none does: gateways forget --credential NAME"
        ));
    }
    text
}

/// What `id` has replaced and what works on: whoever ends one may have meant both.
fn still_working_text(id: &str, earlier: &Value) -> String {
    let text = |name| earlier.get(name).and_then(Value::as_str);
    let (old, hint) = (text("id").unwrap_or_default(), text("key_hint").unwrap_or_default());
    let until = text("expires_at").map_or("for good".to_owned(), |end| format!("until {end}"));
    format!(
        "{old} ({hint}), which {id} replaced, works on {until}; to end it, too: flamegate-control keys revoke {old}"
    )
}

/// What is said of the receipt's `replicas_behind`.
const BEHIND: &str = "not known yet at control planes";

/// Fails when a gateway that may still serve has not confirmed the change, connected or not.
pub(super) fn enforced(receipt: Option<&Value>) -> Result<(), CliError> {
    let Some(receipt) = receipt else { return Ok(()) };
    let lists = [
        ("not enforced yet by", "pending"),
        ("cut off and may still serve", "cut_off"),
        (BEHIND, "replicas_behind"),
    ];
    let open = lists.map(|(what, list)| (what, names(receipt, list)));
    let open: Vec<_> =
        open.iter().filter(|(_, ids)| !ids.is_empty()).map(|(what, ids)| format!("{what}: {ids}")).collect();
    if open.is_empty() { Ok(()) } else { Err(CliError::NotEnforced(open.join("; "))) }
}

fn names(receipt: &Value, list: &str) -> String {
    let names = receipt.get(list).and_then(Value::as_array);
    names
        .map(|names| names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
        .unwrap_or_default()
}

async fn import_keys(client: &Client, output: Output, args: ImportArgs) -> Result<(), CliError> {
    if let Some(file) = &args.file {
        return import::file(client, output, file).await;
    }
    let body = object([
        ("hash", args.hash.map(Value::from)),
        ("workspace", args.workspace.map(Value::from)),
        ("name", args.name.map(Value::from)),
        ("environment", args.environment.map(Value::from)),
        ("key_hint", args.hint.map(Value::from)),
        ("expires_at", args.expiry.to_json()?),
        ("limits", args.limits.to_json()),
        ("restrict", args.restrict.to_json()),
        ("shadow", args.shadow.then_some(Value::Bool(true))),
    ]);
    let key = client.call(Method::POST, &["api-keys", "import"]).body(body).send().await?;
    output.one(&key, &FIELDS)?;
    output.note(import::ONLY_A_HASH);
    Ok(())
}

/// A JSON object of the fields that are given.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    json!(
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{enforced, receipt_text};

    #[test]
    fn a_receipt_that_misses_somebody_says_why_and_is_not_confirmed() {
        let receipt = json!({"enforced": 1, "gateways": 1, "pending": [], "cut_off": ["shared/~pushed-out"]});
        let text = receipt_text("key_a", &receipt);
        assert!(text.contains("were forgotten because there were too many, and may still serve"), "{text}");
        assert!(enforced(Some(&receipt)).is_err());
        let receipt =
            json!({"enforced": 1, "gateways": 1, "pending": [], "cut_off": [], "replicas_behind": ["r_b"]});
        let text = receipt_text("key_a", &receipt);
        assert!(text.contains("not known yet at control planes: r_b"), "{text}");
        assert!(enforced(Some(&receipt)).is_err());
    }
}

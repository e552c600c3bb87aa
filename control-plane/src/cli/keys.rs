//! `keys …`.

mod args;

use reqwest::Method;
use serde_json::{Map, Value, json};

use self::args::{CreateArgs, ImportArgs, ListArgs, UpdateArgs};
use super::client::Client;
use super::output::{Column, Output};
use super::{CliError, import};

pub(super) use self::args::KeysCommand;

const COLUMNS: [Column; 8] = [
    ("ID", "/id"),
    ("NAME", "/name"),
    ("WORKSPACE", "/workspace_slug"),
    ("ENV", "/environment"),
    ("STATUS", "/status"),
    ("KEY", "/key_hint"),
    ("CREATED", "/created_at"),
    ("EXPIRES", "/expires_at"),
];

const FIELDS: [Column; 13] = [
    ("ID", "/id"),
    ("NAME", "/name"),
    ("WORKSPACE", "/workspace"),
    ("WORKSPACE SLUG", "/workspace_slug"),
    ("ENVIRONMENT", "/environment"),
    ("STATUS", "/status"),
    ("KEY", "/key_hint"),
    ("LIMITS", "/limits"),
    ("CREATED", "/created_at"),
    ("EXPIRES", "/expires_at"),
    ("REVOKED", "/revoked_at"),
    ("ROTATED FROM", "/rotated_from"),
    ("ROTATED TO", "/rotated_to"),
];

pub(super) async fn run(client: &Client, output: Output, command: KeysCommand) -> Result<(), CliError> {
    match command {
        KeysCommand::Create(args) => create(client, output, args).await,
        KeysCommand::List(args) => list(client, output, args).await,
        KeysCommand::Get { id } => {
            output.one(&client.call(Method::GET, &["api-keys", &id]).send().await?, &FIELDS);
            Ok(())
        }
        KeysCommand::Rename { id, name } => patch(client, output, &id, json!({ "name": name }), None).await,
        KeysCommand::Update(args) => update(client, output, args).await,
        KeysCommand::Revoke { id, wait } => revoke(client, output, &id, &wait).await,
        KeysCommand::Rotate { id, grace, idempotency_key, wait } => {
            let call = client.call(Method::POST, &["api-keys", &id, "rotate"]).wait(wait.as_deref());
            let body = object([("grace", grace.map(Value::from))]);
            let made = call.body(body).idempotency_key(idempotency_key).send().await?;
            show_new(output, &made);
            enforced(made.get("receipt"))
        }
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
    ]);
    let call = client.call(Method::POST, &["api-keys"]).wait(args.wait.as_deref()).body(body);
    let made = call.idempotency_key(args.idempotency_key).send().await?;
    show_new(output, &made);
    enforced(made.get("receipt"))
}

/// The key goes to standard output, everything around it to standard error.
fn show_new(output: Output, made: &Value) {
    if output.json {
        return output.one(made, &[]);
    }
    let text = |at: &str| made.pointer(at).and_then(Value::as_str).unwrap_or_default();
    output.note(&format!("{} ({}) in workspace {}", text("/id"), text("/name"), text("/workspace_slug")));
    if let Some(old) = made.pointer("/previous/id").and_then(Value::as_str) {
        let end = made.pointer("/previous/expires_at").and_then(Value::as_str);
        let end = end.filter(|_| text("/previous/status") == "active");
        output.note(&format!(
            "replaces {old}, which {}",
            end.map_or("is revoked".into(), |t| format!("ends {t}"))
        ));
    }
    output.note("Copy the key now, it is not shown again:");
    output.line(text("/key"));
}

async fn list(client: &Client, output: Output, args: ListArgs) -> Result<(), CliError> {
    let query = [
        ("workspace", args.workspace.as_deref()),
        ("environment", args.environment.as_deref()),
        ("status", args.status.as_deref()),
    ];
    let (entries, more) = client.list(&["api-keys"], &query, args.max).await?;
    output.list(&entries, &COLUMNS);
    if more {
        output.note(&format!("(the newest {}; see --max)", args.max));
    }
    Ok(())
}

async fn update(client: &Client, output: Output, args: UpdateArgs) -> Result<(), CliError> {
    let expires_at = if args.never_expires { Some(Value::Null) } else { args.expiry.to_json()? };
    let limits = if args.inherit_limits { Some(Value::Null) } else { args.limits.to_json() };
    let body = object([("name", args.name.map(Value::from)), ("expires_at", expires_at), ("limits", limits)]);
    patch(client, output, &args.id, body, args.wait.as_deref()).await
}

async fn patch(
    client: &Client,
    output: Output,
    id: &str,
    body: Value,
    wait: Option<&str>,
) -> Result<(), CliError> {
    let call = client.call(Method::PATCH, &["api-keys", id]).wait(wait);
    let key = call.body(body).send().await?;
    output.one(&key, &FIELDS);
    enforced(key.get("receipt"))
}

async fn revoke(client: &Client, output: Output, id: &str, wait: &str) -> Result<(), CliError> {
    let call = client.call(Method::POST, &["api-keys", id, "revoke"]).wait(Some(wait));
    let receipt = call.send().await?;
    if output.json {
        output.one(&receipt, &[]);
    } else {
        output.line(&receipt_text(id, &receipt));
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
    let away = names(receipt, "disconnected");
    if !away.is_empty() {
        text.push_str(&format!("; not connected: {away}"));
    }
    text
}

/// Fails when a connected gateway does not enforce the change yet.
fn enforced(receipt: Option<&Value>) -> Result<(), CliError> {
    match receipt.map(|receipt| names(receipt, "pending")).filter(|pending| !pending.is_empty()) {
        Some(pending) => Err(CliError::NotEnforced(pending)),
        None => Ok(()),
    }
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
    ]);
    let key = client.call(Method::POST, &["api-keys", "import"]).body(body).send().await?;
    output.one(&key, &FIELDS);
    Ok(())
}

/// A JSON object of the fields that are given.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    json!(
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>()
    )
}

//! `gateways …`: who enforces what, and the credentials of gateways.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::output::{Column, Output};

/// Listing is also what bare `gateways` does.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct GatewaysArgs {
    /// Only those that are connected
    #[arg(long)]
    connected: bool,
    #[command(subcommand)]
    command: Option<GatewaysCommand>,
}

/// What can be done about gateways.
#[derive(Subcommand)]
enum GatewaysCommand {
    /// Which gateways there are, and what they enforce
    List {
        /// Only those that are connected
        #[arg(long)]
        connected: bool,
    },
    /// Forget a gateway that is gone for good, or is about to go, so that receipts do not name it as cut off
    Forget {
        /// Its id, as CREDENTIAL/NAME; without the process's suffix -xxxxxxxx the processes of that name but the newest
        #[arg(required_unless_present = "credential", conflicts_with = "credential")]
        id: Option<String>,
        /// By name: the newest process, too, as for a host that goes with all that runs there
        #[arg(long, conflicts_with = "credential")]
        all: bool,
        /// Instead: all of this credential that are not connected, as after a theft
        #[arg(long, value_name = "NAME")]
        credential: Option<String>,
    },
    /// Make a credential for gateways; its token is printed once
    Add {
        /// First part of the ids of its gateways: 1 to 64 letters, digits, '_', '-', '.'
        name: String,
    },
    /// End a credential for good: its gateways go on with the keys that they have
    Revoke {
        /// Its name
        name: String,
    },
    /// List the credentials, revoked ones too
    Credentials,
    /// List the control planes that gateways can poll: those on the same PostgreSQL database
    Replicas,
}

const COLUMNS: [Column; 12] = [
    ("GATEWAY", "/id"),
    ("VERSION", "/version"),
    ("CONNECTED", "/connected"),
    ("STALE", "/stale"),
    ("OTHER DATABASE", "/other_database"),
    ("WORKERS", "/workers"),
    ("PROTOCOL", "/protocol"),
    ("SHADOW", "/shadow"),
    ("SESSION", "/session"),
    ("REVISION", "/acknowledged_revision"),
    ("BEHIND", "/behind"),
    ("LAST SEEN", "/last_seen"),
];

const REPLICA_COLUMNS: [Column; 7] = [
    ("CONTROL PLANE", "/id"),
    ("THIS", "/this"),
    ("VERSION", "/version"),
    ("ANSWERS", "/answers"),
    ("POLLS", "/polls_held"),
    ("REVISION", "/revision"),
    ("SINCE", "/started_at"),
];

const CREDENTIAL_COLUMNS: [Column; 6] = [
    ("NAME", "/name"),
    ("ID", "/id"),
    ("CREATED", "/created_at"),
    ("BY", "/created_by"),
    ("LAST USED", "/last_used_at"),
    ("REVOKED", "/revoked_at"),
];

const OTHER_DATABASE: &str = "A gateway has the table of another database and keeps it. Most often the control plane was started with a \
    wrong database (FLAMEGATE_DATABASE, --database), now or when the gateway took its table. When this is the right one, start the \
    control plane once with serve --init, or start that Envoy again.";

/// Digits of the random suffix that tells the processes of one name apart.
const SUFFIX_LEN: usize = 8;

pub(super) async fn run(client: &Client, output: Output, args: GatewaysArgs) -> Result<(), CliError> {
    match args.command.unwrap_or(GatewaysCommand::List { connected: args.connected }) {
        GatewaysCommand::List { connected } => {
            let gateways = list(client, connected).await?;
            output.list(&gateways, &COLUMNS)?;
            let is = |gateway: &Value, field| gateway.get(field).and_then(Value::as_bool).unwrap_or_default();
            if gateways.iter().any(|gateway| is(gateway, "connected") && is(gateway, "other_database")) {
                output.note(OTHER_DATABASE);
            }
            Ok(())
        }
        GatewaysCommand::Forget { id, all, credential } => match credential {
            Some(name) => {
                let call = client.call(Method::DELETE, &["gateways"]);
                let answer =
                    call.query("credential", Some(&name)).query("cut_off", Some("true")).send().await?;
                output.one(&answer, &[("FORGOTTEN", "/forgotten")])
            }
            None => forget(client, output, &id.unwrap_or_default(), all).await,
        },
        GatewaysCommand::Add { name } => {
            let call = client.call(Method::POST, &["gateway-credentials"]).body(json!({ "name": name }));
            show_new(output, &call.send().await?)
        }
        GatewaysCommand::Revoke { name } => {
            let ended = client.call(Method::DELETE, &["gateway-credentials", &name]).send().await?;
            output.one(&ended, &CREDENTIAL_COLUMNS)
        }
        GatewaysCommand::Replicas => {
            let all = client.call(Method::GET, &["replicas"]).send().await?;
            output.list(all.as_array().map(Vec::as_slice).unwrap_or_default(), &REPLICA_COLUMNS)
        }
        GatewaysCommand::Credentials => {
            let all = client.call(Method::GET, &["gateway-credentials"]).send().await?;
            output.list(all.as_array().map(Vec::as_slice).unwrap_or_default(), &CREDENTIAL_COLUMNS)
        }
    }
}

async fn list(client: &Client, connected: bool) -> Result<Vec<Value>, CliError> {
    let call = client.call(Method::GET, &["gateways"]).query("connected", connected.then_some("true"));
    Ok(call.send().await?.as_array().cloned().unwrap_or_default())
}

/// The token goes to standard output, everything around it to standard error.
fn show_new(output: Output, made: &Value) -> Result<(), CliError> {
    let text = |name| made.get(name).and_then(Value::as_str).unwrap_or_default();
    let (name, id) = (text("name"), text("id"));
    let lost = format!(
        "{name} ({id}) was made, and nobody has its token. End it, and make one of another name: \
         flamegate-control gateways revoke {name}"
    );
    output.once(made, text("token"), &lost)?;
    output.note(&format!("{name} ({id})"));
    output.note("Copy the token now, it is not shown again.");
    Ok(())
}

/// One gateway, or the processes of a name: a hook that runs beside Envoy does not know the random part.
async fn forget(client: &Client, output: Output, id: &str, all: bool) -> Result<(), CliError> {
    let found = list(client, false).await?;
    let text = |gateway: &Value, field| gateway.get(field).and_then(Value::as_str).map(str::to_owned);
    let since = |gateway: &Value| text(gateway, "first_seen")?.parse::<Timestamp>().ok();
    let mut known: Vec<(Timestamp, String)> =
        found.iter().filter_map(|gateway| Some((since(gateway)?, text(gateway, "id")?))).collect();
    known.retain(|(_, known)| is_process_of(known, id));
    let mut meant: Vec<&str> = known.iter().map(|(_, known)| known.as_str()).collect();
    if meant.contains(&id) {
        meant = vec![id];
    } else if let Some((_, newest)) = known.iter().max().filter(|_| known.len() > 1 && !all) {
        // It may have come in the place of the one that goes.
        meant.retain(|known| known != newest);
        output.note(&format!("{newest} is the newest of that name and stays; --all forgets it, too"));
    }
    // Nobody of that name: the control plane says so.
    let meant = if meant.is_empty() { vec![id] } else { meant };
    let (mut answers, mut told) = (Vec::new(), Vec::new());
    for id in meant {
        let (credential, name) = id.split_once('/').ok_or_else(|| {
            CliError::Usage(format!("'{id}' is no id of a gateway: it must be CREDENTIAL/NAME"))
        })?;
        let answer = client.call(Method::DELETE, &["gateways", credential, name]).send().await?;
        let stays = answer.get("connected").and_then(Value::as_bool).unwrap_or_default();
        let when = if stays { "will be forgotten once it disconnects" } else { "is forgotten" };
        told.push(format!("{id} {when}"));
        answers.push(answer);
    }
    // All are forgotten before one is told of: output that cannot be written stops nothing.
    if output.json { output.list(&answers, &[]) } else { output.line(&told.join("\n")) }
}

/// True for `name` itself and for `name-` with a process's suffix, with or without a second session's digits.
fn is_process_of(id: &str, name: &str) -> bool {
    let Some(rest) = id.strip_prefix(name) else { return false };
    let process = rest.split('~').next().unwrap_or_default();
    let suffix = process.strip_prefix('-').filter(|hex| hex.len() == SUFFIX_LEN);
    rest.is_empty() || suffix.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::is_process_of;

    #[test]
    fn a_name_stands_for_its_processes_and_for_nobody_else() {
        for id in ["shared/pod-1", "shared/pod-1-0a1b2c3d", "shared/pod-1-0a1b2c3d~9f00"] {
            assert!(is_process_of(id, "shared/pod-1"), "{id}");
        }
        for id in ["shared/pod-10", "shared/pod-1-0a1b2c3", "shared/pod-1-canary-x", "eu/pod-1", "shared/pod"]
        {
            assert!(!is_process_of(id, "shared/pod-1"), "{id}");
        }
    }
}

//! `gateways`.

use clap::Subcommand;

use super::CliError;
use super::client::Client;
use super::output::{Column, Output};

/// What can be asked about gateways; listing them is also what bare `gateways` does.
#[derive(Subcommand)]
pub(super) enum GatewaysCommand {
    /// Which gateways there are, and what they enforce
    List,
}

const COLUMNS: [Column; 6] = [
    ("GATEWAY", "/id"),
    ("VERSION", "/version"),
    ("CONNECTED", "/connected"),
    ("REVISION", "/acknowledged_revision"),
    ("BEHIND", "/behind"),
    ("LAST SEEN", "/last_seen"),
];

pub(super) async fn list(client: &Client, output: Output) -> Result<(), CliError> {
    let answer = client.call(reqwest::Method::GET, &["gateways"]).send().await?;
    output.list(answer.as_array().map(Vec::as_slice).unwrap_or_default(), &COLUMNS);
    Ok(())
}

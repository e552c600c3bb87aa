//! psql, with nothing of the user's own settings.

use std::{path::Path, process::Command};

use crate::postgres::binary;

/// `psql` over a socket: values only, the first error ends it.
pub(crate) fn psql(socket_folder: &Path, port: u16, role: &str, database: &str) -> Command {
    let mut command = Command::new(binary("psql"));
    command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"]);
    command.arg("-h").arg(socket_folder).args(["-p", &port.to_string(), "-U", role, "-d", database]);
    command.env_remove("PGOPTIONS").env_remove("PGSERVICE").env("LC_ALL", "C.UTF-8");
    command
}

//! `init`: a new database, tokens, and the files with environment variables that name them, each made once and never
//! written over.
//!
//! `serve` makes no database by itself: one that is started in another folder would else serve an empty table, and every key
//! at every gateway would end.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use super::error::CliError;
use super::output::{Column, Output};
use crate::config::database::{DatabaseAddress, absolute};
use crate::domain::random;
use crate::store::Store;

/// What to make.
#[derive(Args)]
pub(super) struct InitArgs {
    /// Folder for the database, the tokens and the environment files; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "flamegate", conflicts_with = "database")]
    dir: PathBuf,
    /// Make this database only, as for a container that gets its tokens elsewhere: a file, or tables in an empty database of PostgreSQL
    #[arg(long, value_name = "FILE|URL")]
    database: Option<String>,
}

/// base62 characters of a token: 256 bits.
const TOKEN_LEN: usize = 43;
const COLUMNS: [Column; 5] = [
    ("DATABASE", "/database"),
    ("ADMIN TOKEN", "/admin_token"),
    ("SYNC TOKEN", "/sync_token"),
    ("FOR SERVE", "/serve_env"),
    ("FOR ENVOY", "/gateway_env"),
];

/// Makes what is named; when anything of it is there, nothing.
pub(super) async fn run(output: Output, args: InitArgs) -> Result<(), CliError> {
    if let Some(database) = args.database {
        let database = DatabaseAddress::read(Some(&database), &|name| std::env::var(name).ok());
        let database = database.map_err(CliError::Usage)?;
        if let Some(file) = database.file() {
            refuse_existing(&[file])?;
        }
        make_database(&database).await?;
        return output.one(&json!({ "database": database.to_string() }), &COLUMNS[..1]);
    }
    let folder = absolute(args.dir);
    let made = |name: &str| folder.join(name);
    let (database, admin, sync) = (made("flamegate.db"), made("admin-token"), made("sync-token"));
    let (serve_env, gateway_env) = (made("flamegate.env"), made("gateway.env"));
    check_quotable(&folder)?;
    refuse_existing(&[&database, &admin, &sync, &serve_env, &gateway_env])?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| at(&folder, error))?;
    let (admin_token, sync_token) = (token()?, token()?);
    write_new(&admin, &format!("{}\n", *admin_token))?;
    write_new(&sync, &format!("{}\n", *sync_token))?;
    write_new(&serve_env, &for_serve(&database, &admin, &sync))?;
    write_new(&gateway_env, &format!("FLAMEGATE_SYNC_TOKEN={}\n", *sync_token))?;
    make_database(&database).await?;
    let value = json!({
        "database": database, "admin_token": admin, "sync_token": sync, "serve_env": serve_env, "gateway_env": gateway_env,
    });
    output.one(&value, &COLUMNS)
}

async fn make_database(database: impl Into<DatabaseAddress>) -> Result<(), CliError> {
    let store = Store::open_or_make(database).await.map_err(|error| CliError::Other(error.to_string()))?;
    store.close().await;
    Ok(())
}

/// Variables for `serve`, as shells and systemd read them.
fn for_serve(database: &Path, admin: &Path, sync: &Path) -> String {
    let line = |name: &str, path: &Path| format!("{name}=\"{}\"\n", path.display());
    [
        line("FLAMEGATE_DATABASE", database),
        line("FLAMEGATE_ADMIN_TOKEN_FILE", admin),
        line("FLAMEGATE_SYNC_TOKEN_FILE", sync),
    ]
    .concat()
}

/// A path that means the same in quotes to a shell and to systemd.
fn check_quotable(folder: &Path) -> Result<(), CliError> {
    let plain = |c: char| !c.is_control() && !matches!(c, '"' | '\\' | '$' | '`' | '%');
    if folder.to_str().is_some_and(|text| text.chars().all(plain)) {
        return Ok(());
    }
    let reason = "--dir: a path with a quote, a backslash, '$', '`', '%' or a control character cannot be written into environment files";
    Err(CliError::Usage(reason.to_owned()))
}

/// `paths` begins with the database.
fn refuse_existing(paths: &[&Path]) -> Result<(), CliError> {
    let (there, missing): (Vec<&Path>, Vec<&Path>) =
        paths.iter().partition(|path| fs::symlink_metadata(path).is_ok());
    if there.is_empty() {
        return Ok(());
    }
    let what_now = match (paths.first(), missing.as_slice()) {
        (_, []) => String::new(),
        (Some(database), [alone]) if alone == database => {
            let path = database.display();
            format!(
                "; only the database is missing, and this makes it: flamegate-control init --database '{path}'"
            )
        }
        (database, _) => {
            let keep = match database.is_some_and(|path| there.contains(path)) {
                true => {
                    " If there are keys in the database, keep it: run `init --dir` with another folder, move the files that are missing \
                    from there to here, and put the right paths into flamegate.env."
                }
                false => "",
            };
            format!(
                "; missing: {}. Where an earlier `init` was cut off and nothing uses these files yet, move them away and run it again.{keep}",
                listed(&missing)
            )
        }
    };
    Err(CliError::Other(format!("nothing was made, for there is already: {}{what_now}", listed(&there))))
}

fn listed(paths: &[&Path]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn token() -> Result<Zeroizing<String>, CliError> {
    random::base62(TOKEN_LEN).map_err(|error| CliError::Other(error.to_string()))
}

/// A file that only its owner reads, and that was not there.
fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let written =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
    written.map_err(|error| at(path, error))
}

fn at(path: &Path, error: io::Error) -> CliError {
    CliError::Other(format!("{}: {error}", path.display()))
}

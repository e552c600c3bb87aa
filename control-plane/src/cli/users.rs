//! `users …`: who may sign in to the pages.

use std::io::{BufRead as _, IsTerminal as _, stdin};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::output::{Column, Output};

/// What can be done with users.
#[derive(Subcommand)]
pub(super) enum UsersCommand {
    /// Make a user in a workspace, or let one who is there join it; prints the generated password, once
    Add {
        /// What they sign in with
        #[arg(long)]
        email: String,
        /// Id or slug of the workspace
        #[arg(long)]
        workspace: String,
        /// owner, member or viewer
        #[arg(long)]
        role: String,
        /// An operator sees all gateways and what they enforce, not only how many there are
        #[arg(long)]
        operator: bool,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Make a user an operator, who sees all gateways, or an ordinary user again
    Update {
        /// E-mail address or usr_…
        user: String,
        /// true or false
        #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
        operator: bool,
    },
    /// List users
    List {
        /// Only of this workspace
        #[arg(long)]
        workspace: Option<String>,
        /// Most entries
        #[arg(long, default_value_t = 1_000)]
        max: usize,
    },
    /// Give a user another role in a workspace, or none
    SetRole {
        /// E-mail address or usr_…
        user: String,
        /// Id or slug of the workspace
        #[arg(long)]
        workspace: String,
        /// owner, member, viewer, or none to take the user out of the workspace
        #[arg(long)]
        role: String,
    },
    /// Give a user another password and end all their sessions; prints the generated password, once
    ResetPassword {
        /// E-mail address or usr_…
        user: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Take a user's second factor away and end all their sessions: for somebody who has lost the app and the recovery codes
    ResetSecondFactor {
        /// E-mail address or usr_…
        user: String,
    },
    /// The sessions in which a user is signed in
    Sessions {
        /// E-mail address or usr_…
        user: String,
        /// Most entries
        #[arg(long, default_value_t = 1_000)]
        max: usize,
    },
    /// End one session of a user
    EndSession {
        /// E-mail address or usr_…
        user: String,
        /// ses_…
        session: String,
    },
    /// Lock a user out and end all their sessions
    Disable {
        /// E-mail address or usr_…
        user: String,
    },
    /// Let a user in again who was locked out
    Enable {
        /// E-mail address or usr_…
        user: String,
    },
}

/// Where the password comes from; it is generated when neither is given.
#[derive(Args)]
pub(super) struct PasswordArgs {
    /// Ask for the password
    #[arg(long, conflicts_with = "password_stdin")]
    password_prompt: bool,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

const COLUMNS: [Column; 7] = [
    ("ID", "/id"),
    ("E-MAIL", "/email"),
    ("ROLES", "/roles_text"),
    ("OPERATOR", "/operator"),
    ("SECOND FACTOR", "/second_factor"),
    ("DISABLED", "/disabled"),
    ("CREATED", "/created_at"),
];

const SESSION_COLUMNS: [Column; 5] = [
    ("SESSION", "/id"),
    ("SIGNED IN", "/began"),
    ("LAST SEEN", "/last_seen"),
    ("FROM", "/address"),
    ("BROWSER", "/user_agent"),
];

pub(super) async fn run(client: &Client, output: Output, command: UsersCommand) -> Result<(), CliError> {
    match command {
        UsersCommand::Add { email, workspace, role, operator, password } => {
            let mut body = json!({ "email": email, "workspace": workspace, "role": role });
            if operator {
                body["operator"] = Value::Bool(true);
            }
            let body = password.add_to(body)?;
            show(output, client.call(Method::POST, &["users"]).body(body).send().await?)?;
        }
        UsersCommand::Update { user, operator } => {
            let call = client.call(Method::PATCH, &["users", &user]);
            show(output, call.body(json!({ "operator": operator })).send().await?)?;
        }
        UsersCommand::List { workspace, max } => {
            let query = [("workspace", workspace.as_deref())];
            let (entries, more) = client.list(&["users"], &query, max).await?;
            let entries: Vec<_> = entries.into_iter().map(|user| with_roles(output, user)).collect();
            output.list(&entries, &COLUMNS)?;
            if more {
                output.note(&format!("(the first {max}; see --max)"));
            }
        }
        UsersCommand::SetRole { user, workspace, role } => {
            let body = json!({ "workspace": workspace, "role": role });
            show(output, client.call(Method::POST, &["users", &user, "role"]).body(body).send().await?)?;
        }
        UsersCommand::ResetPassword { user, password } => {
            let body = password.add_to(json!({}))?;
            show(
                output,
                client.call(Method::POST, &["users", &user, "reset-password"]).body(body).send().await?,
            )?;
        }
        UsersCommand::ResetSecondFactor { user } => {
            show(output, client.call(Method::POST, &["users", &user, "reset-second-factor"]).send().await?)?;
        }
        UsersCommand::Sessions { user, max } => {
            let (entries, more) = client.list(&["users", &user, "sessions"], &[], max).await?;
            output.list(&entries, &SESSION_COLUMNS)?;
            if more {
                output.note(&format!("(the first {max}; see --max)"));
            }
        }
        UsersCommand::EndSession { user, session } => {
            let call = client.call(Method::DELETE, &["users", &user, "sessions", &session]);
            output.one(&call.send().await?, &[("ENDED", "/id")])?;
        }
        UsersCommand::Disable { user } => {
            show(output, client.call(Method::POST, &["users", &user, "disable"]).send().await?)?;
        }
        UsersCommand::Enable { user } => {
            show(output, client.call(Method::POST, &["users", &user, "enable"]).send().await?)?;
        }
    }
    Ok(())
}

impl PasswordArgs {
    fn add_to(&self, mut body: Value) -> Result<Value, CliError> {
        let read =
            |error: std::io::Error| CliError::Other(format!("the password could not be read: {error}"));
        let password = if self.password_prompt {
            if !stdin().is_terminal() {
                return Err(CliError::Usage(
                    "there is no terminal to ask on: see --password-stdin".to_owned(),
                ));
            }
            rpassword::prompt_password("Password: ").map_err(read)?
        } else if self.password_stdin {
            let mut line = String::new();
            stdin().lock().read_line(&mut line).map_err(read)?;
            line.trim_end_matches(['\r', '\n']).to_owned()
        } else {
            return Ok(body);
        };
        body["password"] = Value::from(password);
        Ok(body)
    }
}

/// A generated password goes to standard output, everything around it to standard error.
fn show(output: Output, user: Value) -> Result<(), CliError> {
    let Some(password) = user.get("password").and_then(Value::as_str) else {
        return output.one(&with_roles(output, user), &COLUMNS);
    };
    let text = |name| user.get(name).and_then(Value::as_str).unwrap_or_default();
    let (id, email) = (text("id"), text("email"));
    let lost = format!(
        "{id} ({email}) has a password that nobody knows. Give another: flamegate-control users reset-password {id}, or lock \
         the user out: flamegate-control users disable {id}"
    );
    output.once(&user, password, &lost)?;
    output.note(&format!("{email} can sign in. Copy the password now, it is not shown again."));
    Ok(())
}

/// The roles in one text, for tables.
fn with_roles(output: Output, mut user: Value) -> Value {
    if output.json {
        return user;
    }
    let text =
        |role: &Value, name: &str| role.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let roles = user.get("roles").and_then(Value::as_array).cloned().unwrap_or_default();
    let roles =
        roles.iter().map(|role| format!("{} of {}", text(role, "role"), text(role, "workspace_slug")));
    let roles: Vec<_> = roles.collect();
    user["roles_text"] = Value::from(if roles.is_empty() { "-".to_owned() } else { roles.join(", ") });
    user
}

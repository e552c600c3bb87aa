//! `envoy-config`: one whole configuration of Envoy for an API that is there, made from the file that the tests run.
//!
//! Nothing is left to fill in. What goes into the text is checked first, so that none of it can mean anything else there.

mod conflicts;
mod control_tls;
mod jwt;
mod template;
mod values;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use self::control_tls::ControlTls;
use self::jwt::Jwt;
use self::template::Gateway;
use self::values::{Endpoint, Keys, ListenAt, OpenPath, PathText, Plain, StreamPath};
use super::error::CliError;
use super::output::Output;
use crate::config::database::absolute;

/// The gateway that is wanted.
#[derive(Args)]
pub(super) struct EnvoyConfigArgs {
    /// Your API, which the gateway reaches by plain HTTP
    #[arg(long, value_name = "HOST:PORT")]
    upstream: Endpoint,
    /// The control plane, as Envoy reaches it. May be given several times, for control planes on one database
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    control: Vec<Endpoint>,
    /// The control plane speaks TLS, and these are the authorities of its certificate: a PEM file, as Envoy finds it. Needs --output, and
    /// writes files for Envoy's SDS beside it
    #[arg(long, value_name = "FILE", requires = "output")]
    control_ca: Option<PathText>,
    /// The name in its certificate, when that is not the host of --control
    #[arg(long, value_name = "NAME", requires = "control_ca")]
    control_name: Option<Plain>,
    /// The gateway's own certificate, for a control plane that asks for one (FLAMEGATE_TLS_CLIENT_CA)
    #[arg(long, value_name = "FILE", requires = "control_ca", requires = "control_key")]
    control_cert: Option<PathText>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "control_cert")]
    control_key: Option<PathText>,
    /// The filter, as Envoy finds it
    #[arg(long, value_name = "FILE", default_value = "/etc/envoy/flamegate.wasm")]
    wasm: PathText,
    /// Where clients connect: an IP address, and a port
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:10000")]
    listen: ListenAt,
    /// Port of Envoy's admin interface, on 127.0.0.1
    #[arg(long, value_name = "PORT", default_value_t = 9901, value_parser = clap::value_parser!(u16).range(1..))]
    admin_port: u16,
    /// Access log, a line of JSON per request
    #[arg(long, value_name = "FILE", default_value = "/dev/stdout")]
    access_log: PathText,
    /// Name of this gateway at the control plane
    #[arg(long, value_name = "NAME", default_value = "gateway")]
    name: Plain,
    /// A path that needs no key, such as /healthz; everything below it when it ends in '/'. May be given several times
    #[arg(long, value_name = "PATH")]
    open: Vec<OpenPath>,
    /// A path, with all below it, whose answers may go on for long: event streams, WebSockets. May be given several times
    #[arg(long, value_name = "PATH")]
    stream: Vec<StreamPath>,
    /// JWTs of this issuer are good beside keys: a bearer token that begins like a JWT is checked by Envoy, any other is a key
    #[arg(long, value_name = "TEXT", requires = "jwt_jwks")]
    jwt_issuer: Option<Plain>,
    /// The issuer's keys: an http or https URL, or a file
    #[arg(long, value_name = "URL|FILE", requires = "jwt_issuer")]
    jwt_jwks: Option<Keys>,
    /// Whom a JWT must be for. May be given several times; without it a JWT of the issuer is good whomever it is for
    #[arg(long, value_name = "TEXT", requires = "jwt_issuer")]
    jwt_audience: Vec<Plain>,
    /// A new file for it, instead of standard output; never one that is there
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Prints the configuration, or writes it to a new file.
pub(super) fn run(output: Output, args: EnvoyConfigArgs) -> Result<(), CliError> {
    let file = args.output.clone();
    let gateway = args.gateway().map_err(CliError::Usage)?;
    if let Some(warning) = gateway.jwt.as_ref().and_then(Jwt::warning) {
        output.note(warning);
    }
    conflicts::check(&gateway).map_err(CliError::Usage)?;
    let text = template::render(&gateway).map_err(|problem| CliError::Usage(problem.to_string()))?;
    let warning = conflicts::warning(&gateway);
    let Some(file) = file else {
        if output.json {
            let reason = "--json: the configuration is YAML, as Envoy reads it; --json goes with --output, and tells of the file";
            return Err(CliError::Usage(reason.to_owned()));
        }
        output.line(text.trim_end())?;
        warning.iter().for_each(|text| output.note(text));
        return Ok(());
    };
    let secrets = gateway.control_tls.as_ref().map(ControlTls::secrets).unwrap_or_default();
    write_new(&file, &text)?;
    for (path, text) in &secrets {
        write_new(Path::new(&path.0), text)?;
    }
    if output.json {
        return output.one(
            &json!({
                "output": absolute(file),
                "secrets": secrets.iter().map(|(path, _)| &path.0).collect::<Vec<_>>(),
                "warning": warning,
            }),
            &[],
        );
    }
    warning.iter().for_each(|text| output.note(text));
    for (path, _) in &secrets {
        output.note(&format!("{} was written: Envoy reads it, too", path.0));
    }
    output.note(&format!("{} was written; `envoy --mode validate -c {0}` looks at it", file.display()));
    Ok(())
}

fn write_new(file: &Path, text: &str) -> Result<(), CliError> {
    let opened = OpenOptions::new().write(true).create_new(true).open(file);
    opened.and_then(|mut new| new.write_all(text.as_bytes())).map_err(|error| {
        let reason = match error.kind() {
            ErrorKind::AlreadyExists => {
                "there is such a file already, and it is not written over: name another one, or move that one away".to_owned()
            }
            _ => error.to_string(),
        };
        CliError::Other(format!("--output {}: {reason}", file.display()))
    })
}

impl EnvoyConfigArgs {
    fn gateway(self) -> Result<Gateway, String> {
        let control_tls = self.control_ca.zip(self.output.as_deref()).map(|(authorities, output)| {
            let (authorities_file, own_file) = ControlTls::files_beside(output)?;
            let own = self.control_cert.zip(self.control_key);
            Ok::<_, String>(ControlTls {
                authorities,
                name: self.control_name,
                own,
                authorities_file,
                own_file,
            })
        });
        let audiences = self.jwt_audience;
        let jwt = self.jwt_issuer.zip(self.jwt_jwks).map(|(issuer, keys)| Jwt { issuer, keys, audiences });
        Ok(Gateway {
            upstream: self.upstream,
            control: self.control,
            control_tls: control_tls.transpose()?,
            wasm: self.wasm,
            listen: self.listen.0,
            admin_port: self.admin_port,
            access_log: self.access_log,
            name: self.name,
            open: self.open,
            streams: self.stream,
            jwt,
        })
    }
}

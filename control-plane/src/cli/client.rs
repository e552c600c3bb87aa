//! The REST API's client: one request, one answer, errors by kind.

use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::Value;

use super::error::CliError;
use super::output::Output;
use super::reach::{self, Authorities};
use crate::config::{ADMIN_TOKEN, secret_file, urls};
use crate::domain::tokens::token_list;

/// A control plane and the token for it.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: String,
}

/// A request that is not sent yet.
pub(super) struct Call<'a> {
    client: &'a Client,
    method: Method,
    url: Url,
    /// Why it is not sent.
    mistake: Option<String>,
    body: Option<Value>,
    idempotency_key: Option<String>,
    wait: Duration,
}

/// From `--url`, the environment, or the default.
pub(super) fn base_url(url: Option<String>) -> Result<Url, CliError> {
    let given = url.map(|url| ("--url", url));
    let given = given.or_else(|| Some((URL_VARIABLE, variable(URL_VARIABLE)?)));
    let (name, url) = given.unwrap_or_else(|| (URL_VARIABLE, DEFAULT_URL.to_owned()));
    urls::parse(&url).map_err(|error| CliError::Usage(format!("{name}: {error}")))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

const ADMIN_TOKEN_FILE: &str = "FLAMEGATE_ADMIN_TOKEN_FILE";
pub(super) const TOKEN_FILE: &str = "--token-file";
const URL_VARIABLE: &str = "FLAMEGATE_CONTROL_URL";
const DEFAULT_URL: &str = "http://127.0.0.1:8080";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take, besides what was asked to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

impl Client {
    /// From `--url`, `--token-file` and the environment.
    pub fn new(
        (url, token_file): (Option<String>, Option<String>),
        authorities: Option<&Authorities>,
        output: Output,
    ) -> Result<Self, CliError> {
        let base = base_url(url)?;
        let token = match token_file {
            Some(path) => token_of_file(TOKEN_FILE, &path, output)?,
            None => admin_token(variable(ADMIN_TOKEN), variable(ADMIN_TOKEN_FILE), output)?,
        };
        let http = reach::client([&base].into_iter(), authorities).connect_timeout(CONNECT_TIMEOUT);
        let http = http.build().map_err(|error| CliError::Other(reach::bottom(&error)))?;
        Ok(Self { http, base, token })
    }

    /// A request to a path given in segments, which are escaped. With one that would mean another path it is not sent.
    pub fn call(&self, method: Method, segments: &[&str]) -> Call<'_> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v1").extend(segments);
        }
        let wrong = segments.iter().find(|segment| matches!(**segment, "" | "." | ".."));
        let mistake = wrong.map(|segment| format!("'{segment}' is no name or id"));
        Call { client: self, method, url, mistake, body: None, idempotency_key: None, wait: Duration::ZERO }
    }

    /// All entries of a list, page by page, up to `most`; true when there are more.
    pub async fn list(
        &self,
        segments: &[&str],
        query: &[(&str, Option<&str>)],
        most: usize,
    ) -> Result<(Vec<Value>, bool), CliError> {
        const PAGE: &str = "200";
        let (mut entries, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut call = self.call(Method::GET, segments).query("limit", Some(PAGE));
            call = call.query("cursor", cursor.as_deref());
            for (name, value) in query {
                call = call.query(name, *value);
            }
            let mut answer = call.envelope().await?;
            if let Some(Value::Array(page)) = answer.get_mut("data").map(Value::take) {
                entries.extend(page);
            }
            cursor = answer.pointer("/pagination/next_cursor").and_then(Value::as_str).map(str::to_owned);
            let more = entries.len() > most || (cursor.is_some() && entries.len() == most);
            entries.truncate(most);
            if cursor.is_none() || more {
                return Ok((entries, more));
            }
        }
    }
}

impl Call<'_> {
    /// Adds a parameter, if it is given.
    pub fn query(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.url.query_pairs_mut().append_pair(name, value);
        }
        self
    }

    /// Sends this JSON.
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Sends this `Idempotency-Key`, if it is given.
    pub fn idempotency_key(mut self, key: Option<String>) -> Self {
        self.idempotency_key = key;
        self
    }

    /// Asks to wait for the gateways, if that is wanted.
    pub fn wait(mut self, wait: Option<&str>) -> Self {
        // Longer than the server waits at most; what `wait` says exactly is the server's to read.
        self.wait = if wait.is_some() { Duration::from_secs(60) } else { Duration::ZERO };
        self.query("wait", wait)
    }

    /// Sends it and returns `data` of the answer.
    pub async fn send(self) -> Result<Value, CliError> {
        Ok(self.envelope().await?.get_mut("data").map(Value::take).unwrap_or_default())
    }

    /// Sends it and returns the whole answer.
    async fn envelope(self) -> Result<Value, CliError> {
        if let Some(mistake) = self.mistake {
            return Err(CliError::Usage(mistake));
        }
        let base = self.client.base.to_string();
        let unreachable = |error: reqwest::Error| CliError::Unreachable(base.clone(), reach::met(&error));
        let mut request = self.client.http.request(self.method, self.url).bearer_auth(&self.client.token);
        if let Some(key) = self.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &self.body {
            request = request.json(body);
        }
        let response = request.timeout(ANSWER_TIMEOUT + self.wait).send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(unreachable)?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        match answer.get("success").and_then(Value::as_bool) {
            Some(true) => Ok(answer),
            Some(false) => Err(refused(status, &answer)),
            None => {
                Err(CliError::Unreachable(base, format!("it answered {status} in a form that is not ours")))
            }
        }
    }
}

/// The first token of the list, from the same places as the server's and by the same rules.
fn admin_token(given: Option<String>, file: Option<String>, output: Output) -> Result<String, CliError> {
    let usage = |text: String| Err(CliError::Usage(text));
    match (given, file) {
        (Some(_), Some(_)) => usage(format!("{ADMIN_TOKEN} and {ADMIN_TOKEN_FILE} cannot both be set")),
        (Some(tokens), None) => first_of(ADMIN_TOKEN, &tokens),
        (None, Some(path)) => token_of_file(ADMIN_TOKEN_FILE, &path, output),
        (None, None) => usage(format!(
            "{ADMIN_TOKEN} is not set, nor is {ADMIN_TOKEN_FILE}, and there is no {TOKEN_FILE}"
        )),
    }
}

/// The first token of a file, which `name` has named.
pub(super) fn token_of_file(name: &str, path: &str, output: Output) -> Result<String, CliError> {
    let secret = secret_file::read(path).map_err(|error| CliError::Usage(format!("{name}: {error}")))?;
    if let Some(warning) = secret.warning {
        output.note(&format!("{name}: {warning}"));
    }
    first_of(name, &secret.text)
}

fn first_of(name: &str, tokens: &str) -> Result<String, CliError> {
    let first = token_list(tokens).next().map(str::to_owned);
    first.ok_or_else(|| CliError::Usage(format!("{name}: there is no token in it")))
}

fn refused(status: u16, answer: &Value) -> CliError {
    let error = answer.get("error").cloned().unwrap_or_default();
    let text = |name| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    CliError::Api { status, code: text("code"), message: text("message"), error }
}

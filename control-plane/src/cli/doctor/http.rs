//! One bounded question: a time for the connection, a time for the answer, and a most that is read of it.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::Url;

use crate::cli::error::CliError;
use crate::cli::reach::{self, Authorities};

/// Asks control planes and gateways.
pub(super) struct Http(reqwest::Client);

/// An answer, whatever its status.
pub(super) struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub text: String,
    /// How many seconds the clock of who answered is ahead of ours, by its `Date`.
    pub ahead_seconds: Option<i64>,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A `/config_dump` of a large mesh has some ten MiB.
const MOST_BYTES: usize = 128 << 20;

impl Http {
    /// For these places.
    pub fn new<'u>(
        urls: impl Iterator<Item = &'u Url>,
        authorities: Option<&Authorities>,
    ) -> Result<Self, CliError> {
        let client =
            reach::client(urls, authorities).connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT);
        client.build().map(Self).map_err(|error| CliError::Other(reach::bottom(&error)))
    }

    /// Gets `path` below `base`; the error is in words for people.
    pub async fn get(
        &self,
        base: &Url,
        path: &str,
        query: &[(&str, &str)],
        token: Option<&str>,
    ) -> Result<Answer, String> {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        let mut request = self.0.get(url).query(query);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let mut response = request.send().await.map_err(|error| reach::met(&error))?;
        let status = response.status().as_u16();
        let ahead_seconds = response.headers().get("date").and_then(|date| ahead(date.to_str().ok()?));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| reach::met(&error))? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(format!("/{path} has more than {} MiB", MOST_BYTES >> 20));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, text: String::from_utf8_lossy(&body).into_owned(), ahead_seconds })
    }
}

fn ahead(date: &str) -> Option<i64> {
    let there = DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(there.as_second() - Timestamp::now().as_second())
}

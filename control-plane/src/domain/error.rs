//! What a request can fail with, whatever it came by. The texts are ours; what went wrong inside is for the log.

use std::fmt;

use serde_json::{Value, json};

/// Everything that a request can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No token, or not one that this endpoint accepts.
    #[error("missing or invalid token")]
    Unauthorized,
    /// A gateway without the client certificate that gateways need here.
    #[error("gateways need a client certificate here, and this connection has none that is good")]
    NoCertificate,
    /// The token is good, and not for this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The named thing does not exist.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The request was read and breaks these rules.
    #[error("the request is not valid: {0}")]
    Invalid(Problems),
    /// The request contradicts the state of things; `id` names the thing in the way.
    #[error("{message}")]
    Conflict {
        /// What is in the way.
        message: String,
        /// Its id.
        id: Option<String>,
    },
    /// The same request under the same Idempotency-Key has made this key before.
    #[error("this Idempotency-Key has already made a key; its plaintext was shown then and is not kept")]
    AlreadyCreated(String),
    /// Another request under the same Idempotency-Key has made this key before.
    #[error("this Idempotency-Key was used for another request")]
    IdempotencyKeyReused(String),
    /// The token was used too often.
    #[error("too many requests with this token")]
    RateLimited {
        /// When it may be used again.
        retry_after_seconds: u64,
    },
    /// Too much to do right now, or going down.
    #[error("{0}")]
    Unavailable(&'static str),
    /// Our fault. The text is for the log.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Rules that a request breaks, each with the path of the field.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems(Vec<(String, String)>);

impl Error {
    /// Wraps what went wrong inside.
    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }

    /// What went wrong, for whoever looks after the database themselves: what is inside is for them.
    pub fn into_cause(self) -> Box<dyn std::error::Error + Send + Sync> {
        match self {
            Self::Internal(cause) => cause,
            other => other.into(),
        }
    }

    /// One broken rule.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(Problems::one(path, message))
    }
}

impl Problems {
    /// Notes a broken rule.
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push((path.into(), message.into()));
    }

    /// Takes over the problems of a part, which lies at `prefix`.
    pub fn extend_at(&mut self, prefix: &str, part: Self) {
        self.0.extend(part.0.into_iter().map(|(path, message)| (format!("{prefix}{path}"), message)));
    }

    /// One broken rule.
    pub fn one(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![(path.into(), message.into())])
    }

    /// Takes the problems of a part whose paths begin with `prefix`, and takes that away.
    pub fn extend_from(&mut self, prefix: &str, part: Self) {
        let without = |path: String| path.strip_prefix(prefix).map(str::to_owned).unwrap_or(path);
        self.0.extend(part.0.into_iter().map(|(path, message)| (without(path), message)));
    }

    /// What is wrong with the field at `path`, or with a part of it.
    pub fn of(&self, path: &str) -> Option<&str> {
        let covers = |found: &str| {
            found.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.0.iter().find(|(found, _)| covers(found)).map(|(_, message)| message.as_str())
    }

    /// All of them: path and message, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, message)| (path.as_str(), message.as_str()))
    }

    /// Takes over the problems of another part.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// True when no rule is broken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Ok` when there are none.
    pub fn check(self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(Error::Invalid(self)) }
    }

    /// A list of `path` and `message`.
    pub fn to_json(&self) -> Value {
        self.0.iter().map(|(path, message)| json!({ "path": path, "message": message })).collect()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (path, message)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{path}: {message}")?;
        }
        Ok(())
    }
}

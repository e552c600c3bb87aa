//! A provider of identities over HTTP: where its places are, its keys, tokens for a code. Every question has its time and its size, and
//! what is asked on behalf of strangers is asked seldom: places for an hour, keys again when one is missing, once a minute.

use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use tokio::sync::Mutex;

use crate::config::oidc::{OidcConfig, is_here};
use crate::domain::error::Error;
use crate::domain::oidc::token::Flaw;
use crate::domain::oidc::{Claims, KeySet};
use crate::service::clock::Clock;

/// A provider.
pub(super) struct Provider {
    http: Client,
    issuer: String,
    clock: Clock,
    known: Mutex<Known>,
}

/// What is known of it, and since when.
#[derive(Default)]
struct Known {
    places: Option<(Places, Instant)>,
    keys: Option<(KeySet, Instant)>,
    /// When it did not answer.
    failed: Option<Instant>,
}

/// Where it is asked for what.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Places {
    issuer: String,
    #[serde(rename = "authorization_endpoint", deserialize_with = "url")]
    pub authorization: Url,
    #[serde(rename = "token_endpoint", deserialize_with = "url")]
    token: Url,
    #[serde(rename = "jwks_uri", deserialize_with = "url")]
    keys: Url,
    #[serde(default, rename = "userinfo_endpoint")]
    about: Option<Place>,
    #[serde(default, rename = "token_endpoint_auth_methods_supported")]
    methods: Vec<String>,
}

/// A URL as JSON has it.
#[derive(Clone, Debug, Deserialize)]
struct Place(#[serde(deserialize_with = "url")] Url);

/// What a code is good for.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub id_token: String,
    access_token: Option<String>,
}

/// Why nobody came in.
#[derive(Debug)]
pub enum Failure {
    /// The provider, or we, said no; in words for the person.
    Refused(&'static str),
    /// The provider's token is not to be believed.
    Token(Flaw),
    /// The provider did not answer, or not as one.
    Away(String),
    /// Our fault.
    Ours(Error),
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
/// How long its places are good.
const PLACES_AGE: Duration = Duration::from_secs(3_600);
/// How long its keys are good, and how often one that is missing is asked for.
const KEYS_AGE: Duration = Duration::from_secs(3_600);
const KEYS_PAUSE: Duration = Duration::from_secs(60);
/// How long one that did not answer is left alone.
const FAILED_PAUSE: Duration = Duration::from_secs(3);
/// Longest answer.
const MAX_ANSWER: usize = 512 * 1024;

impl Failure {
    pub(super) fn ours(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl Provider {
    pub fn new(config: &OidcConfig, clock: Clock) -> Result<Self, Error> {
        // Fails only when a provider of cryptography is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .user_agent(concat!("flamegate-control/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            // A code and a secret are for one place only.
            .redirect(reqwest::redirect::Policy::none());
        let http = http.build().map_err(Error::internal)?;
        Ok(Self { http, issuer: config.issuer.clone(), clock, known: Mutex::default() })
    }

    /// Where it is asked for what. Those who want to know meanwhile wait for the one who asks.
    pub async fn places(&self) -> Result<Places, Failure> {
        let (mut known, now) = (self.known.lock().await, self.clock.instant());
        if let Some((places, at)) = &known.places
            && now.saturating_duration_since(*at) < PLACES_AGE
        {
            return Ok(places.clone());
        }
        let is_left_alone = known.failed.is_some_and(|at| now.saturating_duration_since(at) < FAILED_PAUSE);
        let asked = match is_left_alone {
            true => Err(Failure::Away("it did not answer a moment ago".to_owned())),
            false => self.ask_for_places().await,
        };
        match asked {
            Ok(places) => {
                (known.places, known.failed) = (Some((places.clone(), now)), None);
                Ok(places)
            }
            Err(failure) => {
                if !is_left_alone {
                    known.failed = Some(self.clock.instant());
                }
                // What was right an hour ago mostly still is.
                known.places.as_ref().map(|(places, _)| places.clone()).ok_or(failure)
            }
        }
    }

    async fn ask_for_places(&self) -> Result<Places, Failure> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let places: Places = self.json("its configuration", self.http.get(url)).await?;
        // Else one provider could speak for another (OpenID Connect Discovery, 4.3).
        if places.issuer != self.issuer {
            return Err(Failure::Away(format!(
                "it calls itself {:?} and not {:?}",
                places.issuer, self.issuer
            )));
        }
        let about = places.about.as_ref().map(|about| &about.0);
        let all = [&places.authorization, &places.token, &places.keys].into_iter().chain(about);
        let plain = all.filter(|url| url.scheme() != "https" && !is_here(url)).map(Url::to_string).next();
        if let Some(url) = plain {
            return Err(Failure::Away(format!("{url} of its configuration is without TLS")));
        }
        Ok(places)
    }

    /// Its keys; asked for again when none of them may have signed this.
    pub async fn keys_for(&self, token: &str) -> Result<KeySet, Failure> {
        let url = self.places().await?.keys;
        let (mut known, now) = (self.known.lock().await, self.clock.instant());
        if let Some((keys, at)) = &known.keys {
            let age = now.saturating_duration_since(*at);
            if age < KEYS_PAUSE || (age < KEYS_AGE && keys.knows(token)) {
                return Ok(keys.clone());
            }
        }
        let keys: KeySet = self.json("its keys", self.http.get(url)).await?;
        known.keys = Some((keys.clone(), now));
        Ok(keys)
    }

    /// Tokens for a code.
    pub async fn exchange(&self, config: &OidcConfig, code: &str, verifier: &str) -> Result<Tokens, Failure> {
        let places = self.places().await?;
        let (id, secret) = (config.client_id.as_str(), config.client_secret.reveal());
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &config.redirect_uri),
            ("code_verifier", verifier),
        ];
        let request = self.http.post(places.token.clone());
        let by_post = |method: &String| method == "client_secret_post";
        // Basic is what there is where nothing is said (Discovery, 3).
        let is_basic =
            places.methods.is_empty() || places.methods.iter().any(|method| method == "client_secret_basic");
        let request = if is_basic || !places.methods.iter().any(by_post) {
            // Encoded before they are joined (RFC 6749, 2.3.1).
            request.basic_auth(encoded(id), Some(encoded(secret)))
        } else {
            fields.extend([("client_id", id), ("client_secret", secret)]);
            request
        };
        let body = form(&fields);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        self.json("tokens", request).await
    }

    /// What it says of who has these tokens, if there is a place for that.
    pub async fn about(&self, tokens: &Tokens) -> Result<Option<Claims>, Failure> {
        let about = self.places().await?.about;
        let Some((Place(url), token)) = about.zip(tokens.access_token.as_ref()) else { return Ok(None) };
        // Some answer with a token instead, which is then as if they had said nothing.
        let claims = self.json("what it knows of a person", self.http.get(url).bearer_auth(token)).await;
        Ok(claims.ok().map(Claims))
    }

    /// The JSON of an answer that is a success.
    async fn json<T: DeserializeOwned>(&self, what: &str, request: RequestBuilder) -> Result<T, Failure> {
        let away = |why: String| Failure::Away(format!("asked for {what}: {why}"));
        let request = request.header("accept", "application/json");
        let mut response = request.send().await.map_err(|error| away(bottom(&error)))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| away(bottom(&error)))? {
            if body.len() + part.len() > MAX_ANSWER {
                return Err(away("its answer is too long".to_owned()));
            }
            body.extend_from_slice(&part);
        }
        if !status.is_success() {
            // Its own word for what is wrong (RFC 6749, 5.2), if it is one: anything else could be anything.
            let told: Option<Refusal> = serde_json::from_slice(&body).ok();
            let word = told
                .map(|told| told.error)
                .filter(|word| word.len() <= 64 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            return Err(away(format!("it answered {} {}", status.as_u16(), word.unwrap_or_default())));
        }
        serde_json::from_slice(&body).map_err(|_| away("its answer is not what it should be".to_owned()))
    }
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    Url::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn form(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// As a form has it: letters and digits as they are, everything else as `%` and two digits.
fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn bottom(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

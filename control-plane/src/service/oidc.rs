//! Signing in by a provider of identities: the way there, and what comes back (OpenID Connect Core 1.0, 3.1; PKCE, RFC 7636).
//!
//! Nothing is kept here between the two: what a sign-in is made of goes with the browser, in a cookie signed and good for ten
//! minutes. So whoever only goes costs no memory, and any replica can take back whom another one has sent. Which tickets came back is kept
//! (`used`): each is good for one answer of a process.

mod provider;
mod ticket;
mod used;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

pub use self::provider::Failure;
use self::provider::Provider;
use self::ticket::GOOD_FOR;
pub use self::ticket::Ticket;
use self::used::Used;
use crate::config::oidc::OidcConfig;
use crate::domain::error::Error;
use crate::domain::oidc::{Expected, Identity};
use crate::domain::random;
use crate::service::clock::Clock;
use crate::service::signer::Signer;

/// The service. Clones share it.
#[derive(Clone)]
pub struct Oidc {
    inner: Arc<Inner>,
}

struct Inner {
    config: OidcConfig,
    provider: Provider,
    signer: Signer,
    clock: Clock,
    used: Used,
}

/// The way to the provider.
pub struct Way {
    /// Where the browser goes.
    pub url: String,
    /// The cookie's value.
    pub cookie: String,
}

/// What the provider sent back with the browser.
#[derive(Clone, Debug, Default)]
pub struct Returned {
    /// To be exchanged for tokens.
    pub code: Option<String>,
    /// What we sent.
    pub state: Option<String>,
    /// Who sends it (RFC 9207), where the provider says so.
    pub issuer: Option<String>,
}

/// Random characters of state, nonce and verifier: 256 bits, and as many as PKCE wants (RFC 7636, 4.1).
const RANDOM_LEN: usize = 43;

impl Oidc {
    /// Makes no connection yet: a provider that is away keeps nobody from starting.
    pub fn new(config: OidcConfig, signer: Signer, clock: Clock) -> Result<Self, Error> {
        let provider = Provider::new(&config, clock.clone())?;
        Ok(Self { inner: Arc::new(Inner { config, provider, signer, clock, used: Used::default() }) })
    }

    /// What people call the provider.
    pub fn name(&self) -> &str {
        &self.inner.config.name
    }

    /// Begins a sign-in that is to end at `next`.
    pub async fn begin(&self, next: &str) -> Result<Way, Failure> {
        let Inner { config, provider, signer, clock, .. } = &*self.inner;
        let places = provider.places().await?;
        let text = || random::base62(RANDOM_LEN).map(|text| text.to_string()).map_err(Failure::ours);
        let until = clock.now().as_second().saturating_add(GOOD_FOR);
        let ticket =
            Ticket { state: text()?, nonce: text()?, verifier: text()?, next: next.to_owned(), until };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&ticket.verifier));
        let scope = ["openid", "email"].into_iter().chain(config.scopes.iter().map(String::as_str));
        let scope = scope.collect::<Vec<_>>().join(" ");
        let mut url = places.authorization.clone();
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &config.client_id),
            ("redirect_uri", &config.redirect_uri),
            ("scope", &scope),
            ("state", &ticket.state),
            ("nonce", &ticket.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        Ok(Way { url: url.to_string(), cookie: ticket.seal(signer) })
    }

    /// The ticket of a cookie, if it is ours, still good, and what came back belongs to it.
    pub fn ticket(&self, cookie: Option<&str>, returned: &Returned) -> Option<Ticket> {
        let Inner { signer, clock, .. } = &*self.inner;
        let ticket = Ticket::open(signer, cookie?, clock.now().as_second())?;
        let is_of_issuer = returned.issuer.as_ref().is_none_or(|issuer| *issuer == self.inner.config.issuer);
        (is_of_issuer && ticket.is_of(returned.state.as_deref()?)).then_some(ticket)
    }

    /// Uses the ticket up; false when it was brought back before, here.
    pub fn take(&self, ticket: &Ticket) -> bool {
        let Inner { used, clock, .. } = &*self.inner;
        used.take(&ticket.state, ticket.until, clock.now().as_second())
    }

    /// Who has come back.
    pub async fn finish(&self, ticket: &Ticket, returned: &Returned) -> Result<Identity, Failure> {
        let Inner { config, provider, clock, .. } = &*self.inner;
        let code = returned.code.as_deref().ok_or(Failure::Refused("The provider did not let you in."))?;
        let tokens = provider.exchange(config, code, &ticket.verifier).await?;
        let keys = provider.keys_for(&tokens.id_token).await?;
        let (issuer, client) = (config.issuer.as_str(), config.client_id.as_str());
        let expected = Expected { issuer, client, nonce: &ticket.nonce, now: clock.now().as_second() };
        let mut claims = keys.check(&tokens.id_token, &expected).map_err(Failure::Token)?;
        // What a token is short of may be had by asking for it (5.3); of the same person only.
        let wanted = ["email", "email_verified"].into_iter().chain(config.rules.names());
        if wanted.into_iter().any(|name| claims.get(name).is_none()) {
            let more = provider.about(&tokens).await?;
            if let Some(more) = more.filter(|more| more.text("sub") == claims.text("sub")) {
                claims.add(more);
            }
        }
        config.rules.identify(&claims).map_err(Failure::Refused)
    }

    /// Whether the rules say who has a place here, or operators do.
    pub fn has_rules(&self) -> bool {
        !self.inner.config.rules.is_empty()
    }
}

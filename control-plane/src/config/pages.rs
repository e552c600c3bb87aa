//! How people reach the pages, and what is known of them.

use std::time::Duration;

use super::reader::Reader;
use super::times::SESSION_TIMES;

/// How people reach the pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagesConfig {
    /// Scheme, host and port of the pages as browsers see them; `https` makes cookies secure.
    pub public_origin: Option<String>,
    /// True when the server speaks TLS itself.
    pub own_tls: bool,
    /// Whether people may sign in with a password.
    pub passwords: bool,
    /// Where the API is, for examples in the pages.
    pub api_url: String,
    /// Believe `X-Forwarded-For` and `X-Forwarded-Proto`.
    pub trust_proxy: bool,
    /// How long a session lasts without a request.
    pub session_idle: Duration,
    /// How long a session lasts at most.
    pub session_max: Duration,
}

/// Flags of `serve` for the pages.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PagesArgs {
    /// Scheme and host under which browsers find the pages; https makes cookies secure [env: FLAMEGATE_PUBLIC_URL]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Where the API is, for the examples in the pages [env: FLAMEGATE_API_URL] [default: the product's]
    #[arg(long, value_name = "URL")]
    pub api_url: Option<String>,
    /// true when every request comes through a proxy that sets X-Forwarded-For and X-Forwarded-Proto
    /// [env: FLAMEGATE_TRUST_PROXY] [default: false]
    #[arg(long, value_name = "BOOL")]
    pub trust_proxy: Option<String>,
    /// A session in the pages ends when nothing was done for this long [env: FLAMEGATE_SESSION_IDLE] [default: 8h]
    #[arg(long, value_name = "TIME")]
    pub session_idle: Option<String>,
    /// A session in the pages ends after this time [env: FLAMEGATE_SESSION_MAX] [default: 7d]
    #[arg(long, value_name = "TIME")]
    pub session_max: Option<String>,
}

impl Reader<'_> {
    pub(super) fn pages(&mut self, args: &PagesArgs, own_tls: bool) -> Option<PagesConfig> {
        let trust_proxy = self.setting("trust-proxy", "FLAMEGATE_TRUST_PROXY", &args.trust_proxy, "false");
        let session_idle =
            self.time("session-idle", "FLAMEGATE_SESSION_IDLE", &args.session_idle, "8h", &SESSION_TIMES);
        let session_max =
            self.time("session-max", "FLAMEGATE_SESSION_MAX", &args.session_max, "7d", &SESSION_TIMES);
        let public_origin = self.origin("public-url", "FLAMEGATE_PUBLIC_URL", &args.public_url, "");
        if own_tls && public_origin.iter().flatten().any(|origin| origin.starts_with("http://")) {
            self.errors.push(
                "FLAMEGATE_PUBLIC_URL: must begin with https://, because the server speaks TLS".to_owned(),
            );
        }
        let api_url = self.origin("api-url", "FLAMEGATE_API_URL", &args.api_url, "https://dev.flametalk.ai");
        Some(PagesConfig {
            public_origin: public_origin?,
            own_tls,
            passwords: self.passwords(),
            api_url: api_url?.unwrap_or_default(),
            trust_proxy: trust_proxy?,
            session_idle: session_idle?,
            session_max: session_max?,
        })
    }
}

impl PagesConfig {
    /// True when browsers reach the pages by TLS, as far as the configuration says.
    pub fn is_secure(&self) -> bool {
        self.own_tls || self.is_secure_for_good()
    }

    /// True when an operator has said that the pages' host is one for TLS. That the server has a certificate does not say so: browsers
    /// would keep to it for every other port of that host.
    pub fn is_secure_for_good(&self) -> bool {
        self.public_origin.as_deref().is_some_and(|origin| origin.starts_with("https://"))
    }
}

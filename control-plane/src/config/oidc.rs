//! Signing in by a provider of identities: who that is, and what its claims make of somebody.

use super::reader::Reader;
use super::{secret_file, urls};
use crate::domain::oidc::Rules;
use crate::domain::users::password::Password;

/// A provider of identities, and what is known of it.
#[derive(Clone, Debug)]
pub struct OidcConfig {
    /// Its name as tokens have it, a URL.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// What proves it.
    pub client_secret: Password,
    /// What people read on the button.
    pub name: String,
    /// More than `openid email`.
    pub scopes: Vec<String>,
    /// From claims to roles.
    pub rules: Rules,
    /// Where it sends people back to.
    pub redirect_uri: String,
}

const PASSWORDS: &str = "FLAMEGATE_PASSWORDS";
/// Path of the pages to which the provider sends people back.
pub(crate) const BACK_PATH: &str = "/sign-in/oidc/back";

impl Reader<'_> {
    /// `None` without a provider, and where there is a mistake.
    pub(super) fn oidc(&mut self, public_origin: Option<&str>) -> Option<OidcConfig> {
        let variable = |name: &str| (self.source)(name).filter(|text| !text.is_empty());
        let (issuer, client_id) = (variable("FLAMEGATE_OIDC_ISSUER"), variable("FLAMEGATE_OIDC_CLIENT_ID"));
        let secret_path = variable("FLAMEGATE_OIDC_CLIENT_SECRET_FILE");
        let (name, scopes) = (variable("FLAMEGATE_OIDC_NAME"), variable("FLAMEGATE_OIDC_SCOPES"));
        let rules = variable("FLAMEGATE_OIDC_ROLES");
        let Some(issuer) = issuer else {
            let others = [&client_id, &secret_path, &name, &scopes, &rules];
            if others.iter().any(|other| other.is_some()) {
                self.errors
                    .push("FLAMEGATE_OIDC_ISSUER is not set, and other FLAMEGATE_OIDC_… are".to_owned());
            }
            if variable(PASSWORDS).as_deref() == Some("false") {
                self.errors.push(format!(
                    "{PASSWORDS} is false, and without FLAMEGATE_OIDC_ISSUER nobody could sign in"
                ));
            }
            return None;
        };
        let mut mistake = |text: String| self.errors.push(text);
        let host = match urls::parse(&issuer) {
            Ok(url) if url.scheme() == "https" || is_here(&url) => {
                url.host_str().unwrap_or_default().to_owned()
            }
            Ok(_) => {
                mistake("FLAMEGATE_OIDC_ISSUER: must begin with https://".to_owned());
                String::new()
            }
            Err(error) => {
                mistake(format!("FLAMEGATE_OIDC_ISSUER: {error}"));
                String::new()
            }
        };
        if client_id.is_none() {
            mistake("FLAMEGATE_OIDC_CLIENT_ID is not set, and FLAMEGATE_OIDC_ISSUER is".to_owned());
        }
        if public_origin.is_none() {
            mistake(
                "FLAMEGATE_OIDC_ISSUER needs FLAMEGATE_PUBLIC_URL: the provider sends people back there"
                    .to_owned(),
            );
        }
        let rules = rules.unwrap_or_default().parse::<Rules>();
        if let Err(form) = &rules {
            mistake(format!("FLAMEGATE_OIDC_ROLES: {form}"));
        }
        let secret = match secret_path.as_deref().map(secret_file::read) {
            Some(Ok(secret)) => {
                self.warnings
                    .extend(secret.warning.map(|text| format!("FLAMEGATE_OIDC_CLIENT_SECRET_FILE: {text}")));
                Some(Password::new(secret.text.trim().to_owned()))
            }
            Some(Err(error)) => {
                mistake(format!("FLAMEGATE_OIDC_CLIENT_SECRET_FILE: {error}"));
                None
            }
            None => {
                mistake(
                    "FLAMEGATE_OIDC_CLIENT_SECRET_FILE is not set, and FLAMEGATE_OIDC_ISSUER is".to_owned(),
                );
                None
            }
        };
        let scopes = scopes.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        Some(OidcConfig {
            issuer,
            client_id: client_id?,
            client_secret: secret?,
            name: name.unwrap_or(host),
            scopes,
            rules: rules.ok()?,
            redirect_uri: format!("{}{BACK_PATH}", public_origin?),
        })
    }

    /// Whether people may sign in with a password.
    pub(super) fn passwords(&mut self) -> bool {
        self.setting("passwords", PASSWORDS, &None, "true").unwrap_or(true)
    }
}

/// Without TLS only on this machine, as in tests.
pub(crate) fn is_here(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost"
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|at| at.is_loopback())
}

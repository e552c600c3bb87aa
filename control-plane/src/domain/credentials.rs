//! Credentials of gateways: tokens `fgw_…` with a name, which is the first part of the ids of the gateways that use it. And how a
//! token is made, theirs or an operator's.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::audit::Target;
use super::error::Error;
use super::random;
use crate::contract::is_name;

/// Name of the credential that all who hold a token of the environment share.
pub const SHARED: &str = "shared";

/// What a part of a gateway's id may be; see [`is_id_part`].
pub const ID_PART: &str = "1 to 64 letters, digits, '_', '-' or '.', and not '.' or '..'";

/// Characters behind the prefix: 238 bits.
const SECRET_LEN: usize = 40;

/// Which credential a gateway has shown. Clones are cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Credential(Arc<str>);

/// A credential as stored; of the token there is only the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCredential {
    /// `gwc_…`.
    pub id: String,
    /// First part of the ids of its gateways.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it was ended; `None` while it is good.
    pub revoked_at: Option<Timestamp>,
}

/// A token in clear text, to be shown once. Cannot be printed by accident.
pub struct NewToken(Zeroizing<String>);

/// Whose token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOf {
    /// Gateways.
    Gateways,
    /// Operators.
    Operators,
}

impl Credential {
    /// The one of this name.
    pub fn named(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The tokens of the environment.
    pub fn shared() -> Self {
        Self::named(SHARED)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// True for the tokens of the environment.
    pub fn is_shared(&self) -> bool {
        &*self.0 == SHARED
    }
}

impl TokenOf {
    /// How such a token begins.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Gateways => "fgw_",
            Self::Operators => "fgo_",
        }
    }
}

impl NewToken {
    pub(crate) fn generate(of: TokenOf) -> Result<Self, Error> {
        let secret = random::base62(SECRET_LEN)?;
        Ok(Self(Zeroizing::new(format!("{}{}", of.prefix(), secret.as_str()))))
    }

    /// SHA-256: what is stored.
    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The text, for the one who made it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewToken(redacted)")
    }
}

/// True for what may be a credential's name, or what a gateway calls itself: ids stand in paths of the REST API, where `.` and
/// `..` mean another path.
pub fn is_id_part(text: &str) -> bool {
    is_name(text) && !matches!(text, "." | "..")
}

impl StoredCredential {
    /// The credential as what something is done to.
    pub(crate) fn as_target(&self) -> Target<'_> {
        Target { workspace_seq: None, id: Some(&self.id), name: &self.name }
    }
}

//! Bearer tokens of people, scripts and gateways: which are good now, and how fast each admin token may be used.
//!
//! Tokens are kept as digests. Several are good at once, and the lists can be replaced while the server runs, so that a
//! token is replaced without an interruption: add the new one, move everybody over, take the old one away.

use std::collections::BTreeSet;
use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Shortest token, in characters.
pub const MIN_TOKEN_LEN: usize = 16;
/// Fewest different characters in a token: sixteen equal ones are no secret.
pub const MIN_DISTINCT: usize = 8;

/// SHA-256 of a token.
pub type Digest = [u8; 32];

/// Tokens as SHA-256 digests: the comparison takes the same time whatever is presented.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Digest>);

impl Tokens {
    /// Tokens in clear text.
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        Self(tokens.into_iter().map(|token| Sha256::digest(token).into()).collect())
    }

    /// True when `presented` is one of them.
    pub fn accept(&self, presented: &[u8]) -> bool {
        self.has(&Sha256::digest(presented).into())
    }

    /// True when a token is in both lists.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().any(|digest| other.0.contains(digest))
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has(&self, presented: &Digest) -> bool {
        // No early exit: which of several tokens matched must not show in the time either.
        self.0.iter().fold(subtle::Choice::from(0), |found, token| found | token.ct_eq(presented)).into()
    }
}

/// By what a token is known.
pub fn digest(token: &[u8]) -> Digest {
    Sha256::digest(token).into()
}

/// What keeps a token from being one, as text behind the name of where it stands; never with the token.
pub fn flaw(token: &str) -> Option<String> {
    if token.len() < MIN_TOKEN_LEN {
        return Some(format!("a token must have at least {MIN_TOKEN_LEN} characters"));
    }
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Some("a token must be visible ASCII characters".to_owned());
    }
    let distinct = token.bytes().collect::<BTreeSet<_>>().len();
    (distinct < MIN_DISTINCT).then(|| {
        format!(
            "a token must have at least {MIN_DISTINCT} different characters (openssl rand -hex 32 makes one)"
        )
    })
}

/// The tokens of a list, separated by commas or lines.
pub fn token_list(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '\n']).map(str::trim).filter(|token| !token.is_empty())
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({} redacted)", self.0.len())
    }
}

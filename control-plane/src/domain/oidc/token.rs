//! ID tokens: whether the provider has signed one, and for this very sign-in (OpenID Connect Core 1.0, 3.1.3.7; RFC 7515, 7517, 7518).
//!
//! Only signatures by the provider's published keys are known here. `none`, and `HS…` by a secret that the client has too, are no
//! algorithms of this program, so no token can ask for them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use super::rules::Claims;

/// What a token has to say.
pub struct Expected<'a> {
    /// Who signs.
    pub issuer: &'a str,
    /// Whom it is for.
    pub client: &'a str,
    /// Which sign-in.
    pub nonce: &'a str,
    /// The time, in Unix seconds.
    pub now: i64,
}

/// A provider's keys (RFC 7517).
#[derive(Clone, Debug, Default, Deserialize)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Key {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: String,
    n: String,
    e: String,
    x: String,
    y: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood; none is.
    crit: Option<Value>,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is no signed token of three parts.
    Form,
    /// Its algorithm is none of ours.
    Algorithm,
    /// The provider has no such key.
    Key,
    /// The signature is not the key's.
    Signature,
    /// Another issuer.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// It has ended, or has not begun.
    Time,
    /// It is of another sign-in.
    Nonce,
}

/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 60;
/// Longest token.
const MAX_LEN: usize = 64 * 1024;

impl KeySet {
    /// What a token claims, if it is the provider's and meant for this sign-in.
    pub fn check(&self, token: &str, expected: &Expected<'_>) -> Result<Claims, Flaw> {
        let (signed, signature) =
            token.rsplit_once('.').filter(|_| token.len() <= MAX_LEN).ok_or(Flaw::Form)?;
        let (header, payload) =
            signed.split_once('.').filter(|(_, rest)| !rest.contains('.')).ok_or(Flaw::Form)?;
        let header: Header = json(header)?;
        if header.crit.is_some() {
            return Err(Flaw::Form);
        }
        self.verify(&header, signed.as_bytes(), &bytes(signature)?)?;
        let claims = Claims(json(payload)?);
        expected.check(&claims)?;
        Ok(claims)
    }

    /// True when there is a key that may have signed this token.
    pub fn knows(&self, token: &str) -> bool {
        let header = token.split('.').next().and_then(|header| json::<Header>(header).ok());
        header.is_some_and(|header| self.candidates(&header).next().is_some())
    }

    fn candidates<'s>(&'s self, header: &'s Header) -> impl Iterator<Item = &'s Key> {
        let kind = kind_of(&header.alg);
        self.keys.iter().filter(move |key| {
            Some((key.kty.as_str(), key.crv.as_str())) == kind
                && key.usage.as_deref().is_none_or(|usage| usage == "sig")
                && key.alg.as_deref().is_none_or(|alg| alg == header.alg)
                && header.kid.as_ref().is_none_or(|kid| key.kid.as_ref() == Some(kid))
        })
    }

    fn verify(&self, header: &Header, signed: &[u8], signature: &[u8]) -> Result<(), Flaw> {
        kind_of(&header.alg).ok_or(Flaw::Algorithm)?;
        let mut candidates = self.candidates(header).peekable();
        candidates.peek().ok_or(Flaw::Key)?;
        let is_good = candidates.any(|key| key.has_signed(&header.alg, signed, signature).is_some());
        if is_good { Ok(()) } else { Err(Flaw::Signature) }
    }
}

/// Kind and curve of the keys of an algorithm that is ours.
fn kind_of(alg: &str) -> Option<(&'static str, &'static str)> {
    Some(match alg {
        "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => ("RSA", ""),
        "ES256" => ("EC", "P-256"),
        "ES384" => ("EC", "P-384"),
        "EdDSA" => ("OKP", "Ed25519"),
        _ => return None,
    })
}

impl Key {
    fn has_signed(&self, alg: &str, signed: &[u8], signature: &[u8]) -> Option<()> {
        let rsa = match alg {
            "RS256" => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            "RS384" => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            "RS512" => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            "PS256" => Some(&signature::RSA_PSS_2048_8192_SHA256),
            "PS384" => Some(&signature::RSA_PSS_2048_8192_SHA384),
            "PS512" => Some(&signature::RSA_PSS_2048_8192_SHA512),
            _ => None,
        };
        if let Some(algorithm) = rsa {
            let (n, e) = (bytes(&self.n).ok()?, bytes(&self.e).ok()?);
            return RsaPublicKeyComponents { n: &n, e: &e }.verify(algorithm, signed, signature).ok();
        }
        let algorithm: &'static dyn VerificationAlgorithm = match alg {
            "ES256" => &signature::ECDSA_P256_SHA256_FIXED,
            "ES384" => &signature::ECDSA_P384_SHA384_FIXED,
            "EdDSA" => &signature::ED25519,
            _ => return None,
        };
        let x = bytes(&self.x).ok()?;
        let point = if alg == "EdDSA" { x } else { [vec![4], x, bytes(&self.y).ok()?].concat() };
        UnparsedPublicKey::new(algorithm, point).verify(signed, signature).ok()
    }
}

impl Expected<'_> {
    fn check(&self, claims: &Claims) -> Result<(), Flaw> {
        if claims.text("iss") != Some(self.issuer) {
            return Err(Flaw::Issuer);
        }
        let is_for_us = match claims.get("aud") {
            Some(Value::String(one)) => one == self.client,
            Some(Value::Array(all)) => {
                all.iter().any(|one| one == self.client) && (all.len() == 1 || claims.get("azp").is_some())
            }
            _ => false,
        };
        if !is_for_us || claims.get("azp").is_some_and(|party| party != self.client) {
            return Err(Flaw::Audience);
        }
        let second =
            |name| claims.get(name).and_then(|value| value.as_i64().or(value.as_f64().map(|v| v as i64)));
        let ends = second("exp").is_some_and(|end| self.now < end.saturating_add(LEEWAY));
        let begins = |name| second(name).is_none_or(|begin| begin <= self.now.saturating_add(LEEWAY));
        if !ends || !begins("iat") || !begins("nbf") {
            return Err(Flaw::Time);
        }
        let nonce = claims.text("nonce").unwrap_or_default();
        if bool::from(nonce.as_bytes().ct_eq(self.nonce.as_bytes())) { Ok(()) } else { Err(Flaw::Nonce) }
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, Flaw> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Flaw::Form)
}

fn json<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Flaw> {
    serde_json::from_slice(&bytes(text)?).map_err(|_| Flaw::Form)
}

#[cfg(test)]
mod tests;

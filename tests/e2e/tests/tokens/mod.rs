//! JWTs of an issuer whose key is a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[usize::try_from(bits >> (18 - 6 * digit) & 63).expect("a digit")]));
        }
    }
    text
}

/// HMAC with SHA-256 (RFC 2104), for a secret of at most 64 bytes.
fn hmac(secret: &[u8], text: &[u8]) -> Vec<u8> {
    let pad = |with: u8| (0..64).map(|n| secret.get(n).copied().unwrap_or(0) ^ with).collect::<Vec<_>>();
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

/// What the issuer signs with.
pub const SECRET: &[u8] = b"a secret of thirty-two bytes, no";
/// Who issues them.
pub const ISSUER: &str = "https://login.example.com";

/// A JWT (HS256) of this issuer that is good for a long time, with more claims (each with a comma in front).
pub fn jwt(issuer: &str, more: &str, secret: &[u8]) -> String {
    let part = |json: &str| base64url(json.as_bytes());
    let more = if more.contains("\"exp\"") { more.to_owned() } else { format!(r#"{more},"exp":4102444800"#) };
    let claims = format!(r#"{{"iss":"{issuer}","sub":"ada"{more}}}"#);
    let signed = format!("{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(&claims));
    format!("{signed}.{}", base64url(&hmac(secret, signed.as_bytes())))
}

/// The issuer's keys as a file.
pub fn jwks(folder: &Path) -> PathBuf {
    let path = folder.join("jwks.json");
    let keys = format!(r#"{{"keys":[{{"kty":"oct","alg":"HS256","k":"{}"}}]}}"#, base64url(SECRET));
    fs::write(&path, keys).expect("jwks.json");
    path
}

//! Sessions of the pages: what is stored of one, and what its user and an operator see of it.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A session as stored.
#[derive(Clone, Debug)]
pub struct StoredSession {
    /// SHA-256 of the id in the cookie.
    pub id_hash: [u8; 32],
    /// Whose it is; `None` while nobody has signed in.
    pub user_id: Option<String>,
    /// JSON object.
    pub data: String,
    /// First second at which it is over.
    pub expires_at: i64,
}

/// What a session says of who has signed in: the value of [`WHO`] in its data.
#[derive(Clone, Serialize, Deserialize)]
pub struct Who {
    /// The user's id.
    pub user: String,
    /// The user's stamp at its beginning; with another one it is over.
    pub stamp: String,
    /// The token that its forms carry.
    pub csrf: String,
    /// When it began (Unix seconds).
    pub began: i64,
    /// When it was last written (Unix seconds).
    pub seen: i64,
    /// Where it was used last.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// What its browser calls itself.
    #[serde(default)]
    pub agent: Option<String>,
}

/// A session as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `ses_…`: of the hash of the cookie's id, so it opens nothing.
    pub id: String,
    /// When somebody signed in.
    pub began: Timestamp,
    /// When it was last used, give or take a minute.
    pub seen: Timestamp,
    /// Where it was last used from.
    pub address: Option<IpAddr>,
    /// What its browser calls itself.
    pub agent: Option<String>,
}

/// Where [`Who`] is in a session's data.
pub const WHO: &str = "who";

/// Longest text of a browser that is kept, in bytes.
const MAX_AGENT: usize = 200;

/// Bytes of the hash in a public name.
const IN_NAME: usize = 9;
const PREFIX: &str = "ses_";

/// The public name of the session with this hash.
pub fn public_id(id_hash: &[u8; 32]) -> String {
    let digits: String = id_hash.iter().take(IN_NAME).map(|byte| format!("{byte:02x}")).collect();
    format!("{PREFIX}{digits}")
}

/// How the hash of the session with this public name begins.
pub fn hash_begins(public_id: &str) -> Option<[u8; IN_NAME]> {
    let digits = public_id.strip_prefix(PREFIX)?;
    let is_one = digits.len() == 2 * IN_NAME
        && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let mut bytes = [0; IN_NAME];
    for (place, byte) in bytes.iter_mut().enumerate().filter(|_| is_one) {
        *byte = u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    is_one.then_some(bytes)
}

/// What a browser calls itself, when that can be shown to people.
pub fn agent(text: Option<&str>) -> Option<String> {
    let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '))?;
    Some(text.chars().take(MAX_AGENT).collect())
}

impl StoredSession {
    /// Who has signed in.
    pub fn who(&self) -> Option<Who> {
        let mut data: serde_json::Value = serde_json::from_str(&self.data).ok()?;
        serde_json::from_value(data.get_mut(WHO)?.take()).ok()
    }

    /// What people see of it, when somebody has signed in.
    pub fn shown(&self) -> Option<Session> {
        let Who { began, seen, address, agent, .. } = self.who()?;
        let time = |second| Timestamp::from_second(second).ok();
        Some(Session { id: public_id(&self.id_hash), began: time(began)?, seen: time(seen)?, address, agent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_name_is_the_hashs_beginning_in_one_spelling() {
        let hash: [u8; 32] = std::array::from_fn(|place| u8::try_from(place * 27 % 256).unwrap());
        let name = public_id(&hash);
        assert_eq!(hash_begins(&name).as_ref().map(<[u8; 9]>::as_slice), hash.get(..9));
        for none in
            ["", "ses_", &name[4..], &format!("{name}0"), &name.to_uppercase(), "ses_+1+1+1+1+1+1+1+1+1"]
        {
            assert_eq!(hash_begins(none), None, "{none}");
        }
    }
}

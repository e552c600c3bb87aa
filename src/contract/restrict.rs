//! What a key may be used for: methods, paths and client addresses. Here is its form; what it means is decided where requests are.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What a key may be used for. An empty list restricts nothing; each list that has something must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restrict {
    /// Methods, upper case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Paths, or beginnings of paths that end in `/*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Networks of clients, as `10.0.0.0/8`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// Most entries of one list of a [`Restrict`].
pub const MAX_RESTRICT_ENTRIES: usize = 32;
/// Longest path of a [`Restrict`], in bytes.
pub const MAX_PATH_LEN: usize = 255;

impl Restrict {
    /// Everything that is wrong, as (path below the record, what is wrong).
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        found.extend(list_problems("methods", &self.methods, is_method));
        found.extend(list_problems("paths", &self.paths, is_path));
        found.extend(list_problems("addresses", &self.addresses, is_network));
        found
    }
}

/// What is wrong with one list of a [`Restrict`].
fn list_problems(name: &str, list: &[String], is_good: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let too_many = (list.len() > MAX_RESTRICT_ENTRIES)
        .then(|| (format!("restrict.{name}"), format!("at most {MAX_RESTRICT_ENTRIES}")));
    let bad = list.iter().enumerate().filter(|(_, entry)| !is_good(entry));
    let bad = bad.map(|(index, _)| (format!("restrict.{name}[{index}]"), "not one".to_owned()));
    too_many.into_iter().chain(bad).collect()
}

fn is_method(text: &str) -> bool {
    !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() <= MAX_PATH_LEN
}

/// True for an address, or one with the number of its first bits.
fn is_network(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}

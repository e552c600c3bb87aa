//! What a key may be used for: methods, paths and client addresses. Here is its form; what it means is decided where requests are.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::path::is_unambiguous;

/// What a key may be used for. An empty list restricts nothing; each list that has something must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restrict {
    /// Methods, in capitals. For an upgrade (WebSocket) its method, `GET` and `CONNECT` are needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Paths without a query, or beginnings of paths that end in `/*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Addresses and networks of clients, as `10.0.0.0/8`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// Most entries of one list of a [`Restrict`].
pub const MAX_RESTRICT_ENTRIES: usize = 32;
/// Longest path of a [`Restrict`], in bytes.
pub const MAX_PATH_LEN: usize = 255;

const METHOD: &str = "a method in capitals, as GET";
const PATH: &str = "a path with one reading, as /v1/agents, or /v1/agents/* for what is below it: begins with '/', no query, no empty \
    or dot segments, no encoded separators, no other '*'";
const NETWORK: &str =
    "an IP address, or a network as 10.0.0.0/8 or 2001:db8::/32 in which the bits behind the length are 0";

impl Restrict {
    /// Everything that is wrong, as (path below the record, what is wrong). What stands there is not repeated.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        found.extend(list_problems("methods", &self.methods, is_method, METHOD));
        found.extend(list_problems("paths", &self.paths, is_path, PATH));
        found.extend(list_problems("addresses", &self.addresses, is_network, NETWORK));
        found
    }
}

/// What is wrong with one list of a [`Restrict`].
fn list_problems(
    name: &str,
    list: &[String],
    is_good: impl Fn(&str) -> bool,
    rule: &str,
) -> Vec<(String, String)> {
    let too_many = (list.len() > MAX_RESTRICT_ENTRIES)
        .then(|| (format!("restrict.{name}"), format!("at most {MAX_RESTRICT_ENTRIES}")));
    let bad = list.iter().enumerate().filter(|(_, entry)| !is_good(entry));
    let bad = bad.map(|(index, _)| (format!("restrict.{name}[{index}]"), rule.to_owned()));
    too_many.into_iter().chain(bad).collect()
}

fn is_method(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
    !text.is_empty() && text.len() <= 32 && text.bytes().all(allowed)
}

/// A star anywhere else would be taken for one that stands for something.
fn is_path(text: &str) -> bool {
    let path = if text.ends_with("/*") { text.strip_suffix('*').unwrap_or(text) } else { text };
    text.len() <= MAX_PATH_LEN && !path.contains('*') && is_unambiguous(path.as_bytes())
}

fn is_network(text: &str) -> bool {
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let (bits, width) = match address {
        // At the other end, so that both are shifted alike.
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let Some(length) = length else { return true };
    let is_plain =
        length.bytes().all(|byte| byte.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    let Some(length) = length.parse::<u32>().ok().filter(|length| is_plain && *length <= width) else {
        return false;
    };
    bits.checked_shl(length).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_has_one_reading() {
        for path in ["/", "/*", "/v1/agents", "/v1/agents/", "/v1/agents/*", "/.well-known/x", "/a/%7e"] {
            assert!(is_path(path), "{path}");
        }
        let long = format!("/{}", "a".repeat(MAX_PATH_LEN));
        for path in
            ["", "*", "v1", "/v1*", "/*/a", "/a/*/*", "/a?b", "/a/../b", "//a", "/a%2fb", "/a;b", &long]
        {
            assert!(!is_path(path), "{path}");
        }
        for network in
            ["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1/128", "10.0.0.1/32"]
        {
            assert!(is_network(network), "{network}");
        }
        for network in [
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "2001:db8::1/32",
            "10.0.0",
            "010.0.0.1",
            "host",
            "10.0.0.0/8/8",
            "fe80::1%eth0",
            "::/129",
            " 10.0.0.1",
        ] {
            assert!(!is_network(network), "{network}");
        }
        assert!(is_method("GET") && is_method("M-SEARCH"));
        assert!(!is_method("") && !is_method("Get") && !is_method("GET ") && !is_method(&"A".repeat(33)));
        let many = Restrict { methods: vec!["GET".to_owned(); 33], ..Restrict::default() };
        assert_eq!(many.problems(), [("restrict.methods".to_owned(), "at most 32".to_owned())]);
    }
}

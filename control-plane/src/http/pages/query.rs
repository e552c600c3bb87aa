//! Queries of links: text from people, written so that it is read as it was.

/// `name=value&…` of what is not empty. Everything but letters, digits and a few marks is escaped.
pub(super) fn query_of(parts: &[(&str, &str)]) -> String {
    let given = parts.iter().filter(|(_, value)| !value.is_empty());
    given.map(|(name, value)| format!("{name}={}", escape(value, b"-_.~"))).collect::<Vec<_>>().join("&")
}

/// A path and query as the value of a parameter.
pub(super) fn escape_place(place: &str) -> String {
    escape(place, b"/-_.~")
}

fn escape(text: &str, marks: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || marks.contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_an_address_is_escaped() {
        assert_eq!(
            query_of(&[("q", "a&b#c%d+e=f ä"), ("none", ""), ("page", "2")]),
            "q=a%26b%23c%25d%2Be%3Df%20%C3%A4&page=2"
        );
        assert_eq!(escape_place("/w/demo?q=a%26b&x=1"), "/w/demo%3Fq%3Da%2526b%26x%3D1");
    }
}

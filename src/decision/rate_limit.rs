//! What an answer tells about limits: `Retry-After`, `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11).

use crate::contract::record::Limit;

use super::headers::Headers;

/// These headers and what every answer has: its content type, and that nobody keeps it. Without the latter a route that makes
/// answers cacheable would do so with a 401, too.
pub fn answer<'t, I>(headers: I) -> Headers
where
    I: IntoIterator<Item = (&'t str, &'t str), IntoIter: Clone>,
{
    let all = [("content-type", "application/json"), ("cache-control", "no-store")];
    Headers::new(headers.into_iter().chain(all))
}

/// Headers of a 429 that no limit of a key gave.
pub fn retry_after_headers(seconds: u64) -> Headers {
    answer([("retry-after", seconds.to_string().as_str())])
}

/// Headers of a 429: the name of the limit, what is left of it, which is too little, and in how many seconds it admits the request; `policy`
/// describes all of the key's limits.
pub fn refusal_headers(limit: (&str, u64, u64), policy: &str) -> Headers {
    let (.., seconds) = limit;
    answer([
        ("retry-after", seconds.to_string().as_str()),
        ("ratelimit", &rate_limit([limit].into_iter())),
        ("ratelimit-policy", policy),
    ])
}

/// `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11) of limits: the name of each, what is left of it, and in how many seconds it is
/// whole or, when nothing is left, in how many seconds the next request is admitted. Written with every admitted response
/// when that is configured, so by hand (docs/adr/0028-answers.md).
pub fn rate_limit<'t>(limits: impl Iterator<Item = (&'t str, u64, u64)>) -> String {
    let mut text = String::with_capacity(ROOM);
    for (name, remaining, reset_seconds) in limits {
        text.push_str(if text.is_empty() { "\"" } else { ", \"" });
        text.push_str(name);
        text.push_str("\";r=");
        push_number(&mut text, remaining);
        text.push_str(";t=");
        push_number(&mut text, reset_seconds);
    }
    text
}

/// Bytes of `RateLimit` for one limit with a name of usual length, or two with short ones.
const ROOM: usize = 64;

/// In decimal; at most 20 digits deep.
fn push_number(text: &mut String, number: u64) {
    if number >= 10 {
        push_number(text, number / 10);
    }
    text.push(char::from(b'0'.saturating_add((number % 10).to_le_bytes()[0])));
}

/// `RateLimit-Policy` of a record's limits (same draft): quota, and window in seconds.
pub fn rate_limit_policy(limits: &[Limit]) -> String {
    let items = limits.iter().map(|l| format!("\"{}\";q={};w={}", l.name, l.requests, l.window_seconds));
    items.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in [0, 1, 9, 10, 99, 100, 1_000_000, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(
                rate_limit([("n", number, number)].into_iter()),
                format!("\"n\";r={number};t={number}")
            );
        }
    }

    #[test]
    fn several_limits_are_one_list() {
        assert_eq!(rate_limit([("a", 1, 20), ("b", 0, 3)].into_iter()), "\"a\";r=1;t=20, \"b\";r=0;t=3");
        assert_eq!(rate_limit(std::iter::empty()), "");
    }
}

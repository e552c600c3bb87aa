//! Keys that people paste into text: with `Bearer` before them, in quotes, in a line of a script, or half of them. Such text
//! must not get into an address, a page or a log.
//!
//! Our own keys are long, so much of one is known by its length. One that was imported may be as short as a word: whether such a text
//! is a key only the database knows, by its hash. Where nobody may ask it, what could be a key counts as one.

use crate::contract::{ApiKey, Environment, KeyHash};

/// What is behind the prefix of a key in some text.
const PREFIXES: [&str; 2] = [Environment::Live.key_prefix(), Environment::Test.key_prefix()];
const PREFIX_LEN: usize = Environment::Live.key_prefix().len();
/// This many characters behind a prefix are too much of a secret to be kept: four times what a hint shows of it.
const MUCH: usize = 4 * super::secret::HINT_TAIL_LEN;
/// Most readings of one text. People paste one key or a few.
const MAX_READINGS: usize = 64;
/// What is said of a name that holds a key.
pub(crate) const IN_NAME: &str =
    "it holds an API key, which must not be kept; revoke that key if others saw it";

/// True when there is much of a key in the text.
pub(crate) fn holds_key(text: &str) -> bool {
    candidates(text).any(|rest| secret_len(rest) >= MUCH)
}

/// True when there is much of a key in the text, or what could be a whole one from elsewhere.
pub(crate) fn may_hold_key(text: &str) -> bool {
    holds_key(text) || !hashes(text).is_empty()
}

/// The hashes of what may be a whole key in the text, however short. An imported key may hold what stands behind keys in scripts, so
/// each is read to the next blank, to the next quote or sign of a script, and to the next character that no generated key has.
pub(crate) fn hashes(text: &str) -> Vec<KeyHash> {
    let mut found = Vec::new();
    for rest in candidates(text) {
        let whole = rest.split(|c: char| !c.is_ascii_graphic() || c == ',').next().unwrap_or_default();
        let quoted = whole.trim_end_matches(['"', '\'', '`', ';', ')', ']', '}', '>', '.']);
        let word =
            rest.split(['"', '\'', '`', ';', '&', '<', '>', '(', ')', '\\']).next().unwrap_or_default();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let plain = rest.get(..end).unwrap_or_default();
        for text in [whole, quoted, word.split(' ').next().unwrap_or_default(), plain] {
            let hash = ApiKey::from_bytes(text.as_bytes()).map(|key| key.hash());
            if let Some(hash) = hash.filter(|hash| found.len() < MAX_READINGS && !found.contains(hash)) {
                found.push(hash);
            }
        }
    }
    found
}

/// The text from each prefix of a key on.
fn candidates(text: &str) -> impl Iterator<Item = &str> {
    let starts = PREFIXES.into_iter().flat_map(|prefix| text.match_indices(prefix));
    starts.take(MAX_READINGS).filter_map(|(start, _)| text.get(start..))
}

/// How many characters of a key there are behind the prefix.
fn secret_len(rest: &str) -> usize {
    rest.bytes().skip(PREFIX_LEN).take_while(|byte| byte.is_ascii_graphic() && *byte != b',').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::keys::secret::GeneratedKey;

    #[test]
    fn a_key_is_found_in_what_people_copy() {
        let made = GeneratedKey::new(Environment::Live).unwrap();
        let key = made.plaintext.expose();
        for text in [
            key.to_owned(),
            format!("Bearer {key}"),
            format!("-H \"Authorization: Bearer {key}\" \\"),
            format!("KEY='{key}'; export KEY"),
            format!("{{\"key\": \"{key}\"}},"),
            format!("Is {key}. ours?"),
            format!("sk_test_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa {key}"),
        ] {
            assert!(holds_key(&text) && hashes(&text).contains(&made.hash), "{text}");
        }
        let odd = "sk_live_0123456789abcdef:/+=\"x";
        let hash = ApiKey::from_bytes(odd.as_bytes()).unwrap().hash();
        assert!(hashes(&format!("Bearer {odd}")).contains(&hash), "one that was imported");
        assert!(holds_key(&key[..24]) && !hashes(&key[..24]).contains(&made.hash), "half a key");
    }

    #[test]
    fn what_is_no_secret_is_text() {
        for text in ["", "sk_live_", "sk_live_…a1B2", "Production App", "key_0123456789abcdefghij"] {
            assert!(!may_hold_key(text) && hashes(text).is_empty(), "{text}");
        }
        assert!(hashes(&"sk_live_0123456789abcdef ".repeat(1_000)).len() <= MAX_READINGS);
    }

    #[test]
    fn a_short_key_from_elsewhere_can_be_looked_up() {
        let key = "sk_live_legacy-4711";
        let hash = ApiKey::from_bytes(key.as_bytes()).unwrap().hash();
        for text in [
            key.to_owned(),
            format!("Bearer {key}"),
            format!("KEY='{key}'; export KEY"),
            format!("-H \"Authorization: Bearer {key}\" \\"),
            format!("{{\"key\": \"{key}\"}},"),
            format!("https://api.example.com/?key={key}&x=1"),
        ] {
            assert!(!holds_key(&text) || text.contains('&') || text.contains(';'), "{text}");
            assert!(may_hold_key(&text) && hashes(&text).contains(&hash), "{text}");
        }
    }
}

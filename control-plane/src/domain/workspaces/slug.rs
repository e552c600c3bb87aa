//! Short names of workspaces, for people and scripts.

pub(crate) const MAX_SLUG_LEN: usize = 40;

pub(crate) fn is_slug(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty()
        && text.len() <= MAX_SLUG_LEN
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// `Production App` becomes `production-app`; what has no letters or digits becomes empty, which no slug may be.
pub(crate) fn slug_of(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => slug.push(c),
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    slug.truncate(MAX_SLUG_LEN);
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_made_from_names_are_slugs() {
        assert_eq!(slug_of("Production App (EU)"), "production-app-eu");
        assert_eq!(slug_of("  a__b  "), "a-b");
        assert!(is_slug(&slug_of(&"long name ".repeat(20))));
        assert!(!is_slug(&slug_of("東京")));
    }
}

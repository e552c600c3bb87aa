//! The layers of the source stay apart: SQL only below the store's seam, HTTP not in the domain, plaintext in three answers.

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files
                    .push((path.strip_prefix(&root).unwrap().to_owned(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

/// Files outside `allowed` (prefixes) whose code, tests left out, contains one of `words`.
fn offenders(allowed: &[&str], words: &[&str]) -> Vec<PathBuf> {
    let inside = |path: &Path| allowed.iter().any(|prefix| path.to_str().unwrap().starts_with(prefix));
    let code = |text: &str| text.split("#[cfg(test)]").next().unwrap().to_owned();
    let found = |text: &str| words.iter().any(|word| code(text).contains(word));
    sources().into_iter().filter(|(path, text)| !inside(path) && found(text)).map(|(path, _)| path).collect()
}

#[test]
fn sql_stands_only_below_the_stores_seam() {
    assert_eq!(
        offenders(&["store/sql", "store/postgres"], &["sqlx::", "SELECT ", "UPDATE ", "INSERT "]),
        Vec::<PathBuf>::new()
    );
}

#[test]
fn the_domain_knows_nothing_of_http() {
    let outside = ["http", "cli"];
    assert_eq!(offenders(&outside, &["axum::", "hyper::", "utoipa::", "StatusCode"]), Vec::<PathBuf>::new());
}

#[test]
fn the_domain_is_told_what_time_it_is() {
    let outside = ["books/redis", "cli", "config", "http", "service", "store"];
    let clocks = ["Instant::now", "Timestamp::now", "SystemTime"];
    assert_eq!(offenders(&outside, &clocks), Vec::<PathBuf>::new());
}

#[test]
fn a_plaintext_is_exposed_in_four_answers() {
    // Two show a key, one a gateway's token, one an operator's.
    let answers =
        ["http/keys/bodies.rs", "http/pages/keys/reveal.rs", "http/credentials.rs", "http/tokens.rs"];
    let tests = "domain/explain/tests.rs";
    let allowed = [&["domain/keys/secret.rs", tests][..], &answers].concat();
    assert_eq!(offenders(&allowed, &[".expose()"]), Vec::<PathBuf>::new());
}

#[test]
fn every_file_says_what_it_is_for() {
    // Redis wants its own line first.
    let says = |text: &str| text.starts_with("//! ") || text.starts_with("#!lua name=flamegate_1\n-- ");
    let silent: Vec<_> = sources().into_iter().filter(|(_, text)| !says(text)).collect();
    assert!(silent.is_empty(), "{:?}", silent.iter().map(|(path, _)| path).collect::<Vec<_>>());
}

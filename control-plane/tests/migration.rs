//! docs/MIGRATION.md, run as it stands: the file of keys, and the commands.

#![cfg(unix)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::ADMIN;
use common::program::{PROGRAM, Program, json_of, succeeded};

/// The blocks of this kind, in order.
fn blocks(kind: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/MIGRATION.md");
    let text = fs::read_to_string(path).unwrap();
    let begin = format!("```{kind}\n");
    let parts = text.split(begin.as_str()).skip(1);
    parts.map(|part| part.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_keys_of_the_document_are_imported_once_by_its_commands() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::serve(&folder.path().join("control.db"));
    fs::write(folder.path().join("keys.jsonl"), &blocks("json")[0]).unwrap();
    let search = format!("{}:/usr/bin:/bin", Path::new(PROGRAM).parent().unwrap().display());
    let shell = |block: &str, key: &str| -> Output {
        let mut command = Command::new("sh");
        command
            .args(["-euc", block])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", &search)
            .env("KEY", key);
        command
            .env("FLAMEGATE_CONTROL_URL", &program.url)
            .env("FLAMEGATE_ADMIN_TOKEN", ADMIN)
            .output()
            .unwrap()
    };
    let [hashing, importing] = blocks("sh").try_into().unwrap();
    let key = "sk_test_4242424242424242";
    let hash = succeeded(&shell(&hashing, key)).trim_end().to_owned();
    let output = shell(&importing, key);
    succeeded(&output);
    let told = String::from_utf8_lossy(&output.stderr);
    let listed = program.cli(&["keys", "list", "--workspace", "acme"]);
    assert_eq!(listed.as_array().unwrap().len(), 3, "{listed} {told}");
    // The hash that the document's command makes is the one that the key was imported by.
    let line =
        format!(r#"{{"hash": "{hash}", "workspace": "acme", "name": "Again", "environment": "test"}}"#);
    fs::write(folder.path().join("again.jsonl"), line).unwrap();
    let again = shell("flamegate-control keys import --file again.jsonl --json", key);
    assert_eq!((&json_of(&again)["imported"], &json_of(&again)["skipped"]), (&0.into(), &1.into()));
    program.signal("-TERM");
    program.end();
}

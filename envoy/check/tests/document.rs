//! `docs/CHECKS.md` shows every rule as the code has it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test")]

use std::collections::BTreeSet;

use flamegate_check::{Rule, gateway_rules::RUNNING_RULES, rules::FILE_RULES};

fn table(rules: &[&Rule]) -> String {
    let row = |rule: &&Rule| {
        format!("| `{}` | {} | {} | {} |\n", rule.name, rule.severity.as_str(), rule.why, rule.fix)
    };
    let header = "| rule | severity | why it matters | what to do |\n|---|---|---|---|\n";
    header.to_owned() + &rules.iter().map(row).collect::<String>()
}

#[test]
fn the_document_has_the_rules_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CHECKS.md");
    let text = std::fs::read_to_string(path).unwrap();
    for rules in [FILE_RULES, RUNNING_RULES] {
        let table = table(rules);
        assert!(text.contains(&table), "docs/CHECKS.md must contain\n{table}");
    }
}

#[test]
fn no_name_is_given_twice() {
    let all: Vec<_> = FILE_RULES.iter().chain(RUNNING_RULES).map(|rule| rule.name).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

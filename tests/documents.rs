//! The documents against the code: the configuration tables, the paths and names that the documents mention, and the
//! layering rules that no compiler checks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(clippy::arithmetic_side_effects, missing_docs, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use flamegate::config::{Config, ConfigError};
use flamegate::decision::metrics::{COUNTERS, FLEET_GAUGES, GAUGES};
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder whose name ends in `suffix`, as paths from the root.
fn files(folder: &str, suffix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap());
        if root().join(&path).is_dir() {
            found.extend(files(&path, suffix));
        } else if path.ends_with(suffix) {
            found.push(path);
        }
    }
    found
}

// --- The tables of docs/CONFIGURATION.md ---

struct Row {
    field: String,
    kind: String,
    default: String,
    example: Value,
    /// (bad value, `None` for leaving it out; beginning of the error).
    errors: Vec<(Option<Value>, String)>,
}

/// The cells of all rows of the tables with this header.
fn tables(header: &str) -> Vec<Vec<String>> {
    let text = read("docs/CONFIGURATION.md");
    let mut rows = Vec::new();
    let mut lines = text.lines();
    while lines.by_ref().any(|line| line == header) {
        let body = lines.by_ref().skip(1).take_while(|line| line.starts_with('|'));
        rows.extend(body.map(|line| {
            let line = line.trim_matches('|').replace("\\|", "\u{1}");
            line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect::<Vec<_>>()
        }));
    }
    rows
}

/// What stands between the first backtick and the last one.
fn code(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'))
        .unwrap_or_else(|| panic!("no code: {cell}"))
}

fn value(cell: &str) -> Value {
    serde_json::from_str(code(cell)).unwrap_or_else(|error| panic!("{cell}: {error}"))
}

fn rows() -> Vec<Row> {
    let rows = tables("| field | type | default | unit | meaning | example | error |");
    let row = |cells: Vec<String>| {
        let [field, kind, default, _, meaning, example, errors] = cells.try_into().expect("seven cells");
        assert!(!meaning.is_empty(), "{field} has no meaning");
        let errors = errors.split("<br>").map(|error: &str| {
            let (bad, text) = error.split_once(" → ").unwrap_or_else(|| panic!("no arrow: {error}"));
            ((bad != "left out").then(|| value(bad)), code(text).to_owned())
        });
        let errors = errors.collect();
        Row { field: code(&field).to_owned(), kind, default, example: value(&example), errors }
    };
    rows.into_iter().map(row).collect()
}

/// A configuration in which `field` has this value, or is left out.
fn configuration(field: &str, value: Option<&Value>) -> Value {
    let hash = "4b4090ccee1e713c3d411b96a4226b90bd0f0deb34e02d19475a951316fd04ee";
    let limit = json!({"requests": 1, "window_seconds": 1});
    let key = json!({"hash": hash, "id": "k", "workspace": "w", "environment": "test", "limits": [limit], "restrict": {}});
    let (parent, name) = field.rsplit_once('.').unwrap_or(("", field));
    // Only a reader beside a singleton needs no token, and only a singleton has the role `sync`.
    let mode = if field == "role" { "singleton" } else { "elected" };
    let mut config = json!({"sync": {"mode": mode}});
    if !parent.is_empty() {
        config["bypass"] = json!([{"path": "/public/"}]);
        config["static_keys"] = json!([key]);
        config["failure_throttle"] = json!({"failures": 1, "window_seconds": 1});
    }
    let path: String =
        parent.split('.').filter(|part| !part.is_empty()).map(|part| format!("/{part}")).collect();
    let object = config.pointer_mut(&path.replace("[]", "/0")).and_then(Value::as_object_mut).expect(field);
    object.remove(name);
    if let Some(value) = value {
        object.insert(name.to_owned(), value.clone());
    }
    config
}

fn parse(json: &str) -> Result<Config, ConfigError> {
    Config::parse(json.as_bytes(), |name| (name != "NOT_SET").then(|| format!("the-token-of-{name}")))
}

/// Everything that a configuration says, for comparison.
fn meaning(config: &Value) -> String {
    let config = parse(&config.to_string()).unwrap_or_else(|error| panic!("{config}: {error}"));
    let sync = config.sync.as_ref().map(|sync| {
        let names = [&sync.cluster, &sync.authority, &sync.gateway, &sync.token].map(Clone::clone);
        (sync.mode, names, sync.wait_seconds, (sync.page_size, sync.first_page_size), sync.retry_ms)
    });
    format!("{config:?} {sync:?}")
}

/// The mistakes about `field` or about the object that it is part of.
fn mistakes(field: &str, config: &Value) -> Vec<String> {
    let path = field.replace("[]", "[0]");
    let about = |other: &str| {
        let beside = |long: &str, short: &str| {
            long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        beside(other, &path) || beside(&path, other)
    };
    let found = parse(&config.to_string()).err().map(|error| error.0).unwrap_or_default();
    found.into_iter().filter(|mistake| about(&mistake.path)).map(|mistake| mistake.problem).collect()
}

/// The fields that the code reads, found in its text.
fn fields_of_the_code() -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for function in ["src/config/parse.rs", "src/config/fields.rs"]
        .map(read)
        .iter()
        .flat_map(|text| text.split("fn ").skip(1))
    {
        let parent = match function.split('(').next().unwrap() {
            "parse_root" | "parse_filter" | "parse_accepts" | "parse_rate_limit_headers" => "",
            "parse_shadow" => "",
            "parse_readiness" => "",
            "parse_throttle" => "failure_throttle.",
            "parse_bypass" => "bypass[].",
            "parse_static_key" | "record" => "static_keys[].",
            "parse_static_keys" => "",
            "read_limit" => "static_keys[].limits[].",
            "read_restrict" => "static_keys[].restrict.",
            "parse_sync" | "parse_token" => "sync.",
            _ => continue,
        };
        for reader in [
            "text",
            "required_text",
            "flag",
            "number",
            "required_number",
            "choice",
            "list",
            "texts",
            "child",
            "value",
        ] {
            let call = format!(".{reader}(");
            let calls = function.split(&call).skip(1);
            let names = calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next());
            fields.extend(names.map(|name| format!("{parent}{name}")));
        }
    }
    fields
}

#[test]
fn the_tables_have_every_field_of_the_code_and_no_other() {
    let documented: Vec<String> = rows().into_iter().map(|row| row.field).collect();
    let distinct: BTreeSet<String> = documented.iter().cloned().collect();
    assert_eq!(distinct, fields_of_the_code());
    assert_eq!(distinct.len(), documented.len(), "a field stands twice");
}

#[test]
fn examples_are_accepted_and_defaults_are_what_happens_without_the_field() {
    for Row { field, default, example, .. } in rows() {
        let given = meaning(&configuration(&field, Some(&example)));
        if default == "required" {
            assert!(!mistakes(&field, &configuration(&field, None)).is_empty(), "{field} is not required");
        } else if default.starts_with('`') {
            let absent = meaning(&configuration(&field, None));
            assert_eq!(absent, meaning(&configuration(&field, Some(&value(&default)))), "default of {field}");
            assert_ne!(absent, given, "the example of {field} changes nothing");
        }
    }
}

#[test]
fn bounds_are_accepted_and_what_is_beyond_them_is_not() {
    let mut bounded = 0;
    for Row { field, kind, .. } in rows() {
        let words: Vec<&str> = kind.split(' ').collect();
        let Some(to) = words.iter().position(|word| *word == "to") else { continue };
        let (least, most): (u64, u64) = (words[to - 1].parse().unwrap(), words[to + 1].parse().unwrap());
        let found = |number: u64| mistakes(&field, &configuration(&field, Some(&number.into())));
        for number in [least, most] {
            // A bound may contradict another field's value.
            let wrong = found(number).into_iter().find(|text| !text.contains("retry_min_ms"));
            assert_eq!(wrong, None, "{field} = {number}");
        }
        assert!(!found(most + 1).is_empty(), "{field} = {most} + 1 is accepted");
        assert!(least == 0 || !found(least - 1).is_empty(), "{field} = {least} - 1 is accepted");
        bounded += 1;
    }
    assert!(bounded >= 10, "{bounded} bounds");
}

#[test]
fn bad_values_get_the_documented_errors() {
    for Row { field, errors, .. } in rows() {
        for (bad, text) in errors {
            let found = mistakes(&field, &configuration(&field, bad.as_ref()));
            assert!(found.iter().any(|problem| problem.starts_with(&text)), "{field} = {bad:?}: {found:?}");
        }
    }
}

#[test]
fn contradictions_get_the_documented_errors() {
    let rows = tables("| configuration | error |");
    assert!(rows.len() >= 5);
    for row in rows {
        let error = parse(code(&row[0])).expect_err(&row[0]).to_string();
        assert!(error.contains(code(&row[1])), "{}: {error}", row[0]);
    }
}

// --- Names and paths in the documents ---

/// README, the other documents at the root, and everything in `docs/`.
fn documents() -> Vec<String> {
    let mut all = files("docs", ".md");
    all.extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(str::to_owned));
    all
}

/// The inline code of a document, without its code blocks.
fn spans(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let by_line = prose.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    by_line.map(str::to_owned).collect()
}

/// True for what names a file or folder of this repository.
fn is_path(span: &str) -> bool {
    const TOP: [&str; 6] = ["src/", "docs/", "envoy/", "tests/", "control-plane/", ".ci/"];
    const ENDINGS: [&str; 8] = [".rs", ".md", ".toml", ".yaml", ".py", ".sh", ".env", ".sql"];
    const RUNTIME: [&str; 4] = [".run/", "dist/", "target/", ".cache/"];
    let plain = span.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    let named = TOP.iter().any(|top| span.starts_with(top)) || ENDINGS.iter().any(|end| span.ends_with(end));
    plain && named && !RUNTIME.iter().any(|folder| span.starts_with(folder))
}

#[test]
fn paths_and_links_in_the_documents_exist() {
    let mut checked = 0;
    for document in documents() {
        let text = read(&document);
        for path in spans(&text).into_iter().filter(|span| is_path(span)) {
            assert!(root().join(&path).exists(), "{document} names {path}, which is not there");
            checked += 1;
        }
        let folder: PathBuf = root().join(&document).parent().unwrap().into();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            assert!(link.starts_with("http") || folder.join(file).exists(), "{document} links to {link}");
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} paths found");
}

/// Checks that every row of the tables whose last column is `test` names a file and tests in it; several files may follow one
/// another. Gives the number of rows.
fn rows_that_name_tests(text: &str, document: &str) -> usize {
    let (mut rows, mut header) = (0, true);
    for line in text.lines() {
        if !line.starts_with('|') || line.starts_with("|---") {
            header = !line.starts_with('|');
            continue;
        }
        if std::mem::take(&mut header) {
            assert!(line.ends_with("| test |"), "the last column of {line}");
            continue;
        }
        let cell = line.trim_end_matches(" |").rsplit("| ").next().unwrap();
        let (mut source, mut found) = (String::new(), false);
        for span in spans(cell) {
            if is_path(&span) {
                (source, found) = (read(&span), false);
            } else {
                let is_there = ["fn", "def"].iter().any(|word| source.contains(&format!("{word} {span}(")));
                assert!(is_there, "{document}: no test {span} in {line}");
                found = true;
            }
        }
        assert!(found, "a file and a test: {line}");
        rows += 1;
    }
    rows
}

#[test]
fn every_attack_names_a_test_that_exists() {
    let attacks = rows_that_name_tests(&read("SECURITY.md"), "SECURITY.md");
    assert!(attacks >= 40, "only {attacks} attacks");
}

/// The anchors of a document, in order.
fn anchors(document: &str) -> Vec<String> {
    let text = read(document);
    text.split("<a id=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// Every row of docs/FAILURE-MODES.md has an anchor, and under it a line with tests in docs/RELIABILITY.md.
#[test]
fn every_fault_has_an_anchor_and_a_test_that_exists() {
    const FAULTS: &str = "docs/FAILURE-MODES.md";
    let all = anchors(FAULTS);
    let distinct: BTreeSet<&String> = all.iter().collect();
    assert_eq!(distinct.len(), all.len(), "an anchor stands twice");
    let text = read(FAULTS);
    let tables = text.split("\n## ").skip(1).flat_map(|section| {
        let lines = section.lines().filter(|line| line.starts_with('|'));
        lines.skip(2).map(|line| {
            let anchor = line.strip_prefix("| <a id=\"").and_then(|rest| rest.split('"').next());
            anchor.unwrap_or_else(|| panic!("a row without an anchor: {line}")).to_owned()
        })
    });
    let faults: Vec<String> = tables.collect();
    let reliability = read("docs/RELIABILITY.md");
    let tested = reliability.split("\n## Each fault\n").nth(1).expect("a section with the faults");
    let rows = rows_that_name_tests(tested, "docs/RELIABILITY.md");
    let links: Vec<&str> =
        tested.split("](FAILURE-MODES.md#").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert_eq!(links, faults, "the faults, and the faults with tests");
    assert!(rows == faults.len() && rows >= 100, "{rows} rows, {} faults", faults.len());
}

#[test]
fn every_link_to_a_fault_leads_to_one() {
    let all = anchors("docs/FAILURE-MODES.md");
    let mut checked = 0;
    let others = ["envoy/compose/alerts.yml".to_owned()];
    for document in documents().into_iter().chain(others) {
        let text = read(&document);
        let own = if document == "docs/FAILURE-MODES.md" { "](#" } else { "FAILURE-MODES.md#" };
        for link in text.split(own).skip(1) {
            let link = link.split([')', '\n', ' ']).next().unwrap();
            assert!(
                all.iter().any(|anchor| anchor == link),
                "{document} leads to #{link}, which is not there"
            );
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} links");
}

#[test]
fn every_alert_says_what_to_do_where() {
    let text = read("envoy/compose/alerts.yml");
    let page = format!("{}/blob/main/docs/FAILURE-MODES.md#", env!("CARGO_PKG_REPOSITORY"));
    let alerts: Vec<&str> = text.split("- alert: ").skip(1).collect();
    for alert in &alerts {
        let name = alert.lines().next().unwrap();
        assert_eq!(alert.matches(&format!("runbook_url: {page}")).count(), 1, "{name} has no runbook");
        assert!(alert.contains("severity: ") && alert.contains("summary: "), "{name}");
    }
    assert!(alerts.len() >= 15);
}

#[test]
fn environment_variables_of_programs_and_documents_are_the_same() {
    let variables = |text: &str| -> BTreeSet<String> {
        let rest = text.split("FLAMEGATE_").skip(1);
        let names =
            rest.map(|rest| rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap());
        names.filter(|name| !name.is_empty()).map(|name| format!("FLAMEGATE_{name}")).collect()
    };
    let programs = [
        "control-plane/src/config.rs",
        "control-plane/src/config/limit_store.rs",
        "control-plane/src/config/limit_store/files.rs",
        "control-plane/src/config/oidc.rs",
        "control-plane/src/config/pages.rs",
        "control-plane/src/config/tls.rs",
        "control-plane/src/cli.rs",
        "control-plane/src/cli/client.rs",
        "control-plane/src/store/sql/plans.rs",
        "control-plane/tests/durability.rs",
        "control-plane/tests/strangers.rs",
        "envoy/demo.py",
        "envoy/fleet.py",
        "envoy/run.py",
        "tests/e2e/tests/older_filter.rs",
        "tests/e2e/tests/plans.rs",
        "tests/lending/tests/model.rs",
    ];
    let mut used: BTreeSet<String> = programs.iter().flat_map(|path| variables(&read(path))).collect();
    for test in files("tests/e2e/tests", ".rs") {
        let text = read(&test);
        used.extend(
            text.split("env::var(\"").skip(1).flat_map(|rest| variables(rest.split('"').next().unwrap())),
        );
    }
    assert_eq!(used, variables(&read("docs/CONFIGURATION.md")));
}

#[test]
fn every_metric_is_documented() {
    let text = read("docs/ARCHITECTURE.md");
    let documented = spans(&text);
    for name in COUNTERS.iter().chain(&GAUGES).chain(&FLEET_GAUGES).flat_map(|name| name.split('.')) {
        assert!(documented.iter().any(|span| span == name), "{name} is not in docs/ARCHITECTURE.md");
    }
}

// --- Layering ---

/// The code of a module without comments; tests are left out.
fn production_code() -> Vec<(String, String)> {
    let sources = files("src", ".rs").into_iter().filter(|path| !path.ends_with("tests.rs"));
    let code = sources.map(|path| {
        let text = read(&path);
        let lines = text.lines().map(|line| line.split("//").next().unwrap());
        let code = lines.take_while(|line| *line != "mod tests {").collect::<Vec<_>>().join("\n");
        (path, code)
    });
    code.collect()
}

/// The files outside of `allowed` whose code has one of these words.
fn offenders(words: &[&str], allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let has =
        |code: &str| code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| words.contains(&word));
    let found = production_code().into_iter().filter(|(path, code)| !allowed(path) && has(code));
    found.map(|(path, _)| path).collect()
}

#[test]
fn only_the_edge_names_the_host() {
    let edge = |path: &str| path == "src/wasm.rs" || path.starts_with("src/wasm/");
    assert_eq!(offenders(&["proxy_wasm"], edge), [""; 0]);
    assert_eq!(
        offenders(&["wasm"], |path| edge(path) || path == "src/lib.rs"),
        [""; 0],
        "the core uses the edge"
    );
}

#[test]
fn unsafe_code_is_where_the_host_is_called_and_calls() {
    let may = |path: &str| matches!(path, "src/wasm/abi.rs" | "src/wasm/dispatch.rs");
    assert_eq!(offenders(&["unsafe"], may), [""; 0]);
    // Everywhere else the compiler refuses it, unless a file or a manifest allows it.
    let folders = ["src", "control-plane", "envoy", "tests"];
    for path in folders.iter().flat_map(|folder| files(folder, ".rs")).filter(|path| !may(path)) {
        // What `make bench` compares with; it is not shipped, and the SDK's macro exports its entry point that way.
        let compared = path == "tests/bench/empty-filter/src/lib.rs";
        assert!(compared || !read(&path).contains(concat!("(unsafe", "_code")), "{path} allows it");
    }
    let manifests = folders.iter().flat_map(|folder| files(folder, "Cargo.toml"));
    for path in manifests.filter(|path| !path.contains("/node_modules/")) {
        let text = read(&path);
        let inherits = text.contains("[lints]\nworkspace = true") || text.contains("unsafe_code = \"deny\"");
        assert!(inherits, "{path} does not take over the workspace's lints");
    }
    assert!(read("Cargo.toml").matches("unsafe_code = \"deny\"").count() == 2);
}

#[test]
fn status_codes_of_denials_are_in_one_file() {
    // What others answer to polls is no denial.
    let known = ["src/decision/reply.rs", "src/sync/failure.rs"];
    assert_eq!(offenders(&["401", "403", "429", "503"], |path| known.contains(&path)), [""; 0]);
}

//! Imports: what can never work is an error, one bad line stops no other, and each line is told about.

use std::io::Write as _;
use std::process::Output;

use flamegate::contract::key::ApiKey;
use serde_json::{Value, json};

use crate::common::Control;
use crate::common::gateway::Gateway;
use crate::common::program::{command, failed, json_of};

fn hash(key: &str) -> String {
    ApiKey::from_bytes(key.as_bytes()).unwrap().hash().to_hex()
}

fn line(key: &str) -> Value {
    json!({"hash": hash(key), "workspace": "demo", "name": "Imported", "environment": "live"})
}

fn with(mut line: Value, field: &str, value: Value) -> Value {
    line[field] = value;
    line
}

async fn import(control: &Control, lines: &[String], more: &[&str]) -> Output {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
    let path = file.path().to_str().unwrap().to_owned();
    let mut program = command(&control.url(""), &[&["keys", "import", "--file", &path], more].concat());
    tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap()
}

/// A control plane with a key that is there and good, and keys that are there and can never be what an import means.
async fn start() -> (Control, Vec<String>) {
    let control = Control::with_workspace().await;
    control.post("/v1/workspaces", json!({"name": "Other"})).await.expect(201);
    let soon = control.clock.now().as_second() + 60;
    let lines = [
        line("sk_live_good"),
        line("sk_live_revoked"),
        with(line("sk_live_expired"), "expires_at", json!(soon)),
        with(line("sk_live_others"), "workspace", json!("other")),
        with(line("sk_live_test"), "environment", json!("test")),
    ];
    let mut ids = Vec::new();
    for body in lines {
        let made = control.post("/v1/api-keys/import", body).await.expect(201);
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    control.revoke(&ids[1], "0").await;
    control.clock.advance(std::time::Duration::from_secs(61));
    (control, ids)
}

/// What is refused, and why.
fn hopeless(ids: &[String]) -> [(Value, String); 4] {
    let of = |n: usize, why: &str| format!("hash: is that of {}, which {why}", ids[n]);
    [
        (line("sk_live_revoked"), of(1, "is revoked")),
        (line("sk_live_expired"), of(2, "has expired")),
        (line("sk_live_others"), of(3, "is another workspace's")),
        (line("sk_live_test"), of(4, "is of another environment")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_is_told_about_and_the_good_ones_are_imported() {
    let (control, ids) = start().await;
    let mut lines = vec![line("sk_live_new").to_string(), line("sk_live_good").to_string()];
    let mut told = Vec::new();
    let mut refuse = |line: String, why: &str| {
        lines.push(line);
        told.push(format!("line {} is refused: {why}", lines.len()));
    };
    for (line, why) in hopeless(&ids) {
        refuse(line.to_string(), &why);
    }
    let new = line("sk_live_another");
    let past = with(new.clone(), "expires_at", json!("2020-01-01T00:00:00Z"));
    refuse(past.to_string(), "expires_at: must be in the future");
    refuse(with(new.clone(), "workspace", json!("nobody")).to_string(), "workspace: no such workspace");
    refuse(with(new.clone(), "name", json!(7)).to_string(), "name: must be text");
    refuse(with(new.clone(), "color", json!("red")).to_string(), "color: is not a known field");
    refuse("not json".to_owned(), "it is not JSON");
    refuse(r#"["a", "b"]"#.to_owned(), "body: must be an object");
    let hint = "key_hint: must be the prefix, … and at most four characters, such as sk_live_…a1B2";
    refuse(with(new.clone(), "key_hint", json!("pk_live_…abcd")).to_string(), hint);
    lines.push(new.to_string());
    lines.push(new.to_string());
    let count = told.len();
    let output = import(&control, &lines, &[]).await;
    let mut stderr: Vec<_> = failed(&output, 7).lines().map(str::to_owned).collect();
    assert_eq!(stderr.pop(), Some(format!("error: {count} lines were refused")));
    let hashes = stderr.pop().unwrap();
    assert!(
        hashes.starts_with("2 came as a hash; a hash does not show whether gateways accept its key"),
        "{hashes}"
    );
    stderr.sort();
    told.sort();
    assert_eq!(stderr, told);
    let summary = format!("imported 2 keys, skipped 2 that were known already, refused {count}\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), summary);
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    assert!(
        ["sk_live_new", "sk_live_another", "sk_live_good"]
            .iter()
            .all(|key| gateway.table.contains_key(&hash(key)))
    );
    // For scripts: the same lines again.
    let output = import(&control, &lines, &["--json"]).await;
    failed(&output, 7);
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&done["imported"], &done["skipped"], &done["refused"]),
        (&json!(0), &json!(4), &json!(count))
    );
    let numbers: Vec<_> =
        done["refused_lines"].as_array().unwrap().iter().map(|line| &line["line"]).collect();
    assert!(
        numbers.len() == count && numbers.contains(&&json!(3)) && !numbers.contains(&&json!(1)),
        "{done}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_hashed_here_and_one_that_can_never_work_is_refused() {
    let control = Control::with_workspace().await;
    let of = |key: &str| json!({"key": key, "workspace": "demo", "name": "k"});
    let good = "sk_test_0123456789abcdefghij";
    let refused = ["pk_live_0123456789", "sk_prod_0123456789", "sk_live_", "", "Bearer sk_live_0123456789"];
    let mut lines = vec![of(good).to_string()];
    lines.extend(refused.map(|key| of(key).to_string()));
    lines.push(with(of("sk_live_x"), "environment", json!("test")).to_string());
    lines.push(with(of("sk_live_x"), "hash", json!(hash("sk_live_x"))).to_string());
    // A hint would be believed.
    for hint in ["sk_live_…klmn", "sk_test_…zzzz", "…x"] {
        lines.push(with(of("sk_test_0123456789klmn"), "key_hint", json!(hint)).to_string());
    }
    let output = import(&control, &lines, &[]).await;
    let told = failed(&output, 7);
    assert_eq!(told.matches("gateways accept no such key").count(), refused.len(), "{told}");
    assert_eq!(told.matches("key_hint: is not that of the key").count(), 3, "{told}");
    assert!(!told.contains("came as a hash"), "{told}");
    assert!(told.contains("error: 10 lines were refused") && !told.contains("0123456789"), "{told}");
    let keys = control.get("/v1/api-keys").await.expect(200);
    assert_eq!(keys.as_array().unwrap().len(), 1);
    assert_eq!((&keys[0]["environment"], &keys[0]["key_hint"]), (&json!("test"), &json!("sk_test_…ghij")));
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    assert!(gateway.table.contains_key(&hash(good)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_is_filled_and_the_rest_refused() {
    let control = Control::with_workspace().await;
    control.patch("/v1/workspaces/demo", json!({"max_active_keys": 3})).await.expect(200);
    control.create_key_id().await;
    // One line has a hash twice, and names the workspace by its id.
    let id = control.get("/v1/workspaces/demo").await.expect(200)["id"].clone();
    let keys = ["a", "b", "b", "c", "d", "d"].map(|n| line(&format!("sk_live_{n}")));
    let mut lines = keys.map(|line| line.to_string());
    lines[3] = with(line("sk_live_c"), "workspace", id).to_string();
    let output = import(&control, &lines, &[]).await;
    let told = failed(&output, 7);
    for line in 4..=6 {
        assert!(
            told.contains(&format!("line {line} is refused: workspace: the workspace 'demo' may have 3")),
            "{told}"
        );
    }
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "imported 2 keys, skipped 1 that were known already, refused 3\n"
    );
    assert_eq!(control.get("/v1/api-keys?status=active").await.expect(200).as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_partial_a_batch_is_all_or_none() {
    let (control, ids) = start().await;
    let revision = control.revision();
    for (hopeless, why) in hopeless(&ids) {
        let keys = json!({"keys": [line("sk_live_new"), hopeless]});
        let told = control.post("/v1/api-keys/import-batch", keys).await.problems();
        assert_eq!(told, [format!("keys[1].{why}")]);
        let mut alone = hopeless.clone();
        alone["name"] = json!("again");
        control.post("/v1/api-keys/import", alone).await.refused(409, "CONFLICT");
    }
    assert_eq!(control.revision(), revision);
    let partial = json!({"keys": [line("sk_live_new"), line("sk_live_revoked"), line("sk_live_good")], "partial": true});
    let done = control.post("/v1/api-keys/import-batch", partial).await.expect(200);
    assert_eq!((&done["imported"], &done["skipped"], &done["refused"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(
        (&done["keys"][1]["id"], &done["keys"][1]["problems"][0]["path"]),
        (&Value::Null, &json!("hash"))
    );
    let all = import(&control, &[line("sk_live_good").to_string()], &["--json"]).await;
    assert_eq!(json_of(&all)["refused"], 0);
}

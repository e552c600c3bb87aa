//! `flamegate-control doctor` and `check-config` about a real Envoy: nothing is wrong with a sound one, and each thing that is broken on
//! purpose is named.

mod mortal;

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use flamegate_e2e::{
    Control, Envoy, Plugin, Request, Stack,
    control::ADMIN_TOKEN,
    envoy::{SYNC_TOKEN, Upstreams, fill_file, render},
    eventually,
    middlebox::{Cut, Middlebox},
    process::{Folder, free_port, root},
    stack::surroundings,
};
use mortal::{deadly, mortal_module};
use serde_json::{Value, json};

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(root().join("dist/flamegate-control"));
    command
        .args(args)
        .env_clear()
        .env("FLAMEGATE_ADMIN_TOKEN", ADMIN_TOKEN)
        .env("FLAMEGATE_SYNC_TOKEN", SYNC_TOKEN);
    command
}

/// The exit code and the findings of `--json`.
fn findings(output: &Output) -> (Option<i32>, Vec<Value>) {
    let found = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), found)
}

fn doctor(control: u16, admin: u16) -> (Option<i32>, Vec<Value>) {
    let (control, admin) = (format!("http://127.0.0.1:{control}"), format!("http://127.0.0.1:{admin}"));
    let args = ["doctor", "--json", "--url", &control, "--envoy-admin", &admin];
    findings(&program(&args).output().expect("the program"))
}

fn of(stack: &Stack) -> (Option<i32>, Vec<Value>) {
    doctor(stack.control.port, stack.envoy.admin)
}

/// Waits until all of these are named; an error among them means exit code 1.
fn named(rules: &[&str], ask: impl Fn() -> (Option<i32>, Vec<Value>)) -> Vec<Value> {
    eventually("the doctor names it", || {
        let (code, found) = ask();
        let error = found.iter().any(|finding| finding["severity"] == "error");
        assert_eq!(code, Some(i32::from(error)), "{found:#?}");
        let has = |rule: &&str| found.iter().any(|finding| finding["rule"] == **rule);
        if rules.iter().all(has) { Ok(found) } else { Err(format!("{rules:?} in {found:#?}")) }
    })
}

/// Waits until there is nothing but hints.
fn sound(ask: impl Fn() -> (Option<i32>, Vec<Value>)) {
    eventually("the doctor finds nothing", || match ask() {
        (Some(0), found) if found.iter().all(|finding| finding["severity"] == "hint") => Ok(()),
        other => Err(format!("{other:#?}")),
    });
}

/// Everything together with another text of `envoy/envoy.yaml`, in which each part that is replaced must be there.
fn changed(name: &str, plugin: &Plugin, changes: &[(&str, &str)]) -> Stack {
    Stack::start_changed(name, plugin, |text| {
        changes.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{from} is not in envoy.yaml");
            text.replacen(from, to, 1)
        })
    })
}

#[test]
fn a_sound_gateway_in_either_mode_has_nothing_but_hints() {
    for (name, plugin) in
        [("doctor-singleton", Plugin::singleton(json!({}))), ("doctor-elected", Plugin::elected(json!({})))]
    {
        let stack = Stack::start(name, &plugin);
        stack.accepted_key("live");
        sound(|| of(&stack));
        // Its own account of its configuration, by standard input.
        let mut child = program(&["check-config", "--json", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program");
        let dump = stack.envoy.admin("/config_dump").text();
        child.stdin.take().expect("standard input").write_all(dump.as_bytes()).expect("standard input");
        let (code, found) = findings(&child.wait_with_output().expect("the program"));
        assert_eq!(code, Some(0), "{found:#?}");
        assert!(found.iter().all(|finding| finding["severity"] == "hint"), "{found:#?}");
    }
}

#[test]
fn a_gateway_with_static_keys_alone_has_no_sync_to_look_at() {
    let stack = Stack::start("doctor-static", &Plugin::alone(json!({"static_keys": []})));
    stack.envoy.send(&Request::get("/v1/agents"));
    // The filter's counters come with a tick; before, there is nothing to see of it.
    eventually("nothing but that no gateway is connected", || {
        let (_, found) = of(&stack);
        let is_told = found.iter().any(|finding| finding["rule"] == "no-gateway");
        let is_sound = found.iter().all(|finding| finding["severity"] != "error");
        if is_told && is_sound { Ok(()) } else { Err(format!("{found:#?}")) }
    });
}

#[test]
fn in_words_for_people_it_says_why_and_what_to_do() {
    let stack = Stack::start("doctor-words", &Plugin::singleton(json!({})));
    let url = format!("http://127.0.0.1:{}", stack.control.port);
    let output = program(&["doctor", "--url", &url, "--envoy-admin", &url]).output().expect("the program");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text.contains("error admin-not-envoy: ") && text.contains("\n  why: ") && text.contains("\n  do:  "),
        "{text}"
    );
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(notes.contains(&format!("control plane {url}: ")), "{notes}");
}

#[test]
fn a_wrong_sync_token_is_named() {
    let (folder, upstream, control) = surroundings("doctor-token");
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    let wrong = [("FLAMEGATE_SYNC_TOKEN", "another-token-than-the-right-one")];
    let plugin = Plugin::singleton(json!({}));
    let envoy =
        Envoy::start_in("envoy", &folder, &wrong, |ports, log| render(&plugin, upstreams, ports, log));
    let rules = ["table-missing", "sync-token-refused", "gateway-unknown", "refused-sync-tokens"];
    named(&rules, || doctor(control.port, envoy.admin));
}

#[test]
fn a_control_plane_that_is_away_is_named_from_both_sides() {
    let folder = Folder::new("doctor-away");
    let control = Control::prepare(&folder);
    let upstreams = Upstreams { upstream: 1, control: control.port };
    let envoy = Envoy::start("envoy", &folder, &Plugin::singleton(json!({})), upstreams);
    named(&["control-unreachable", "control-cluster-unreachable", "table-missing"], || {
        doctor(control.port, envoy.admin)
    });
    let nobody = free_port();
    named(&["admin-unreachable"], || doctor(control.port, nobody));
}

#[test]
fn a_table_that_ages_is_named() {
    let mut stack = Stack::start("doctor-old", &Plugin::elected(json!({})));
    stack.accepted_key("live");
    stack.control.kill();
    // What is left of five seconds of waiting and fifteen more is waited for below.
    eventually("the table grows old", || {
        let metrics = stack.envoy.metrics().value("flamegate_table_age_seconds");
        if metrics > Some(8.0) { Ok(()) } else { Err(format!("{metrics:?}")) }
    });
    named(&["table-old", "control-unreachable"], || of(&stack));
}

#[test]
fn what_is_configured_wrong_is_named() {
    let cluster = ("    - name: flamegate-control\n", "    - name: control\n");
    let vm_id = ("vm_id: flamegate\n          runtime", "vm_id: other\n          runtime");
    let tags = ("tag_name: verdict", "tag_name: verdicts");
    let rbac = "                  - name: guard-first\n                    typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC, \
                rules: { policies: { a: { permissions: [{ any: true }], principals: [{ filter_state: { key: wasm.flamegate.key_id, string_match: { prefix: k } } }] } } } }\n";
    let guard = format!("{rbac}                  - name: flamegate\n");
    let order = ("                  - name: flamegate\n", guard.as_str());
    // Whoever has nothing of the filter is let through.
    let refuses = "direct_response: { status: 403, body: { inline_string: '{\"success\":false,\"error\":{\"code\":\"MISCONFIGURED\",\
                   \"message\":\"This gateway is not set up to pass requests\"}}' } }";
    let route = (refuses, "route: { cluster: upstream }");
    let rows: [(&str, &[&str], (&str, &str)); 5] = [
        ("doctor-cluster", &["cluster-missing", "control-cluster-without-host", "table-missing"], cluster),
        ("doctor-vm-id", &["vm-id", "table-missing"], vm_id),
        ("doctor-tags", &["stats-tags"], tags),
        ("doctor-order", &["guard-before-filter"], order),
        ("doctor-route", &["route-unguarded"], route),
    ];
    for (name, rules, change) in rows {
        let stack = changed(name, &Plugin::singleton(json!({})), &[change]);
        named(rules, || of(&stack));
    }
}

#[test]
fn a_singleton_that_is_not_there_is_named() {
    let plugin = Plugin { sync: None, ..Plugin::singleton(json!({})) };
    let stack = Stack::start("doctor-no-singleton", &plugin);
    named(&["sync-missing", "table-missing"], || of(&stack));
}

#[test]
fn a_vm_that_died_is_named() {
    let folder = Folder::new("doctor-mortal");
    let module = Some(mortal_module(&folder));
    let stack = Stack::start("doctor-vm", &Plugin { module, ..Plugin::singleton(json!({})) });
    let key = stack.accepted_key("live");
    for connection in &mut stack.envoy.connection_to_each_worker() {
        connection.send(&deadly("/v1/agents")).expect("answer");
    }
    stack.wait_for_status(&key.key, 200);
    named(&["vm-reloaded"], || of(&stack));
}

#[test]
fn polls_that_something_cuts_are_named() {
    let (folder, upstream, control) = surroundings("doctor-cut");
    let balancer =
        Middlebox::start(control.port, (Cut::Answer504, Duration::from_millis(300)), Duration::ZERO);
    let upstreams = Upstreams { upstream: upstream.port, control: balancer.port };
    let envoy = Envoy::start("envoy", &folder, &Plugin::singleton(json!({})), upstreams);
    named(&["polls-cut"], || doctor(control.port, envoy.admin));
}

#[test]
fn the_table_of_another_control_plane_is_named() {
    let stack = Stack::start("doctor-other", &Plugin::singleton(json!({})));
    stack.accepted_key("live");
    let folder = Folder::new("doctor-other-control");
    let mut other = Control::prepare(&folder);
    other.start();
    named(&["other-database", "gateway-unknown", "no-gateway"], || doctor(other.port, stack.envoy.admin));
}

/// The gateway takes the empty table of a wrong database, and keeps it when the right one is back.
#[test]
fn a_gateway_that_keeps_the_table_of_another_database_is_named() {
    let mut stack = Stack::start("doctor-foreign", &Plugin::singleton(json!({})));
    let key = stack.accepted_key("live");
    let right = stack.control.database().with_extension("right");
    stack.control.stop();
    fs::rename(stack.control.database(), &right).expect("the right database");
    stack.control.replace_database();
    // Told so, it replaces the gateway's table, as a restarted Envoy would have it replaced.
    stack.control.start();
    stack.wait_for_status(&key.key, 401);
    named(&["table-empty"], || of(&stack));
    stack.control.stop();
    fs::rename(&right, stack.control.database()).expect("the right database");
    stack.control.init = false;
    stack.control.start();
    let found = named(&["other-database", "table-empty", "foreign-epochs"], || of(&stack));
    let other = found.iter().find(|finding| finding["rule"] == "other-database").expect("it is there");
    assert!(other["fix"].as_str().is_some_and(|fix| fix.contains("serve --init")), "{other}");
    stack.control.stop();
    stack.control.init = true;
    stack.control.start();
    stack.wait_for_status(&key.key, 200);
    eventually("nothing is left to say but what was", || match of(&stack) {
        (Some(0), found) if found.iter().all(|finding| finding["rule"] != "other-database") => Ok(()),
        other => Err(format!("{other:#?}")),
    });
}

#[test]
fn a_guard_whose_filter_is_gone_is_named() {
    let text = |text: String| {
        let (start, rest) = text.split_once("                  - name: flamegate\n").expect("the filter");
        let (_, end) =
            rest.split_once("                  - name: envoy.filters.http.router").expect("the router");
        format!("{start}                  - name: envoy.filters.http.router{end}")
    };
    let stack = Stack::start_changed("doctor-no-filter", &Plugin::singleton(json!({})), text);
    assert_eq!(stack.envoy.send(&Request::get("/v1/agents")).status, 403);
    let found = named(&["guard-without-filter"], || of(&stack));
    let untrue = ["no-flamegate", "table-missing", "guard-refused"];
    assert!(!found.iter().any(|finding| untrue.iter().any(|rule| finding["rule"] == **rule)), "{found:#?}");
}

#[test]
fn a_clock_that_is_wrong_is_named() {
    let (folder, upstream, control) = surroundings("doctor-clock");
    let (library, offset) = (folder.join("stepped_clock.so"), folder.join("offset"));
    let source = root().join("tests/e2e/src/stepped_clock.c");
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
    assert!(compiled.expect("cc: run `make setup`").success());
    fs::write(&offset, 3_600_i64.to_ne_bytes()).expect("offset");
    let path = |path: &Path| path.to_str().expect("path").to_owned();
    let (library, offset) = (path(&library), path(&offset));
    let environment = [("LD_PRELOAD", library.as_str()), ("STEPPED_CLOCK", offset.as_str())];
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    let plugin = Plugin::singleton(json!({}));
    let envoy =
        Envoy::start_in("envoy", &folder, &environment, |ports, log| render(&plugin, upstreams, ports, log));
    named(&["clock"], || doctor(control.port, envoy.admin));
}

/// What `envoy --mode validate` lets pass, and a start does not.
#[test]
fn a_broken_sync_part_passes_validation_and_not_the_checker() {
    let folder = Folder::new("check-config-sync");
    let broken = json!({"role": "sync", "sync": {"cluster": "", "page_sice": 1}});
    let plugin = Plugin { sync: Some(broken), ..Plugin::singleton(json!({})) };
    let validated = Envoy::validate(&folder, &plugin);
    assert!(
        validated.status.success(),
        "validation has learned it: say so in docs/CONFIGURATION.md. {validated:?}"
    );
    let file = folder.join("validate.yaml");
    let (code, found) =
        findings(&program(&["check-config", "--json"]).arg(&file).output().expect("the program"));
    let whats: Vec<_> = found.iter().filter_map(|finding| finding["what"].as_str()).collect();
    assert_eq!(code, Some(1), "{found:#?}");
    assert!(whats.iter().any(|what| what.starts_with("sync.cluster: ")), "{whats:#?}");
    assert!(whats.iter().any(|what| what.starts_with("sync.page_sice: ")), "{whats:#?}");
}

#[test]
fn the_recipe_with_open_routes_is_told_apart_on_the_running_envoy() {
    let (folder, upstream, control) = surroundings("doctor-recipe");
    let envoy = Envoy::start_with("envoy", &folder, |(port, admin), access_log| {
        let values = [
            ("ADMIN_PORT", admin.to_string()),
            ("GATEWAY_PORT", port.to_string()),
            ("WASM", root().join("dist/flamegate.wasm").display().to_string()),
            ("ACCESS_LOG", access_log.display().to_string()),
            ("UPSTREAM_PORT", upstream.port.to_string()),
            ("CONTROL_PORT", control.port.to_string()),
            ("WORKSPACE", "ws_1".to_owned()),
        ];
        fill_file("envoy/recipes/routes.yaml", &values)
    });
    let found = named(&["route-open"], || doctor(control.port, envoy.admin));
    let open: Vec<_> = found.iter().filter(|finding| finding["rule"] == "route-open").collect();
    assert!(
        open.len() == 1 && open[0]["what"].as_str().is_some_and(|what| what.contains("/open")),
        "{open:#?}"
    );
}

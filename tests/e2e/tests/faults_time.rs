//! The gateway's wall clock steps while it runs, forward and back: expiry follows it, and nothing else does.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use flamegate_e2e::{
    Control, Envoy, Plugin, Request,
    envoy::{Upstreams, render},
    process::{Folder, root},
    upstream::Upstream,
};
use serde_json::{Value, json};

const HOUR: i64 = 3_600;

#[test]
fn a_clock_that_steps_changes_what_has_expired_and_nothing_else() {
    let folder = Folder::new("clock-steps");
    let library = folder.join("stepped_clock.so");
    let source = root().join("tests/e2e/src/stepped_clock.c");
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
    assert!(compiled.expect("cc: run `make setup`").success());
    let offset = folder.join("offset");
    fs::write(&offset, 0i64.to_ne_bytes()).expect("offset");
    let step = |seconds: i64| {
        let file = fs::File::options().write(true).open(&offset).expect("offset");
        file.write_all_at(&seconds.to_ne_bytes(), 0).expect("offset");
    };
    let upstream = Upstream::start(&folder);
    let mut control = Control::prepare(&folder);
    control.start();
    control.create_workspace("e2e");
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    let environment =
        [("LD_PRELOAD", library.to_str().expect("path")), ("STEPPED_CLOCK", offset.to_str().expect("path"))];
    let plugin = Plugin::singleton(json!({"max_staleness_seconds": 60}));
    let envoy =
        Envoy::start_in("envoy", &folder, &environment, |ports, log| render(&plugin, upstreams, ports, log));
    let limits: Value = json!([{"requests": 1_000_000, "window_seconds": 60}]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let make = |expires_at: Value| {
        control.create_key("e2e", "live", json!({"limits": limits, "expires_at": expires_at}))
    };
    let (lasting, mortal) = (make(Value::Null), make(json!(now + 3_600)));
    let wait_for = |key: &str, status: u16| {
        envoy.wait_for(&Request::get("/v1/agents").bearer(key), status);
    };
    wait_for(&mortal.key, 200);
    wait_for(&lasting.key, 200);
    // Two hours ahead: what expires in one has expired. The table looks old until the next poll is answered, and no longer.
    step(2 * HOUR);
    wait_for(&mortal.key, 401);
    wait_for(&lasting.key, 200);
    // A year back: it has not expired yet, the sync goes on, and a table from the future is as good as any.
    step(-365 * 24 * HOUR);
    wait_for(&mortal.key, 200);
    wait_for(&lasting.key, 200);
    control.revoke(&lasting.id, "0s");
    wait_for(&lasting.key, 401);
    // And right again.
    step(0);
    wait_for(&mortal.key, 200);
    wait_for(&make(Value::Null).key, 200);
}

//! A cache behind Flamegate sees no credential, so an answer that was made for one workspace would be given to another. With the
//! recipe `cache` it is not. What we answer ourselves is kept by nobody.

use std::process::Command;

use flamegate_e2e::{
    Control, Envoy, Plugin, Request, Stack,
    control::NewKey,
    envoy::fill_file,
    eventually,
    process::{Folder, root},
    scripted::{Arrived, Scripted, answer},
};
use serde_json::json;

struct Bench {
    envoy: Envoy,
    upstream: Scripted,
    control: Control,
    a: NewKey,
    /// Another key of the same workspace.
    also_a: NewKey,
    b: NewKey,
    _folder: Folder,
}

/// An upstream that tells each workspace its own name and calls that fresh for a minute.
fn workspace(arrived: &Arrived) -> String {
    let control = if arrived.target.contains("public") { "public, max-age=60" } else { "max-age=60" };
    let now = Command::new("date").env("LC_ALL", "C").args(["-u", "+%a, %d %b %Y %H:%M:%S GMT"]).output();
    let now = String::from_utf8(now.expect("date").stdout).expect("text");
    let headers = [format!("cache-control: {control}"), format!("date: {}", now.trim())];
    let own = if arrived.target.contains("varies") { "vary: x-other" } else { "x-other: none" };
    answer("200 OK", &[&headers[0], &headers[1], own], &arrived.all("x-flametalk-workspace-id").join(","))
}

impl Bench {
    fn start(name: &str, change: impl FnOnce(String) -> String) -> Self {
        let folder = Folder::new(name);
        let upstream = Scripted::start(workspace);
        let mut control = Control::prepare(&folder);
        control.start();
        control.create_workspace("e2e");
        control.create_workspace("other");
        let key = |workspace: &str| control.create_key(workspace, "live", json!({"limits": []}));
        let [a, also_a, b] = ["e2e", "e2e", "other"].map(key);
        let envoy = Envoy::start_with("envoy", &folder, |(port, admin), _| {
            let values = [
                ("ADMIN_PORT", admin.to_string()),
                ("GATEWAY_PORT", port.to_string()),
                ("WASM", root().join("dist/flamegate.wasm").display().to_string()),
                ("UPSTREAM_PORT", upstream.port.to_string()),
                ("CONTROL_PORT", control.port.to_string()),
            ];
            change(fill_file("envoy/recipes/cache.yaml", &values))
        });
        let bench = Self { envoy, upstream, control, a, also_a, b, _folder: folder };
        for key in [&bench.a, &bench.also_a, &bench.b] {
            let request = Request::get("/known").bearer(&key.key);
            for connection in &mut bench.envoy.connection_to_each_worker() {
                eventually("the gateway knows the key", || {
                    connection.send(&request).map_err(|error| error.to_string())?.expect_status(200)
                });
            }
        }
        bench.upstream.take();
        bench
    }

    /// Whose answer the key gets.
    fn ask(&self, path: &str, key: &NewKey) -> String {
        let answer = self.envoy.send(&Request::get(path).bearer(&key.key));
        assert_eq!(answer.status, 200, "{path}");
        answer.text()
    }

    /// Asks until the cache answers, which stores in the background.
    fn fill(&self, path: &str, key: &NewKey) {
        eventually("the answer is kept", || {
            self.upstream.take();
            assert_eq!(self.ask(path, key), key.workspace);
            if self.upstream.take().is_empty() { Ok(()) } else { Err("the upstream was asked".to_owned()) }
        });
    }
}

#[test]
fn without_the_workspace_in_its_key_the_cache_mixes_workspaces() {
    let bench = Bench::start("cache-unsafe", |text| {
        let own = "or \"\"\n";
        assert!(text.contains(own), "the recipe's key");
        text.replace(own, "and \"\"\n")
    });
    bench.fill("/v1/catalog", &bench.a);
    assert_eq!(bench.ask("/v1/catalog", &bench.b), bench.a.workspace, "the hole that the recipe closes");
}

#[test]
fn each_workspace_gets_its_own() {
    let bench = Bench::start("cache", |text| text);
    for path in ["/v1/catalog", "/v1/catalog?public=%20c+d%2f&x=:", "/v1/catalog/public"] {
        bench.fill(path, &bench.a);
        assert_eq!(bench.ask(path, &bench.b), bench.b.workspace, "{path}");
        bench.fill(path, &bench.b);
        for key in [&bench.a, &bench.also_a, &bench.b] {
            assert_eq!(bench.ask(path, key), key.workspace, "{path}");
        }
        assert!(bench.upstream.take().is_empty(), "both are kept, for all keys of a workspace: {path}");
        // A client that names another workspace, in a header or before the host, gets its own all the same.
        let a = &bench.a.workspace;
        for (name, value) in [
            ("x-flametalk-workspace-id", a.clone()),
            ("host", format!("{a}:gateway.test")),
            ("host", format!(":{a}:gateway.test")),
        ] {
            let forged = Request::get(path).bearer(&bench.b.key).header(name, &value);
            let answer = bench.envoy.send(&forged);
            assert!(
                answer.status == 400 || answer.text() == bench.b.workspace,
                "{name}: {value}: {answer:?}"
            );
        }
        // Nothing is left of the key where the upstream could see it.
        for arrived in bench.upstream.take() {
            assert_eq!(arrived.target, path);
        }
        assert_eq!(bench.envoy.send(&Request::get(path)).status, 401);
        // A cache in front of it is told that it is nobody else's.
        let control =
            bench.envoy.send(&Request::get(path).bearer(&bench.a.key)).all("cache-control").join(", ");
        assert!(control.split(',').any(|word| word.trim() == "private"), "{control}");
    }
    bench.upstream.take();
    assert_eq!(bench.ask("/v1/hosts", &bench.a), bench.a.workspace);
    assert_eq!(bench.upstream.take()[0].all("host"), ["gateway.test"]);
    // What varies is kept by nobody; it is never anybody else's.
    for key in [&bench.a, &bench.b, &bench.a, &bench.a] {
        assert_eq!(bench.ask("/v1/catalog/varies", key), key.workspace);
    }

    // The cache answers nobody whose key is gone.
    bench.control.revoke(&bench.a.id, "10s");
    assert_eq!(bench.envoy.send(&Request::get("/v1/catalog").bearer(&bench.a.key)).status, 401);
}

#[test]
fn what_we_answer_ourselves_is_kept_by_nobody() {
    // As somebody would who wants a cache in front to keep everything.
    let stack = Stack::start_changed("cache-refusals", &Plugin::singleton(json!({})), |text| {
        // On all routes: what is refused is answered on the guard's.
        let routes = "                      matcher:\n";
        let header =
            "response_headers_to_add: [{ header: { key: cache-control, value: \"public, max-age=60\" } }]";
        assert!(text.contains(routes));
        text.replace(routes, &format!("                      {header}\n{routes}"))
    });
    let once = json!({"limits": [{"requests": 1, "window_seconds": 3600, "burst": 1}]});
    let limited = stack.control.create_key("e2e", "live", once);
    let key = stack.accepted_key("live");
    let limited = Request::get("/v1/agents").bearer(&limited.key);
    assert_eq!(stack.envoy.send(&limited).status, 200);
    let kept = |request: &Request, status| {
        let answer = stack.envoy.send(request);
        assert_eq!(answer.status, status);
        answer.all("cache-control").join(", ")
    };
    assert_eq!(kept(&Request::get("/v1/agents").bearer(&key.key), 200), "public, max-age=60");
    for (request, status) in [
        (Request::get("/v1/agents"), 401),
        (Request::get("/v1/agents").bearer("sk_live_nobody"), 401),
        (limited, 429),
    ] {
        let control = kept(&request, status);
        assert!(control.split(',').any(|word| word.trim() == "no-store"), "{status}: {control:?}");
    }
}

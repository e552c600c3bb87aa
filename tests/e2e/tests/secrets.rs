//! After everything that can be done with keys, no key's plaintext and no token stands anywhere it could be read later.

use std::{fs, path::Path};

use flamegate_e2e::{
    Plugin, Protocol, Request, Stack,
    control::{ADMIN_TOKEN, NewKey},
    envoy::SYNC_TOKEN,
    eventually,
};
use serde_json::json;

/// Every page of Envoy's admin interface that shows state.
const ADMIN_PAGES: [&str; 11] = [
    "/config_dump?include_eds",
    "/stats",
    "/stats/prometheus",
    "/clusters?format=json",
    "/clusters",
    "/listeners?format=json",
    "/server_info",
    "/init_dump",
    "/certs",
    "/memory",
    "/runtime",
];

/// A key that no control plane ever made: clients send such things too.
const FOREIGN: &str = "sk_live_thisKeyOfAnotherProductMustNotBeLogged";

#[test]
fn no_plaintext_anywhere() {
    let mut stack = Stack::start("secrets", &Plugin::singleton(json!({})));
    let keys = use_keys(&stack);
    let mut secrets: Vec<(&str, &str)> = keys.iter().map(|key| ("key", key.key.as_str())).collect();
    secrets.extend([("foreign key", FOREIGN), ("admin token", ADMIN_TOKEN), ("sync token", SYNC_TOKEN)]);

    let pages = ADMIN_PAGES.map(|page| (page.to_owned(), stack.envoy.admin(page).body));
    let metrics = Request::get("/metrics").bearer(ADMIN_TOKEN).send(Protocol::Http1, stack.control.port);
    let listing = ["/v1/api-keys", "/v1/workspaces", "/v1/gateways", "/openapi.json"]
        .map(|path| (path.to_owned(), stack.control.call("GET", path, None).body));
    let mut places: Vec<(String, Vec<u8>)> = pages.into_iter().chain(listing).collect();
    places.push(("/metrics of the control plane".to_owned(), metrics.expect("/metrics").body));
    places.push(("log of the upstream".to_owned(), stack.upstream.log().into_bytes()));
    stack.control.stop(); // Writes out what it still has.
    places.extend(files(&stack.folder));

    for file in ["envoy.log", "envoy-access.log", "control-plane.log", "flamegate.db"] {
        let found =
            places.iter().find(|(name, _)| name.ends_with(file)).unwrap_or_else(|| panic!("no {file}"));
        assert!(
            !found.1.is_empty() || file.ends_with(".log"),
            "{file} is empty: the test looks in the wrong place"
        );
    }
    for (place, bytes) in &places {
        for (what, secret) in &secrets {
            // Also what is left of a key behind its prefix.
            for needle in [*secret, secret.trim_start_matches("sk_live_").trim_start_matches("sk_test_")] {
                assert!(!contains(bytes, needle.as_bytes()), "{place} shows the {what}");
            }
        }
    }
}

/// Makes keys in every way and uses them in every way, right and wrong.
fn use_keys(stack: &Stack) -> Vec<NewKey> {
    let (live, test) = (stack.accepted_key("live"), stack.accepted_key("test"));
    let limit = json!({"limits": [{"requests": 1, "window_seconds": 3600, "burst": 1}]});
    let limited = stack.control.create_key("e2e", "live", limit);
    stack.wait_for_status(&limited.key, 429);
    let rotated = stack.control.rotate(&test.id, 3600);
    stack.wait_for_status(&rotated.key, 200);
    for key in [&live.key, &test.key, &limited.key, &rotated.key, FOREIGN] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            misuse(stack, key, protocol);
        }
    }
    stack.control.revoke(&live.id, "30s");
    stack.wait_for_status(&live.key, 401);
    // The wrong token, in the wrong place: what a person with two secrets does.
    for path in ["/v1/api-keys", "/sync/v1/changes"] {
        let answer =
            Request::get(path).bearer(&live.key).send(Protocol::Http1, stack.control.port).expect("answer");
        assert_eq!(answer.status, 401, "{path}");
    }
    let logged = eventually("the access log is written", || match stack.envoy.access_lines().len() {
        0..50 => Err("too short".to_owned()),
        lines => Ok(lines),
    });
    assert!(logged >= 50);
    vec![live, test, limited, rotated]
}

/// A key where it belongs, and everywhere else that a client may put it.
fn misuse(stack: &Stack, key: &str, protocol: Protocol) {
    let get = || Request::get("/v1/agents");
    let requests = [
        get().bearer(key),
        get().header("authorization", key),
        get().header("authorization", format!("Bearer {key}, Bearer {key}")),
        get().header("authorization", [b"Bearer ", key.as_bytes(), b"\xff"].concat()),
        get().header("x-api-key", key),
        get().header("cookie", format!("key={key}")),
        Request::get(&format!("/v1/agents?api_key={key}")),
        Request::get(&format!("/v1/agents?api_key={key}")).bearer(key),
        Request::get(&format!("/healthz?api_key={key}")),
        Request::get("/healthz").bearer(key),
    ];
    for request in requests {
        let answer = stack.envoy.send_by(protocol, &request);
        assert!([200, 401, 429].contains(&answer.status), "{}", answer.status);
    }
}

/// Every file of the stack: logs, the database with its journal, rendered configuration.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
    entries.map(|path| (path.display().to_string(), fs::read(&path).expect("file"))).collect()
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|window| window == needle)
}

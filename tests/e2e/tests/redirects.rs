//! Internal redirects: Envoy follows an upstream's `Location` itself, and the request comes through the filters again without
//! its `authorization`. ADR 0021.

use std::sync::{Mutex, mpsc};

use flamegate_e2e::{
    Control, Envoy, Plugin, Protocol, Request,
    control::NewKey,
    envoy::{Upstreams, render},
    eventually,
    process::Folder,
    scripted::{Arrived, Scripted, answer},
    stack::surroundings,
    upstream::Upstream,
};
use serde_json::{Value, json};

const IDENTITY: [&str; 3] = ["x-flametalk-workspace-id", "x-flametalk-key-id", "x-flametalk-environment"];

/// An Envoy that follows redirects, its upstream, and another one for requests to `other.test`.
struct Bench {
    envoy: Envoy,
    upstream: Scripted,
    other: Scripted,
    control: Control,
    _echo: Upstream,
    _folder: Folder,
}

/// `/SOMETHING?302=LOCATION` is answered with 302 and that location, everything else with 200.
fn follow(arrived: &Arrived) -> String {
    let redirect = arrived.target.split_once('?').and_then(|(_, query)| query.split_once('='));
    match redirect {
        Some((status, location)) => {
            // Envoy follows whole URLs only.
            let host = if location.starts_with('/') { "http://gateway.test" } else { "" };
            answer(&format!("{status} Redirect"), &[&format!("location: {host}{location}")], "")
        }
        None => answer("200 OK", &[], "arrived"),
    }
}

impl Bench {
    fn start(name: &str, filter: Value) -> Self {
        Self::start_with(name, filter, Scripted::start(follow))
    }

    fn start_with(name: &str, filter: Value, upstream: Scripted) -> Self {
        Self::start_changed(name, filter, upstream, |text| text)
    }

    fn start_changed(
        name: &str,
        filter: Value,
        upstream: Scripted,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let (folder, echo, control) = surroundings(name);
        let other = Scripted::start(follow);
        let upstreams = Upstreams { upstream: upstream.port, control: control.port };
        let plugin = Plugin::singleton(filter);
        let envoy = Envoy::start_with("envoy", &folder, |ports, log| {
            change(following(&render(&plugin, upstreams, ports, log), other.port))
        });
        Self { envoy, upstream, other, control, _echo: echo, _folder: folder }
    }

    /// A key with these limits; the gateway knows it once it knows one that is made later.
    fn key(&self, limits: Value) -> NewKey {
        self.control.create_key("e2e", "live", json!({"limits": limits}))
    }

    /// A key that every worker knows.
    fn good_key(&self) -> NewKey {
        let key = self.key(json!([{"requests": 1_000_000, "window_seconds": 60}]));
        for connection in &mut self.envoy.connection_to_each_worker() {
            eventually("the gateway knows the key", || {
                let answer = connection.send(&Request::get("/v1/agents").bearer(&key.key));
                answer.map_err(|error| error.to_string())?.expect_status(200)
            });
        }
        self.upstream.take();
        key
    }
}

/// `envoy.yaml` with redirects that are followed, and a host of its own for another cluster.
fn following(text: &str, other: u16) -> String {
    let policy = "internal_redirect_policy: { max_internal_redirects: 2, redirect_response_codes: [302, 303, 307, 308] }";
    let own = "route: { cluster: upstream, timeout: 0s }";
    assert!(text.contains(own), "no route to change");
    let text = text
        .replace(own, &format!("route: {{ cluster: upstream, timeout: 0s, {policy} }}"))
        .replace("priority: HIGH }", &format!("priority: HIGH, {policy} }}"));
    let host = "                  virtual_hosts:\n";
    let text = text.replace(
        host,
        &format!("{host}                    - {{ name: other, domains: [\"other.test\"], routes: [{{ match: {{ prefix: / }}, route: {{ cluster: other }} }}] }}\n"),
    );
    let endpoint = format!("{{ socket_address: {{ address: 127.0.0.1, port_value: {other} }} }}");
    let assignment = format!(
        "{{ cluster_name: other, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {endpoint} }} }}] }}] }}"
    );
    text.replace(
        "  clusters:\n",
        &format!("  clusters:\n    - {{ name: other, type: STATIC, load_assignment: {assignment} }}\n"),
    )
}

/// The identity of the key, each header once, and no credential.
fn assert_identity(arrived: &Arrived, key: Option<&NewKey>) {
    let wanted =
        key.map_or(vec![vec![]; 3], |key| vec![vec![key.workspace.as_str()], vec![&key.id], vec!["live"]]);
    assert_eq!(IDENTITY.map(|name| arrived.all(name)).to_vec(), wanted, "{arrived:?}");
    assert!(arrived.all("authorization").is_empty(), "{arrived:?}");
    assert!(!arrived.headers.iter().any(|(_, value)| value.contains("sk_live_")), "{arrived:?}");
}

fn on() -> Value {
    json!({"internal_redirects": true})
}

#[test]
fn a_good_key_is_good_on_the_second_pass_and_the_third() {
    let bench = Bench::start("redirects", on());
    let key = bench.good_key();
    for (method, target, seen) in [
        ("GET", "/v1/a?302=/v1/b", &[("GET", "/v1/b")][..]),
        ("GET", "/v1/a?302=/v1/b?302=/v1/c", &[("GET", "/v1/b?302=/v1/c"), ("GET", "/v1/c")]),
        ("POST", "/v1/a?307=/v1/b", &[("POST", "/v1/b")]),
        ("POST", "/v1/a?303=/v1/b", &[("GET", "/v1/b")]),
    ] {
        let mut request = Request::new(method, target).bearer(&key.key);
        // What a client sends under our names does not come with the redirect either.
        request = request.header("x-flametalk-key-id", "forged").header("x_flametalk_role", "forged");
        if method == "POST" {
            request = request.body("the body");
        }
        let answer = bench.envoy.send(&request);
        assert_eq!((answer.status, answer.text().as_str()), (200, "arrived"), "{method} {target}");
        let arrived = bench.upstream.take();
        let lines: Vec<_> = arrived.iter().map(|a| (a.method.as_str(), a.target.as_str())).collect();
        assert_eq!(lines, [&[(method, target)][..], seen].concat());
        for request in &arrived {
            assert_identity(request, Some(&key));
            assert!(request.all("x_flametalk_role").is_empty());
            assert_eq!(request.body, if request.method == "POST" { "the body" } else { "" }.as_bytes());
        }
    }
    let counted = eventually("the passes are counted", || {
        let metrics = bench.envoy.metrics();
        let counted = metrics.requests("permitted", "redirected");
        if counted >= 5 { Ok(counted) } else { Err(counted.to_string()) }
    });
    assert_eq!(counted, 5);
}

#[test]
fn a_redirect_to_another_host_brings_the_identity_there() {
    let bench = Bench::start("redirects-host", on());
    let key = bench.good_key();
    let request = Request::get("/v1/a?302=http://other.test/v1/b").bearer(&key.key);
    assert_eq!(bench.envoy.send(&request).status, 200);
    let arrived = bench.other.take();
    assert_eq!(arrived.len(), 1, "{arrived:?}");
    assert_eq!((arrived[0].target.as_str(), arrived[0].all("host")), ("/v1/b", vec!["other.test"]));
    assert_identity(&arrived[0], Some(&key));
}

#[test]
fn a_limit_is_taken_once() {
    let bench = Bench::start("redirects-limit", on());
    let key = bench.key(json!([{"requests": 1, "window_seconds": 3600, "burst": 1}]));
    bench.good_key();
    let request = Request::get("/v1/a?302=/v1/b").bearer(&key.key);
    let first = bench.envoy.send(&request);
    assert_eq!((first.status, first.text().as_str()), (200, "arrived"));
    assert_eq!(bench.envoy.send(&request).status, 429);
}

#[test]
fn what_needs_no_key_brings_none_to_a_path_that_needs_one() {
    let bench = Bench::start("redirects-bypass", on());
    let key = bench.good_key();
    for request in [
        Request::get("/public/a?302=/v1/agents"),
        // A path that needs no key does not look at one.
        Request::get("/public/a?302=/v1/agents").bearer(&key.key),
        Request::get("/public/a?302=http://other.test/v1/agents"),
    ] {
        let answer = bench.envoy.send(&request);
        assert_eq!((answer.status, answer.code().as_deref()), (401, Some("UNAUTHORIZED")));
        let arrived = bench.upstream.take();
        assert_eq!(arrived.len(), 1, "{arrived:?}");
        assert_identity(&arrived[0], None);
    }
    assert!(bench.other.take().is_empty());

    // The other way the second pass needs no key, and has no identity.
    assert_eq!(bench.envoy.send(&Request::get("/v1/a?302=/healthz").bearer(&key.key)).status, 200);
    let arrived = bench.upstream.take();
    assert_identity(&arrived[0], Some(&key));
    assert_identity(&arrived[1], None);
    // There and back: the note is of the request, not of a pass.
    let request = Request::get("/v1/a?302=/public/b?302=/v1/c").bearer(&key.key);
    assert_eq!(bench.envoy.send(&request).status, 200);
    let arrived = bench.upstream.take();
    assert_eq!(arrived.len(), 3);
    for (request, key) in arrived.iter().zip([Some(&key), None, Some(&key)]) {
        assert_identity(request, key);
    }
}

#[test]
fn a_client_that_claims_to_be_redirected_gains_nothing() {
    assert_claims_are_worthless(&Bench::start("redirects-claim", on()), "missing");
}

/// Envoy removes the header of other clients.
#[test]
fn an_internal_client_that_claims_to_be_redirected_gains_nothing_either() {
    let bench = Bench::start_changed("redirects-internal", on(), Scripted::start(follow), |text| {
        with_internal_clients(&text)
    });
    assert_claims_are_worthless(&bench, "redirected");
}

fn with_internal_clients(text: &str) -> String {
    let internal = "internal_address_config: { cidr_ranges: [{ address_prefix: 127.0.0.0, prefix_len: 8 }] }";
    let own = "                use_remote_address: true\n";
    assert!(text.contains(own));
    text.replace(own, &format!("{own}                {internal}\n"))
}

/// A second Flamegate behind the first, in a VM of its own.
fn twice(text: &str) -> String {
    let (begin, end) =
        ("                  - name: flamegate\n", "                  - name: envoy.filters.http.router");
    let first = &text[text.find(begin).expect("the filter")..text.find(end).expect("the router")];
    let value = "{ \"@type\": type.googleapis.com/google.protobuf.StringValue, value: second }";
    let vm = "                          vm_id: flamegate\n";
    let second = first.replace(vm, &format!("{vm}                          configuration: {value}\n"));
    assert_ne!(first, second);
    text.replace(first, &format!("{first}{second}"))
}

/// Both take the key's limit. The note that the first one leaves is no redirect to the second.
#[test]
fn two_filters_in_one_chain_each_take_the_limit_whatever_a_client_claims() {
    let filter = json!({"internal_redirects": true, "forward_authorization": true});
    let bench = Bench::start_changed("redirects-twice", filter, Scripted::start(follow), |text| {
        twice(&with_internal_clients(&text))
    });
    let two = json!([{"requests": 2, "window_seconds": 3600, "burst": 2}]);
    let keys = [(); 3].map(|()| bench.key(two.clone()));
    bench.good_key();
    let statuses = |request: Request| [(); 2].map(|()| bench.envoy.send(&request).status);
    let [plain, claiming, redirected] = keys.map(|key| Request::get("/v1/b").bearer(&key.key));
    assert_eq!(statuses(plain), [200, 429]);
    assert_eq!(statuses(claiming.header("x-envoy-original-url", "http://gateway.test/v1/a")), [200, 429]);
    assert_eq!(statuses(Request { path: "/v1/a?302=/v1/b".to_owned(), ..redirected }), [200, 429]);
}

fn assert_claims_are_worthless(bench: &Bench, reason: &str) {
    let once = bench.key(json!([{"requests": 1, "window_seconds": 3600, "burst": 1}]));
    let key = bench.good_key();
    let claim = |request: Request| {
        request
            .header("x-envoy-original-url", "http://gateway.test/v1/a")
            .header("x-envoy-internal", "true")
            .header("num_internal_redirects", "1")
            .header("wasm.flamegate.admitted", "1")
    };
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let answer = bench.envoy.send_by(protocol, &claim(Request::get("/v1/agents")));
        assert_eq!((answer.status, answer.code().as_deref()), (401, Some("UNAUTHORIZED")));
    }
    // A request before it on the same connection leaves nothing, redirected or not.
    let mut connection = bench.envoy.connection_to_each_worker().remove(0);
    for target in ["/v1/a", "/v1/a?302=/v1/b"] {
        let mut send = |request: &Request| connection.send(request).expect("an answer").status;
        assert_eq!(send(&Request::get(target).bearer(&key.key)), 200);
        assert_eq!(send(&claim(Request::get("/v1/agents"))), 401);
    }
    // With a key it is a request like any other, and pays for itself.
    let request = claim(Request::get("/v1/agents").bearer(&once.key));
    assert_eq!(bench.envoy.send(&request).status, 200);
    assert_eq!(bench.envoy.send(&request).status, 429);
    let refused = claim(Request::get("/v1/a?302=/v1/b").bearer("sk_live_nobody"));
    assert_eq!(bench.envoy.send(&refused).code().as_deref(), Some("INVALID_API_KEY"));
    eventually("the claims are counted", || {
        let metrics = bench.envoy.metrics();
        let counted = ["missing", "redirected"].map(|reason| metrics.requests("unauthorized", reason));
        let wanted = if reason == "missing" { [4, 0] } else { [0, 4] };
        if counted == wanted { Ok(()) } else { Err(format!("{counted:?}, not {wanted:?}")) }
    });
}

#[test]
fn a_key_that_was_revoked_meanwhile_is_refused() {
    let (arrived, arrives) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (arrived, released) = (Mutex::new(arrived), Mutex::new(released));
    let upstream = Scripted::start(move |request| {
        if request.target.starts_with("/held") {
            arrived.lock().expect("arrived").send(()).expect("the test");
            released.lock().expect("released").recv().expect("the test");
        }
        follow(request)
    });
    // With `end_streams` the first pass would be ended already.
    let filter = json!({"internal_redirects": true, "end_streams": false});
    let bench = Bench::start_with("redirects-revoked", filter, upstream);
    let key = bench.good_key();
    let port = bench.envoy.port;
    let request = Request::get("/held?302=/v1/b").bearer(&key.key);
    let client = std::thread::spawn(move || request.send(Protocol::Http1, port).expect("an answer"));
    arrives.recv_timeout(flamegate_e2e::DEADLINE).expect("the first pass");
    bench.control.revoke(&key.id, "10s");
    release.send(()).expect("the upstream");
    let answer = client.join().expect("the client");
    assert_eq!((answer.status, answer.code().as_deref()), (401, Some("INVALID_API_KEY")));
    assert_eq!(bench.upstream.take().len(), 1, "the second pass went nowhere");
}

#[test]
fn with_forwarded_credentials_the_limit_is_taken_once_too() {
    let filter = json!({"internal_redirects": true, "forward_authorization": true});
    let bench = Bench::start("redirects-forward", filter);
    let key = bench.key(json!([{"requests": 1, "window_seconds": 3600, "burst": 1}]));
    bench.good_key();
    let request = Request::get("/v1/a?302=/v1/b").bearer(&key.key);
    assert_eq!(bench.envoy.send(&request).status, 200);
    assert_eq!(bench.envoy.send(&request).status, 429);
}

#[test]
fn without_the_option_the_second_pass_is_refused_in_words() {
    let bench = Bench::start("redirects-off", json!({}));
    let key = bench.good_key();
    let answer = bench.envoy.send(&Request::get("/v1/a?302=/v1/b").bearer(&key.key));
    assert_eq!((answer.status, answer.code().as_deref()), (401, Some("UNAUTHORIZED")));
    assert_eq!(bench.upstream.take().len(), 1);
    eventually("the reason is counted", || {
        let counted = bench.envoy.metrics().requests("unauthorized", "redirected");
        if counted > 0 { Ok(()) } else { Err(counted.to_string()) }
    });
}

//! TLS of the control plane's own: certificates that are replaced, gateways that have to show one, strangers at the handshake, and
//! what clients are told.

mod authority;
#[path = "../common/mod.rs"]
mod common;
mod words;

use std::time::{Duration, SystemTime};

use authority::{Authority, DAY, Files, Pair};
use common::gateway::Gateway;
use common::{ADMIN, Answer, Control, PATIENCE, SYNC};
use flamegate_control::config::tls::TlsFiles;
use reqwest::{Certificate, Identity, Method};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A control plane that speaks TLS.
struct Secure {
    control: Control,
    files: Files,
}

impl Secure {
    async fn start(pair: &Pair, client_ca: Option<&Authority>) -> Self {
        Self::tuned(pair, client_ca, |_| {}).await
    }

    async fn tuned(
        pair: &Pair,
        client_ca: Option<&Authority>,
        change: impl FnOnce(&mut flamegate_control::config::Config),
    ) -> Self {
        let files = Files::with(pair);
        if let Some(authority) = client_ca {
            files.write("clients.pem", &authority.pem());
        }
        let control = Control::tuned(|config| {
            config.tls = Some(TlsFiles {
                certificate: files.text("cert.pem"),
                key: files.text("key.pem"),
                client_ca: client_ca.map(|_| files.text("clients.pem")),
            });
            config.pages.own_tls = true;
            config.tls_look = Duration::from_millis(20);
            change(config);
        })
        .await;
        Self { control, files }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.control.server.address)
    }

    /// The value of a metric without labels.
    async fn metric(&self, name: &str) -> Option<String> {
        let text = self.control.server.app.metrics_text().await.unwrap();
        let text = String::from_utf8(text).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map(str::to_owned)
    }

    async fn wait_for_metric(&self, name: &str, expected: &str) {
        let reached = async {
            while self.metric(name).await.as_deref() != Some(expected) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reached = timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "{name} is {:?}, not {expected}", self.metric(name).await);
    }
}

/// A client that knows this authority, and perhaps has a certificate. Each has connections of its own.
fn client(authority: &Authority, own: Option<&Pair>) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let known = Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let mut builder = reqwest::Client::builder().no_proxy().timeout(PATIENCE).tls_certs_only([known]);
    builder = builder.redirect(reqwest::redirect::Policy::none());
    if let Some(own) = own {
        builder = builder
            .identity(Identity::from_pem(format!("{}{}", own.certificate, own.key).as_bytes()).unwrap());
    }
    builder.build().unwrap()
}

/// Whether a client that knows only this authority gets an answer on a new connection.
async fn is_reached(secure: &Secure, authority: &Authority) -> bool {
    client(authority, None).get(secure.url("/healthz")).send().await.is_ok()
}

const EXPIRY: &str = "flamegate_control_tls_certificate_expiry_timestamp_seconds";
const REFUSED: &str = "flamegate_control_tls_files_refused";

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_without_a_restart_and_a_broken_one_changes_nothing() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (first, second) = (old.server(), new.pair("127.0.0.1", SystemTime::now() + 3 * DAY));
    let secure = Secure::start(&first, None).await;
    assert_eq!(secure.metric(EXPIRY).await, Some(first.until.to_string()));
    assert_eq!(secure.metric(REFUSED).await.as_deref(), Some("0"));
    let before = client(&old, None);
    let answer = before.get(secure.url("/healthz")).send().await.unwrap();
    assert!(!answer.headers().contains_key("connection"));
    answer.bytes().await.unwrap();
    secure.files.replace(&second);
    secure.wait_for_metric(EXPIRY, &second.until.to_string()).await;
    assert!(is_reached(&secure, &new).await && !is_reached(&secure, &old).await);
    // A connection from before is told to go, so that nobody stays with what was taken out.
    let answer = before.get(secure.url("/healthz")).send().await.unwrap();
    assert_eq!(answer.headers()["connection"], "close");

    let expired = new.pair("127.0.0.1", SystemTime::now() - DAY);
    for (what, broken) in [
        ("another's key", Pair { key: old.server().key, ..new.server() }),
        ("expired", expired),
        ("half written", Pair { certificate: second.certificate[..100].to_owned(), ..new.server() }),
    ] {
        secure.files.replace(&broken);
        secure.wait_for_metric(REFUSED, "1").await;
        assert!(is_reached(&secure, &new).await, "{what}");
        assert_eq!(secure.metric(EXPIRY).await, Some(second.until.to_string()), "{what}");
        secure.files.replace(&second);
        secure.wait_for_metric(REFUSED, "0").await;
    }
    std::fs::remove_file(secure.files.path("key.pem")).unwrap();
    secure.wait_for_metric(REFUSED, "1").await;
    secure.files.replace(&first);
    secure.wait_for_metric(EXPIRY, &first.until.to_string()).await;
    assert_eq!(secure.metric(REFUSED).await.as_deref(), Some("0"));
    assert!(is_reached(&secure, &old).await);
}

/// The status of a poll.
async fn poll(http: &reqwest::Client, secure: &Secure) -> Result<u16, reqwest::Error> {
    let request = http.get(secure.url("/sync/v1/changes?gateway=gw")).bearer_auth(SYNC);
    request.send().await.map(|answer| answer.status().as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_have_to_show_a_certificate_and_nobody_else_has_to() {
    let (servers, gateways, others) =
        (Authority::new("servers"), Authority::new("gateways"), Authority::new("others"));
    let secure = Secure::start(&servers.server(), Some(&gateways)).await;
    let nobody = client(&servers, None);
    let admin = |method, path: &str| nobody.request(method, secure.url(path)).bearer_auth(ADMIN);
    Answer::of(admin(Method::GET, "/healthz")).await.expect(200);
    Answer::of(admin(Method::POST, "/v1/workspaces").json(&json!({"name": "Demo"}))).await.expect(201);
    assert_eq!(nobody.get(secure.url("/sign-in")).send().await.unwrap().status(), 200);
    // Neither polls nor posts, with a good token, a wrong one or none.
    for (method, path) in [(Method::GET, "/sync/v1/changes?gateway=gw"), (Method::POST, "/sync/v1/usage")] {
        for token in [SYNC, "a-token-that-nobody-knows", ""] {
            let request = nobody.request(method.clone(), secure.url(path)).bearer_auth(token);
            Answer::of(request).await.refused(403, "CERTIFICATE_REQUIRED");
        }
    }
    assert_eq!(
        secure.metric("flamegate_control_refused_tokens_total{kind=\"sync_certificate\"}").await.as_deref(),
        Some("6")
    );

    let good = gateways.pair("eu-1", SystemTime::now() + DAY);
    let gateway = client(&servers, Some(&good));
    Gateway::at(gateway.clone(), secure.url(""), "gw").poll().await.unwrap();
    let strange = client(&servers, Some(&others.pair("eu-1", SystemTime::now() + DAY)));
    let expired = client(&servers, Some(&gateways.pair("eu-1", SystemTime::now() - DAY)));
    assert!(poll(&strange, &secure).await.is_err() && poll(&expired, &secure).await.is_err());
    secure
        .wait_for_metric("flamegate_control_tls_handshakes_failed_total{reason=\"certificate\"}", "2")
        .await;

    // The authority is replaced: who has a certificate of the old one is told to go, and does not come in again.
    secure.files.write("clients.pem", &others.pem());
    let replaced = async { while poll(&strange, &secure).await.ok() != Some(200) {} };
    timeout(PATIENCE, replaced).await.expect("the new authority counts");
    let gone = async { while poll(&gateway, &secure).await.is_ok() {} };
    timeout(PATIENCE, gone).await.expect("the old one does not");

    // Also while the server's own certificate cannot be renewed.
    secure.files.write("key.pem", "nothing");
    secure.wait_for_metric(REFUSED, "1").await;
    secure.files.write("clients.pem", &format!("{}{}", others.pem(), gateways.pem()));
    let back = async { while poll(&gateway, &secure).await.ok() != Some(200) {} };
    timeout(PATIENCE, back).await.expect("the old authority counts again");
    secure.files.write("clients.pem", &others.pem());
    let gone = async { while poll(&gateway, &secure).await.is_ok() {} };
    timeout(PATIENCE, gone).await.expect("and is taken out again");

    // A connection outlives the certificate that it was made with.
    secure.control.clock.advance(2 * DAY);
    assert_eq!(poll(&strange, &secure).await.unwrap(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_at_the_handshake_keep_nobody_out_and_nobody_waits_for_them() {
    let authority = Authority::new("servers");
    let short = Duration::from_millis(500);
    let secure = Secure::tuned(&authority.server(), None, |config| {
        config.header_timeout = short;
        config.max_connections = 100;
        // Else one address has half of the room.
        config.pages.trust_proxy = true;
    })
    .await;
    let address = secure.control.server.address;
    // A handshake that does not begin, one that does not go on, and one that was never one.
    for bytes in [&b""[..], &[22, 3, 1, 2, 0, 1, 0], b"\x16\x03\x01\x00\x05hello"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let end = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
        let _ = end.expect("the server closes the connection");
    }
    // More of them than there is room for: each newcomer is let in all the same.
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
        silent.push(stream);
    }
    assert!(is_reached(&secure, &authority).await);
    let census = secure.control.server.app.connections.census();
    assert!(census.open[0] <= 32, "{census:?}");
    common::eventually("their time is over", || secure.control.server.app.connections.census().open[0] <= 1)
        .await;
    // A server that goes down does not wait for handshakes.
    let _late = TcpStream::connect(address).await.unwrap();
    timeout(PATIENCE, secure.control.server.stop()).await.expect("it goes down");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_plain_http_is_told_so() {
    let secure = Secure::start(&Authority::new("servers").server(), None).await;
    let plain = format!("http://{}", secure.control.server.address);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{plain}/v1/workspaces")).bearer_auth(ADMIN).body("x".repeat(10_000));
    let error = Answer::of(request).await.refused(400, "TLS_REQUIRED");
    assert!(error["message"].as_str().unwrap().contains("https://"), "{error}");
    secure.wait_for_metric("flamegate_control_tls_handshakes_failed_total{reason=\"plain\"}", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_are_secure_and_no_other_port_of_the_host_is_concerned() {
    let authority = Authority::new("servers");
    let secure = Secure::start(&authority.server(), None).await;
    let http = client(&authority, None);
    let admin = |path: &str, body| Answer::of(http.post(secure.url(path)).bearer_auth(ADMIN).json(&body));
    admin("/v1/workspaces", json!({"name": "Demo"})).await.expect(201);
    let password = "correct horse battery staple";
    let user =
        json!({"email": "ann@example.com", "workspace": "demo", "role": "owner", "password": password});
    admin("/v1/users", user).await.expect(201);
    let form = "email=ann%40example.com&password=correct+horse+battery+staple&next=";
    let request =
        http.post(secure.url("/sign-in")).header("content-type", "application/x-www-form-urlencoded");
    let answer = request.header("origin", secure.url("")).body(form).send().await.unwrap();
    let cookies: Vec<_> =
        answer.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    let session = cookies.iter().find(|cookie| cookie.contains("flamegate_session"));
    let session = session.unwrap_or_else(|| panic!("{cookies:?} {}", answer.status()));
    assert!(session.starts_with("__Host-") && session.contains("; Secure"), "{session}");
    // Browsers would keep to TLS for every other service of this host.
    assert!(!answer.headers().contains_key("strict-transport-security"));
}

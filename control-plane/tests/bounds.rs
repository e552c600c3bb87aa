//! Bounds in size, number and time, and tokens that are replaced while the server runs.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use common::gateway::Gateway;
use common::program::Program;
use common::{ADMIN, Answer, Control, PATIENCE, SYNC};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Sends these bytes and returns everything that comes until the server closes the connection.
async fn exchange(control: &Control, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(control.server.address).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_ends_its_headers_loses_its_connection() {
    let short = Duration::from_millis(500);
    let control =
        Control::tuned(|config| (config.header_timeout, config.idle_timeout) = (short, short)).await;
    for head in ["", "GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let answer = exchange(&control, head.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    // One that was idle after a request, too.
    let answered = async {
        // Where the machine is so busy that a whole head is late, it is sent again.
        while !exchange(&control, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 200")
        {}
    };
    timeout(PATIENCE, answered).await.expect("an answer, and then the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_not_awaited_for_ever() {
    let control = Control::tuned(|config| config.body_timeout = Duration::from_millis(100)).await;
    let head = format!(
        "POST /v1/workspaces HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{{"
    );
    let answer = exchange(&control, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("did not arrive in time"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_and_many_headers_are_refused() {
    let control = Control::start().await;
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-many: a\r\n".repeat(100));
    let path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000));
    for (what, bytes) in [("long", long), ("many", many), ("path", path)] {
        let answer = exchange(&control, bytes.as_bytes()).await;
        let refused =
            answer.is_empty() || answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414");
        assert!(refused, "{what}: {answer}");
    }
    control.get("/healthz").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_ever_for_a_client() {
    let control = Control::tuned(|config| {
        config.shutdown_grace = Duration::from_millis(200);
        config.body_timeout = Duration::from_secs(3_600);
    })
    .await;
    let mut stream = TcpStream::connect(control.server.address).await.unwrap();
    let head = format!(
        "POST /v1/workspaces HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\n\
         content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 100\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // It asks for the body, so it waits for it now.
    let mut asked = [0; 12];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100");
    // Less than the hour that it would wait for the body.
    timeout(PATIENCE, control.server.stop()).await.expect("it goes down");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_token_has_a_limit_of_its_own() {
    let control = Control::tuned(|config| {
        config.admin_limit = flamegate_control::domain::limits::parse_list("3/60s").unwrap().pop();
        config.admin_tokens = flamegate_control::domain::tokens::Tokens::new([ADMIN, "another-admin-token"]);
    })
    .await;
    control.clock.stop();
    for _ in 0..3 {
        control.get("/v1/workspaces").await.expect(200);
    }
    let refused = control.get("/v1/workspaces").await;
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=21).contains(&wait), "{wait}");
    refused.refused(429, "RATE_LIMITED");
    let other = control.http.get(control.url("/v1/workspaces")).bearer_auth("another-admin-token");
    Answer::of(other).await.expect(200);
    // Guesses are refused as such, and a poll has nothing to do with it.
    let guess = control.http.get(control.url("/v1/workspaces")).bearer_auth("a-guessed-admin-token");
    Answer::of(guess).await.refused(401, "UNAUTHORIZED");
    Gateway::new(&control, "gw-1").poll().await.unwrap();
    control.clock.advance(Duration::from_secs(wait));
    control.get("/v1/workspaces").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_leave_connections_to_everybody_else_and_slots_to_other_credentials() {
    let control = Control::tuned(|config| config.max_connections = 10).await;
    let mut first = Gateway::new(&control, "gw-0");
    first.poll().await.unwrap();
    let (epoch, after) = (first.query.epoch.clone().unwrap(), first.query.after);
    let made = control.post("/v1/gateway-credentials", json!({"name": "eu"})).await.expect(201);
    let own = made["token"].as_str().unwrap().to_owned();
    let poll = |name: String, token: &str| {
        let path = format!("/sync/v1/changes?gateway={name}&epoch={epoch}&after={after}&wait=30");
        control.http.get(control.url(&path)).bearer_auth(token).send()
    };
    // Nine in all, six of them for one credential.
    let mut held: Vec<_> = (0..6).map(|n| tokio::spawn(poll(format!("gw-{n}"), SYNC))).collect();
    let gateways = control.server.app.gateways.clone();
    common::eventually("six polls are held", || gateways.counts().1 == 6).await;
    assert_eq!(poll("gw-6".to_owned(), SYNC).await.unwrap().status(), 503);
    held.extend((6..9).map(|n| tokio::spawn(poll(format!("gw-{n}"), &own))));
    common::eventually("nine polls are held", || gateways.counts().1 == 9).await;
    assert_eq!(poll("gw-10".to_owned(), &own).await.unwrap().status(), 503);
    control.get("/healthz").await.expect(200);
    control.post("/v1/workspaces", json!({"name": "Demo"})).await.expect(201);
    control.create_key_id().await;
    for poll in held {
        assert_eq!(poll.await.unwrap().unwrap().status(), 200, "the change was worth an answer");
    }
}

/// The status of a request for gateways and of one for people with these tokens.
async fn statuses(url: &str, admin: &str, sync: &str) -> (u16, u16) {
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let status = async |path: &str, token: &str| {
        let request = http.request(Method::GET, format!("{url}{path}")).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    (status("/v1/workspaces", admin).await, status("/sync/v1/changes?gateway=gw-1", sync).await)
}

/// Writes the token files, has them read, and waits until that is done.
async fn rotate(program: &Program, folder: &Path, admin: &str, sync: &str, until: (&str, &str, (u16, u16))) {
    fs::write(folder.join("admin"), admin).unwrap();
    fs::write(folder.join("sync"), sync).unwrap();
    program.signal("-HUP");
    let (admin, sync, expected) = until;
    let reached = async {
        while statuses(&program.url, admin, sync).await != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect("the new tokens are good");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_replaced_without_a_restart() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let (old_admin, new_admin) = ("old-admin-token-for-tests", "new-admin-token-for-tests");
    let (old_sync, new_sync) = ("old-sync-token-for-tests", "new-sync-token-for-tests");
    fs::write(folder.path().join("admin"), format!("{old_admin}\n")).unwrap();
    fs::write(folder.path().join("sync"), format!("{old_sync}\n")).unwrap();
    let (admin_file, sync_file) = (folder.path().join("admin"), folder.path().join("sync"));
    for file in [&admin_file, &sync_file] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let environment = [
        ("FLAMEGATE_ADMIN_TOKEN", ""),
        ("FLAMEGATE_SYNC_TOKEN", ""),
        ("FLAMEGATE_ADMIN_TOKEN_FILE", admin_file.to_str().unwrap()),
        ("FLAMEGATE_SYNC_TOKEN_FILE", sync_file.to_str().unwrap()),
    ];
    let program = Program::serve_by(&[], &folder.path().join("control.db"), &environment);
    assert_eq!(statuses(&program.url, old_admin, old_sync).await, (200, 200));
    assert_eq!(statuses(&program.url, new_admin, new_sync).await, (401, 401));
    let both = (format!("{old_admin}\n{new_admin}\n"), format!("{old_sync}\n{new_sync}\n"));
    rotate(&program, folder.path(), &both.0, &both.1, (new_admin, new_sync, (200, 200))).await;
    assert_eq!(statuses(&program.url, old_admin, old_sync).await, (200, 200), "both are good");
    rotate(&program, folder.path(), new_admin, new_sync, (old_admin, old_sync, (401, 401))).await;
    assert_eq!(statuses(&program.url, new_admin, new_sync).await, (200, 200));
    // A mistake in the files takes nothing away.
    fs::write(folder.path().join("admin"), "short").unwrap();
    program.signal("-HUP");
    common::eventually("it has looked at them", || program.log().contains("the tokens stay as they were"))
        .await;
    assert_eq!(statuses(&program.url, new_admin, new_sync).await, (200, 200));
    program.signal("-TERM");
    let (code, log) = program.end();
    assert_eq!(code, Some(0));
    assert!(
        log.contains("SIGHUP: the tokens stay as they were") && log.contains("at least 16 characters"),
        "{log}"
    );
    assert!(!log.contains(new_admin) && !log.contains(new_sync));
}

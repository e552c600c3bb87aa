//! What somebody without a credential, or one person in the pages, can take from everybody else: room, places, readers, memory
//! for labels. Each test is one attempt. All of them at once: `strangers.rs`.

#[path = "pages/browser.rs"]
#[allow(dead_code, reason = "each test program uses a part")]
mod browser;
mod common;

use std::time::{Duration, Instant};

use browser::{Browser, PASSWORD, add_user};
use common::gateway::Gateway;
use common::program::Program;
use common::{ADMIN, Answer, Control, PATIENCE, SYNC, eventually};
use flamegate_control::domain::error::Error;
use flamegate_control::store::Purpose;
use flamegate_control::store::sqlite::Sqlite;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection on which these bytes were sent.
async fn connect(control: &Control, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(control.server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

async fn metrics(control: &Control) -> String {
    control.http.get(control.url("/metrics")).send().await.unwrap().text().await.unwrap()
}

fn open(control: &Control) -> [usize; 4] {
    control.server.app.connections.census().open
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_that_nobody_knows_share_one_label() {
    let control = Control::start().await;
    for number in 0..200 {
        let method = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
        control.http.request(method, control.url("/healthz")).send().await.unwrap();
    }
    let text = metrics(&control).await;
    let other = r#"flamegate_control_http_requests_total{method="other",route="/healthz",status="405"} 200"#;
    assert!(text.lines().any(|line| line == other), "{text}");
    assert!(!text.contains("\"M1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_counted_once_for_all_who_ask() {
    let control = Control::with_workspace().await;
    control.clock.stop();
    let active = async || {
        let text = metrics(&control).await;
        let line =
            text.lines().find_map(|line| line.strip_prefix("flamegate_control_keys{status=\"active\"} "));
        line.unwrap().to_owned()
    };
    control.create_key().await;
    assert_eq!(active().await, "1");
    control.create_key().await;
    assert_eq!(active().await, "1", "counted a moment ago");
    control.clock.advance(Duration::from_secs(10));
    assert_eq!(active().await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_whose_asker_has_gone_is_finished_for_the_next() {
    let control = Control::with_workspace().await;
    control.create_key().await;
    let store = control.server.app.store.reading_for(Purpose::Metrics);
    let busy = store.read().await.unwrap();
    let gone = timeout(Duration::ZERO, control.server.app.metrics_text()).await;
    assert!(gone.is_err(), "it has to wait, and nobody waits for it");
    drop(busy);
    // There is one connection for it, and whoever comes later gets it later.
    drop(store.read().await.unwrap());
    control.create_key().await;
    let text = metrics(&control).await;
    assert!(text.contains("flamegate_control_keys{status=\"active\"} 1\n"), "counted once: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_on_a_listener_of_their_own_are_not_on_the_other() {
    let control = Control::tuned(|config| config.metrics_listen = Some("127.0.0.1:0".parse().unwrap())).await;
    Answer::of(control.http.get(control.url("/metrics"))).await.refused(404, "NOT_FOUND");
    Answer::of(control.http.get(control.url("/healthz"))).await.expect(200);
    let own = |path: &str| format!("http://{}{path}", control.server.metrics_address.unwrap());
    let text = control.http.get(own("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("flamegate_control_revision 0"), "{text}");
    Answer::of(control.http.get(own("/readyz"))).await.expect(200);
    for path in ["/v1/workspaces", "/sync/v1/changes?gateway=gw", "/sign-in", "/openapi.json"] {
        let request = control.http.get(own(path)).bearer_auth(ADMIN);
        Answer::of(request).await.refused(404, "NOT_FOUND");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_behind_a_token_are_for_who_has_it() {
    const TOKEN: &str = "metrics-token-for-tests";
    let control = Control::start().await.restart_with(&[("FLAMEGATE_METRICS_TOKEN", TOKEN)]).await;
    let ask = || control.http.get(control.url("/metrics"));
    Answer::of(ask()).await.refused(401, "UNAUTHORIZED");
    for wrong in [ADMIN, SYNC, "a-guessed-metrics-token"] {
        Answer::of(ask().bearer_auth(wrong)).await.refused(401, "UNAUTHORIZED");
    }
    let text = ask().bearer_auth(TOKEN).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("flamegate_control_refused_tokens_total{kind=\"metrics\"} 3"), "{text}");
    Answer::of(control.http.get(control.url("/v1/workspaces")).bearer_auth(TOKEN))
        .await
        .refused(401, "UNAUTHORIZED");
    Answer::of(control.http.get(control.url("/readyz"))).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_end_take_no_place() {
    // So long that none of them is closed before the last one is there.
    let control = Control::tuned(|config| config.body_timeout = Duration::from_secs(3_600)).await;
    control.post("/v1/workspaces", serde_json::json!({"name": "Demo"})).await.expect(201);
    add_user(&control, "ada@example.com", "demo", "member").await;
    let sign_in = "POST /sign-in HTTP/1.1\r\nhost: x\r\nsec-fetch-site: same-origin\r\n\
        content-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\nemail="
        .to_owned();
    let create = format!(
        "POST /v1/workspaces HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    let mut slow = Vec::new();
    for bytes in [sign_in, create] {
        for _ in 0..300 {
            slow.push(connect(&control, bytes.as_bytes()).await);
        }
    }
    eventually("all of them are there", || open(&control).iter().sum::<usize>() >= 600).await;
    let browser = Browser::new(&control);
    assert_eq!(browser.get("/sign-in").await.status, 200);
    assert_eq!(browser.sign_in("ada@example.com", PASSWORD).await.status, 303);
    assert_eq!(browser.get("/w/demo/settings/api-keys").await.status, 200);
    control.create_key().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_takes_no_place_of_a_page() {
    let control = Control::with_workspace().await;
    let ada = Browser::of(&control, "ada@example.com", "member").await;
    let app = &control.server.app;
    let signing_in = app.sign_in_admission.acquire_many(16).await.unwrap();
    // Four places more are for who has not failed lately.
    assert_eq!(Browser::new(&control).sign_in("ada@example.com", PASSWORD).await.status, 303);
    assert_eq!(Browser::new(&control).sign_in("ada@example.com", "guessed").await.status, 401);
    assert_eq!(Browser::new(&control).sign_in("ada@example.com", PASSWORD).await.status, 503);
    assert_eq!(ada.get("/account").await.status, 200);
    drop(signing_in);
    let pages = app.page_admission.acquire_many(256).await.unwrap();
    assert_eq!(Browser::new(&control).sign_in("ada@example.com", PASSWORD).await.status, 303);
    assert_eq!(ada.get("/account").await.status, 503);
    drop(pages);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_open_files_are_shared_out_so_that_a_gateway_gets_one() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let program = Program::serve_by(&["prlimit", "--nofile=256:256"], &folder.path().join("control.db"), &[]);
    let address = program.url.strip_prefix("http://").unwrap().to_owned();
    let mut strangers = Vec::new();
    for _ in 0..400 {
        strangers.push(TcpStream::connect(&address).await.unwrap());
    }
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    Gateway::at(http.clone(), program.url.clone(), "gw-1").poll().await.unwrap();
    let text = http.get(format!("{}/metrics", program.url)).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("flamegate_control_strangers_turned_away_total"), "{text}");
    program.signal("-TERM");
    let (_, log) = program.end();
    assert!(log.contains("fewer connections than configured"), "{log}");
    assert!(!log.contains("cannot accept a connection"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_or_is_too_long_is_not_received() {
    let control = Control::tuned(|config| config.body_timeout = Duration::from_millis(200)).await;
    let head = |length: usize| {
        format!(
            "POST /sign-in HTTP/1.1\r\nhost: x\r\nsec-fetch-site: same-origin\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut long = connect(&control, head(20_000).as_bytes()).await;
    let mut answer = String::new();
    timeout(PATIENCE, long.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // A byte now and then does not make it longer.
    let (mut answers, mut bytes) = connect(&control, head(10_000).as_bytes()).await.into_split();
    let trickle = tokio::spawn(async move {
        while bytes.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut start = [0; 12];
    timeout(PATIENCE, answers.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 400");
    drop(answers);
    timeout(PATIENCE, trickle).await.expect("the connection is closed").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_loses_its_connection_and_a_held_poll_does_not() {
    let control = Control::tuned(|config| config.write_timeout = Duration::from_millis(300)).await;
    control.post("/v1/workspaces", serde_json::json!({"name": "Demo"})).await.expect(201);
    let mut gateway = Gateway::new(&control, "gw-1");
    gateway.catch_up(&control).await;
    gateway.query.wait = 60;
    let poll = tokio::spawn(async move {
        gateway.poll().await.unwrap();
        gateway
    });
    let gateways = control.server.app.gateways.clone();
    eventually("the poll is held", || gateways.counts().1 == 1).await;
    let mut stream = TcpStream::connect(control.server.address).await.unwrap();
    // Until the server takes nothing more, because nobody takes its answers.
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    let asked = timeout(PATIENCE, async { while stream.write_all(&request).await.is_ok() {} }).await;
    asked.expect("the server closes the connection");
    assert_eq!(gateways.counts().1, 1, "the poll was held for longer than that");
    control.create_key().await;
    assert_eq!(timeout(PATIENCE, poll).await.unwrap().unwrap().table.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_take_their_own_room_and_no_gateways() {
    let control = Control::tuned(|config| config.max_connections = 100).await;
    control.post("/v1/workspaces", serde_json::json!({"name": "Demo"})).await.expect(201);
    // On a connection of its own: nobody else vouches for that one.
    let fresh = || reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let mut gateway = Gateway::at(fresh(), control.url(""), "gw-1");
    gateway.catch_up(&control).await;
    gateway.query.wait = 60;
    let poll = tokio::spawn(async move { gateway.poll().await.map(|()| gateway.table.len()) });
    let gateways = control.server.app.gateways.clone();
    eventually("the poll is held", || gateways.counts().1 == 1).await;
    let mut strangers = Vec::new();
    for _ in 0..300 {
        strangers.push(connect(&control, b"GET /healthz HTTP/1.1\r\nx-slow: ").await);
    }
    let turned_away = || control.server.app.connections.census().turned_away;
    eventually("most of them had to go", || turned_away() >= 300 - 16).await;
    assert!(open(&control)[0] <= 16, "an address has half of the strangers' room");
    let mut oldest = strangers.swap_remove(0);
    let mut rest = Vec::new();
    let closed = timeout(PATIENCE, oldest.read_to_end(&mut rest)).await.expect("it was closed");
    assert!(closed.is_err() || rest.is_empty(), "without an answer");
    // A gateway and a script that come now get in, and the held poll is still there.
    Gateway::at(fresh(), control.url(""), "gw-2").poll().await.unwrap();
    control.create_key().await;
    assert_eq!(timeout(PATIENCE, poll).await.unwrap().unwrap().unwrap(), 1);
    let text = metrics(&control).await;
    assert!(text.contains("flamegate_control_connections{class=\"gateway\"} "), "{text}");
    assert!(!text.contains("flamegate_control_strangers_turned_away_total 0"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_slowed_and_counted_and_a_good_one_never_is() {
    let control = Control::tuned(|config| config.guess_pause = Duration::from_secs(3_600)).await;
    control.clock.stop();
    let guess = |path: &str| control.http.get(control.url(path)).bearer_auth("a-guessed-token").send();
    for _ in 0..10 {
        assert_eq!(guess("/v1/workspaces").await.unwrap().status(), 401);
        assert_eq!(guess("/sync/v1/changes?gateway=gw").await.unwrap().status(), 401);
    }
    let late = tokio::spawn(guess("/v1/workspaces"));
    let counted =
        async { while !metrics(&control).await.contains("refused_tokens_total{kind=\"admin\"} 11") {} };
    timeout(PATIENCE, counted).await.expect("the last guess has arrived");
    for _ in 0..50 {
        control.get("/v1/workspaces").await.expect(200);
        Gateway::new(&control, "gw").poll().await.unwrap();
    }
    assert!(!late.is_finished());
    let text = metrics(&control).await;
    for line in ["{kind=\"admin\"} 11", "{kind=\"sync\"} 10"] {
        assert!(text.contains(&format!("flamegate_control_refused_tokens_total{line}")), "{line}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_too_many_wrong_tokens_costs_a_connection() {
    let control = Control::tuned(|config| config.guess_pause = Duration::ZERO).await;
    control.clock.stop();
    for number in 0..25 {
        let guess = control.http.get(control.url("/v1/workspaces")).bearer_auth("a-guessed-token");
        let answer = Answer::of(guess).await;
        let closes = answer.headers.get("connection").is_some_and(|value| value == "close");
        assert_eq!(closes, number >= 20, "{number}");
        answer.refused(401, "UNAUTHORIZED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_readers_of_another_purpose() {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "viewer").await;
    let store = &control.server.app.store;
    let all_of = async |purpose: Purpose, number: usize| {
        let mut held = Vec::new();
        for _ in 0..number {
            held.push(store.reading_for(purpose).read().await.unwrap());
        }
        held
    };
    let lists = all_of(Purpose::Lists, 2).await;
    let counting = all_of(Purpose::Metrics, 1).await;
    assert_eq!(browser.get("/account").await.status, 200, "a page does not wait for lists");
    control.create_key().await;
    control.get("/v1/api-keys").await.expect(200);
    Gateway::new(&control, "gw-1").catch_up(&control).await;
    drop((lists, counting));
    let pages = all_of(Purpose::Pages, 2).await;
    control.get("/v1/api-keys").await.expect(200);
    assert!(metrics(&control).await.contains("flamegate_control_keys{status=\"active\"} 1"));
    drop(pages);
    let _scripts = all_of(Purpose::Api, 3).await;
    assert_eq!(browser.get("/w/demo/settings/api-keys").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_reads_for_too_long_is_interrupted() {
    const ENDLESS: &str =
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    let folder = tempfile::tempdir().unwrap();
    let database = Sqlite::open_or_make(&folder.path().join("control.db")).await.unwrap();
    for purpose in [Purpose::Pages, Purpose::Lists] {
        let mut connection = database.connection(purpose).await.unwrap();
        let read = sqlx::query(ENDLESS).fetch_one(&mut *connection);
        let error = Error::from(timeout(PATIENCE, read).await.expect("it ends").unwrap_err());
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        drop(connection);
        // The connection is as good as before.
        let one = sqlx::query("SELECT 1").fetch_one(&mut *database.connection(purpose).await.unwrap()).await;
        one.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_not_counted_and_leads_on() {
    let control = Control::with_workspace().await;
    for number in 0..60 {
        let body = serde_json::json!({"workspace": "demo", "name": format!("Device {number}"), "environment": "live"});
        control.post("/v1/api-keys", body).await.expect(201);
    }
    let browser = Browser::of(&control, "ada@example.com", "viewer").await;
    let first = browser.get("/w/demo/settings/api-keys?q=device").await;
    first.shows("1–50 of many");
    first.shows("page=2");
    browser.get("/w/demo/settings/api-keys?q=device&page=2").await.shows("51–60 of 60");
    browser.get("/w/demo/settings/api-keys?q=nothing").await.shows("matches “<bdi>nothing</bdi>”");
    browser.get("/w/demo/settings/api-keys").await.shows("1–50 of 60");
}

/// The epoch of the database of a server that runs.
async fn epoch(database: &std::path::Path) -> String {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database).read_only(true);
    let connected = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await;
    let mut connection = connected.unwrap();
    sqlx::query_scalar("SELECT epoch FROM revision_log").fetch_one(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_the_log_comes_as_often_as_strangers_like() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let program = Program::serve_by(&[], &folder.path().join("control.db"), &[("FLAMEGATE_LOG", "info")]);
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let sign_in = format!("{}/sign-in", program.url);
    let epoch = epoch(&folder.path().join("control.db")).await;
    let started = Instant::now();
    for number in 0..200 {
        for value in [format!("no-session-{number}"), "A".repeat(22)] {
            let cookie = format!("{}={value}", browser::session_name_of(&epoch));
            http.get(&sign_in).header("cookie", cookie).send().await.unwrap();
        }
    }
    // Fewer, because they get slower.
    for _ in 0..25 {
        http.get(format!("{}/v1/workspaces", program.url))
            .bearer_auth("a-guessed-token")
            .send()
            .await
            .unwrap();
    }
    program.signal("-TERM");
    let (_, log) = program.end();
    // Ten at once and one a second.
    let most = 11 + started.elapsed().as_secs();
    for line in ["malformed session id", "record not found in store", "a wrong token was refused"] {
        let times = log.matches(line).count() as u64;
        assert!((1..=most).contains(&times), "{line}: {times} times, at most {most}\n{log}");
    }
    assert!(log.contains("so many lines more were not written"), "{log}");
    assert!(!log.contains("a-guessed-token"), "{log}");
}

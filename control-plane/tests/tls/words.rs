//! What the program's client says of what it met, and what the server says of its files: against the program itself.

use std::process::Output;
use std::time::SystemTime;

use super::authority::{Authority, DAY, Files, Pair};
use super::common::program::{Program, command, failed, offline, succeeded};
use super::common::{self, Control};

async fn run(url: &str, args: &[&str]) -> Output {
    let mut command = command(url, args);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// A server that speaks TLS with this pair.
fn serve(files: &Files) -> Program {
    let (certificate, key) = (files.text("cert.pem"), files.text("key.pem"));
    let environment = [("FLAMEGATE_TLS_CERT", certificate.as_str()), ("FLAMEGATE_TLS_KEY", key.as_str())];
    Program::serve_by(&[], &files.path("control.db"), &environment)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_says_what_it_met() {
    let authority = Authority::new("servers");
    let files = Files::with(&authority.server());
    files.write("ca.pem", &authority.pem());
    files.write("other.pem", &Authority::new("another").pem());
    let program = serve(&files);
    let (known, other) = (files.text("ca.pem"), files.text("other.pem"));
    assert!(program.url.starts_with("https://127.0.0.1:"), "{}", program.url);
    let list = ["workspaces", "list"];
    let with = |ca: &'static str| [&list[..], &["--ca-file", ca]].concat();
    let (known, other): (&str, &str) = (known.leak(), other.leak());
    succeeded(&run(&program.url, &with(known)).await);
    let mut by_variable = command(&program.url, &list);
    by_variable.env("FLAMEGATE_CA_FILE", known);
    succeeded(&tokio::task::spawn_blocking(move || by_variable.output().unwrap()).await.unwrap());

    let told = failed(&run(&program.url, &with(other)).await, 5);
    assert!(told.contains("an authority that is not known here") && told.contains("--ca-file"), "{told}");
    let plain = program.url.replace("https://", "http://");
    let told = failed(&run(&plain, &list).await, 1);
    assert!(told.contains("this port speaks TLS: use https://") && told.contains("TLS_REQUIRED"), "{told}");
    let named = program.url.replace("127.0.0.1", "localhost");
    let told = failed(&run(&named, &with(known)).await, 5);
    assert!(told.contains("for other names"), "{told}");
    let control = Control::start().await;
    let reverse = control.url("").replace("http://", "https://");
    let told = failed(&run(&reverse, &with(known)).await, 5);
    assert!(told.contains("it does not speak TLS on that port: is http:// meant?"), "{told}");
    let told = failed(&run(&program.url, &with("/nonexistent.pem")).await, 2);
    assert!(told.starts_with("error: --ca-file: /nonexistent.pem: cannot be read"), "{told}");
    let empty: &str = files.text("key.pem").leak();
    let told = failed(&run(&program.url, &with(empty)).await, 2);
    assert!(told.contains("there is no certificate in it"), "{told}");
    // `doctor` says the same, of the control plane.
    let told = run(&program.url, &["doctor", "--ca-file", other]).await;
    let told = format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.contains("an authority that is not known here"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_says_what_is_wrong_with_its_files() {
    let authority = Authority::new("servers");
    let good = authority.server();
    let files = Files::with(&Pair { key: authority.server().key, ..authority.server() });
    let (certificate, key) = (files.text("cert.pem"), files.text("key.pem"));
    let start = |args: &[&str]| {
        let database = files.text("another.db");
        let all = [&["serve", "--init", "--database", &database, "--listen", "127.0.0.1:0"], args].concat();
        let mut command = std::process::Command::new(common::program::PROGRAM);
        command.args(all).env_clear().env("FLAMEGATE_ADMIN_TOKEN", common::ADMIN);
        command.env("FLAMEGATE_SYNC_TOKEN", common::SYNC).output().unwrap()
    };
    let told = failed(&start(&["--tls-cert", &certificate, "--tls-key", &key]), 2);
    assert!(told.contains("FLAMEGATE_TLS_KEY is not the key of the certificate"), "{told}");
    let told = failed(&start(&["--tls-cert", &certificate]), 2);
    assert!(told.contains("FLAMEGATE_TLS_CERT is set and FLAMEGATE_TLS_KEY is not"), "{told}");
    assert!(!offline(&["serve", "--help"]).stdout.is_empty());

    // One that has expired is served, and said; SIGHUP has a mistake told at once, and a good pair taken.
    files.replace(&authority.pair("127.0.0.1", SystemTime::now() - DAY));
    let program = serve(&files);
    assert!(program.log().contains("the certificate has expired: it was good until"), "{}", program.log());
    files.write("ca.pem", &authority.pem());
    let ca: &str = files.text("ca.pem").leak();
    let list = ["workspaces", "list", "--ca-file", ca];
    let told = failed(&run(&program.url, &list).await, 5);
    assert!(told.contains("its certificate has expired"), "{told}");
    files.write("key.pem", "nothing");
    program.signal("-HUP");
    let line = "what was good stays in use";
    common::eventually("the mistake is told", || program.log().contains(line)).await;
    files.replace(&good);
    program.signal("-HUP");
    common::eventually("the new pair is taken", || {
        program.log().contains("were read again: new connections")
    })
    .await;
    succeeded(&run(&program.url, &list).await);
    program.signal("-TERM");
    let (code, log) = program.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains(good.key.lines().nth(1).unwrap()), "{log}");
}

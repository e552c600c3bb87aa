//! JWTs beside keys in what `envoy-config` writes: which requests `jwt_authn` judges, and what is answered to those that it refuses.

mod tokens;

use std::{path::Path, process::Command};

use flamegate_e2e::{
    Answer, Envoy, Protocol, Request,
    process::{Folder, free_port, root},
    upstream::{Upstream, echoed},
};
use tokens::{ISSUER, SECRET, jwks, jwt};

const ENVELOPE: &str =
    r#"{"success":false,"error":{"code":"UNAUTHORIZED","message":"Invalid or missing API key"}}"#;

/// A gateway of an API whose JWTs have these keys, with no control plane.
fn gateway(folder: &Path, upstream: &Upstream, keys: &str) -> Envoy {
    Envoy::start_with("envoy", folder, |(port, admin), access_log| {
        let mut command = Command::new(root().join("dist/flamegate-control"));
        command.arg("envoy-config").arg("--wasm").arg(root().join("dist/flamegate.wasm"));
        command.arg("--access-log").arg(access_log);
        command.args(["--upstream", &format!("127.0.0.1:{}", upstream.port)]);
        command.args(["--control", &format!("127.0.0.1:{}", free_port())]);
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--admin-port", &admin.to_string()]);
        command.args(["--jwt-issuer", ISSUER, "--jwt-jwks", keys, "--jwt-audience", "api"]);
        let made = command.output().expect("flamegate-control");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).expect("UTF-8")
    })
}

fn with(authorization: &str) -> Request {
    Request::get("/v1/agents").header("authorization", authorization)
}

fn assert_unauthorized(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.text().as_str()), (401, ENVELOPE), "{what}");
    assert_eq!(answer.all("content-type"), ["application/json"], "{what}");
    assert_eq!(answer.all("cache-control"), ["no-store"], "{what}");
    let challenge = answer.header("www-authenticate");
    assert!(challenge.is_some_and(|text| text.starts_with("Bearer ")), "{what}");
}

#[test]
fn a_jwt_is_judged_by_envoy_whatever_the_case_of_its_scheme_and_refused_in_our_form() {
    let folder = Folder::new("jwts");
    let upstream = Upstream::start(&folder);
    let keys = jwks(&folder);
    let envoy = gateway(&folder, &upstream, keys.to_str().expect("UTF-8"));
    let good = jwt(ISSUER, r#","aud":"api""#, SECRET);
    let bad = [
        ("another secret", jwt(ISSUER, r#","aud":"api""#, b"another")),
        ("another issuer", jwt("https://elsewhere.example", r#","aud":"api""#, SECRET)),
        ("another audience", jwt(ISSUER, r#","aud":"others""#, SECRET)),
        ("expired", jwt(ISSUER, r#","aud":"api","exp":1000"#, SECRET)),
        ("no signature", "eyJhbGciOiJub25lIn0.e30.".to_owned()),
        ("no JWT", "eyJ".to_owned()),
    ];
    for scheme in ["Bearer ", "bearer ", "BEARER ", "bEaReR   "] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let authorization = format!("{scheme}{good}");
            let answer = envoy.send_by(protocol, &with(&authorization));
            let lines = echoed(&answer).unwrap_or_else(|| panic!("{scheme}: {answer:?}"));
            let sent = lines.iter().filter(|(name, _)| name == "authorization").map(|(_, value)| value);
            assert_eq!(sent.collect::<Vec<_>>(), [authorization.as_bytes()]);
            for (what, token) in &bad {
                let answer = envoy.send_by(protocol, &with(&format!("{scheme}{token}")));
                assert_unauthorized(&answer, &format!("{scheme}: {what}"));
            }
        }
    }
    // What jwt_authn would find in it is not what the route asked for: nothing of it reaches the upstream.
    for authorization in [
        format!("Basic {good}"),
        format!("Bearer\t{good}"),
        format!("Bearer {good} {good}"),
        format!("Bearer {}, Bearer {good}", bad[0].1),
        format!("Bearer {good};x"),
        format!("x Bearer {good}"),
        good.clone(),
    ] {
        let answer = envoy.send(&with(&authorization));
        // Without a table the filter says 503 to what could be a key.
        assert!(
            matches!(answer.status, 401 | 503) && echoed(&answer).is_none(),
            "{authorization}: {answer:?}"
        );
    }
    // gRPC clients read a status and a message.
    let call = Request::new("POST", "/flametalk.v1.Agents/List").header("te", "trailers");
    let call = call.header("content-type", "application/grpc").bearer(&bad[0].1);
    let answer = envoy.send_by(Protocol::Http2, &call);
    assert_eq!((answer.status, answer.header("grpc-status").as_deref()), (200, Some("16")), "{answer:?}");
    assert_eq!(answer.header("grpc-message").as_deref(), Some("Invalid or missing API key"), "{answer:?}");
    assert_eq!(answer.all("content-type"), ["application/grpc"]);
}

#[test]
fn while_the_issuers_keys_cannot_be_fetched_every_jwt_is_refused() {
    let folder = Folder::new("jwts-away");
    let upstream = Upstream::start(&folder);
    let envoy = gateway(&folder, &upstream, &format!("http://127.0.0.1:{}/jwks.json", free_port()));
    let good = jwt(ISSUER, r#","aud":"api""#, SECRET);
    assert_unauthorized(&envoy.send(&with(&format!("Bearer {good}"))), "no keys");
}

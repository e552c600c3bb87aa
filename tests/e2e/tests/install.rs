//! docs/INSTALL.md, run as it stands: every block in one shell, with other values in the first block only; then what the
//! document promises, by requests.

mod tokens;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use flamegate_e2e::{
    Protocol, Request, eventually,
    process::{Folder, Process, free_port, root},
    upstream::{Upstream, echoed},
};
use tokens::{ISSUER, SECRET, jwks, jwt};

/// The blocks of shell code, in order.
fn blocks(text: &str) -> Vec<String> {
    let parts = text.split("```sh\n").skip(1);
    parts.map(|part| part.split("```").next().expect("a block ends").to_owned()).collect()
}

/// The settings with other values. Each setting must be given, and no other.
fn with_values(block: &str, values: &[(&str, String)]) -> String {
    let mut left: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    let lines = block.lines().map(|line| {
        let name = line.split('=').next().expect("a name");
        let value = values.iter().find(|(known, _)| *known == name);
        let (_, value) = value.unwrap_or_else(|| panic!("{name} is a setting that this test does not know"));
        left.retain(|known| *known != name);
        format!("{name}='{value}'\n")
    });
    let text = lines.collect();
    assert!(left.is_empty(), "the document has no {left:?}");
    text
}

fn envoy() -> PathBuf {
    std::env::var_os("ENVOY_BIN").map_or_else(|| root().join(".cache/envoy"), PathBuf::from)
}

/// Makes a program that is to be found by its name, and that ends with the shell that started it.
fn put_on_path(at: &Path, program: &Path) {
    let script = format!("#!/bin/sh\nexec setpriv --pdeathsig KILL -- '{}' \"$@\"\n", program.display());
    fs::write(at, script).expect("a script");
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).expect("its mode");
}

/// Where everything of one try is.
struct Try {
    shell: Process,
    state: PathBuf,
    gateway: u16,
    upstream: Upstream,
    _folder: Folder,
}

/// Runs the document's blocks in one shell, which then stays until the test ends, and what it started with it.
fn follow_the_document() -> Try {
    let folder = Folder::new("install");
    let upstream = Upstream::start(&folder);
    let (state, programs) = (folder.join("state"), folder.join("bin"));
    fs::create_dir(&programs).expect("a folder");
    put_on_path(&programs.join("flamegate-control"), &root().join("dist/flamegate-control"));
    put_on_path(&programs.join("envoy"), &envoy());
    let (gateway, control) = (free_port(), free_port());
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let values = [
        ("STATE", text(&state)),
        ("WASM", text(&root().join("dist/flamegate.wasm"))),
        ("API", format!("127.0.0.1:{}", upstream.port)),
        ("CONTROL", format!("127.0.0.1:{control}")),
        ("GATEWAY", format!("127.0.0.1:{gateway}")),
        ("ADMIN_PORT", free_port().to_string()),
        ("ISSUER", ISSUER.to_owned()),
        ("JWKS", text(&jwks(&folder))),
    ];
    let document = fs::read_to_string(root().join("docs/INSTALL.md")).expect("docs/INSTALL.md");
    let mut blocks = blocks(&document);
    assert_eq!(blocks.len(), 8, "a block for each step");
    blocks[0] = with_values(&blocks[0], &values);
    // A shell that stops at the first command that fails; what it started ends with it.
    let end = "echo \"KEY=$KEY\"; echo done; wait\n";
    let script = format!(
        "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\ntrap 'exit 0' TERM\n{}{end}",
        blocks.concat()
    );
    let path = folder.join("install.sh");
    fs::write(&path, script).expect("the script");
    let search = format!("{}:{}", programs.display(), std::env::var("PATH").expect("PATH"));
    let bash = Path::new("/bin/bash");
    let mut shell = Process::start("install", bash, &folder, |command| {
        command.arg(&path).env("PATH", search);
    });
    // Each step tells something, if only that it tries again; the document's own commands say how often they do.
    let mut log = String::new();
    while !log.ends_with("done\n") {
        log = eventually("the next step of the document", || {
            let more = shell.log();
            if more.len() > log.len() {
                return Ok(more);
            }
            shell.assert_alive();
            Err(more)
        });
    }
    Try { shell, state, gateway, upstream, _folder: folder }
}

#[test]
fn the_steps_of_the_document_lead_to_a_gateway_with_keys_and_jwts() {
    let mut tried = follow_the_document();
    let log = tried.shell.log();
    for part in ["with the key: 200", "without: 401", r#""code":"UNAUTHORIZED""#, "gateway-"] {
        assert!(log.contains(part), "no {part} in {log}");
    }
    let key = log.lines().find_map(|line| line.strip_prefix("KEY=")).expect("the key").to_owned();
    let send = |request: Request| request.send(Protocol::Http1, tried.gateway).expect("an answer");
    let forged = |token: &str| {
        Request::get("/v1/agents")
            .bearer(token)
            .header("x-flametalk-workspace-id", "forged")
            .header("x_flametalk_key_id", "forged")
    };

    // A key: the identity is ours, and the key does not get through.
    let answer = send(forged(&key));
    let lines = echoed(&answer).expect("the upstream's answer");
    let all = |lines: &[(String, Vec<u8>)], name: &str| {
        let values = lines.iter().filter(|(header, _)| header == name);
        values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>()
    };
    assert!(
        all(&lines, "x-flametalk-key-id")[0].starts_with("key_") && all(&lines, "authorization").is_empty()
    );

    // A JWT: it gets through as it came, and no identity that the client made up does.
    let good = jwt(ISSUER, "", SECRET);
    let answer = send(forged(&good));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let lines = echoed(&answer).expect("the upstream's answer");
    assert_eq!(all(&lines, "authorization"), [format!("Bearer {good}")]);
    assert!(lines.iter().all(|(name, _)| !name.contains("flametalk")), "{lines:?}");

    // What only looks like a JWT gets nowhere, whatever stands beside it.
    let wrong = jwt(ISSUER, "", b"another secret");
    for token in
        [wrong.as_str(), &jwt("https://elsewhere.example", "", SECRET), "eyJ", "eyJhbGciOiJub25lIn0.e30."]
    {
        let answer = send(forged(token));
        assert_eq!((answer.status, echoed(&answer)), (401, None), "{token}");
    }
    for pair in [[&wrong, &key], [&wrong, &good], [&good, &wrong], [&good, &key]] {
        let answer = send(Request::get("/v1/agents").bearer(pair[0]).bearer(pair[1]));
        assert_eq!((answer.status, echoed(&answer)), (401, None), "two of which one is good");
    }
    for unknown in ["sk_live_nobodymadethis", "abc"] {
        assert_eq!(send(forged(unknown)).status, 401, "{unknown}");
    }
    // Open is what was said, and no more.
    let open = send(
        Request::get("/healthz").header("authorization", "Basic YTpi").header("x-flametalk-key-id", "forged"),
    );
    let lines = echoed(&open).expect("the upstream's answer");
    assert!(
        lines.iter().all(|(name, _)| name != "authorization" && !name.contains("flametalk")),
        "{lines:?}"
    );
    assert_eq!(send(Request::get("/public/x")).status, 401);
    drop(tried.upstream);
    let (status, _) = tried.shell.stop();
    assert!(status.success(), "{}", tried.shell.log());
    // Secrets are in no log.
    let admin = fs::read_to_string(tried.state.join("admin-token")).expect("the token");
    for name in ["control.log", "envoy.log", "access.log"] {
        let log = fs::read_to_string(tried.state.join(name)).unwrap_or_default();
        assert!(!log.contains(admin.trim()) && !log.contains(&key) && !log.contains(&good), "{name}");
    }
}

#[test]
fn every_form_of_a_configuration_is_one_that_envoy_takes() {
    let folder = Folder::new("envoy-config");
    let file = jwks(&folder);
    let file = file.to_str().expect("UTF-8");
    let wasm = root().join("dist/flamegate.wasm");
    let forms: [&[&str]; 9] = [
        &[],
        &["--open", "/healthz", "--open", "/docs/", "--stream", "/feed", "--name", "eu-1"],
        &["--upstream", "[::1]:8081", "--control", "a.internal:8080", "--control", "b.internal:8080"],
        &[
            "--jwt-issuer",
            ISSUER,
            "--jwt-jwks",
            "https://login.example.com/jwks.json",
            "--jwt-audience",
            "api",
        ],
        &["--jwt-issuer", ISSUER, "--jwt-jwks", "http://127.0.0.1:9/jwks.json", "--stream", "/feed"],
        &["--jwt-issuer", ISSUER, "--jwt-jwks", file],
        &["--stream", "/", "--listen", "[::]:10000"],
        &[
            "--stream",
            "/v1/events/",
            "--open",
            "/a/",
            "--upstream",
            "api.example.com:443",
            "--admin-port",
            "9902",
        ],
        &["--stream", "/", "--stream", "/x/", "--jwt-issuer", ISSUER, "--jwt-jwks", "https://[::1]/keys"],
    ];
    for (number, form) in forms.iter().enumerate() {
        let path = folder.join(format!("{number}.yaml"));
        let mut command = Command::new(root().join("dist/flamegate-control"));
        command.arg("envoy-config").arg("--output").arg(&path).arg("--wasm").arg(&wasm);
        if !form.contains(&"--upstream") {
            command.args(["--upstream", "127.0.0.1:8081"]);
        }
        let made = command.args(*form).output().expect("flamegate-control");
        assert!(made.status.success(), "{form:?}: {}", String::from_utf8_lossy(&made.stderr));
        let mut command = Command::new(envoy());
        command
            .args(["--mode", "validate", "-c"])
            .arg(&path)
            .env("FLAMEGATE_SYNC_TOKEN", "sync-token-of-a-test");
        let output = command.output().expect("Envoy");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{form:?}: {log}");
        assert!(!log.contains("deprecated"), "{form:?}: {log}");
        let mut command = Command::new(root().join("dist/flamegate-control"));
        let checked = command.arg("check-config").arg(&path).output().expect("flamegate-control");
        assert!(checked.status.success(), "{form:?}: {}", String::from_utf8_lossy(&checked.stdout));
    }
}

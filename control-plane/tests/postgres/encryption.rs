//! TLS to the server: whom it belongs to is checked when it is asked for.

use std::path::Path;
use std::process::Command;

use flamegate_engines::Postgres;

use crate::common::program::{failed, succeeded};
use crate::{does_not_serve, tool};

fn openssl(folder: &Path, line: &str) {
    let output = Command::new("openssl").args(line.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
}

/// A certificate for a name in `<name>.crt`, by an authority of the same file's `ca.crt`.
fn certificates(folder: &Path) {
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt",
    );
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=another -keyout other.key -out other.crt",
    );
    openssl(folder, "req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr");
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
    );
}

/// Has the server write a file where its data are: it may be another user than we are.
fn give(server: &Postgres, folder: &Path, name: &str) {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    server.sql(
        "postgres",
        &format!(
            "COPY (SELECT unnest(string_to_array('{}', E'\\n'))) TO PROGRAM 'umask 077 && cat > {name}'",
            text.trim_end()
        ),
    );
}

#[test]
fn a_server_is_asked_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let server = Postgres::start();
    for name in ["server.crt", "server.key"] {
        give(&server, folder.path(), name);
    }
    server.set("ssl", "on");
    let url = server.url(&server.new_database());
    let with = |mode: &str, authority: &str, url: &str| {
        format!("{url}?sslmode={mode}&sslrootcert={}", folder.path().join(authority).display())
    };
    succeeded(&tool(&["database", "migrate"], &with("verify-full", "ca.crt", &url)));
    let encrypted = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
        WHERE s.ssl AND a.application_name = 'flamegate-control'";
    let program = crate::serve(&with("verify-full", "ca.crt", &url));
    assert_ne!(server.sql("postgres", encrypted), "0");
    drop(program);
    for told in [
        does_not_serve(&with("verify-full", "other.crt", &url)),
        does_not_serve(&with("verify-full", "ca.crt", &url.replace("127.0.0.1", "localhost"))),
    ] {
        assert!(told.contains("certificate"), "{told}");
    }
    succeeded(&tool(&["check"], &with("verify-ca", "ca.crt", &url.replace("127.0.0.1", "localhost"))));
}

#[test]
fn a_server_elsewhere_is_used_only_when_it_is_said_how_it_is_checked() {
    // Nobody is asked: the address alone is refused.
    let url = "postgres://flamegate:s3cret@db.invalid/flamegate";
    let told = [
        does_not_serve(url),
        failed(&tool(&["check"], url), 2),
        failed(&tool(&["database", "migrate"], url), 2),
    ];
    for told in told {
        assert!(
            told.contains("db.invalid is another machine: add sslmode=verify-full")
                && !told.contains("s3cret"),
            "{told}"
        );
    }
}

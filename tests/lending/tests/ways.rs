//! Ways to the engine: by TLS with an authority of one's own and with client certificates, and by sentinels that have a password.

use std::num::NonZeroU64;
use std::path::Path;
use std::time::{Duration, Instant};

use flamegate_control::books::redis::Redis;
use flamegate_control::books::{Books as _, Entry, Rows};
use flamegate_control::config::limit_store::LimitStore;
use flamegate_control::domain::lending::{Numbers, Step};
use flamegate_engines::process::free_port;
use flamegate_engines::{Redis as Engine, Sentinel};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use tempfile::TempDir;

const ROWS: Rows = Rows { keys: 7, workspaces: 3 };
const PATIENCE: Duration = Duration::from_secs(60);
const STORE: &str = "FLAMEGATE_LIMIT_STORE";

/// An authority, and what it has signed, as files.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another name than those that it signs have, or they would seem to have signed themselves.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    /// Signs a certificate for 127.0.0.1 under this file name.
    fn sign(&self, name: &str) {
        let (params, key) =
            (CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap(), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        write_private(Path::new(&self.path(&format!("{name}.key"))), &key.serialize_pem());
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// An engine, as variables that begin with `FLAMEGATE_LIMIT_STORE` say it.
fn engine(address: &str, files: &[(&str, &str)]) -> Redis {
    let source = |name: &str| {
        let (_, of) = files.iter().find(|(file, _)| name.strip_prefix(STORE) == Some(file))?;
        Some((*of).to_owned())
    };
    let source = |name: &str| if name == STORE { Some(address.to_owned()) } else { source(name) };
    let store = LimitStore::read(&source, &mut Vec::new()).unwrap().unwrap();
    Redis::new(store, || async { ROWS })
}

/// A Redis that speaks TLS on another port, which is given, beside its plain one.
fn tls_engine(authority: &Authority, clients: &str, more: &[(&str, &str)]) -> (Engine, u16) {
    let port = free_port();
    let [at, certificate, key, ca] = [
        port.to_string(),
        authority.path("engine.pem"),
        authority.path("engine.key"),
        authority.path("ca.pem"),
    ];
    let tls = [
        ("tls-port", at.as_str()),
        ("tls-cert-file", &certificate),
        ("tls-key-file", &key),
        ("tls-ca-cert-file", &ca),
        ("tls-auth-clients", clients),
    ];
    (Engine::start_with(&[&tls[..], more].concat()), port)
}

#[tokio::test]
async fn an_engine_by_tls_is_used_when_its_authority_is_the_one_that_was_named() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.sign("engine");
    let (_engine, port) = tls_engine(&authority, "no", &[]);
    let address = format!("rediss://127.0.0.1:{port}");
    let (ca, others) = (authority.path("ca.pem"), other.path("ca.pem"));
    engine(&address, &[("_CA_FILE", &ca)]).check().await.unwrap();
    for (files, why) in [
        (&[("_CA_FILE", others.as_str())][..], "invalid peer certificate"),
        // Without a file it is the machine's authorities that count.
        (&[], "invalid peer certificate"),
    ] {
        let refused = engine(&address, files).check().await.unwrap_err();
        assert!(refused.contains(why), "{files:?}: {refused}");
    }
    let by_name = format!("rediss://localhost:{port}");
    let refused = engine(&by_name, &[("_CA_FILE", &ca)]).check().await.unwrap_err();
    assert!(refused.contains("not valid for name"), "another name than the certificate's: {refused}");
    let plain = engine(&format!("redis://127.0.0.1:{port}"), &[]).check().await;
    assert!(plain.is_err(), "without TLS");
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_may_be_replaced_while_it_is_used() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.sign("engine");
    authority.sign("own");
    other.sign("own");
    let (mut redis, port) = tls_engine(&authority, "yes", &[]);
    let address = format!("rediss://127.0.0.1:{port}");
    let (ca, certificate, key) =
        (authority.path("ca.pem"), authority.path("own.pem"), authority.path("own.key"));
    let own = [("_CA_FILE", ca.as_str()), ("_CERT_FILE", &certificate), ("_KEY_FILE", &key)];
    assert!(engine(&address, &own[..1]).check().await.is_err(), "without a certificate");
    let (wrong, wrong_key) = (other.path("own.pem"), other.path("own.key"));
    let wrong = [own[0], ("_CERT_FILE", wrong.as_str()), ("_KEY_FILE", &wrong_key)];
    assert!(engine(&address, &wrong).check().await.is_err(), "of another authority");
    let books = engine(&address, &own);
    books.check().await.unwrap();
    // What is in the files counts whenever a connection is made.
    let good = [&certificate, &key].map(|path| std::fs::read(path).unwrap());
    std::fs::copy(wrong[1].1, &certificate).unwrap();
    std::fs::copy(wrong[2].1, &key).unwrap();
    redis.kill();
    redis.start_again();
    let numbers = Numbers { emission_us: NonZeroU64::MIN, burst: 1, revision: 1 };
    let entry = Entry { subject: "key:a:b".to_owned(), numbers, young_in: None, step: Step::default() };
    assert!(books.step(&[entry]).await.is_err(), "the connection is dead");
    assert!(books.check().await.is_err(), "and there is no other with this certificate");
    std::fs::write(&certificate, &good[0]).unwrap();
    std::fs::write(&key, &good[1]).unwrap();
    let begun = Instant::now();
    while let Err(why) = books.check().await {
        assert!(begun.elapsed() < PATIENCE, "{why}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn sentinels_may_speak_tls_and_have_a_password_of_their_own() {
    let authority = Authority::new();
    authority.sign("engine");
    let (redis, port) =
        tls_engine(&authority, "no", &[("requirepass", "engines"), ("tls-replication", "yes")]);
    let sentinel_port = free_port();
    let lines = [
        format!("tls-port {sentinel_port}"),
        format!("tls-cert-file {}", authority.path("engine.pem")),
        format!("tls-key-file {}", authority.path("engine.key")),
        format!("tls-ca-cert-file {}", authority.path("ca.pem")),
        "tls-auth-clients no".to_owned(),
        "tls-replication yes".to_owned(),
        "sentinel auth-pass limits engines".to_owned(),
        "requirepass sentinels".to_owned(),
    ];
    let _sentinel = Sentinel::watch_with(&redis, "limits", port, &lines);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, password: &str| {
        let path = folder.path().join(name);
        write_private(&path, &format!("{password}\n"));
        path.to_str().unwrap().to_owned()
    };
    let (ca, of_engine, of_sentinel) =
        (authority.path("ca.pem"), file("one", "engines"), file("two", "sentinels"));
    let address = format!("rediss+sentinel://127.0.0.1:{sentinel_port}/limits");
    let files = [
        ("_CA_FILE", ca.as_str()),
        ("_PASSWORD_FILE", &of_engine),
        ("_SENTINEL_PASSWORD_FILE", &of_sentinel),
    ];
    engine(&address, &files).check().await.unwrap();
    for (files, who) in [(&files[..2], "the sentinel 127.0.0.1"), (&[files[0], files[2]], "NOAUTH")] {
        let refused = engine(&address, files).check().await.unwrap_err();
        assert!(refused.contains(who), "{refused}");
        assert!(!refused.contains("sentinels:") && !refused.contains("engines"), "no password: {refused}");
    }
}

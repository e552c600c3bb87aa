//! The control plane speaks plain HTTP; production puts TLS before it. What happens when that certificate expires.

use std::{
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use flamegate_e2e::{
    Control, Envoy, Plugin, Stack,
    envoy::{Upstreams, render},
    eventually,
    process::Folder,
    upstream::Upstream,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, IsCa, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use serde_json::json;
use tokio::{
    io,
    net::{TcpListener, TcpStream},
    runtime,
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

const NAME: &str = "control.test";
const DAY: Duration = Duration::from_secs(86_400);

/// What ends TLS before the control plane, with a certificate that can be replaced: open connections end then.
struct Terminator {
    port: u16,
    certificate: watch::Sender<Arc<ServerConfig>>,
}

impl Terminator {
    fn start(control: u16, first: Arc<ServerConfig>) -> Self {
        let (certificate, current) = watch::channel(first);
        let (tell, port) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                tell.send(listener.local_addr().expect("address").port()).expect("the test");
                while let Ok((socket, _)) = listener.accept().await {
                    let mut current = current.clone();
                    tokio::spawn(async move {
                        let config = Arc::clone(&current.borrow_and_update());
                        tokio::select! {
                            _ = pass(socket, config, control) => {}
                            _ = current.changed() => {}
                        }
                    });
                }
            });
        });
        Self { port: port.recv().expect("a port"), certificate }
    }

    fn replace(&self, config: Arc<ServerConfig>) {
        self.certificate.send(config).expect("the terminator runs");
    }
}

async fn pass(socket: TcpStream, config: Arc<ServerConfig>, control: u16) -> io::Result<()> {
    let mut inside = TlsAcceptor::from(config).accept(socket).await?;
    let mut plain = TcpStream::connect(("127.0.0.1", control)).await?;
    io::copy_bidirectional(&mut inside, &mut plain).await.map(drop)
}

/// A certificate of this issuer that is good from ten days ago until then.
fn certificate(issuer: &CertifiedIssuer<'_, KeyPair>, until: SystemTime) -> Arc<ServerConfig> {
    let mut params = CertificateParams::new([NAME.to_owned()]).expect("a name");
    params.not_before = (SystemTime::now() - 10 * DAY).into();
    params.not_after = until.into();
    let key = KeyPair::generate().expect("a key");
    let signed = params.signed_by(&key, issuer).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth();
    Arc::new(config.with_single_cert(vec![signed.der().clone()], key).expect("a chain"))
}

fn issuer() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "flamegate tests");
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an issuer")
}

fn stack(name: &str, issuer: &CertifiedIssuer<'_, KeyPair>) -> (Stack, Terminator) {
    let folder = Folder::new(name);
    let upstream = Upstream::start(&folder);
    let mut control = Control::prepare(&folder);
    control.start();
    control.create_workspace("e2e");
    let terminator = Terminator::start(control.port, certificate(issuer, SystemTime::now() + DAY));
    let trusted = folder.join("issuer.pem");
    std::fs::write(&trusted, issuer.pem()).expect("issuer");
    let upstreams = Upstreams { upstream: upstream.port, control: terminator.port };
    let envoy = Envoy::start_with("envoy", &folder, |ports, log| {
        let cluster = "    - name: flamegate-control\n";
        let socket = format!(
            "{cluster}      transport_socket:\n        name: envoy.transport_sockets.tls\n        typed_config:\n          \
             \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n          \
             sni: {NAME}\n          common_tls_context:\n            validation_context:\n              \
             trusted_ca: {{ filename: \"{}\" }}\n              \
             match_typed_subject_alt_names: [{{ san_type: DNS, matcher: {{ exact: {NAME} }} }}]\n",
            trusted.display()
        );
        let text = render(&Plugin::singleton(json!({})), upstreams, ports, log);
        assert!(text.contains(cluster));
        text.replace(cluster, &socket)
    });
    (Stack { envoy, control, upstream, folder }, terminator)
}

#[test]
fn an_expired_certificate_stops_the_sync_and_nothing_else_until_it_is_renewed() {
    let issuer = issuer();
    let (stack, terminator) = stack("expired-certificate", &issuer);
    let (kept, revoked) = (stack.accepted_key("live"), stack.accepted_key("live"));
    let failures = || stack.envoy.metrics().value("flamegate_sync_failures_total").unwrap_or(0.0);
    let before = failures();
    terminator.replace(certificate(&issuer, SystemTime::now() - DAY));
    eventually("the failure is counted", || {
        let now = failures();
        if now >= before + 3.0 { Ok(()) } else { Err(format!("{now}")) }
    });
    eventually("the log names the status", || {
        let log = stack.envoy.log();
        let is_told = log.contains("the last good table stays: answer with status 503");
        if is_told { Ok(()) } else { Err(log) }
    });
    // Nobody may take part who cannot prove who it is: the revocation does not arrive, and the table stays.
    stack.control.revoke(&revoked.id, "0s");
    for key in [&kept, &revoked] {
        stack.wait_for_status(&key.key, 200);
    }
    terminator.replace(certificate(&issuer, SystemTime::now() + DAY));
    stack.wait_for_status(&revoked.key, 401);
    stack.wait_for_status(&kept.key, 200);
    eventually("the log says that it works again", || {
        let log = stack.envoy.log();
        if log.contains("sync works again") { Ok(()) } else { Err(log) }
    });
}

//! Values that are good each for itself and lead to no gateway together.

use super::template::Gateway;
use super::values::Endpoint;

/// What cannot be together, in words; the first of them.
pub(super) fn check(gateway: &Gateway) -> Result<(), String> {
    let Gateway { upstream, control, listen, admin_port, .. } = gateway;
    if control.contains(upstream) {
        return Err(format!(
            "--upstream and --control are both {upstream}: one is your API, the other the control plane"
        ));
    }
    let mut others = control.iter();
    while let Some(one) = others.next() {
        if others.as_slice().contains(one) {
            return Err(format!("--control {one} is given twice: name each control plane once"));
        }
    }
    let all = control.iter().map(|one| ("--control", one));
    for (name, other) in [("--upstream", upstream)].into_iter().chain(all) {
        if meets(listen, other) {
            return Err(format!("{name} {other} is where the gateway itself listens (--listen {listen})"));
        }
    }
    let admin = Endpoint { host: "127.0.0.1".to_owned(), port: *admin_port };
    if meets(listen, &admin) {
        return Err(format!(
            "--listen {listen} and --admin-port {admin_port}: one port cannot be both, choose another for one of them"
        ));
    }
    Ok(())
}

/// What to know about a configuration that is written all the same.
pub(super) fn warning(gateway: &Gateway) -> Option<String> {
    (gateway.upstream.port == 443).then(|| {
        format!(
            "note: the gateway speaks plain HTTP to {}, and port 443 mostly means TLS. If your API wants TLS, add a transport_socket with an \
             UpstreamTlsContext (sni, trusted_ca, match_typed_subject_alt_names) to the cluster `upstream` in the file",
            gateway.upstream
        )
    })
}

/// Whether `other`, reached from this machine, is what listens here.
fn meets(listen: &Endpoint, other: &Endpoint) -> bool {
    let is_local = ["127.0.0.1", "localhost", "::1"].contains(&other.host.as_str());
    let everywhere = ["0.0.0.0", "::"].contains(&listen.host.as_str());
    listen.port == other.port && (listen.host == other.host || (everywhere && is_local))
}

//! TLS between Envoy and the control plane: whom to believe, and what to show.
//!
//! Authorities and the gateway's certificate come to Envoy by SDS from two files beside the configuration, one secret in each as Envoy wants
//! it. So Envoy reads them again when a file is moved into their folders; what a configuration names directly it reads once.

use std::net::IpAddr;
use std::path::Path;

use super::values::{Endpoint, PathText, Plain};
use crate::config::database::absolute;

/// How the control plane is reached by TLS.
pub(super) struct ControlTls {
    /// Authorities of its certificate.
    pub authorities: PathText,
    /// The name that is in its certificate; the hosts' own where none is given.
    pub name: Option<Plain>,
    /// The gateway's certificate and key.
    pub own: Option<(PathText, PathText)>,
    /// The file for the first secret.
    pub authorities_file: PathText,
    /// The file for the second.
    pub own_file: PathText,
}

const AUTHORITIES: &str = "flamegate-control-ca";
const OWN: &str = "flamegate-gateway";

impl ControlTls {
    /// Where its files are, beside that configuration.
    pub fn files_beside(output: &Path) -> Result<(PathText, PathText), String> {
        let stem = absolute(output.with_extension(""));
        let stem = stem.to_str().unwrap_or_default();
        let file = |name: &str| format!("{stem}.{name}.yaml").parse::<PathText>();
        let mistake = |form| format!("--output: with --control-ca it must be {form}");
        Ok((file("control-ca").map_err(mistake)?, file("control-cert").map_err(mistake)?))
    }

    /// The files and what is in them.
    pub fn secrets(&self) -> Vec<(&PathText, String)> {
        let file = |path: &PathText| format!("{{ filename: \"{}\" }}", path.0);
        let context = format!("validation_context: {{ trusted_ca: {} }}", file(&self.authorities));
        let mut secrets = vec![(&self.authorities_file, secret(AUTHORITIES, &context))];
        if let Some((certificate, key)) = &self.own {
            let pair = format!(
                "tls_certificate: {{ certificate_chain: {}, private_key: {} }}",
                file(certificate),
                file(key)
            );
            secrets.push((&self.own_file, secret(OWN, &pair)));
        }
        secrets
    }

    /// The transport socket of the cluster.
    pub fn socket(&self, control: &[Endpoint]) -> String {
        let mut names: Vec<&str> = match &self.name {
            Some(name) => vec![&name.0],
            None => control.iter().map(|one| one.host.as_str()).collect(),
        };
        names.sort_unstable();
        names.dedup();
        let is_address = |name: &str| name.parse::<IpAddr>().is_ok();
        let sni = names.iter().find(|name| !is_address(name));
        let sni = sni.map(|name| format!("\n    sni: \"{name}\"")).unwrap_or_default();
        let matcher = |name: &&str| {
            let kind = if is_address(name) { "IP_ADDRESS" } else { "DNS" };
            format!("{{ san_type: {kind}, matcher: {{ exact: \"{name}\" }} }}")
        };
        let matchers = names.iter().map(matcher).collect::<Vec<_>>().join(", ");
        let own = self.own.as_ref().map(|_| {
            format!("\n      tls_certificate_sds_secret_configs: [{}]", source(OWN, &self.own_file))
        });
        format!(
            r#"transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext{sni}
    common_tls_context:{own}
      combined_validation_context:
        default_validation_context:
          match_typed_subject_alt_names: [{matchers}]
        validation_context_sds_secret_config: {known}"#,
            own = own.unwrap_or_default(),
            known = source(AUTHORITIES, &self.authorities_file),
        )
    }
}

fn source(name: &str, file: &PathText) -> String {
    format!(
        "{{ name: {name}, sds_config: {{ resource_api_version: V3, path_config_source: {{ path: \"{}\" }} }} }}",
        file.0
    )
}

fn secret(name: &str, what: &str) -> String {
    format!(
        "# For Envoy's SDS. What it names is read again when a file is moved there (mv, not cp).\nresources:\n  \
         - \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret\n    name: {name}\n    {what}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(name: Option<&str>, own: bool) -> ControlTls {
        let path = |text: &str| text.parse::<PathText>().unwrap();
        let (authorities_file, own_file) =
            ControlTls::files_beside(Path::new("/etc/envoy/envoy.yaml")).unwrap();
        ControlTls {
            authorities: path("/tls/ca.pem"),
            name: name.map(|name| name.parse().unwrap()),
            own: own.then(|| (path("/tls/cert.pem"), path("/tls/key.pem"))),
            authorities_file,
            own_file,
        }
    }

    #[test]
    fn each_host_is_believed_by_its_own_name_unless_one_is_given() {
        let control: Vec<Endpoint> =
            ["b.internal:8080", "10.0.0.7:8080", "b.internal:8081"].map(|text| text.parse().unwrap()).into();
        let socket = tls(None, false).socket(&control);
        let names = r#"[{ san_type: IP_ADDRESS, matcher: { exact: "10.0.0.7" } }, { san_type: DNS, matcher: { exact: "b.internal" } }]"#;
        assert!(socket.contains(names) && socket.contains("sni: \"b.internal\""), "{socket}");
        assert!(!socket.contains("tls_certificate_sds"), "{socket}");
        let socket = tls(Some("keys.example.com"), true).socket(&control);
        assert!(!socket.contains("b.internal") && socket.contains("sni: \"keys.example.com\""), "{socket}");
        assert!(socket.contains("path: \"/etc/envoy/envoy.control-cert.yaml\""), "{socket}");
        let socket = tls(None, false).socket(&control[1..2]);
        assert!(!socket.contains("sni"), "{socket}");
    }

    #[test]
    fn there_is_a_file_for_each_secret() {
        let files =
            |tls: &ControlTls| tls.secrets().iter().map(|(path, _)| path.0.clone()).collect::<Vec<_>>();
        assert_eq!(files(&tls(None, false)), ["/etc/envoy/envoy.control-ca.yaml"]);
        let both = tls(None, true);
        assert_eq!(files(&both).len(), 2);
        assert!(both.secrets()[1].1.contains(r#"private_key: { filename: "/tls/key.pem" }"#));
        assert!(ControlTls::files_beside(Path::new("/a b/envoy.yaml")).unwrap_err().contains("--output"));
    }
}

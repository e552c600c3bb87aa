//! JWTs beside keys: which requests have one, and the parts of a configuration that let Envoy check it.
//!
//! A request with a JWT takes a route of its own, on which Flamegate is off: for Flamegate it would be a wrong key, and a bypass rule
//! would take the `Authorization` header away. So what Flamegate cleans there, the early header mutation has to.

use std::net::IpAddr;

use super::values::{Endpoint, Keys, PathText, Plain};

/// What a JWT must be to be good.
pub(super) struct Jwt {
    pub issuer: Plain,
    pub keys: Keys,
    pub audiences: Vec<Plain>,
}

/// Which requests have a JWT: one begins with `{"` in base64url, a key with `sk_`. Whatever the rest is, Envoy's filter judges it. Last of
/// the guard's matchers, so that a request with a key, which has filter state by then, is not asked for it.
const MATCHER: &str = r#"- predicate:
    single_predicate:
      input: { name: authorization, typed_config: { "@type": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: authorization } }
      value_match: { safe_regex: { google_re2: {}, regex: "Bearer +eyJ.*" } }
  on_match:
    action:
      name: by-jwt
      typed_config:
        "@type": type.googleapis.com/envoy.config.route.v3.RouteList
        routes:"#;
const FILTER_OFF: &str =
    r#"{ "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true }"#;

impl Jwt {
    /// The filter, in front of Flamegate; it does something on routes that ask for it only. A JWT that never ends could not be taken back,
    /// so there is none (RFC 9068, 2.2).
    pub fn filter(&self) -> String {
        let audiences = match self.audiences.as_slice() {
            [] => String::new(),
            some => {
                let texts: Vec<_> = some.iter().map(|audience| format!("\"{}\"", audience.0)).collect();
                format!("audiences: [{}]\n", texts.join(", "))
            }
        };
        let keys = match &self.keys {
            Keys::File(path) => format!("local_jwks: {{ filename: \"{}\" }}", path.0),
            Keys::Url { text, .. } => format!(
                "remote_jwks:\n  http_uri: {{ uri: \"{}\", cluster: jwks, timeout: 5s }}\n  cache_duration: 600s\n  async_fetch: {{ fast_listener: true }}",
                text.0
            ),
        };
        let issuer = &self.issuer.0;
        let provider = format!(
            "issuer: \"{issuer}\"\n{audiences}require_expiration: true\nforward: true\nfrom_headers: [{{ name: authorization, value_prefix: \"Bearer \" }}]\n{keys}"
        );
        format!(
            "- name: jwt\n  typed_config:\n    \"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication\n    \
             providers:\n      issuer:\n{}\n    requirement_map: {{ jwt: {{ provider_name: issuer }} }}",
            indented(&provider, 8)
        )
    }

    /// What whoever asked for this should know.
    pub fn warning(&self) -> Option<&'static str> {
        let Keys::Url { endpoint, tls: false, .. } = &self.keys else { return None };
        let is_here =
            endpoint.host == "localhost" || endpoint.host.parse::<IpAddr>().is_ok_and(|at| at.is_loopback());
        (!is_here).then_some(
            "the issuer's keys are fetched without TLS: whoever stands between Envoy and the issuer can make JWTs that are good",
        )
    }

    /// Where the issuer's keys are fetched.
    pub fn cluster(&self) -> String {
        let Keys::Url { endpoint, tls, .. } = &self.keys else { return String::new() };
        let mut text = format!(
            "- name: jwks\n  type: STRICT_DNS\n  connect_timeout: 5s\n  load_assignment:\n    cluster_name: jwks\n    \
             endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {endpoint} }} }}] }}]"
        );
        if *tls {
            text.push('\n');
            text.push_str(&indented(&transport(endpoint), 2));
        }
        text
    }

    /// The routes of requests with a JWT, with the same time-outs as those of keys.
    pub fn routes(streams: &[PathText]) -> String {
        let long = "timeout: 0s, idle_timeout: 3600s";
        let mut routes = vec![route("prefix: /, grpc: {}", long)];
        routes.extend(
            streams.iter().map(|path| route(&format!("path_separated_prefix: \"{}\"", path.0), long)),
        );
        routes.push(route("prefix: /", "timeout: 0s"));
        format!("{MATCHER}\n{}", indented(&routes.join("\n"), 10))
    }

    /// What Flamegate cleans where it is on: what a client sends under the identity's names, whatever stands for a dash.
    pub fn cleaning() -> &'static str {
        r#"early_header_mutation_extensions:
  - name: envoy.http.early_header_mutation.header_mutation
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation
      mutations:
        - remove_on_match: { key_matcher: { safe_regex: { regex: "x[^a-z0-9]flametalk[^a-z0-9].*" } } }"#
    }
}

fn route(path: &str, times: &str) -> String {
    format!(
        "- match: {{ {path} }}\n  route: {{ cluster: upstream, {times} }}\n  typed_per_filter_config:\n    \
         flamegate: {FILTER_OFF}\n    \
         jwt: {{ \"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig, requirement_name: jwt }}"
    )
}

fn transport(endpoint: &Endpoint) -> String {
    format!(
        r#"transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    sni: "{host}"
    common_tls_context:
      validation_context:
        # Where Debian, Ubuntu and Envoy's image have the authorities.
        trusted_ca: {{ filename: /etc/ssl/certs/ca-certificates.crt }}
        match_typed_subject_alt_names: [{{ san_type: DNS, matcher: {{ exact: "{host}" }} }}]"#,
        host = endpoint.host
    )
}

/// The same lines, so many columns further right.
pub(super) fn indented(text: &str, columns: usize) -> String {
    let lines: Vec<_> = text.lines().map(|line| format!("{:columns$}{line}", "")).collect();
    lines.join("\n")
}

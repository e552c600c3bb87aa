//! JWTs beside keys: which requests have one, and the parts of a configuration that let Envoy check it.
//!
//! A request with a JWT takes a route of its own, on which Flamegate is off: for Flamegate it would be a wrong key, and a bypass rule
//! would take the `Authorization` header away. So what Flamegate cleans there, the early header mutation has to.

use std::net::IpAddr;

use super::values::{Endpoint, Keys, Plain, StreamPath};

/// What a JWT must be to be good.
pub(super) struct Jwt {
    pub issuer: Plain,
    pub keys: Keys,
    pub audiences: Vec<Plain>,
}

/// Which requests have a JWT: one begins with `{"` in base64url, a key with `sk_`. Whatever the rest is, Envoy's filter judges it. Last of
/// the guard's matchers, so that a request with a key, which has filter state by then, is not asked for it.
///
/// The scheme is one in any case (RFC 9110, 11.1), as it is for keys. All of the value is asked for, so that the token that the route asked
/// for is the very one that `jwt_authn` judges; several headers, which Envoy joins with commas, are a wrong key.
const FORM: &str = "(?i:bearer) +eyJ[A-Za-z0-9_.-]*";
const INPUT: &str = r#"{ name: authorization, typed_config: { "@type": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: authorization } }"#;
const ON_MATCH: &str = r#"  on_match:
    action:
      name: by-jwt
      typed_config:
        "@type": type.googleapis.com/envoy.config.route.v3.RouteList
        routes:"#;
/// Where `jwt_authn` finds the token. It looks for the prefix as it stands, in its case and anywhere in the value, and takes what begins with
/// the next character of a JWT. After the matcher, a blank is always the one behind the scheme, in whatever case that is.
const PREFIX: &str = " ";
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
            "issuer: \"{issuer}\"\n{audiences}require_expiration: true\nforward: true\nfrom_headers: [{{ name: authorization, value_prefix: \"{PREFIX}\" }}]\n{keys}"
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
             endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {} }} }}] }}]",
            endpoint.address()
        );
        if *tls {
            text.push('\n');
            text.push_str(&indented(&transport(endpoint), 2));
        }
        text
    }

    /// The routes of requests with a JWT, with the same time-outs as those of keys.
    pub fn routes(streams: &[StreamPath]) -> String {
        let long = "timeout: 0s, idle_timeout: 3600s";
        let mut routes = vec![route("prefix: /, grpc: {}", long)];
        routes.extend(streams.iter().map(|path| route(&path.matcher(), long)));
        routes.push(route("prefix: /", "timeout: 0s"));
        format!(
            "- predicate:\n    single_predicate:\n      input: {INPUT}\n      \
             value_match: {{ safe_regex: {{ google_re2: {{}}, regex: \"{FORM}\" }} }}\n{ON_MATCH}\n{}",
            indented(&routes.join("\n"), 10)
        )
    }

    /// What a client reads when its JWT is not good: our answer in the place of Envoy's words. Nothing else answers 401 or 403 by itself on
    /// these routes, and an upstream's answer is no local reply. The status of a JWT for somebody else (Envoy's 403) is 401, too.
    pub fn replies() -> String {
        let grpc = "- header_filter: { header: { name: content-type, string_match: { prefix: application/grpc } } }\n";
        [mapper(grpc, MESSAGE, "text/plain"), mapper("", ENVELOPE, "application/json")]
            .iter()
            .fold("local_reply_config:\n  mappers:".to_owned(), |text, mapper| {
                format!("{text}\n{}", indented(mapper, 4))
            })
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

/// What Flamegate answers itself to a request without a key.
const ENVELOPE: &str =
    r#"{"success":false,"error":{"code":"UNAUTHORIZED","message":"Invalid or missing API key"}}"#;
/// Its message, for `grpc-message`.
const MESSAGE: &str = "Invalid or missing API key";

fn mapper(also: &str, body: &str, content_type: &str) -> String {
    let status = |op: &str, value: u16| {
        format!(
            "- status_code_filter: {{ comparison: {{ op: {op}, value: {{ default_value: {value}, runtime_key: flamegate.never_set }} }} }}"
        )
    };
    let either = format!(
        "- or_filter:\n    filters:\n{}",
        indented(&[status("EQ", 401), status("EQ", 403)].join("\n"), 6)
    );
    let filters = format!(
        "{either}\n- header_filter: {{ header: {{ name: authorization, string_match: {{ safe_regex: {{ regex: \"{FORM}\" }} }} }} }}\n{also}"
    );
    format!(
        "- filter:\n    and_filter:\n      filters:\n{}\n  status_code: 401\n  headers_to_add:\n    \
         - {{ header: {{ key: cache-control, value: no-store }}, append_action: ADD_IF_ABSENT }}\n  \
         body_format_override: {{ text_format_source: {{ inline_string: '{body}' }}, content_type: {content_type} }}",
        indented(&filters, 8)
    )
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

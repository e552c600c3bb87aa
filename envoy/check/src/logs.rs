//! What is logged of a request: never a credential, and no query.

use crate::chain::Chain;
use crate::finding::Findings;
use crate::guard;
use crate::node::At;
use crate::plugin::Plugin;
use crate::rules;

/// Checks access logs and traces of a chain.
pub fn check(chain: &Chain<'_, '_>, findings: &mut Findings) {
    let manager = &chain.http.manager;
    let secrets = chain.plugin.map_or_else(|| vec!["authorization"], Plugin::key_headers);
    for log in manager.list("access_log") {
        let Some(config) = log.get("typed_config") else { continue };
        formats(&config, &secrets, findings);
        let has_format = ["log_format", "format", "json_format", "typed_json_format"]
            .iter()
            .any(|name| config.get(name).is_some());
        let kind = config.typed().0;
        if !has_format && (kind.contains(".file.") || kind.contains(".stream.")) {
            findings.at(
                &rules::LOG_QUERY,
                &config,
                "the access log has Envoy's default format, with the query",
            );
        }
        for header in config.list("additional_request_headers_to_log") {
            secret_header(&header, header.text(), &secrets, findings);
        }
        let Some(plugin) = chain.plugin else { continue };
        for (name, at) in guard::names(&config)
            .iter()
            .filter(|(name, _)| !plugin.publishes(name) && !["admitted", "denied"].contains(name))
        {
            findings.at(&rules::STATE_LOG, at, format!("wasm.flamegate.{name} is logged and not published"));
        }
    }
    let tags = manager.get("tracing").map(|tracing| tracing.list("custom_tags")).unwrap_or_default();
    for tag in tags {
        let name = tag.get("request_header").map(|header| header.text_of("name"));
        secret_header(&tag, name, &secrets, findings);
    }
}

fn secret_header(at: &At<'_>, name: Option<&str>, secrets: &[&str], findings: &mut Findings) {
    let secret = secrets.iter().find(|secret| name.is_some_and(|name| name.eq_ignore_ascii_case(secret)));
    if let Some(secret) = secret {
        findings.at(&rules::LOG_SECRET, at, format!("the header {secret} is recorded"));
    }
}

fn formats(config: &At<'_>, secrets: &[&str], findings: &mut Findings) {
    for (text, at) in config.texts() {
        // Two names of one operator; and expressions, which are not read, but what they name is.
        let upper = text.to_ascii_uppercase().replace("%REQUEST_HEADER(", "%REQ(");
        let has_expression = upper.contains("%CEL(");
        let expressed = |names: &[&str]| has_expression && names.iter().any(|name| upper.contains(name));
        for secret in secrets {
            let name = secret.to_ascii_uppercase();
            let logged = [format!("%REQ({name})"), format!("%REQ({name}?"), format!("?{name})")];
            if logged.iter().any(|form| upper.contains(form)) || expressed(&[&name]) {
                findings.at(&rules::LOG_SECRET, &at, format!("the header {secret} is logged"));
            }
        }
        if text.contains("wasm.flamegate.admitted") {
            findings.at(&rules::LOG_SECRET, &at, "wasm.flamegate.admitted is logged: it is the key's hash");
        }
        // Without parameters %PATH% has the query.
        let operators = ["%REQ(:PATH)", "?:PATH)", "%PATH(WQ", "%PATH%", "%QUERY_PARAM("];
        let path = operators.iter().any(|operator| upper.contains(operator));
        if path || expressed(&["REQUEST.PATH", "REQUEST.QUERY"]) {
            findings.at(&rules::LOG_QUERY, &at, "the path is logged with its query");
        }
    }
}

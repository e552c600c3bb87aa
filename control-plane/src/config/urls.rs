//! URLs that people give. The library repairs much (`http:\\h`, `http:h`, a tab in the host); what needs that is a mistake worth
//! telling here.

use reqwest::Url;

const SPACE: &str = "it must have no space, backslash or control character";
const SCHEME: &str = "it must begin with http:// or https://";
const USER: &str = "it must have no user and no password";
const QUERY: &str = "it must have no query and no fragment";
const HOST: &str = "there is no host in it";
const PORT: &str = "its port must be 1 to 65535";
const PATH: &str = "it must have no path";

/// Scheme, host, perhaps a port, perhaps a path. The error says what is wrong, and does not repeat a password.
pub fn parse(text: &str) -> Result<Url, String> {
    check(text).map_err(|why| told(text, why))
}

/// Scheme, host and perhaps a port, as browsers send it in `Origin`: in lower case, without the scheme's own port.
pub fn origin(text: &str) -> Result<String, String> {
    let url = parse(text)?;
    if url.path() != "/" {
        return Err(told(text, PATH));
    }
    Ok(url.origin().ascii_serialization())
}

fn told(text: &str, why: &str) -> String {
    let shown = if text.contains('@') { "it".to_owned() } else { format!("'{}'", text.escape_debug()) };
    format!("{shown} is no URL such as https://keys.example.com: {why}")
}

fn check(text: &str) -> Result<Url, &'static str> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(SPACE);
    }
    let scheme = ["http://", "https://"]
        .into_iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let rest = text.get(scheme.ok_or(SCHEME)?.len()..).unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(USER);
    }
    if text.contains(['?', '#']) {
        return Err(QUERY);
    }
    let (host, port) = match authority.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, port))) => (host, Some(port).filter(|port| !port.is_empty())),
        Some(None) => return Err(HOST),
        None => authority
            .find(':')
            .map_or((authority, None), |at| (authority.get(..at).unwrap_or_default(), authority.get(at..))),
    };
    if host.is_empty() {
        return Err(HOST);
    }
    if let Some(port) = port {
        let digits = port.strip_prefix(':').filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|digits| digits.parse::<u16>().ok()).filter(|port| *port > 0).ok_or(PORT)?;
    }
    Url::parse(text).map_err(|_| HOST)
}

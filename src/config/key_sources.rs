//! The field `key_sources`: in which places of a request a key may stand. Each is an object with one field, which says what kind of
//! place it is.

use std::rc::Rc;

use serde_json::Value;

use crate::decision::request::IDENTITY_PREFIX;
use crate::decision::sources::{KeySources, MAX_NAME_LEN, MAX_SOURCES, Source};

use super::fields::Fields;
use super::mistakes::Mistakes;

/// Headers that mean something to Envoy, to the filter or to every hop: a key that stood there would go with what they say, and
/// `authorization`, cookies and protocols have kinds of their own.
const TAKEN: [&str; 16] = [
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "origin",
    "proxy-authorization",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The same, by how they begin.
const TAKEN_PREFIXES: [&str; 3] = ["x-envoy-", "x-forwarded-", "access-control-"];

/// Reads the field's value; `None` for what is the default anyway.
pub(super) fn read(value: &Value, path: &str, mistakes: &mut Mistakes) -> Option<Rc<KeySources>> {
    let Some(list) = value.as_array() else {
        mistakes.add(path, r#"a list of places, as [{"bearer": "authorization"}]"#.to_owned());
        return None;
    };
    if list.is_empty() || list.len() > MAX_SOURCES {
        mistakes.add(path, format!("1 to {MAX_SOURCES} places"));
    }
    let mut sources = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(source) = source(value, &path, mistakes) else { continue };
        let protocols = |source: &Source| matches!(source, Source::WebsocketProtocol(_));
        if sources.contains(&source) {
            mistakes.add(&path, "this place is in the list already".to_owned());
        } else if protocols(&source) && sources.iter().any(protocols) {
            mistakes.add(&path, "one prefix of protocols is enough".to_owned());
        }
        sources.push(source);
    }
    let sources = KeySources::new(sources);
    (!sources.is_default()).then(|| Rc::new(sources))
}

/// Reads the one field of a place.
type Reader = fn(&mut Fields<'_, '_>) -> Option<Source>;

fn source(value: &Value, path: &str, mistakes: &mut Mistakes) -> Option<Source> {
    let mut fields = Fields::new(value, path, mistakes)?;
    let kinds: [(&str, Reader); 6] = [
        ("bearer", |fields| word(fields, "bearer", "authorization").then_some(Source::Bearer)),
        ("header", |fields| named(fields, "header", is_header, HEADER).map(Source::Header)),
        ("basic", |fields| word(fields, "basic", "username").then_some(Source::BasicUsername)),
        ("query", |fields| named(fields, "query", is_unreserved, UNRESERVED).map(Source::Query)),
        ("cookie", |fields| named(fields, "cookie", is_token, TOKEN).map(Source::Cookie)),
        ("websocket_protocol", |fields| {
            named(fields, "websocket_protocol", is_token, TOKEN).map(Source::WebsocketProtocol)
        }),
    ];
    let mut given = kinds.iter().filter(|(name, _)| fields.has(name));
    let (Some((_, read)), None) = (given.next(), given.next()) else {
        let names = kinds.map(|(name, _)| format!("\"{name}\"")).join(", ");
        fields.mistakes().add(path, format!("an object with one of {names}"));
        return None;
    };
    let source = read(&mut fields);
    fields.finish();
    source
}

const HEADER: &str =
    "the name of a header in lower case, of up to 63 letters, digits and '-', that means nothing else";
const UNRESERVED: &str = "1 to 63 letters, digits, '-', '_', '.' or '~'";
const TOKEN: &str = "1 to 63 letters, digits or marks that a token may have";

/// True when the field has the one word that it may have.
fn word(fields: &mut Fields<'_, '_>, name: &'static str, only: &str) -> bool {
    fields.choice(name, &[(only, true)], false)
}

fn named(
    fields: &mut Fields<'_, '_>,
    name: &'static str,
    is_good: fn(&str) -> bool,
    rule: &str,
) -> Option<String> {
    let text = fields.required_text(name)?;
    let good = !text.is_empty() && text.len() <= MAX_NAME_LEN && is_good(&text);
    if !good {
        fields.mistake(name, rule);
    }
    good.then_some(text)
}

fn is_header(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.bytes().all(plain)
        && !TAKEN.contains(&name)
        && !TAKEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && !name.as_bytes().starts_with(IDENTITY_PREFIX)
}

fn is_unreserved(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
}

/// `token` of RFC 9110 section 5.6.2.
fn is_token(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

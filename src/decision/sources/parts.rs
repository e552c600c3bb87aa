//! The parts of a request in which a key may stand among others: parameters of a query, cookies, offered protocols; and Basic
//! credentials. All of it is bytes from a stranger.

use std::borrow::Cow;

use crate::decision::credential::trim;

/// The values of all parameters of this name, as they stand in the path. Names are compared decoded, because the upstream decodes
/// them: `api%5Fkey` is `api_key`.
pub fn parameters<'a>(path: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    let parameters = query(path).map(|query| query.split(|byte| *byte == b'&')).into_iter().flatten();
    parameters.filter_map(move |parameter| {
        let (own, value) = name_and_value(parameter);
        (*decoded(own) == *name.as_bytes()).then_some(value)
    })
}

/// The path without the parameters whose decoded names are `ours`; every other byte stays as it is.
pub fn without_parameters(path: &[u8], ours: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let Some(query) = query(path) else { return path.to_vec() };
    let before = path.split(|byte| *byte == b'?').next().unwrap_or(path);
    let kept =
        query.split(|byte| *byte == b'&').filter(|parameter| !ours(&decoded(name_and_value(parameter).0)));
    let kept: Vec<&[u8]> = kept.collect();
    let mut left = before.to_vec();
    if !kept.is_empty() {
        left.push(b'?');
        left.extend(kept.join(&b'&'));
    }
    left
}

/// The values of all cookies of this name in one line (RFC 6265 section 4.2.1).
pub fn cookies<'a>(line: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    line.split(|byte| *byte == b';').map(trim).filter_map(move |pair| {
        let (own, value) = name_and_value(pair);
        (trim(own) == name.as_bytes()).then(|| trim(value))
    })
}

/// The name of a cookie.
pub fn cookie_name(pair: &[u8]) -> &[u8] {
    trim(name_and_value(pair).0)
}

/// What stands behind the prefix in all protocols of one line that begin with it (RFC 6455 section 4.1).
pub fn protocols<'a>(line: &'a [u8], prefix: &str) -> impl Iterator<Item = &'a [u8]> {
    line.split(|byte| *byte == b',').map(trim).filter_map(move |entry| entry.strip_prefix(prefix.as_bytes()))
}

/// The user name of `Basic` credentials (RFC 7617); `None` when they are none. The password is of no interest: there are clients that
/// cannot send an empty one.
pub fn basic_username(value: &[u8]) -> Option<Vec<u8>> {
    let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t'))?;
    let (scheme, rest) = value.split_at_checked(end)?;
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let mut pair = base64(trim(rest))?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    pair.truncate(colon);
    Some(pair)
}

/// With percent-encoded bytes as they are meant, and a plus as the blank that forms make of it. What is no encoding stays.
pub fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, behind @ ..]) if let (Some(high), Some(low)) = (digit(*high), digit(*low)) => {
                out.push(high << 4 | low);
                rest = behind;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(*other),
        }
    }
    Cow::Owned(out)
}

/// What stands behind the first question mark.
fn query(path: &[u8]) -> Option<&[u8]> {
    let mark = path.iter().position(|byte| *byte == b'?')?;
    path.get(mark..)?.strip_prefix(b"?")
}

/// What stands before the first equals sign and behind it; without one, all of it and nothing.
fn name_and_value(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end).unwrap_or((text, b""));
    (name, rest.strip_prefix(b"=").unwrap_or_default())
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Base64 with the ordinary alphabet (RFC 4648 section 4), with its padding or without.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last.saturating_add(1));
    let text = text.get(..end).filter(|_| text.len().saturating_sub(end) <= 2)?;
    let mut out = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in text {
        bits = bits << 6 | u32::from(sextet(*byte)?);
        count = count.saturating_add(6);
        if let Some(left) = count.checked_sub(8) {
            count = left;
            out.push(u8::try_from(bits >> left & 0xFF).ok()?);
        }
    }
    // One letter alone is no byte.
    (count < 6).then_some(out)
}

/// The six bits of a letter of base64.
fn sextet(byte: u8) -> Option<u8> {
    let (first, before) = match byte {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'+' => (b'+', 62),
        b'/' => (b'/', 63),
        _ => return None,
    };
    byte.checked_sub(first)?.checked_add(before)
}

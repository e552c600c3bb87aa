//! Which paths have one reading only. Rules about paths match no others: what two programs read in two ways may end up where the rule
//! does not mean it to.

/// True for a path with one reading only. It is absolute, and each segment (one empty one at the end is an ordinary slash) is of
/// bytes that a path may have (RFC 3986 section 3.3), without parameters (`;`) and `+`. Of percent-encoded bytes only letters, digits,
/// `-`, `_` and `~` mean the same when they are decoded (section 2.3); any other may be cut at, trimmed, or resolved by whoever
/// decodes it. A dot at the beginning of a segment is followed by a letter, a digit, `-`, `_` or `~`, as in `/.well-known`.
pub fn is_unambiguous(path: &[u8]) -> bool {
    let Some(segments) = path.strip_prefix(b"/") else { return false };
    let segments = segments.strip_suffix(b"/").unwrap_or(segments);
    path == b"/" || segments.split(|byte| *byte == b'/').all(is_plain_segment)
}

fn is_plain_segment(segment: &[u8]) -> bool {
    let plain_beginning = match segment {
        [] | [b'.'] => false,
        [b'.', second, ..] => is_word(*second),
        _ => true,
    };
    let mut parts = segment.split(|byte| *byte == b'%');
    let literal = |part: &[u8]| part.iter().all(|byte| is_literal(*byte));
    plain_beginning
        && parts.next().is_none_or(literal)
        && parts.all(|part| is_encoded_word(part) && literal(part))
}

/// A byte that may stand in a segment as it is: `pchar` of RFC 3986, without `;`, without `%`, and without `+`, which is a
/// blank to whoever decodes paths as forms.
const fn is_literal(byte: u8) -> bool {
    is_word(byte)
        || matches!(byte, b'.' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b',' | b'=' | b':' | b'@')
}

/// A letter, a digit, `-`, `_` or `~`: `unreserved` of RFC 3986, without the dot.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~')
}

/// True when the two digits at the beginning, which followed a percent sign, encode a word's byte.
fn is_encoded_word(after: &[u8]) -> bool {
    let Some(digits) = after.first_chunk::<2>() else { return false };
    let text =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    text.and_then(|text| u8::from_str_radix(text, 16).ok()).is_some_and(is_word)
}

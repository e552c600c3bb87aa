//! Which paths have one reading only. Rules about paths match no others: what two programs read in two ways may end up where the rule
//! does not mean it to.
//!
//! A path is read once, by classes of bytes: it is done for every request of a restricted key.

/// True for a path with one reading only. It is absolute, and each segment (one empty one at the end is an ordinary slash) is of
/// bytes that a path may have (RFC 3986 section 3.3), without parameters (`;`) and `+`. Of percent-encoded bytes only letters, digits,
/// `-`, `_` and `~` mean the same when they are decoded (section 2.3); any other may be cut at, trimmed, or resolved by whoever
/// decodes it. A dot at the beginning of a segment is followed by a letter, a digit, `-`, `_` or `~`, as in `/.well-known`.
pub fn is_unambiguous(path: &[u8]) -> bool {
    before_query(path).is_some_and(|bare| bare.len() == path.len())
}

/// The path of a request target, which is what stands before its first `?`, if it has one reading only ([`is_unambiguous`]).
pub fn before_query(target: &[u8]) -> Option<&[u8]> {
    let mut rest = target.strip_prefix(b"/")?.iter();
    let mut place = Place::Beginning;
    let mut path = Some(target);
    while let Some(byte) = rest.next() {
        let class = class_of(*byte);
        // Most bytes are, and may stand anywhere.
        if class == Class::Word {
            place = Place::Inside;
            continue;
        }
        place = match (class, place) {
            (Class::Mark, Place::Beginning | Place::Inside) | (Class::Dot, Place::Inside) => Place::Inside,
            (Class::Dot, Place::Beginning) => Place::FirstDot,
            (Class::Slash, Place::Inside) => Place::Beginning,
            (Class::Percent, Place::Beginning | Place::Inside) => {
                is_encoded_word(*rest.next()?, *rest.next()?).then_some(Place::Inside)?
            }
            (Class::Query, _) => {
                let behind = rest.as_slice().len().saturating_add(1);
                path = target.get(..target.len().saturating_sub(behind));
                break;
            }
            _ => return None,
        };
    }
    path.filter(|_| place != Place::FirstDot)
}

/// What a byte is in a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// A letter, a digit, `-`, `_` or `~`: `unreserved` of RFC 3986, without the dot.
    Word,
    /// What else may stand in a segment as it is: `pchar`, without `;`, and without `+`, which is a blank to whoever decodes paths as
    /// forms.
    Mark,
    Dot,
    Slash,
    Percent,
    /// The query begins.
    Query,
    /// Nothing that a path with one reading has.
    Other,
}

/// Where the next byte stands in its segment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At its beginning.
    Beginning,
    /// Behind a dot that is its beginning.
    FirstDot,
    Inside,
}

static CLASSES: [Class; 256] = classes();

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "computed by the compiler")]
const fn classes() -> [Class; 256] {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 0x80 {
        classes[byte as usize] = match byte {
            b'.' => Class::Dot,
            b'/' => Class::Slash,
            b'%' => Class::Percent,
            b'?' => Class::Query,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b',' | b'=' | b':' | b'@' => Class::Mark,
            _ if is_word(byte) => Class::Word,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
}

fn class_of(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Other)
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~')
}

/// True when the two digits, which followed a percent sign, encode a word's byte.
fn is_encoded_word(high: u8, low: u8) -> bool {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low);
    byte.and_then(|byte| u8::try_from(byte).ok()).is_some_and(is_word)
}

#[cfg(test)]
mod tests {
    //! The rules written down segment by segment, as they are said above, hold for every path of a few bytes that matter.

    use super::*;

    fn by_segments(path: &[u8]) -> bool {
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
        let literal = |part: &[u8]| part.iter().all(|byte| is_word(*byte) || b".!$&'()*,=:@".contains(byte));
        let encoded = |part: &[u8]| {
            let digits = part.first_chunk::<2>().filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
            let text = digits.and_then(|digits| std::str::from_utf8(digits).ok());
            text.and_then(|text| u8::from_str_radix(text, 16).ok()).is_some_and(is_word)
        };
        let mut parts = segment.split(|byte| *byte == b'%');
        plain_beginning
            && parts.next().is_none_or(literal)
            && parts.all(|part| encoded(part) && literal(part))
    }

    /// All texts of at most `most` of these pieces.
    fn texts(pieces: &[&[u8]], most: usize) -> Vec<Vec<u8>> {
        let mut all = vec![Vec::new()];
        let mut last = all.clone();
        for _ in 0..most {
            last = last
                .iter()
                .flat_map(|text| pieces.iter().map(move |piece| [text.as_slice(), piece].concat()))
                .collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    #[test]
    fn one_pass_says_what_the_segments_say() {
        let pieces: [&[u8]; 12] =
            [b"/", b".", b"a", b"%", b"%61", b"%7E", b"%2e", b"%2F", b":", b";", b"?", b"6"];
        let mut plain = 0;
        for path in texts(&pieces, 5) {
            let path = [b"/", path.as_slice()].concat();
            assert_eq!(is_unambiguous(&path), by_segments(&path), "{}", String::from_utf8_lossy(&path));
            let bare = path.split(|byte| *byte == b'?').next().unwrap();
            let expected = by_segments(bare).then_some(bare);
            assert_eq!(before_query(&path), expected, "{}", String::from_utf8_lossy(&path));
            plain += usize::from(expected.is_some());
        }
        assert!(plain > 10_000, "{plain}");
    }

    #[test]
    fn every_byte_is_what_it_is_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for path in [[b'/', b'a', byte], [b'/', byte, b'a'], [byte, b'a', b'a'], [b'/', b'.', byte]] {
                assert_eq!(is_unambiguous(&path), by_segments(&path), "{path:?}");
            }
            for other in 0..=u8::MAX {
                let path = [b'/', b'%', byte, other];
                assert_eq!(is_unambiguous(&path), by_segments(&path), "{path:?}");
            }
        }
        assert!(!is_unambiguous(b"") && is_unambiguous(b"/") && !is_unambiguous(b"//"));
    }
}

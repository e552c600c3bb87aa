//! Requests without a key: a preflight is one to the letter, and a path that matches a rule means the same to every upstream, however it
//! decodes, trims and resolves paths, and by the method that arrives there.

use flamegate::decision::bypass::{Bypass, BypassRule};
use flamegate::decision::credential::Authorization;
use flamegate::decision::request::{Once, Request};

/// The first byte chooses the method, the second what else the request has, the rest is `:path`. In it the bytes 0 and 1 stand
/// for the rules' paths.
pub fn bypass(input: &[u8]) {
    let (first, rest) = input.split_first().unwrap_or((&0, &[]));
    let (second, rest) = rest.split_first().unwrap_or((&0, &[]));
    let method = METHODS[usize::from(first % 8)];
    let once = |bits: u8| [Once::Absent, Once::Absent, Once::One, Once::Wrong][usize::from(bits % 4)];
    let (upgrade, body) = (second & 1 != 0, second & 2 != 0);
    let authorization =
        if second & 4 != 0 { Authorization::Single(b"Bearer x") } else { Authorization::Absent };
    let (origin, requested_method) = (once(second >> 4), once(second >> 6));
    let mut path = Vec::new();
    for byte in rest {
        match byte {
            0 => path.extend_from_slice(b"/healthz"),
            1 => path.extend_from_slice(b"/public/"),
            2 => path.extend_from_slice(b"/socket"),
            other => path.push(*other),
        }
    }
    let request = Request {
        method,
        path: &path,
        authorization,
        origin,
        requested_method,
        upgrade,
        body,
        ..Request::default()
    };
    let found = flamegate::decision::bypass::bypass(&rules(), true, &request);
    // The eight bits that make a preflight, written as one.
    let preflight = *second & 0b1111_0111 == 0b1010_0000 && method == b"OPTIONS";
    assert_eq!(found == Some(Bypass::Preflight), preflight, "{method:?} {second:#b}");
    if preflight {
        return;
    }
    let bare = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let asked = Asked { method, upgrade: upgrade || method == b"CONNECT" };
    if bare.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/-_~".contains(byte))
        && !bare.windows(2).any(|two| two == b"//")
    {
        assert_eq!(found.is_some(), is_inside(bare, asked), "a plain path {path:?}");
    }
    if found.is_some() {
        let arrives = if asked.upgrade { Asked { method: b"GET", ..asked } } else { asked };
        for reading in readings(bare) {
            assert!(is_inside(&reading, asked), "{path:?} is also {reading:?}");
            assert!(is_inside(&reading, arrives), "{path:?} arrives by GET");
        }
    }
}

const METHODS: [&[u8]; 8] = [b"GET", b"POST", b"HEAD", b"OPTIONS", b"CONNECT", b"options", b"", b"OPTIONS"];

/// What a request asks for, beside its path.
#[derive(Clone, Copy)]
struct Asked<'a> {
    method: &'a [u8],
    upgrade: bool,
}

fn rules() -> [BypassRule; 3] {
    let rule = |path: &str, prefix, methods: &[&str], upgrade| BypassRule {
        path: path.to_owned(),
        prefix,
        methods: methods.iter().map(|&method| method.to_owned()).collect(),
        upgrade,
    };
    [
        rule("/healthz", false, &[], false),
        rule("/public/", true, &["GET", "HEAD"], false),
        rule("/socket", false, &["GET", "POST"], true),
    ]
}

/// What the rules mean.
fn is_inside(path: &[u8], asked: Asked<'_>) -> bool {
    let by = |methods: &[&[u8]]| methods.contains(&asked.method);
    let plain = path == b"/healthz" || (path.starts_with(b"/public/") && by(&[b"GET", b"HEAD"]));
    (plain && !asked.upgrade) || (path == b"/socket" && by(&[b"GET", b"POST"]))
}

/// How upstreams may read a path: decoded not at all, once or twice, with backslashes for slashes, without parameters, trimmed
/// segment by segment, with empty and dot segments resolved, cut at a zero byte, a question mark or a hash.
pub(crate) fn readings(path: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![path.to_vec(), decode(path), decode(&decode(path))];
    for change in [slashes, without_parameters, until_mark, plus, trimmed, resolve] {
        let more: Vec<Vec<u8>> = all.iter().map(|path| change(path)).collect();
        all.extend(more);
    }
    all
}

fn decode(path: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), path);
    while let [first, tail @ ..] = rest {
        let byte = match tail {
            [high, low, ..] if *first == b'%' => {
                let text = [*high, *low];
                std::str::from_utf8(&text)
                    .ok()
                    .filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()))
                    .and_then(|t| u8::from_str_radix(t, 16).ok())
            }
            _ => None,
        };
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    out
}

fn slashes(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
}

fn until_mark(path: &[u8]) -> Vec<u8> {
    path.split(|byte| b"\0?#".contains(byte)).next().unwrap_or_default().to_vec()
}

/// As forms decode it.
fn plus(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect()
}

/// Blanks at the ends of segments are dropped, and of dots only those that make a dot segment stay.
fn trimmed(path: &[u8]) -> Vec<u8> {
    let trim = |segment: &[u8]| {
        let segment = segment.trim_ascii();
        let dots = segment.iter().take_while(|byte| **byte == b'.').count();
        if dots == segment.len() && dots > 2 { b"..".to_vec() } else { segment.to_vec() }
    };
    path.split(|byte| *byte == b'/').map(trim).collect::<Vec<_>>().join(&b'/')
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    path.split(|byte| *byte == b'/')
        .map(|part| part.split(|byte| *byte == b';').next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(&b'/')
}

/// RFC 3986 section 5.2.4, with empty segments dropped; a slash at the end stays.
fn resolve(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let end = if path.ends_with(b"/") && !kept.is_empty() { &b"/"[..] } else { b"" };
    [b"/", &kept.join(&b'/')[..], end].concat()
}

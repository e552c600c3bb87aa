//! Paths against bypass rules: what matches means the same to every upstream, however it decodes and resolves paths.

use flamegate::{
    bypass::{Bypass, BypassRule},
    request::Request,
};

/// The first byte chooses the method, the rest is `:path`. In it the bytes 0 and 1 stand for the rules' paths.
pub fn bypass(input: &[u8]) {
    let (method, rest) = input.split_first().unwrap_or((&0, &[]));
    let method: &[u8] = [&b"GET"[..], b"POST", b"HEAD", b"OPTIONS"][usize::from(method % 4)];
    let mut path = Vec::new();
    for byte in rest {
        match byte {
            0 => path.extend_from_slice(b"/healthz"),
            1 => path.extend_from_slice(b"/public/"),
            other => path.push(*other),
        }
    }
    let request = Request { method, path: &path, ..Request::default() };
    let found = flamegate::bypass::bypass(&rules(), true, &request);
    assert_ne!(found, Some(Bypass::Preflight), "there is no Origin");
    let bare = path.split(|byte| [b'?', b'#'].contains(byte)).next().unwrap_or_default();
    if bare.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/-_~".contains(byte))
        && !bare.windows(2).any(|two| two == b"//")
    {
        assert_eq!(found.is_some(), is_inside(bare, method), "a plain path {path:?}");
    }
    if found.is_some() {
        for reading in readings(bare) {
            assert!(is_inside(&reading, method), "{path:?} is also {reading:?}");
        }
    }
}

fn rules() -> [BypassRule; 2] {
    let rule = |path: &str, prefix, methods: &[&str]| BypassRule {
        path: path.to_owned(),
        prefix,
        methods: methods.iter().map(|&method| method.to_owned()).collect(),
    };
    [rule("/healthz", false, &[]), rule("/public/", true, &["GET", "HEAD"])]
}

/// What the rules mean.
fn is_inside(path: &[u8], method: &[u8]) -> bool {
    path == b"/healthz" || (path.starts_with(b"/public/") && [&b"GET"[..], b"HEAD"].contains(&method))
}

/// How upstreams may read a path: decoded not at all, once or twice, with backslashes for slashes, without parameters, with
/// empty and dot segments resolved, cut at a zero byte.
fn readings(path: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![path.to_vec(), decode(path), decode(&decode(path))];
    for change in [slashes, without_parameters, until_zero, resolve] {
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

fn until_zero(path: &[u8]) -> Vec<u8> {
    path.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
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

//! What a key may be used for: whatever passes is inside of every list, however an upstream reads the path and by the method that arrives
//! there; and what is plainly inside passes. Addresses are compared as texts of ones and zeros.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use flamegate::contract::restrict::Restrict;
use flamegate::decision::request::Request;
use flamegate::decision::restriction::{Forbidden, Restriction};

use crate::bypass::readings;
use crate::input::Input;

const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "CONNECT"];
const PATHS: [&str; 4] = ["/a", "/a/*", "/b/c/", "/b/*"];
/// Each with what its addresses begin with, family first.
const NETWORKS: [(&str, &str, &str); 6] = [
    ("10.0.0.0/8", "4", "00001010"),
    ("192.168.0.0/15", "4", "110000001010100"),
    ("0.0.0.0/0", "4", ""),
    ("::/0", "6", ""),
    ("2001:db8::/33", "6", "001000000000000100001101101110000"),
    ("::ffff:11.0.0.0/104", "4", "00001011"),
];
const ASKED: [&str; 8] = ["GET", "HEAD", "POST", "CONNECT", "get", "", "DELETE", "OPTIONS"];

/// One byte for each list (the entries that are in it), one for the method and whether it is an upgrade, one for the kind of address and
/// sixteen for its bits; the rest is `:path`, in which the bytes 0 and 1 stand for paths of the rules.
pub fn restriction(input: &[u8]) {
    let mut input = Input(input);
    let [methods, paths, networks, asked, kind] = [(); 5].map(|()| input.byte());
    let bits = u128::from_be_bytes([(); 16].map(|()| input.byte()));
    let chosen = |all: &[&'static str], from: u8| -> Vec<&'static str> {
        all.iter().enumerate().filter(|(bit, _)| from >> bit & 1 == 1).map(|(_, one)| *one).collect()
    };
    let (methods, paths) = (chosen(&METHODS, methods), chosen(&PATHS, paths));
    let networks: Vec<_> = NETWORKS
        .iter()
        .enumerate()
        .filter(|(bit, _)| networks >> bit & 1 == 1)
        .map(|(_, one)| *one)
        .collect();
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let names: Vec<_> = networks.iter().map(|(name, ..)| *name).collect();
    let restrict = Restrict { methods: texts(&methods), paths: texts(&paths), addresses: texts(&names) };
    assert_eq!(restrict.problems(), [], "{restrict:?}");

    let mut path = Vec::new();
    for byte in input.0 {
        match byte {
            0 => path.extend_from_slice(b"/a"),
            1 => path.extend_from_slice(b"/b/c/"),
            other => path.push(*other),
        }
    }
    let (method, upgrade) = (ASKED[usize::from(asked % 8)], asked & 8 != 0);
    let (text, begins) = address(kind, bits);
    let request = Request { method: method.as_bytes(), path: &path, upgrade, ..Request::default() };
    let found = Restriction::new(&restrict).check(&request, || text.clone());

    let by = |method: &str| methods.is_empty() || methods.contains(&method);
    let changes = upgrade || method == "CONNECT";
    let method_fits = by(method) && (!changes || (by("GET") && by("CONNECT")));
    let from = networks.is_empty()
        || networks.iter().any(|(_, family, prefix)| {
            begins.as_ref().is_some_and(|(of, bits)| of == family && bits.starts_with(prefix))
        });
    let bare = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let plain = bare.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/-_~".contains(byte))
        && !bare.windows(2).any(|two| two == b"//");
    let inside = |path: &[u8]| paths.is_empty() || paths.iter().any(|rule| opens(rule, path));
    assert_eq!(found == Err(Forbidden::Method), !method_fits, "{method} upgrade={upgrade} {methods:?}");
    match found {
        Ok(()) => {
            assert!(from, "{text:?} is in none of {networks:?}");
            assert!(paths.is_empty() || readings(bare).iter().all(|path| inside(path)), "{path:?} {paths:?}");
        }
        Err(Forbidden::Path) => assert!(!(plain && inside(bare)), "a plain path {path:?} {paths:?}"),
        Err(Forbidden::Address) => assert!(!from, "{text:?} is in one of {networks:?}"),
        Err(Forbidden::Method) => {}
    }
}

/// What a rule means.
fn opens(rule: &str, path: &[u8]) -> bool {
    let below = rule.strip_suffix('*').map(|rule| path.starts_with(rule.as_bytes()));
    below.unwrap_or(path == rule.as_bytes())
}

/// What Envoy says, and what it is: the family and all bits; `None` for what is no address.
fn address(kind: u8, bits: u128) -> (Option<Vec<u8>>, Option<(&'static str, String)>) {
    let short = u32::try_from(bits >> 96).unwrap_or_default();
    let (four, six) = (Ipv4Addr::from_bits(short), Ipv6Addr::from_bits(bits));
    let (of_four, of_six) = (Some(("4", format!("{short:032b}"))), Some(("6", format!("{bits:0128b}"))));
    let port = |address: IpAddr| SocketAddr::new(address, 443).to_string();
    // The other fuzzed bits may make one of these.
    let of_six = if six.to_ipv4_mapped().is_some() {
        Some(("4", format!("{:032b}", bits & 0xFFFF_FFFF)))
    } else {
        of_six
    };
    let (text, is) = match kind % 7 {
        0 => (port(four.into()), of_four),
        1 => (four.to_string(), of_four),
        2 => (port(six.into()), of_six),
        3 => (six.to_string(), of_six),
        4 => (port(four.to_ipv6_mapped().into()), of_four),
        5 => ("/var/run/envoy.sock".to_owned(), None),
        _ => return (None, None),
    };
    (Some(text.into_bytes()), is)
}

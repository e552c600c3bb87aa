//! What a key may be used for, as people give it: lists of methods, paths and client addresses. What may stand in them is decided by the
//! key record ([`crate::contract`]).

use serde::Serialize;

use crate::contract::Restrict;
use crate::domain::error::Problems;

/// The lists of a request. One that is not given stays as it is, or restricts nothing in a new key; neither does an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RestrictDraft {
    /// Methods, in capitals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// Paths, or beginnings of paths that end in `/*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Addresses and networks of clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
}

/// The methods of a key that may only read: those that are safe (RFC 9110 section 9.2.1) and that browsers and programs use.
pub const READ_ONLY: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

impl RestrictDraft {
    /// Notes what breaks a rule, with paths such as `restrict.paths[0]`.
    pub(crate) fn check(&self, problems: &mut Problems) {
        for (path, message) in self.clone().over(None).iter().flat_map(Restrict::problems) {
            problems.add(path, message);
        }
    }

    /// What is restricted with these lists in place of those of `before`; `None` for nothing.
    pub(crate) fn over(self, before: Option<&Restrict>) -> Option<Restrict> {
        let Restrict { methods, paths, addresses } = before.cloned().unwrap_or_default();
        let restrict = Restrict {
            methods: once(self.methods.unwrap_or(methods)),
            paths: once(self.paths.unwrap_or(paths)),
            addresses: once(self.addresses.unwrap_or(addresses)),
        };
        Some(restrict).filter(|restrict| *restrict != Restrict::default())
    }
}

/// Each entry once, where it stands first.
fn once(list: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(list.len());
    for entry in list {
        if !kept.contains(&entry) {
            kept.push(entry);
        }
    }
    kept
}

/// Each list that restricts, with its name, in one line.
pub fn lines(restrict: Option<&Restrict>) -> Vec<(&'static str, String)> {
    let Some(Restrict { methods, paths, addresses }) = restrict else { return Vec::new() };
    let lists = [("methods", methods), ("paths", paths), ("addresses", addresses)];
    lists
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| (name, list.join(", ")))
        .collect()
}

/// True when the key may only read.
pub fn is_read_only(restrict: Option<&Restrict>) -> bool {
    let reads = |method: &String| READ_ONLY.contains(&method.as_str());
    restrict.is_some_and(|restrict| !restrict.methods.is_empty() && restrict.methods.iter().all(reads))
}

/// All of it in words: `methods GET, HEAD; addresses 10.0.0.0/8`.
pub fn in_words(restrict: &Restrict) -> String {
    let lines = lines(Some(restrict));
    lines.iter().map(|(name, list)| format!("{name} {list}")).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Option<Vec<String>> {
        Some(list.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn lists_that_are_not_given_stay_and_empty_ones_restrict_nothing() {
        let draft = RestrictDraft { methods: texts(&["GET", "HEAD", "GET"]), ..RestrictDraft::default() };
        let first = draft.over(None).unwrap();
        assert_eq!(first.methods, ["GET", "HEAD"]);
        let draft = RestrictDraft { paths: texts(&["/v1/*"]), ..RestrictDraft::default() };
        let second = draft.over(Some(&first)).unwrap();
        assert_eq!(in_words(&second), "methods GET, HEAD; paths /v1/*");
        let nothing = RestrictDraft { methods: texts(&[]), paths: texts(&[]), addresses: None };
        assert_eq!(nothing.over(Some(&second)), None);
        assert_eq!(RestrictDraft::default().over(None), None);
    }

    #[test]
    fn what_breaks_a_rule_is_told_with_its_place() {
        let draft = RestrictDraft {
            methods: texts(&["get"]),
            paths: texts(&["/a/*", "/a/../b", "/*/a"]),
            addresses: texts(&["10.0.0.0/8", "10.0.0.1/8", "::1", "host"]),
        };
        let mut problems = Problems::default();
        draft.check(&mut problems);
        let places: Vec<_> = problems.iter().map(|(path, _)| path.to_owned()).collect();
        let expected = [
            "restrict.methods[0]",
            "restrict.paths[1]",
            "restrict.paths[2]",
            "restrict.addresses[1]",
            "restrict.addresses[3]",
        ];
        assert_eq!(places, expected);
    }

    #[test]
    fn a_key_that_may_only_read_is_known() {
        let of = |methods: &[&str]| Restrict { methods: texts(methods).unwrap(), ..Restrict::default() };
        assert!(is_read_only(Some(&of(&READ_ONLY))) && is_read_only(Some(&of(&["GET"]))));
        assert!(
            !is_read_only(None) && !is_read_only(Some(&of(&[]))) && !is_read_only(Some(&of(&["GET", "PUT"])))
        );
    }
}

//! What one request says in the places where a key may stand, and what of it has to go.

use std::borrow::Cow;
use std::fmt;

use crate::bytes::has_comma;
use crate::decision::credential::{Authorization, BearerToken, NoToken, trim};
use crate::decision::headers::{Header, read_map};

use super::parts;
use super::places::{COOKIE, KeySources, MAX_SOURCES, PROTOCOLS, Source};

/// What a request says in the places of a configuration. Borrows the host's bytes; cannot be printed.
#[derive(Clone)]
pub struct Found<'a> {
    sources: &'a KeySources,
    /// What stands in each place.
    sent: [Authorization<'a>; MAX_SOURCES],
    token: Result<Cow<'a, [u8]>, NoToken>,
    path: &'a [u8],
    map: &'a [u8],
}

/// A header that is changed so that nothing of a credential is left.
#[derive(Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// It goes, all copies.
    Remove(&'a str),
    /// It is set to what is left.
    Set(&'a str, Vec<u8>),
}

impl<'a> Found<'a> {
    /// Nothing yet.
    pub const fn new(sources: &'a KeySources) -> Self {
        let sent = [Authorization::Absent; MAX_SOURCES];
        Self { sources, sent, token: Err(NoToken::Missing), path: b"", map: b"" }
    }

    /// Takes one header into account.
    #[inline(always)]
    pub fn note(&mut self, header: Header<'a>) {
        if self.sources.may_be(header.name_len()) {
            self.note_named(header);
        }
    }

    /// All headers have been noted: says whose key it is. `map` has them all.
    pub fn settle(&mut self, map: &'a [u8], authorization: Authorization<'a>, path: &'a [u8]) {
        (self.map, self.path) = (map, path);
        if self.sources.beside_headers() {
            self.note_beside_headers(authorization, path);
        }
        self.token = self.agreed();
    }

    fn note_beside_headers(&mut self, authorization: Authorization<'a>, path: &'a [u8]) {
        for (source, sent) in self.sources.all().iter().zip(&mut self.sent) {
            match source {
                Source::Bearer | Source::BasicUsername => *sent = authorization,
                Source::Query(name) => parts::parameters(path, name).for_each(|value| add(sent, value)),
                Source::Header(_) | Source::Cookie(_) | Source::WebsocketProtocol(_) => {}
            }
        }
    }

    /// The one key of the request, wherever it stands.
    pub fn token(&self) -> Result<BearerToken<'_>, NoToken> {
        match &self.token {
            Ok(token) => Ok(BearerToken::whole(token)),
            Err(reason) => Err(*reason),
        }
    }

    /// True when there is something in a place where a preflight has nothing: it has the address of the request that it asks about, and
    /// neither cookies nor a credential (Fetch standard).
    pub fn is_beside_the_query(&self) -> bool {
        self.places().any(|(source, _)| !matches!(source, Source::Query(_)))
    }

    /// True when a header has to change so that no credential is left, but for `authorization`.
    pub fn changes_headers(&self) -> bool {
        self.places().any(|(source, _)| !matches!(source, Source::Bearer | Source::BasicUsername))
    }

    /// Makes every change that has to be so that no credential is left, but for `authorization`, which is Envoy's own name and goes first.
    /// Ends with the first error.
    pub fn try_changes<E>(&self, mut make: impl FnMut(Change<'a>) -> Result<(), E>) -> Result<(), E> {
        let mut inside = false;
        for (source, _) in self.places() {
            match source {
                Source::Header(name) => make(Change::Remove(name))?,
                Source::Bearer | Source::BasicUsername => {}
                Source::Query(_) | Source::Cookie(_) | Source::WebsocketProtocol(_) => inside = true,
            }
        }
        if inside { self.changes_inside().into_iter().try_for_each(make) } else { Ok(()) }
    }

    /// Changes of what has more in it than a credential.
    #[inline(never)]
    fn changes_inside(&self) -> Vec<Change<'a>> {
        let has = |of: fn(&Source) -> bool| self.places().any(|(source, _)| of(source));
        let mut changes = Vec::new();
        if has(|source| matches!(source, Source::Query(_))) {
            changes.push(self.path_without());
        }
        if has(|source| matches!(source, Source::Cookie(_))) {
            changes.extend(self.list_without(COOKIE, b';', "; ", parts::cookie_name).into_iter().flatten());
        }
        if has(|source| matches!(source, Source::WebsocketProtocol(_))) {
            changes.extend(self.list_without(PROTOCOLS, b',', ", ", |entry| entry).into_iter().flatten());
        }
        changes
    }

    /// The places in which something stands.
    fn places(&self) -> impl Iterator<Item = (&'a Source, Authorization<'a>)> {
        let all = self.sources.all().iter().zip(&self.sent);
        all.filter(|(_, sent)| !matches!(sent, Authorization::Absent)).map(|(source, sent)| (source, *sent))
    }

    // Apart, so that the loop over the headers stays small.
    #[inline(never)]
    fn note_named(&mut self, header: Header<'a>) {
        for (source, sent) in self.sources.all().iter().zip(&mut self.sent) {
            if !source.header().is_some_and(|name| header.is(name.as_bytes())) {
                continue;
            }
            match source {
                Source::Cookie(name) => {
                    parts::cookies(header.value(), name).for_each(|value| add(sent, value))
                }
                Source::WebsocketProtocol(prefix) => {
                    parts::protocols(header.value(), prefix).for_each(|value| add(sent, value));
                }
                _ => add(sent, header.value()),
            }
        }
    }

    /// Every place that has a key has the same one. What has none is of no interest where another place has one, but for two in one
    /// place.
    fn agreed(&self) -> Result<Cow<'a, [u8]>, NoToken> {
        if let ([source], [sent, ..]) = (self.sources.all(), &self.sent) {
            return token(source, *sent);
        }
        let mut agreed = Err(NoToken::Missing);
        for (source, sent) in self.places() {
            match (token(source, sent), &agreed) {
                (Err(NoToken::Repeated), _) => return Err(NoToken::Repeated),
                (Ok(token), Ok(known)) if token != *known => return Err(NoToken::Repeated),
                (Ok(token), _) => agreed = Ok(token),
                (Err(reason), Err(NoToken::Missing)) => agreed = Err(reason),
                (Err(_), _) => {}
            }
        }
        agreed
    }

    fn path_without(&self) -> Change<'a> {
        let ours = |name: &[u8]| {
            self.sources
                .all()
                .iter()
                .any(|source| matches!(source, Source::Query(own) if own.as_bytes() == name))
        };
        Change::Set(":path", parts::without_parameters(self.path, ours))
    }

    /// A header that is a list, all of its lines in one, without our entries.
    fn list_without(
        &self,
        header: &'a str,
        separator: u8,
        joint: &str,
        name_of: fn(&[u8]) -> &[u8],
    ) -> [Option<Change<'a>>; 2] {
        let ours = |entry: &[u8]| {
            self.sources.all().iter().any(|source| match source {
                Source::Cookie(own) => header == COOKIE && own.as_bytes() == name_of(entry),
                Source::WebsocketProtocol(prefix) => {
                    header == PROTOCOLS && entry.starts_with(prefix.as_bytes())
                }
                _ => false,
            })
        };
        let mut left: Vec<&[u8]> = Vec::new();
        // It was read before, so it can be read again.
        let _ = read_map(self.map, |line| {
            if line.is(header.as_bytes()) {
                let entries = line.value().split(|byte| *byte == separator).map(trim);
                left.extend(entries.filter(|entry| !entry.is_empty() && !ours(entry)));
            }
        });
        let rest = left.join(joint.as_bytes());
        // Lines that are there are not overwritten one by one, so they go first.
        [Some(Change::Remove(header)), (!rest.is_empty()).then_some(Change::Set(header, rest))]
    }
}

/// Notes a further value in a place.
const fn add<'a>(sent: &mut Authorization<'a>, value: &'a [u8]) {
    *sent = match sent {
        Authorization::Absent => Authorization::Single(value),
        _ => Authorization::Repeated,
    };
}

/// The key that stands in a place.
fn token<'a>(source: &Source, sent: Authorization<'a>) -> Result<Cow<'a, [u8]>, NoToken> {
    let value = match sent {
        Authorization::Absent => return Err(NoToken::Missing),
        Authorization::Repeated => return Err(NoToken::Repeated),
        Authorization::Single(value) => trim(value),
    };
    let token = match source {
        Source::Bearer => return BearerToken::parse(sent).map(|token| Cow::Borrowed(token.as_bytes())),
        Source::BasicUsername => Cow::Owned(parts::basic_username(value).ok_or(NoToken::Scheme)?),
        Source::Query(_) => parts::decoded(value),
        // Somebody on the way may have joined two lines.
        Source::Header(_) if has_comma(value) => return Err(NoToken::Repeated),
        Source::Header(_) | Source::Cookie(_) | Source::WebsocketProtocol(_) => Cow::Borrowed(value),
    };
    if token.is_empty() { Err(NoToken::Empty) } else { Ok(token) }
}

impl fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remove(name) => write!(f, "Remove({name})"),
            Self::Set(name, _) => write!(f, "Set({name}, redacted)"),
        }
    }
}

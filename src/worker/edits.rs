//! What changes in the headers of a request that goes on, and why it may.

use crate::config::FilterConfig;
use crate::decision::auth::Permit;
use crate::decision::bypass::Bypass;
use crate::decision::credential::Authorization;
use crate::decision::denial::Denial;
use crate::decision::known_key::KnownKey;
pub use crate::decision::request::IDENTITY_HEADERS;
use crate::decision::request::{Forged, Request};
use crate::decision::sources::{Change, Found, KeySources};

/// Changes to the headers of a request that goes on.
#[derive(Debug)]
pub struct Edits<'a> {
    /// Whether `authorization` is removed.
    strips: bool,
    /// What stands in other places of a key, which goes, too.
    found: Option<&'a Found<'a>>,
    /// What the client sent below the identity's prefix.
    forged: &'a Forged<'a>,
    /// Whether [`IDENTITY_HEADERS`] are set.
    sets_identity: bool,
    /// Whether `connection` is set to `upgrade` and nothing more. Envoy passes the client's list on with an upgrade, and the next hop
    /// removes every header that is named in it (RFC 9110 section 7.6.1): the identity, too.
    pub upgrades: bool,
    /// Whether the key is noted for the case that the proxy redirects the request.
    pub notes_key: bool,
    /// Why it may pass.
    pub pass: Pass,
}

impl<'a> Edits<'a> {
    /// Whether the credential is removed. It comes first: Envoy finds it by a pointer, and every other name by a map of all headers that
    /// are there by then.
    pub const fn strips(&self) -> bool {
        self.strips
    }

    /// Makes what else changes so that no credential is left. Ends with the first error.
    pub fn try_changes<E>(&self, make: impl FnMut(Change<'a>) -> Result<(), E>) -> Result<(), E> {
        self.found.map_or(Ok(()), |found| found.try_changes(make))
    }

    /// Whether the client sent anything below the identity's prefix.
    pub const fn cleans(&self) -> bool {
        !self.forged.is_empty()
    }

    /// What of that is removed, all copies of each, before anything is set.
    pub fn cleaned(&self) -> impl Iterator<Item = &'a [u8]> {
        let sent = IDENTITY_HEADERS.iter().zip(self.forged.copies()).zip(self.overwritten());
        let identity = sent.filter(|((_, copies), overwritten)| *copies > 0 && !overwritten);
        identity.map(|((name, _), _)| name.as_bytes()).chain(self.forged.others())
    }

    /// All that is removed, in that order.
    pub fn removals(&self) -> impl Iterator<Item = &'a [u8]> {
        self.strips.then_some(&b"authorization"[..]).into_iter().chain(self.cleaned())
    }

    /// True when no header changes at all: then the host keeps the route that it found before.
    pub fn leaves_headers(&self) -> bool {
        !self.sets_identity
            && !self.upgrades
            && !matches!(self.pass, Pass::Shadowed(_))
            && self.removals().next().is_none()
            && !self.found.is_some_and(Found::changes_headers)
    }

    /// Which of [`IDENTITY_HEADERS`] are there and are overwritten, when all are set: those of which the client sent one copy. It
    /// is cheaper than to remove and add. Of several copies Envoy would overwrite the first and keep the others.
    pub fn overwritten(&self) -> [bool; IDENTITY_HEADERS.len()] {
        self.forged.copies().map(|copies| self.sets_identity && copies == 1)
    }
}

/// Why a request may pass.
#[derive(Debug)]
pub enum Pass {
    /// Its key is good; the identity is the key's.
    Permit(Permit),
    /// The proxy has redirected it, and the key that it came with at first is still good.
    Returned(Permit),
    /// It needs no key and has no identity.
    Bypass(Bypass),
    /// It would be refused, and the configuration or its key says that it is not. In a box: whoever is not in shadow does not carry
    /// its size around.
    Shadowed(Box<Shadowed>),
}

/// A request that would be refused and passes in shadow.
#[derive(Debug)]
pub struct Shadowed {
    /// What it would be told.
    pub denial: Denial,
    /// Who is calling, where the key is good and something else would refuse the request: an identity that was earned.
    pub permit: Option<Permit>,
}

/// Who is calling: workspace id, key id, environment.
pub fn identity(key: &KnownKey) -> [&str; 3] {
    let record = key.record();
    [&record.workspace, &record.id, record.environment.as_str()]
}

/// The changes that a pass makes.
pub(super) fn edits<'a>(pass: Pass, config: &FilterConfig, request: &'a Request<'_>) -> Edits<'a> {
    let is_known = match &pass {
        Pass::Permit(_) | Pass::Returned(_) => true,
        Pass::Bypass(_) => false,
        Pass::Shadowed(shadowed) => shadowed.permit.is_some(),
    };
    let sets_identity = config.identity_headers && is_known;
    // On a bypassed path the credential is not ours to look at, but it is not the upstream's either. In shadow it is: the API behind has
    // asked for it so far.
    let keeps = config.forward_authorization || config.shadow;
    let strips = !keeps && has_credential_in_authorization(config, request);
    let found = request.found.filter(|_| !config.shadow);
    let notes_key = config.internal_redirects && is_known && !matches!(pass, Pass::Returned(_));
    Edits {
        strips,
        found,
        sets_identity,
        upgrades: request.upgrade,
        notes_key,
        forged: &request.forged,
        pass,
    }
}

/// Whether there is an `authorization`, and it is a place of keys: else it is the upstream's.
pub fn has_credential_in_authorization(config: &FilterConfig, request: &Request<'_>) -> bool {
    let is_ours = || config.key_sources.as_deref().is_none_or(KeySources::use_authorization);
    !matches!(request.authorization, Authorization::Absent) && is_ours()
}

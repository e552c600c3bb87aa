//! The way back for somebody whose session is over: to the page where they were and, when they had filled in a form, to that
//! form as it was filled in.
//!
//! It is a path of this site with a query, made here and never taken from a header. Of a form it holds the fields that are
//! listed below, so never a password or a token, and nothing that looks like a key.

use axum::http::Uri;
use axum::http::request::Parts;

use super::fields::{Fields, query_may_hold_key};
use super::query::{escape_place, query_of};
use crate::domain::keys::paste::may_hold_key;

/// Where somebody was, and how they left.
#[derive(Debug)]
pub(super) struct WayBack {
    place: String,
    left: Left,
}

/// How somebody left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// They were not there yet.
    Never,
    /// The session ended.
    Ended,
    /// It ended, and a form that they sent was not taken.
    WithForm,
    /// The same, and what they had filled in is kept.
    WithFields,
    /// The same, when it was to change the password, which ends sessions: it may have been done by an earlier click.
    WithPassword,
}

/// The fields of forms that may stand in an address: all that a form of keys, of a plan or of a workspace asks for. One that is missing here would
/// come back as its default, and what a key may be used for would be everything.
const KEPT: [&str; 35] = [
    "name",
    "note",
    "environment",
    "expiry",
    "expiry_date",
    "limit",
    "requests",
    "window_seconds",
    "burst",
    "reach",
    "requests_2",
    "window_seconds_2",
    "burst_2",
    "reach_2",
    "requests_3",
    "window_seconds_3",
    "burst_3",
    "reach_3",
    "requests_4",
    "window_seconds_4",
    "burst_4",
    "reach_4",
    "scope",
    "plan",
    "access",
    "methods",
    "paths",
    "addresses",
    "grace_seconds",
    "email",
    "role",
    "sort",
    "q",
    "status",
    "page",
];
/// What a key may be used for. A form that has lost one of these must not look as if it were as it was.
const RESTRICTING: [&str; 3] = ["methods", "paths", "addresses"];
/// Longest value that is kept, in bytes: a name of 100 characters. Lists are longer, and bounded with everything else.
const MAX_VALUE: usize = 400;
/// Longest way back, in bytes; of a longer one the query is left out. Our own are shorter.
const MAX_PLACE: usize = 4_000;
const PASSWORD: &str = "/account/password";
const PLANS: &str = "/operators/plans";
const API_KEYS: &str = "/settings/api-keys";
const MEMBERS: &str = "/settings/members";

impl WayBack {
    /// To the page of a request; `ended` when it came with a session that is over.
    pub fn to(parts: &Parts, ended: bool) -> Self {
        let uri = uri(parts);
        let left_page = if ended { Left::Ended } else { Left::Never };
        if may_hold_key(uri.path()) {
            return Self { place: "/".to_owned(), left: left_page };
        }
        if !parts.method.is_safe() {
            let left = if uri.path() == PASSWORD { Left::WithPassword } else { Left::WithForm };
            return Self { place: page_of(uri.path()), left };
        }
        let fits = |query: &&str| uri.path().len() + query.len() < MAX_PLACE;
        let query = uri.query().filter(fits).filter(|_| !query_may_hold_key(uri));
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        Self { place: format!("{}{query}", uri.path()), left: left_page }
    }

    /// The same with what was filled in, unless that would come back as a key that may be used for more.
    pub fn with(self, fields: &Fields) -> Self {
        let is_list = |name: &str| RESTRICTING.contains(&name);
        let kept =
            |name: &str, value: &str| (is_list(name) || value.len() <= MAX_VALUE) && !may_hold_key(value);
        let parts =
            KEPT.map(|name| (name, fields.text(name))).into_iter().filter(|(_, value)| !value.is_empty());
        let (parts, lost): (Vec<_>, Vec<_>) = parts.partition(|(name, value)| kept(name, value));
        let query = query_of(&parts);
        let fits = self.place.len() + query.len() < MAX_PLACE && !lost.iter().any(|(name, _)| is_list(name));
        if query.is_empty() || !fits {
            return self;
        }
        Self { place: format!("{}?{query}", self.place), left: Left::WithFields }
    }

    /// True when what was filled in comes back.
    pub fn keeps(&self) -> bool {
        self.left == Left::WithFields
    }

    /// The page of the form that goes to a path, for somebody who opens that path itself, as by going to what stands in the address after a mistake;
    /// `None` when there is none.
    pub fn from_action(path: &str) -> Option<String> {
        let page = page_of(path);
        (page != path && !may_hold_key(path)).then_some(page)
    }

    /// Where they were.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The sign-in page that leads back.
    pub fn by_sign_in(&self) -> String {
        let next = match self.place.as_str() {
            "/" => String::new(),
            place => format!("next={}", escape_place(place)),
        };
        let ended = match self.left {
            Left::Never => "",
            Left::Ended => "ended=page",
            Left::WithForm => "ended=form",
            Left::WithFields => "ended=kept",
            Left::WithPassword => "ended=password",
        };
        let query: Vec<_> = [next.as_str(), ended].into_iter().filter(|part| !part.is_empty()).collect();
        if query.is_empty() { "/sign-in".to_owned() } else { format!("/sign-in?{}", query.join("&")) }
    }
}

/// What the sign-in page says to who comes by [`WayBack::by_sign_in`].
pub(super) fn notice(ended: &str) -> &'static str {
    match ended {
        "" => "",
        "kept" => {
            "Your session has ended, so nothing was changed. Sign in to go on: what you had filled in is kept."
        }
        "password" => {
            "Your session has ended. If you have just changed your password, sign in with the new one."
        }
        "form" => "Your session has ended, so nothing was changed. Sign in to go on.",
        _ => "Your session has ended. Sign in to go on.",
    }
}

/// A nested route sees a shortened path; the original one is kept beside it.
fn uri(parts: &Parts) -> &Uri {
    parts.extensions.get::<axum::extract::OriginalUri>().map_or(&parts.uri, |uri| &uri.0)
}

/// The page of the form that goes to this path.
fn page_of(action: &str) -> String {
    match action {
        "/sign-out" => "/".to_owned(),
        "/sign-in/code" => "/sign-in".to_owned(),
        action if action.starts_with("/join/") => action.strip_suffix("/new").unwrap_or(action).to_owned(),
        PLANS => "/operators/new-plan".to_owned(),
        action if action.ends_with("/settings/plan") => action.trim_end_matches("/plan").to_owned(),
        action if action.starts_with("/account/") => "/account".to_owned(),
        action if action.ends_with(API_KEYS) => format!("{action}/new"),
        action => {
            if let Some((members, rest)) = action.split_once(MEMBERS) {
                let one =
                    rest.strip_suffix("/role").or_else(|| rest.strip_suffix("/remove")).unwrap_or_default();
                return format!("{members}{MEMBERS}{one}");
            }
            let list = ["/search", "/copied"].into_iter().find_map(|end| action.strip_suffix(end));
            list.filter(|list| list.ends_with(API_KEYS)).unwrap_or(action).to_owned()
        }
    }
}

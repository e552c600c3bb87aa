//! The page that shows a key. The key is in this answer to the form and nowhere else: not in a redirect, not in the session. A
//! form that is sent again within a minute gets the same page ([`crate::service::keys::kept`]); later it is told how to go on.

use std::time::Duration;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::once::Once;
use super::row::Row;
use crate::domain::error::Error;
use crate::domain::keys::Key;
use crate::domain::keys::secret::PlaintextKey;
use crate::domain::random;
use crate::http::app::App;
use crate::http::pages::chrome::{Chrome, Section};
use crate::http::pages::error::PageError;
use crate::http::pages::place::Place;
use crate::http::pages::receipt::ReceiptView;
use crate::http::pages::view::{Moment, html};
use crate::service::keys::kept::Made;

/// A key that a form has made, and what to say of it.
pub(super) struct Shown {
    /// The key.
    pub key: Key,
    /// After a rotation: the key that it replaces.
    pub previous: Option<Key>,
    /// Whether the form was sent before.
    pub again: bool,
}

#[derive(Template)]
#[template(path = "key_reveal.html")]
struct RevealPage<'a> {
    chrome: Chrome,
    plaintext: &'a str,
    key: Row,
    previous: Option<Row>,
    /// When that one ends, to the second: it is a deadline.
    previous_end: Option<Moment>,
    receipt: ReceiptView,
    api_url: &'a str,
    /// The token of the form, to say that the key was copied.
    once: &'a str,
    again: bool,
}

/// Why a form that was sent before shows no key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// It comes too late, or the key was copied.
    Later,
    /// It asks for something else than the first time.
    Changed,
}

#[derive(Template)]
#[template(path = "key_again.html")]
struct GonePage<'a> {
    chrome: Chrome,
    key: Row,
    /// The token of the form that replaces the key.
    once: String,
    changed: bool,
    /// Where the form is, below the list.
    form: &'a str,
}

/// How long the page waits so that the key works when it is shown. Gateways that take longer get it anyway.
const WAIT: Duration = Duration::from_secs(2);

/// Shows a key that was just made.
pub(super) async fn show(app: &App, place: &Place, shown: Shown, made: &Made, once: &Once) -> Response {
    let receipt = ReceiptView::wait(app, &place.signed_in, made.revision, Some(made.at), WAIT).await;
    let now = app.clock.now();
    html(&RevealPage {
        chrome: place.chrome("Copy your key", Section::ApiKeys),
        plaintext: made.plaintext.as_deref().map(PlaintextKey::expose).unwrap_or_default(),
        key: Row::new(&shown.key, now),
        previous: shown.previous.as_ref().map(|previous| Row::new(previous, now)),
        previous_end: shown
            .previous
            .and_then(|previous| previous.expires_at)
            .map(|end| Moment::deadline(end, now)),
        receipt,
        api_url: &app.pages.api_url,
        once: &once.token,
        again: shown.again,
    })
}

/// The same for a form that was sent before, not long ago.
pub(super) async fn show_again(
    app: &App,
    place: &Place,
    made: &Made,
    once: &Once,
) -> Result<Response, PageError> {
    let key = app.keys.find(&made.id).await?;
    let previous = match &key.rotated_from {
        Some(id) => Some(app.keys.find(id).await?),
        None => None,
    };
    Ok(show(app, place, Shown { key, previous, again: true }, made, once).await)
}

/// The form was sent before and made this key, which it does not show again. `form` is where it is, below the list.
pub(super) async fn gone(
    app: &App,
    place: &Place,
    id: &str,
    why: Gone,
    form: &str,
) -> Result<Response, PageError> {
    let key = app.keys.find(id).await?;
    if key.workspace_seq != place.membership.workspace_seq {
        return Err(Error::NotFound("API key").into());
    }
    let chrome = place.chrome("This key was made already", Section::ApiKeys);
    let once = random::base62(20)?.to_string();
    let page =
        GonePage { chrome, key: Row::new(&key, app.clock.now()), once, changed: why == Gone::Changed, form };
    Ok((StatusCode::CONFLICT, html(&page)).into_response())
}

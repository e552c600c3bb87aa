//! The one page that shows a key. The key is in this answer to the form and nowhere else: not in a redirect, not in the
//! session, and a form that is sent again is told that the key exists.

use std::time::{Duration, Instant};

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Row;
use super::receipt::ReceiptView;
use crate::app::App;
use crate::http::pages::error::PageError;
use crate::http::pages::place::Place;
use crate::http::pages::view::{Chrome, Section, html};
use crate::keys::Key;
use crate::keys::secret::PlaintextKey;

#[derive(Template)]
#[template(path = "key_reveal.html")]
struct RevealPage<'a> {
    chrome: Chrome,
    plaintext: &'a str,
    key: Row,
    /// After a rotation: the key that it replaces.
    previous: Option<Row>,
    receipt: ReceiptView,
    api_url: &'a str,
}

#[derive(Template)]
#[template(path = "key_again.html")]
struct AgainPage {
    chrome: Chrome,
    key: Row,
}

/// How long the page waits so that the key works when it is shown. Gateways that take longer get it anyway.
const WAIT: Duration = Duration::from_secs(2);

/// Shows a key that was just made; `commit` is its revision and when it was committed.
pub(super) async fn show(
    app: &App,
    place: &Place,
    key: &Key,
    plaintext: &PlaintextKey,
    previous: Option<&Key>,
    commit: (u64, Instant),
) -> Response {
    let receipt = app.receipt(commit.0, Some(commit.1), WAIT).await;
    let now = app.clock.now();
    html(&RevealPage {
        chrome: place.chrome("Copy your key", Section::ApiKeys),
        plaintext: plaintext.expose(),
        key: Row::new(key, now),
        previous: previous.map(|previous| Row::new(previous, now)),
        receipt: ReceiptView::new(receipt),
        api_url: &app.pages.api_url,
    })
}

/// The form was sent before. Its key cannot be shown again.
pub(super) async fn again(app: &App, place: &Place, id: &str) -> Result<Response, PageError> {
    let key = app.keys.find(id).await?;
    if key.workspace_seq != place.membership.workspace_seq {
        return Err(crate::error::Error::NotFound("API key").into());
    }
    let chrome = place.chrome("This key was made already", Section::ApiKeys);
    let page = AgainPage { chrome, key: Row::new(&key, app.clock.now()) };
    Ok((StatusCode::CONFLICT, html(&page)).into_response())
}

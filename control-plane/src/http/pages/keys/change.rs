//! Rename, rotate and revoke: each asks on a page of its own, so that no script is needed, and then does it.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::create::once;
use super::receipt::ReceiptView;
use super::{Row, reveal};
use crate::app::App;
use crate::error::{Error, Problems};
use crate::http::pages::error::PageError;
use crate::http::pages::place::{Place, PostedIn};
use crate::http::pages::view::{Chrome, Moment, Section, html};
use crate::keys::{Key, KeyPatch, Revoked, RotateDraft, Rotated};
use crate::random;
use crate::users::Role;

#[derive(Template)]
#[template(path = "key_rename.html")]
struct RenamePage {
    chrome: Chrome,
    key: Row,
    name: String,
    problems: Problems,
}

#[derive(Template)]
#[template(path = "key_rotate.html")]
struct RotatePage {
    chrome: Chrome,
    key: Row,
    once: String,
    /// Why it cannot be rotated.
    refusal: Option<String>,
}

#[derive(Template)]
#[template(path = "key_revoke.html")]
struct RevokePage {
    chrome: Chrome,
    key: Row,
    connected: usize,
}

#[derive(Template)]
#[template(path = "key_receipt.html")]
struct ReceiptPage {
    chrome: Chrome,
    key: Row,
    receipt: ReceiptView,
    /// False when the key had been revoked before.
    news: bool,
    at: Moment,
}

/// How long the receipt waits for the gateways.
const WAIT: Duration = Duration::from_secs(5);

/// Asks for another name.
pub(in crate::http::pages) async fn ask_rename(
    State(app): State<App>,
    place: Place,
) -> Result<Response, PageError> {
    place.need(Role::Member)?;
    let key = place.key(&app).await?;
    Ok(rename_page(&app, &place, &key, key.name.clone(), Problems::default()))
}

/// Gives the key another name.
pub(in crate::http::pages) async fn rename(
    State(app): State<App>,
    posted: PostedIn,
) -> Result<Response, PageError> {
    let PostedIn { place, fields } = posted;
    place.need(Role::Member)?;
    let key = place.key(&app).await?;
    let name = fields.text("name").to_owned();
    let patch = KeyPatch { name: Some(name.clone()), ..KeyPatch::default() };
    match app.keys.update(&key.id, patch, place.signed_in.actor()).await {
        Ok(_) => Ok(Redirect::to(&format!("/w/{}/settings/api-keys", place.membership.slug)).into_response()),
        Err(Error::Invalid(problems)) => {
            let page = rename_page(&app, &place, &key, name, problems);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Asks how long the old key should still work.
pub(in crate::http::pages) async fn ask_rotate(
    State(app): State<App>,
    place: Place,
) -> Result<Response, PageError> {
    place.need(Role::Member)?;
    let key = place.key(&app).await?;
    rotate_page(&app, &place, &key, None)
}

/// Makes the new key and shows it.
pub(in crate::http::pages) async fn rotate(
    State(app): State<App>,
    posted: PostedIn,
) -> Result<Response, PageError> {
    let PostedIn { place, fields } = posted;
    place.need(Role::Member)?;
    let key = place.key(&app).await?;
    let draft = RotateDraft { grace_seconds: fields.text("grace_seconds").parse().ok(), grace: None };
    let once = once(&place, &fields)?;
    match app.keys.rotate(&key.id, draft, Some(once), place.signed_in.actor()).await {
        Ok(written) => {
            let commit = (written.head.revision, written.at);
            let Rotated { key, plaintext, previous } = written.value;
            Ok(reveal::show(&app, &place, &key, &plaintext, Some(&previous), commit).await)
        }
        Err(Error::AlreadyCreated(id) | Error::IdempotencyKeyReused(id)) => {
            reveal::again(&app, &place, &id).await
        }
        Err(Error::Conflict { message, .. }) => {
            let page = rotate_page(&app, &place, &key, Some(message))?;
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Asks whether it is meant.
pub(in crate::http::pages) async fn ask_revoke(
    State(app): State<App>,
    place: Place,
) -> Result<Response, PageError> {
    place.need(Role::Member)?;
    let key = place.key(&app).await?;
    let (connected, _) = app.gateways.counts();
    let chrome = place.chrome("Revoke key", Section::ApiKeys);
    Ok(html(&RevokePage { chrome, key: Row::new(&key, app.clock.now()), connected }))
}

/// Ends the key and shows the receipt. Sent again, it looks again who refuses the key.
pub(in crate::http::pages) async fn revoke(
    State(app): State<App>,
    posted: PostedIn,
) -> Result<Response, PageError> {
    let place = posted.place;
    place.need(Role::Member)?;
    let key = place.key(&app).await?;
    let written = app.keys.revoke(&key.id, place.signed_in.actor()).await?;
    let Revoked { key, news } = written.value;
    let receipt = app.receipt(key.revision.unwrap_or_default(), news.then_some(written.at), WAIT).await;
    let now = app.clock.now();
    Ok(html(&ReceiptPage {
        chrome: place.chrome("Key revoked", Section::ApiKeys),
        at: Moment::new(key.revoked_at.unwrap_or(now)),
        key: Row::new(&key, now),
        receipt: ReceiptView::new(receipt),
        news,
    }))
}

fn rename_page(app: &App, place: &Place, key: &Key, name: String, problems: Problems) -> Response {
    let chrome = place.chrome("Rename key", Section::ApiKeys);
    html(&RenamePage { chrome, key: Row::new(key, app.clock.now()), name, problems })
}

fn rotate_page(app: &App, place: &Place, key: &Key, refusal: Option<String>) -> Result<Response, PageError> {
    let chrome = place.chrome("Rotate key", Section::ApiKeys);
    let once = random::base62(20)?.to_string();
    Ok(html(&RotatePage { chrome, key: Row::new(key, app.clock.now()), once, refusal }))
}

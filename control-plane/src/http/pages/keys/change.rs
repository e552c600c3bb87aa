//! Rename, rotate and revoke: each asks on a page of its own, so that no script is needed, and then does it.

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::ask::{ask_again, is_unconfirmed, rotate_page};
use super::once::{self, Once, Outcome};
use super::receipt::ReceiptView;
use super::reveal::{self, Gone, Shown};
use super::row::Row;
use super::terms::end_of;
use crate::domain::error::{Error, Problems};
use crate::domain::keys::paste::may_hold_key;
use crate::domain::keys::{Key, KeyPatch, RotateDraft};
use crate::http::app::App;
use crate::http::pages::chrome::{Chrome, Section};
use crate::http::pages::error::PageError;
use crate::http::pages::fields::Fields;
use crate::http::pages::place::{Place, PostedIn, Uncounted};
use crate::http::pages::view::{Moment, html};
use crate::service::keys::{Revoked, Rotated};

#[derive(Template)]
#[template(path = "key_rename.html")]
struct RenamePage {
    chrome: Chrome,
    key: Row,
    name: String,
    problems: Problems,
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
    /// What it has replaced and what works on.
    still_working: Vec<Row>,
}

/// Asks for another name.
pub(in crate::http::pages) async fn ask_rename(
    State(app): State<App>,
    place: Place,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, PageError> {
    let (key, typed) = (place.key_to_change(&app).await?, Fields::of_query(&uri));
    let name = Some(typed.text("name")).filter(|name| !name.is_empty()).unwrap_or(&key.name).to_owned();
    Ok(rename_page(&app, &place, &key, name, Problems::default()))
}

/// Gives the key another name.
pub(in crate::http::pages) async fn rename(
    State(app): State<App>,
    posted: PostedIn,
) -> Result<Response, PageError> {
    let PostedIn { place, fields } = posted;
    let key = place.key_to_change(&app).await?;
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

/// Makes the new key and shows it.
pub(in crate::http::pages) async fn rotate(
    State(app): State<App>,
    posted: PostedIn,
) -> Result<Response, PageError> {
    let PostedIn { place, fields } = posted;
    let key = place.key_to_change(&app).await?;
    let end = match end_of(&key, &fields, app.clock.now()) {
        Ok(end) => end,
        Err(Error::Invalid(_)) => return refuse(&app, &place, &key, &fields, "choose when the new key expires").await,
        Err(error) => return Err(error.into()),
    };
    let grace_seconds = fields.text("grace_seconds").parse().ok();
    let draft = RotateDraft { grace_seconds, grace: None, expires_at: end };
    let form = format!("{}/rotate", key.id);
    let once = Once::new(&place, &form, &fields)?;
    let (keys, id, again, by) = (app.keys.clone(), key.id.clone(), once.key.clone(), place.signed_in.actor());
    let work = async move {
        let written = keys.rotate(&id, draft, Some(again), by).await?;
        Ok(written.map(|Rotated { key, plaintext, previous }| {
            let id = key.id.clone();
            ((key, previous), id, Some(plaintext))
        }))
    };
    match once.run(&app, work).await {
        Ok(Outcome::First((key, previous), made)) => {
            let shown = Shown { key, previous: Some(previous), again: false };
            Ok(reveal::show(&app, &place, shown, &made, &once).await)
        }
        Ok(Outcome::Again(made)) => reveal::show_again(&app, &place, &made, &once).await,
        Ok(Outcome::Changed(id)) => reveal::gone(&app, &place, &id, Gone::Changed, &form).await,
        Err(Error::AlreadyCreated(id) | Error::IdempotencyKeyReused(id)) => {
            reveal::gone(&app, &place, &id, Gone::Later, &form).await
        }
        Err(Error::Conflict { message, .. }) => {
            let page = rotate_page(&app, &place, &key, &fields, Some(message)).await?;
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(Error::Invalid(problems)) if problems.of("expires_at").is_some() => {
            let soon = "the new key would end soon, as the old one; choose when it expires";
            refuse(&app, &place, &key, &fields, soon).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends the key and shows the receipt. Sent again, it looks again who refuses the key, and counts as a change.
pub(in crate::http::pages) async fn revoke(
    State(app): State<App>,
    posted: Uncounted,
) -> Result<Response, PageError> {
    let key = posted.place().key_to_change(&app).await?;
    let repeated = key.revoked_at.is_some();
    if !repeated && is_unconfirmed(&key, posted.fields()) {
        return ask_again(&app, posted.place(), &key).await;
    }
    let posted = if repeated { posted.count(&app)? } else { posted.uncounted() };
    let place = posted.place;
    let (keys, id, by) = (app.keys.clone(), key.id.clone(), place.signed_in.actor());
    let work = async move {
        let written = keys.revoke(&id, by).await?;
        let map = |Revoked { key, news }: Revoked| {
            let id = key.id.clone();
            ((key, news), id, None)
        };
        Ok(written.map(map))
    };
    let (key, news, made) = match once::run_end(&app, &place, &key.id, work).await? {
        Outcome::First((key, news), made) => (key, news, made),
        Outcome::Again(made) => (place.key(&app).await?, true, made),
        Outcome::Changed(id) => return Err(Error::internal(format!("{id} is ended in two ways")).into()),
    };
    let revision = key.revision.unwrap_or(made.revision);
    let receipt =
        ReceiptView::wait(&app, &place, revision, news.then_some(made.at), app.patience.receipt).await;
    let (now, still_working) = (app.clock.now(), still_working(&app, &key).await?);
    Ok(html(&ReceiptPage {
        still_working,
        chrome: place.chrome("Key revoked", Section::ApiKeys),
        at: Moment::new(key.revoked_at.unwrap_or(now)),
        key: Row::new(&key, now),
        receipt,
        news,
    }))
}

async fn refuse(
    app: &App,
    place: &Place,
    key: &Key,
    fields: &Fields,
    why: &str,
) -> Result<Response, PageError> {
    let page = rotate_page(app, place, key, fields, Some(why.to_owned())).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

async fn still_working(app: &App, key: &Key) -> Result<Vec<Row>, Error> {
    let (found, now) = (app.keys.still_working(key).await?, app.clock.now());
    Ok(found.iter().map(|key| Row::new(key, now)).collect())
}

fn rename_page(app: &App, place: &Place, key: &Key, name: String, problems: Problems) -> Response {
    let name = if may_hold_key(&name) { key.name.clone() } else { name };
    let chrome = place.chrome("Rename key", Section::ApiKeys);
    html(&RenamePage { chrome, key: Row::new(key, app.clock.now()), name, problems })
}

//! Rotate and revoke: each asks on a page of its own, so that no script is needed, and then does it.

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::SignedDuration;
use serde_json::Value;

use super::once::{self, Once, Outcome};
use super::receipt::ReceiptView;
use super::reveal::{self, Gone, Shown};
use super::row::Row;
use crate::domain::error::Error;
use crate::domain::keys::{End, Key, RotateDraft};
use crate::domain::random;
use crate::http::app::App;
use crate::http::pages::chrome::{Chrome, Section};
use crate::http::pages::error::PageError;
use crate::http::pages::fields::Fields;
use crate::http::pages::gateways::Glance;
use crate::http::pages::place::{Place, PostedIn, Uncounted};
use crate::http::pages::view::html;
use crate::service::keys::{Revoked, Rotated};

#[derive(Template)]
#[template(path = "key_rotate.html")]
struct RotatePage {
    chrome: Chrome,
    key: Row,
    once: String,
    typed: Fields,
    /// Why it cannot be rotated.
    refusal: Option<String>,
}

#[derive(Template)]
#[template(path = "key_revoke.html")]
struct RevokePage {
    chrome: Chrome,
    key: Row,
    connected: usize,
    cut_off: usize,
    /// What it has replaced and what works on.
    still_working: Vec<Row>,
}

/// Asks how long the old key should still work.
pub(in crate::http::pages) async fn ask_rotate(
    State(app): State<App>,
    place: Place,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, PageError> {
    let key = place.key_to_change(&app).await?;
    rotate_page(&app, &place, &key, Fields::of_query(&uri), None)
}

/// Makes the new key and shows it.
pub(in crate::http::pages) async fn rotate(
    State(app): State<App>,
    posted: PostedIn,
) -> Result<Response, PageError> {
    let PostedIn { place, fields } = posted;
    let key = place.key_to_change(&app).await?;
    let end = match fields.text("expiry") {
        "" => None,
        "never" => Some(Value::Null),
        days => {
            let days = days.parse::<i64>().ok().filter(|days| (1..=3_650).contains(days));
            let days = days.ok_or_else(|| Error::invalid("expiry", "must be 1 to 3650 days"))?;
            End::after(app.clock.now(), SignedDuration::from_hours(24 * days)).map(|end| end.second().into())
        }
    };
    let grace_seconds = fields.text("grace_seconds").parse().ok();
    let draft = RotateDraft { grace_seconds, grace: None, expires_at: end };
    let form = format!("{}/rotate", key.id);
    let once = Once::new(&place, &form, &fields)?;
    let (keys, id, again, by) = (app.keys.clone(), key.id.clone(), once.key.clone(), place.signed_in.actor());
    let receipts = app.receipts.clone();
    let work = async move {
        let written = keys.rotate(&id, draft, Some(again), by).await?;
        receipts.rotated(&written);
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
            let page = rotate_page(&app, &place, &key, fields, Some(message))?;
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(Error::Invalid(problems)) if problems.of("expires_at").is_some() => {
            let soon = "the new key would end soon, as the old one; choose when it expires";
            let page = rotate_page(&app, &place, &key, fields, Some(soon.to_owned()))?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Asks whether it is meant.
pub(in crate::http::pages) async fn ask_revoke(
    State(app): State<App>,
    place: Place,
) -> Result<Response, PageError> {
    let key = place.key_to_change(&app).await?;
    let Glance { connected, cut_off, .. } = Glance::new(&app.gateways.list(), 0);
    let chrome = place.chrome("Revoke key", Section::ApiKeys);
    let still_working = still_working(&app, &key).await?;
    Ok(html(&RevokePage { chrome, key: Row::new(&key, app.clock.now()), connected, cut_off, still_working }))
}

/// Ends the key, waits until the gateways refuse it, for as long as a page may take, and leads to the key's page, which is the receipt.
/// Sent again, it counts as a change.
pub(in crate::http::pages) async fn revoke(
    State(app): State<App>,
    posted: Uncounted,
) -> Result<Redirect, PageError> {
    let key = posted.place().key_to_change(&app).await?;
    let repeated = key.revoked_at.is_some();
    let posted = if repeated { posted.count(&app)? } else { posted.uncounted() };
    let place = posted.place;
    let (keys, id, by) = (app.keys.clone(), key.id.clone(), place.signed_in.actor());
    let receipts = app.receipts.clone();
    let work = async move {
        let written = keys.revoke(&id, by).await?;
        receipts.revoked(&written);
        let map = |Revoked { key, news }: Revoked| {
            let id = key.id.clone();
            ((key, news), id, None)
        };
        Ok(written.map(map))
    };
    let outcome = once::run_end(&app, &place, &key.id, work).await?;
    if let Outcome::First((key, true), made) = outcome {
        let revision = key.revision.unwrap_or(made.revision);
        ReceiptView::wait(&app, &place, revision, Some(made.at), app.patience.receipt).await;
    }
    Ok(Redirect::to(&format!("/w/{}/settings/api-keys/{}", place.membership.slug, key.id)))
}

async fn still_working(app: &App, key: &Key) -> Result<Vec<Row>, Error> {
    let (found, now) = (app.keys.still_working(key).await?, app.clock.now());
    Ok(found.iter().map(|key| Row::new(key, now)).collect())
}

fn rotate_page(
    app: &App,
    place: &Place,
    key: &Key,
    typed: Fields,
    refusal: Option<String>,
) -> Result<Response, PageError> {
    let chrome = place.chrome("Rotate key", Section::ApiKeys);
    let once = random::base62(20)?.to_string();
    Ok(html(&RotatePage { chrome, key: Row::new(key, app.clock.now()), once, typed, refusal }))
}

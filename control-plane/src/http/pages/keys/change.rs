//! Rotating and revoking a key, after [`super::ask`].

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::ask::{ask_again, is_unconfirmed, rotate_page};
use super::once::{self, Once, Outcome};
use super::reveal::{self, Gone, Shown};
use super::terms::end_of;
use crate::domain::error::Error;
use crate::domain::keys::{Key, RotateDraft};
use crate::http::app::App;
use crate::http::pages::error::PageError;
use crate::http::pages::fields::Fields;
use crate::http::pages::place::{Place, PostedIn, Uncounted};
use crate::http::pages::receipt::ReceiptView;
use crate::service::keys::{Revoked, Rotated};

/// Makes the new key and shows it.
pub(in crate::http::pages) async fn rotate(
    State(app): State<App>,
    posted: PostedIn,
) -> Result<Response, PageError> {
    let PostedIn { place, fields } = posted;
    let key = place.key_to_change(&app).await?;
    let end = match end_of(&key, &fields, app.clock.now()) {
        Ok(end) => end,
        Err(Error::Invalid(_)) => {
            return refuse(&app, &place, &key, &fields, "choose when the new key expires").await;
        }
        Err(error) => return Err(error.into()),
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

/// Ends the key, waits until the gateways refuse it, for as long as a page may take, and leads to the key's page, which is the receipt.
/// Sent again, it counts as a change.
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
        ReceiptView::wait(&app, &place.signed_in, revision, Some(made.at), app.patience.receipt).await;
    }
    Ok(Redirect::to(&format!("/w/{}/settings/api-keys/{}", place.membership.slug, key.id)).into_response())
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

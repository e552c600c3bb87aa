//! What one sees before a key is rotated or revoked: whether it is in use, by whom, and what follows. Each asks on a page of its
//! own, so that no script is needed; scripts show the same page in a dialog.

use std::slice;

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp};

use super::row::Row;
use super::terms::{Term, ends_of, graces_of};
use crate::domain::error::Error;
use crate::domain::keys::{Key, Status};
use crate::domain::random;
use crate::http::app::App;
use crate::http::pages::chrome::{Chrome, Section};
use crate::http::pages::error::PageError;
use crate::http::pages::fields::Fields;
use crate::http::pages::gateways::Glance;
use crate::http::pages::place::Place;
use crate::http::pages::view::{Moment, grouped, html};

#[derive(Template)]
#[template(path = "key_rotate.html")]
struct RotatePage {
    chrome: Chrome,
    key: Row,
    once: String,
    /// For how long the old key may work.
    graces: Vec<Term>,
    /// When the new one may end.
    ends: Vec<Term>,
    /// When the old one ends by itself.
    own_end: Option<Moment>,
    /// Why what was sent was not done.
    refusal: Option<String>,
    /// Why there is nothing to choose.
    impossible: Option<Impossible>,
}

/// Why a key cannot be rotated.
enum Impossible {
    Revoked(Moment),
    Expired,
    /// By this key, which works.
    Replaced(Box<Row>),
}

#[derive(Template)]
#[template(path = "key_revoke.html")]
struct RevokePage {
    chrome: Chrome,
    key: Row,
    /// Requests of today (UTC), where they are counted.
    today: Option<String>,
    connected: usize,
    cut_off: usize,
    /// What it has replaced and what works on.
    still_working: Vec<Row>,
    /// Its last characters, when it was used within a day: whoever ends it is to look at which one it is.
    tail: Option<String>,
    /// What was typed is not that.
    wrong: bool,
}

/// Used within this time, a key is in use.
const IN_USE: SignedDuration = SignedDuration::from_hours(24);

/// Asks how long the old key should still work, and when the new one ends.
pub(in crate::http::pages) async fn ask_rotate(
    State(app): State<App>,
    place: Place,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, PageError> {
    let key = place.key_to_change(&app).await?;
    rotate_page(&app, &place, &key, &Fields::of_query(&uri), None).await
}

/// The page that asks, with what was typed, and why that was not done.
pub(super) async fn rotate_page(
    app: &App,
    place: &Place,
    key: &Key,
    typed: &Fields,
    refusal: Option<String>,
) -> Result<Response, PageError> {
    let now = app.clock.now();
    Ok(html(&RotatePage {
        chrome: place.chrome("Rotate key", Section::ApiKeys),
        once: random::base62(20)?.to_string(),
        graces: graces_of(key, now, typed),
        ends: ends_of(key, now, typed),
        own_end: key.expires_at.map(Moment::at),
        impossible: impossible(app, key, now).await?,
        key: Row::new(key, now),
        refusal,
    }))
}

async fn impossible(app: &App, key: &Key, now: Timestamp) -> Result<Option<Impossible>, Error> {
    if let Some(at) = key.revoked_at {
        return Ok(Some(Impossible::Revoked(Moment::new(at))));
    }
    if key.status(now) == Status::Expired {
        return Ok(Some(Impossible::Expired));
    }
    // One that was lost and revoked may be made again.
    let Some(next) = &key.rotated_to else { return Ok(None) };
    let next = app.keys.find(next).await?;
    let works = next.status(now) == Status::Active;
    Ok(works.then(|| Impossible::Replaced(Box::new(Row::new(&next, now)))))
}

/// Asks whether it is meant.
pub(in crate::http::pages) async fn ask_revoke(
    State(app): State<App>,
    place: Place,
) -> Result<Response, PageError> {
    let key = place.key_to_change(&app).await?;
    revoke_page(&app, &place, &key, false).await
}

/// True when the form asked for the key's last characters and something else was typed. Whoever was not asked has not seen a key in
/// use: it was used first while they looked.
pub(super) fn is_unconfirmed(key: &Key, fields: &Fields) -> bool {
    fields.text("asked") == "tail" && fields.text("tail").trim_start_matches('…') != tail(key)
}

/// The page again, for whoever typed something else.
pub(super) async fn ask_again(app: &App, place: &Place, key: &Key) -> Result<Response, PageError> {
    Ok((StatusCode::UNPROCESSABLE_ENTITY, revoke_page(app, place, key, true).await?).into_response())
}

async fn revoke_page(app: &App, place: &Place, key: &Key, wrong: bool) -> Result<Response, PageError> {
    let Glance { connected, cut_off, .. } = Glance::new(&app.gateways.list(), 0);
    let (still_working, now) = (app.keys.still_working(key).await?, app.clock.now());
    let lines = app.usage.lines(slice::from_ref(key)).await?;
    let today = lines.of(key.seq).last().copied().flatten().map(|today| today.total());
    Ok(html(&RevokePage {
        chrome: place.chrome("Revoke key", Section::ApiKeys),
        key: Row::new(key, now),
        today: today.filter(|today| *today > 0).map(grouped),
        connected,
        cut_off,
        still_working: still_working.iter().map(|key| Row::new(key, now)).collect(),
        tail: (wrong || is_in_use(key, now)).then(|| tail(key).to_owned()),
        wrong,
    }))
}

/// Whether it was used within a day.
pub(super) fn is_in_use(key: &Key, now: Timestamp) -> bool {
    key.uses.last_used_at.is_some_and(|used| now.duration_since(used) < IN_USE)
}

/// What a hint shows of the key's end.
fn tail(key: &Key) -> &str {
    key.hint.rsplit('…').next().unwrap_or_default()
}

//! Several keys at once: those that are chosen in the list are revoked, or get another end.

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::ask::is_in_use;
use super::chosen::PAGE;
use super::row::Row;
use super::terms::named_end;
use crate::domain::audit::Actor;
use crate::domain::error::Error;
use crate::domain::keys::{Key, KeyPatch, Status};
use crate::domain::users::Role;
use crate::http::app::App;
use crate::http::pages::chrome::{Chrome, Section};
use crate::http::pages::error::PageError;
use crate::http::pages::fields::Fields;
use crate::http::pages::place::{Place, Uncounted};
use crate::http::pages::view::html;

#[derive(Template)]
#[template(path = "keys_selected.html")]
struct SelectedPage {
    chrome: Chrome,
    keys: Vec<Row>,
    /// True to end them, false to give them another end.
    revokes: bool,
    /// How many of them were used within a day.
    in_use: usize,
    /// Why it was not done, or not with all of them.
    problem: Option<String>,
    tomorrow: String,
}

/// What is done with the keys.
#[derive(Clone)]
enum Change {
    Revoke,
    Expire(Value),
}

/// What came of it.
struct Changed {
    number: usize,
    /// The key at which it stopped, and why.
    stopped: Option<(Key, Error)>,
}

/// Asks whether it is meant, or until when they are to work.
pub(in crate::http::pages) async fn ask_selected(
    State(app): State<App>,
    place: Place,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, PageError> {
    place.need(Role::Member)?;
    let fields = Fields::of_query(&uri);
    let keys = chosen(&app, &place, &fields).await?;
    if keys.is_empty() {
        return Ok(Redirect::to(&list(&place)).into_response());
    }
    page(&app, &place, &keys, fields.text("do") == "revoke", None)
}

/// Does it, key by key. What stops it stops it there; what was done is done.
pub(in crate::http::pages) async fn change_selected(
    State(app): State<App>,
    posted: Uncounted,
) -> Result<Response, PageError> {
    posted.place().need(Role::Member)?;
    let revokes = posted.fields().text("do") == "revoke";
    // As with one key: ending what works is bounded by what there is, everything else counts.
    let posted = if revokes { posted.uncounted() } else { posted.count(&app)? };
    let (place, fields) = (posted.place, posted.fields);
    let now = app.clock.now();
    let keys = chosen(&app, &place, &fields).await?;
    let refuse = |keys: &[Key], problem: String| {
        let page = page(&app, &place, keys, revokes, Some(problem))?;
        Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
    };
    let change = if revokes {
        if fields.text("asked") == "number" && fields.text("number") != keys.len().to_string() {
            return refuse(&keys, format!("Type how many keys you revoke: {}.", keys.len()));
        }
        Change::Revoke
    } else {
        match end(&fields, now) {
            Ok(end) => Change::Expire(end),
            Err(problem) => return refuse(&keys, problem.to_owned()),
        }
    };
    let work =
        change_all(app.clone(), keys.clone(), change, place.signed_in.user.seq, place.signed_in.actor());
    // To its end, also when nobody listens any more.
    let Changed { number, stopped } = tokio::spawn(work).await.map_err(Error::internal)?;
    let Some((key, error)) = stopped else {
        let done = if revokes { "revoked" } else { "expiry" };
        return Ok(Redirect::to(&format!("{}?done={done}&number={number}", list(&place))).into_response());
    };
    if matches!(error, Error::Internal(_)) {
        return Err(error.into());
    }
    let rest = keys.get(number..).unwrap_or_default();
    refuse(rest, format!("{number} of {} keys were changed. “{}” was not: {error}.", keys.len(), key.name))
}

async fn change_all(app: App, keys: Vec<Key>, change: Change, person: i64, by: Actor) -> Changed {
    let all = keys.len();
    for (number, key) in keys.into_iter().enumerate() {
        let done = match &change {
            Change::Revoke => app.keys.revoke(&key.id, by.clone()).await.map(drop),
            Change::Expire(end) => {
                // The form was counted, for the first of them.
                let admitted =
                    if number == 0 { Ok(()) } else { app.people.admit(person, app.clock.instant()) };
                let patch = KeyPatch { expires_at: Some(end.clone()), ..KeyPatch::default() };
                match admitted {
                    Ok(()) => app.keys.update(&key.id, patch, by.clone()).await.map(drop),
                    Err(error) => Err(error),
                }
            }
        };
        if let Err(error) = done {
            return Changed { number, stopped: Some((key, error)) };
        }
    }
    Changed { number: all, stopped: None }
}

/// What the list says after it.
pub(super) fn done_words(done: Option<&str>, number: Option<&str>) -> Option<String> {
    let number = number?.parse::<u32>().ok().filter(|number| *number <= PAGE)?;
    let keys = if number == 1 { "1 key".to_owned() } else { format!("{number} keys") };
    match done? {
        "revoked" => Some(format!("{keys} revoked. The page of each says which gateways refuse it.")),
        "expiry" => Some(format!("{keys} changed: see when they expire below.")),
        _ => None,
    }
}

/// The keys that the form names, as far as they work and are of this workspace; each field that is called like a key.
async fn chosen(app: &App, place: &Place, fields: &Fields) -> Result<Vec<Key>, Error> {
    let ids = fields.pairs().into_iter().map(|(name, _)| name).filter(|name| name.starts_with("key_"));
    let ids: Vec<_> = ids.take(PAGE as usize).map(str::to_owned).collect();
    let (keys, now) = (app.keys.some(&ids).await?, app.clock.now());
    let is_one =
        |key: &Key| key.workspace_seq == place.membership.workspace_seq && key.status(now) == Status::Active;
    Ok(keys.into_iter().filter(is_one).collect())
}

fn page(
    app: &App,
    place: &Place,
    keys: &[Key],
    revokes: bool,
    problem: Option<String>,
) -> Result<Response, PageError> {
    let now = app.clock.now();
    let tomorrow = now.to_zoned(TimeZone::UTC).date().tomorrow().map_err(Error::internal)?;
    let title = if revokes { "Revoke keys" } else { "Set expiry" };
    Ok(html(&SelectedPage {
        chrome: place.chrome(title, Section::ApiKeys),
        in_use: keys.iter().filter(|key| is_in_use(key, now)).count(),
        keys: keys.iter().map(|key| Row::new(key, now)).collect(),
        revokes,
        problem,
        tomorrow: tomorrow.to_string(),
    }))
}

/// The end that the form says; the error is what is wrong with it.
fn end(fields: &Fields, now: Timestamp) -> Result<Value, &'static str> {
    let end = match fields.text("expiry") {
        "never" => return Ok(Value::Null),
        _ => named_end(fields, now).filter(|end| !end.is_over(now)),
    };
    end.map(|end| end.second().into()).ok_or("Choose the last day on which the keys should work.")
}

fn list(place: &Place) -> String {
    format!("/w/{}/settings/api-keys", place.membership.slug)
}

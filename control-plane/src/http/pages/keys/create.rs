//! Generate New Key: the form, and what comes of it.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::reveal;
use crate::app::App;
use crate::error::{Error, Problems};
use crate::http::pages::error::PageError;
use crate::http::pages::form::Fields;
use crate::http::pages::place::{Place, PostedIn};
use crate::http::pages::view::{Chrome, Section, html, limits_text};
use crate::keys::{Created, IdempotencyKey, KeyDraft};
use crate::limits::LimitDraft;
use crate::random;
use crate::users::Role;

#[derive(Template)]
#[template(path = "key_new.html")]
struct NewPage {
    chrome: Chrome,
    /// Makes a form that is sent twice make one key.
    once: String,
    problems: Problems,
    typed: Fields,
    default_limits: String,
    tomorrow: String,
}

/// The form.
pub(in crate::http::pages) async fn new(State(app): State<App>, place: Place) -> Result<Response, PageError> {
    place.need(Role::Member)?;
    page(&app, &place, Problems::default(), Fields::default()).await
}

/// Makes the key and shows it.
pub(in crate::http::pages) async fn create(
    State(app): State<App>,
    posted: PostedIn,
) -> Result<Response, PageError> {
    let PostedIn { place, fields } = posted;
    place.need(Role::Member)?;
    let now = app.clock.now();
    let mut problems = Problems::default();
    let expires_at = expiry(&fields, now, &mut problems);
    let draft = KeyDraft {
        workspace: Some(place.membership.workspace.clone()),
        name: Some(fields.text("name").to_owned()),
        environment: Some(fields.text("environment").to_owned()),
        expires_at,
        limits: limits(&fields, &mut problems),
    };
    if !problems.is_empty() {
        return refused(&app, &place, problems, fields).await;
    }
    let once = once(&place, &fields)?;
    match app.keys.create(draft, Some(once), place.signed_in.actor()).await {
        Ok(written) => {
            let (head, at) = (written.head.revision, written.at);
            let Created { key, plaintext } = written.value;
            Ok(reveal::show(&app, &place, &key, &plaintext, None, (head, at)).await)
        }
        Err(Error::AlreadyCreated(id) | Error::IdempotencyKeyReused(id)) => {
            reveal::again(&app, &place, &id).await
        }
        Err(Error::Invalid(problems)) => refused(&app, &place, problems, fields).await,
        Err(error) => Err(error.into()),
    }
}

/// The form's own token, tied to the user: another user's token means nothing.
pub(super) fn once(place: &Place, fields: &Fields) -> Result<IdempotencyKey, Error> {
    IdempotencyKey::parse(&format!("page:{}:{}", place.signed_in.user.id, fields.text("once")))
}

async fn refused(
    app: &App,
    place: &Place,
    problems: Problems,
    fields: Fields,
) -> Result<Response, PageError> {
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page(app, place, problems, fields).await?).into_response())
}

async fn page(app: &App, place: &Place, problems: Problems, typed: Fields) -> Result<Response, PageError> {
    let workspace = app.workspaces.find(&place.membership.workspace).await?;
    let tomorrow = app.clock.now().to_zoned(TimeZone::UTC).date().tomorrow().map_err(Error::internal)?;
    Ok(html(&NewPage {
        chrome: place.chrome("Generate new key", Section::ApiKeys),
        once: random::base62(20)?.to_string(),
        problems,
        typed,
        default_limits: limits_text(&workspace.default_limits),
        tomorrow: tomorrow.to_string(),
    }))
}

/// Never, a number of days from now, or the end of a day (UTC).
fn expiry(fields: &Fields, now: Timestamp, problems: &mut Problems) -> Option<Value> {
    let end = match fields.text("expiry") {
        "" | "never" => return None,
        "date" => {
            let date = fields.text("expiry_date").parse::<Date>().ok();
            let after = date.and_then(|date| date.tomorrow().ok());
            after.and_then(|date| date.to_zoned(TimeZone::UTC).ok()).map(|midnight| midnight.timestamp())
        }
        days => {
            let days = days.parse::<i64>().ok().filter(|days| (1..=3_650).contains(days));
            days.and_then(|days| now.checked_add(SignedDuration::from_hours(24 * days)).ok())
        }
    };
    if end.is_none() {
        problems.add("expires_at", "choose a date");
    }
    end.map(|end| Value::from(end.as_second()))
}

/// The workspace's default, none, or one of its own.
fn limits(fields: &Fields, problems: &mut Problems) -> Option<Vec<LimitDraft>> {
    match fields.text("limit") {
        "none" => Some(Vec::new()),
        "own" => {
            let number = |name: &str| fields.text(name).parse::<i64>().ok();
            let limit = LimitDraft {
                requests: number("requests"),
                window_seconds: number("window_seconds"),
                burst: number("burst"),
                ..LimitDraft::default()
            };
            if limit.requests.is_none() || limit.window_seconds.is_none() {
                problems.add("limits", "say how many requests per how long");
            }
            if limit.burst.is_none() && !fields.text("burst").is_empty() {
                problems.add("limits", "the number at once must be a number");
            }
            Some(vec![limit])
        }
        _ => None,
    }
}

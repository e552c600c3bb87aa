//! Edit a key: its name, when it expires, its limit. What is not touched stays as it is.

use std::num::NonZeroU32;

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::row::Row;
use super::terms::named_end;
use crate::contract::Scope;
use crate::domain::bounds::CEILING;
use crate::domain::error::{Error, Problems};
use crate::domain::keys::{End, Key, KeyPatch};
use crate::domain::limits::LimitDraft;
use crate::http::app::App;
use crate::http::pages::chrome::{Chrome, Section};
use crate::http::pages::error::PageError;
use crate::http::pages::fields::Fields;
use crate::http::pages::limits::{BoundsText, limits_text};
use crate::http::pages::limits_form::{REACH, limit_of, reach_of};
use crate::http::pages::mistakes::Mistakes;
use crate::http::pages::place::{Place, PostedIn};
use crate::http::pages::plan_words::PlanField;
use crate::http::pages::restrict_form::{filled_in, restrict_of};
use crate::http::pages::view::html;

#[derive(Template)]
#[template(path = "key_edit.html")]
struct EditPage {
    chrome: Chrome,
    key: Row,
    /// What was typed, or what is.
    typed: Fields,
    mistakes: Mistakes,
    default_limits: String,
    bounds: BoundsText,
    tomorrow: String,
    /// The choice of a plan, for operators; `None` where there is nothing to choose.
    plan: Option<PlanField>,
}

/// Lengths of windows that can be chosen.
const WINDOWS: [u32; 4] = [1, 60, 3_600, 86_400];

/// The form.
pub(in crate::http::pages) async fn ask_edit(
    State(app): State<App>,
    place: Place,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, PageError> {
    let key = place.key_to_change(&app).await?;
    page(&app, &place, &key, Fields::of_query(&uri), Problems::default()).await
}

/// Changes what was changed in the form.
pub(in crate::http::pages) async fn edit(
    State(app): State<App>,
    posted: PostedIn,
) -> Result<Response, PageError> {
    let PostedIn { place, fields } = posted;
    let key = place.key_to_change(&app).await?;
    let (now, mut problems) = (app.clock.now(), Problems::default());
    let patch = KeyPatch {
        name: Some(fields.text("name").to_owned()).filter(|name| *name != key.name),
        expires_at: expiry(&fields, now, &mut problems),
        limits: limits(&fields, &mut problems),
        restrict: restrict_of(&fields, &mut problems).map(Some),
        plan: plan_of(&place, &fields, &key),
        note: fields
            .has("note")
            .then(|| fields.text("note").to_owned())
            .filter(|note| key.note.as_deref().unwrap_or_default() != note)
            .map(Some),
    };
    // Everything that is wrong at once, also what the fields alone do not show.
    if let (false, Err(Error::Invalid(more))) = (problems.is_empty(), patch.clone().check(now)) {
        problems.extend(more);
    }
    let checked = if problems.is_empty() {
        app.keys.update(&key.id, patch, place.signed_in.actor()).await
    } else {
        Err(Error::Invalid(problems))
    };
    match checked {
        Ok(_) => {
            let path = format!("/w/{}/settings/api-keys/{}", place.membership.slug, key.id);
            Ok(Redirect::to(&path).into_response())
        }
        Err(Error::Invalid(problems)) => {
            let page = page(&app, &place, &key, fields, problems).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(Error::Conflict { message, .. }) => {
            let page = page(&app, &place, &key, fields, Problems::one("key", message)).await?;
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn page(
    app: &App,
    place: &Place,
    key: &Key,
    typed: Fields,
    problems: Problems,
) -> Result<Response, PageError> {
    let typed = typed.without_keys();
    let now = app.clock.now();
    let workspace = app.workspaces.find(&place.membership.workspace).await?;
    let tomorrow = now.to_zoned(TimeZone::UTC).date().tomorrow().map_err(Error::internal)?;
    let [requests, window_seconds, burst, reach] = own_numbers(key);
    let typed = typed
        .or_absent("name", &key.name)
        .or_absent("note", key.note.as_deref().unwrap_or_default())
        .or_absent("requests", &requests)
        .or_absent("window_seconds", &window_seconds)
        .or_absent("burst", &burst)
        .or_absent(REACH, &reach);
    let typed =
        filled_in(typed, key.restrict.as_ref()).or_absent("plan", key.plan.as_deref().unwrap_or_default());
    let mistakes = Mistakes::new(&problems).naming(&problems, &typed);
    let plans = place.plans_to_choose(app, Scope::Key).await?;
    let plan = PlanField::new(&plans, typed.text("plan"), mistakes.of("plan"));
    let title = if problems.is_empty() { "Edit key" } else { "Error: Edit key" };
    Ok(html(&EditPage {
        chrome: place.chrome("Edit key", Section::ApiKeys).titled(title),
        key: Row::new(key, now),
        mistakes,
        typed,
        default_limits: limits_text(&workspace.default_limits),
        bounds: BoundsText::new(&workspace.bounds),
        tomorrow: tomorrow.to_string(),
        plan: Some(plan).filter(|_| !plans.is_empty()),
    }))
}

/// Another plan than the key has; `None` when it stays, or is not the person's to give.
fn plan_of(place: &Place, fields: &Fields, key: &Key) -> Option<Option<String>> {
    let chosen = place.chosen_plan(fields);
    (place.is_operator() && fields.has("plan") && chosen != key.plan).then_some(chosen)
}

/// The numbers of a key's limit, where it has one and the form can show it: requests, seconds, burst, reach.
fn own_numbers(key: &Key) -> [String; 4] {
    let mut own = key.limits.iter().filter(|limit| limit.scope == Scope::Key && limit.name != CEILING);
    match (own.next(), own.next()) {
        (Some(limit), None) if WINDOWS.contains(&limit.window_seconds.get()) => {
            let text = |number: NonZeroU32| number.to_string();
            [
                text(limit.requests),
                text(limit.window_seconds),
                text(limit.burst()),
                reach_of(limit).to_owned(),
            ]
        }
        _ => [const { String::new() }; 4],
    }
}

/// As it is, never, a number of days from now, or the end of a day (UTC).
fn expiry(fields: &Fields, now: Timestamp, problems: &mut Problems) -> Option<Value> {
    let end = match fields.text("expiry") {
        "" | "keep" => return None,
        "never" => return Some(Value::Null),
        _ => named_end(fields, now).map(End::second),
    };
    if end.is_none() {
        problems.add("expires_at", "choose a date");
    }
    end.map(Value::from)
}

/// As they are, the workspace's default, none, or one.
fn limits(fields: &Fields, problems: &mut Problems) -> Option<Option<Vec<LimitDraft>>> {
    match fields.text("limit") {
        "default" => Some(None),
        "none" => Some(Some(Vec::new())),
        "own" => Some(Some(vec![limit_of(fields, "limits", problems)])),
        _ => None,
    }
}

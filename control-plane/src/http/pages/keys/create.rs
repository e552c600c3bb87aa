//! Generate New Key: the form, and what comes of it.

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::once::{Once, Outcome};
use super::reveal::{self, Gone, Shown};
use super::terms::named_end;
use crate::contract::Scope;
use crate::domain::error::{Error, Problems};
use crate::domain::keys::{End, KeyDraft};
use crate::domain::limits::LimitDraft;
use crate::domain::random;
use crate::domain::users::Role;
use crate::http::app::App;
use crate::http::pages::chrome::{Chrome, Section};
use crate::http::pages::error::PageError;
use crate::http::pages::fields::Fields;
use crate::http::pages::limits::{BoundsText, limits_text};
use crate::http::pages::limits_form::limit_of;
use crate::http::pages::mistakes::Mistakes;
use crate::http::pages::place::{Place, PostedIn};
use crate::http::pages::plan_words::PlanField;
use crate::http::pages::restrict_form::restrict_of;
use crate::http::pages::view::html;
use crate::service::keys::Created;

#[derive(Template)]
#[template(path = "key_new.html")]
struct NewPage {
    chrome: Chrome,
    /// Makes a form that is sent twice make one key.
    once: String,
    mistakes: Mistakes,
    typed: Fields,
    /// Its name.
    workspace: String,
    default_limits: String,
    /// What holds for every key, whatever is chosen.
    bounds: BoundsText,
    tomorrow: String,
    /// The choice of a plan, for operators; `None` where there is nothing to choose.
    plan: Option<PlanField>,
}

/// The form, with what the address says filled in: somebody had typed it when their session ended.
pub(in crate::http::pages) async fn new(
    State(app): State<App>,
    place: Place,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, PageError> {
    place.need(Role::Member)?;
    page(&app, &place, Problems::default(), Fields::of_query(&uri)).await
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
        restrict: restrict_of(&fields, &mut problems),
        plan: place.chosen_plan(&fields),
        note: Some(fields.text("note").to_owned()).filter(|note| !note.is_empty()),
    };
    // Everything that is wrong at once, also what the fields alone do not show.
    if let (false, Err(Error::Invalid(more))) = (problems.is_empty(), draft.clone().check(now)) {
        problems.extend(more);
    }
    if !problems.is_empty() {
        return refused(&app, &place, problems, fields).await;
    }
    let once = Once::new(&place, "create", &fields)?;
    let (keys, key, by) = (app.keys.clone(), once.key.clone(), place.signed_in.actor());
    let work = async move {
        let written = keys.create(draft, Some(key), by).await?;
        Ok(written.map(|Created { key, plaintext }| (key.clone(), key.id, Some(plaintext))))
    };
    match once.run(&app, work).await {
        Ok(Outcome::First(key, made)) => {
            let shown = Shown { key, previous: None, again: false };
            Ok(reveal::show(&app, &place, shown, &made, &once).await)
        }
        Ok(Outcome::Again(made)) => reveal::show_again(&app, &place, &made, &once).await,
        Ok(Outcome::Changed(id)) => reveal::gone(&app, &place, &id, Gone::Changed, "new").await,
        Err(Error::AlreadyCreated(id) | Error::IdempotencyKeyReused(id)) => {
            reveal::gone(&app, &place, &id, Gone::Later, "new").await
        }
        Err(Error::Invalid(problems)) => refused(&app, &place, problems, fields).await,
        Err(Error::Conflict { message, .. }) => {
            let page = page(&app, &place, Problems::one("quota", message), fields).await?;
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
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
    let typed = typed.without_keys();
    let workspace = app.workspaces.find(&place.membership.workspace).await?;
    let tomorrow = app.clock.now().to_zoned(TimeZone::UTC).date().tomorrow().map_err(Error::internal)?;
    let mistakes = Mistakes::new(&problems).naming(&problems, &typed);
    let plans = place.plans_to_choose(app, Scope::Key).await?;
    let plan = PlanField::new(&plans, typed.text("plan"), mistakes.of("plan"));
    Ok(html(&NewPage {
        plan: Some(plan).filter(|_| !plans.is_empty()),
        chrome: place.chrome("Generate new key", Section::ApiKeys).titled(if problems.is_empty() {
            "Generate new key"
        } else {
            "Error: Generate new key"
        }),
        workspace: workspace.name.clone(),
        once: random::base62(20)?.to_string(),
        mistakes,
        typed,
        default_limits: limits_text(&workspace.default_limits),
        bounds: BoundsText::new(&workspace.bounds),
        tomorrow: tomorrow.to_string(),
    }))
}

/// Never, a number of days from now, or the end of a day (UTC).
fn expiry(fields: &Fields, now: Timestamp, problems: &mut Problems) -> Option<Value> {
    let end = match fields.text("expiry") {
        "" | "never" => return None,
        _ => named_end(fields, now).map(End::second),
    };
    if end.is_none() {
        problems.add("expires_at", "choose a date");
    }
    end.map(Value::from)
}

/// The workspace's default, none, or one of its own.
fn limits(fields: &Fields, problems: &mut Problems) -> Option<Vec<LimitDraft>> {
    match fields.text("limit") {
        "none" => Some(Vec::new()),
        "own" => Some(vec![limit_of(fields, "limits", problems)]),
        _ => None,
    }
}

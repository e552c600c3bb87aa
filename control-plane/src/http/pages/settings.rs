//! Settings → General: what the workspace is. Owners change its name and its default limit; bounds and plan are whoever runs Flamegate's.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::fields::Fields;
use super::limits::{BoundsText, limits_text};
use super::limits_form::{REACH, limit_of, reach_of};
use super::mistakes::Mistakes;
use super::place::{Place, PostedIn};
use super::plan_words::{PlanField, PlanWords};
use super::view::{Moment, html};
use crate::contract::{Limit, Scope};
use crate::domain::error::{Error, Problems};
use crate::domain::keys::paste::may_hold_key;
use crate::domain::keys::{KeyFilter, Status};
use crate::domain::lists::MOST_COUNTED;
use crate::domain::users::Role;
use crate::domain::workspaces::{Workspace, WorkspacePatch};
use crate::http::app::App;
use crate::http::extract::Query;

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    chrome: Chrome,
    name: String,
    id: String,
    slug: String,
    limits: String,
    bounds: BoundsText,
    active: u64,
    max_active_keys: Option<u32>,
    created: Moment,
    /// True for those who may change it.
    is_owner: bool,
    typed: Fields,
    mistakes: Mistakes,
    saved: bool,
    plan: Option<PlanWords>,
    /// The choice of another one, for operators; `None` where there is nothing to choose.
    plan_field: Option<PlanField>,
}

/// Set after a change.
#[derive(serde::Deserialize)]
pub(super) struct SettingsQuery {
    saved: Option<String>,
}

/// What the workspace is.
pub(super) async fn show(
    State(app): State<App>,
    place: Place,
    Query(query): Query<SettingsQuery>,
) -> Result<Response, PageError> {
    let workspace = app.workspaces.find(&place.membership.workspace).await?;
    let typed = typed_of(&workspace);
    page(&app, &place, workspace, typed, Problems::default(), query.saved.is_some()).await
}

/// Changes name and default limit.
pub(super) async fn change(State(app): State<App>, posted: PostedIn) -> Result<Response, PageError> {
    let PostedIn { place, fields } = posted;
    place.need(Role::Owner)?;
    let workspace = app.workspaces.find(&place.membership.workspace).await?;
    let mut problems = Problems::default();
    let default_limits = match fields.text("limit") {
        "none" => Some(Vec::new()),
        "own" => Some(vec![limit_of(&fields, "default_limits", &mut problems)]),
        _ => None,
    };
    let patch = WorkspacePatch {
        name: Some(fields.text("name").to_owned()),
        default_limits,
        ..WorkspacePatch::default()
    };
    // Everything that is wrong at once, also what the fields alone do not show.
    if !problems.is_empty() {
        patch.clone().check(&mut problems);
    }
    let changed = match problems.check() {
        Ok(()) => app.workspaces.update(&workspace.id, patch, place.signed_in.actor()).await.map(drop),
        Err(error) => Err(error),
    };
    match changed {
        Ok(()) => Ok(Redirect::to(&format!("/w/{}/settings?saved=1", place.membership.slug)).into_response()),
        Err(Error::Invalid(problems)) => refused(&app, &place, workspace, fields, problems).await,
        // Of which workspace it reminds is not theirs to know.
        Err(Error::Conflict { .. }) => {
            let message = "it looks like the name of another workspace: choose another one";
            refused(&app, &place, workspace, fields, Problems::one("name", message)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives the workspace another plan, or none: operators, whatever their role in it.
pub(super) async fn change_plan(State(app): State<App>, posted: PostedIn) -> Result<Response, PageError> {
    let PostedIn { place, fields } = posted;
    if !place.is_operator() {
        return Err(PageError::Forbidden);
    }
    let workspace = app.workspaces.find(&place.membership.workspace).await?;
    let patch = WorkspacePatch { plan: Some(place.chosen_plan(&fields)), ..WorkspacePatch::default() };
    match app.workspaces.update(&workspace.id, patch, place.signed_in.actor()).await {
        Ok(_) => Ok(Redirect::to(&format!("/w/{}/settings?saved=1", place.membership.slug)).into_response()),
        // Of the form above nothing was sent.
        Err(Error::Invalid(problems)) => {
            let typed = typed_of(&workspace).or_absent("plan", fields.text("plan"));
            refused(&app, &place, workspace, typed, problems).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn refused(
    app: &App,
    place: &Place,
    workspace: Workspace,
    typed: Fields,
    problems: Problems,
) -> Result<Response, PageError> {
    let page = page(app, place, workspace, typed.without_keys(), problems, false).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

async fn page(
    app: &App,
    place: &Place,
    workspace: Workspace,
    typed: Fields,
    problems: Problems,
    saved: bool,
) -> Result<Response, PageError> {
    let title = if problems.is_empty() { "General" } else { "Error: General" };
    let mistakes = Mistakes::new(&problems);
    let (plan, plan_field) = plan_of(app, place, &workspace, &typed, mistakes.of("plan")).await?;
    Ok(html(&SettingsPage {
        plan,
        plan_field,
        chrome: place.chrome("General", Section::Settings).titled(title),
        limits: limits_text(&workspace.default_limits),
        bounds: BoundsText::new(&workspace.bounds),
        active: active_keys(app, place).await?,
        max_active_keys: workspace.bounds.max_active_keys,
        created: Moment::new(workspace.created_at),
        name: workspace.name,
        id: workspace.id,
        slug: workspace.slug,
        is_owner: place.may(Role::Owner),
        typed,
        mistakes,
        saved,
    }))
}

/// The workspace's plan, and the choice of another one.
async fn plan_of(
    app: &App,
    place: &Place,
    workspace: &Workspace,
    typed: &Fields,
    problem: Option<&str>,
) -> Result<(Option<PlanWords>, Option<PlanField>), Error> {
    let plan = app.plans.named(workspace.plan.as_deref()).await?;
    let choices = place.plans_to_choose(app, Scope::Workspace).await?;
    let chosen = if typed.has("plan") { Some(typed.text("plan")) } else { workspace.plan.as_deref() };
    let field = PlanField::new(&choices, chosen.unwrap_or_default(), problem);
    Ok((plan.as_ref().map(PlanWords::new), Some(field).filter(|_| !choices.is_empty())))
}

/// How many keys work. Looking at the rows is a list.
async fn active_keys(app: &App, place: &Place) -> Result<u64, Error> {
    let (workspace_seq, look) = (Some(place.membership.workspace_seq), Some(MOST_COUNTED));
    let filter = KeyFilter { workspace_seq, status: Some(Status::Active), look, ..KeyFilter::default() };
    let lists = app.keys.over(app.for_lists());
    app.turns.run(&place.signed_in.user.id, async move { lists.count(&filter).await }).await
}

/// The form as it is before anybody has typed.
fn typed_of(workspace: &Workspace) -> Fields {
    let field = |name: &str, value: String| (name.to_owned(), value);
    let name = Some(&workspace.name).filter(|name| !may_hold_key(name)).cloned().unwrap_or_default();
    let mut fields = vec![field("name", name)];
    match workspace.default_limits.as_slice() {
        [] => fields.push(field("limit", "none".to_owned())),
        [only] => {
            fields.push(field("limit", "own".to_owned()));
            let Limit { requests, window_seconds, .. } = only;
            fields.push(field("requests", requests.to_string()));
            fields.push(field("window_seconds", window_seconds.to_string()));
            fields.push(field("burst", only.burst().to_string()));
            fields.push(field(REACH, reach_of(only).to_owned()));
        }
        // More than the form has: it keeps them as they are.
        _ => fields.push(field("limit", "keep".to_owned())),
    }
    Fields::of(fields)
}

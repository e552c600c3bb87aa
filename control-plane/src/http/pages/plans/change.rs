//! A plan is made or changed. Whoever changes one that somebody has is shown first what becomes of whom, and says so once more: a form that was
//! opened before another change of the same plan changes nothing.
//!
//! A form that comes twice does the same once: a plan is made under its name, and changed to what the form says.

use askama::Template;
use axum::extract::{OriginalUri, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::form::{LimitRow, draft, filled_in_for, in_order, is_of_workspaces, patch, rows};
use super::page::place_of;
use crate::contract::Scope;
use crate::domain::error::{Error, Problems};
use crate::domain::plans::{Plan, PlanUses};
use crate::http::app::App;
use crate::http::pages::chrome::{Chrome, Section};
use crate::http::pages::error::PageError;
use crate::http::pages::fields::Fields;
use crate::http::pages::gateways::Glance;
use crate::http::pages::limits::limits_text;
use crate::http::pages::mistakes::Mistakes;
use crate::http::pages::operator::{Operator, PostedByOperator};
use crate::http::pages::receipt::ReceiptView;
use crate::http::pages::restrict_form::restriction_lines;
use crate::http::pages::session::SignedIn;
use crate::http::pages::view::{how_many, html};

#[derive(Template)]
#[template(path = "plan_form.html")]
struct FormPage {
    chrome: Chrome,
    /// The plan that is changed; `None` for a new one.
    plan: Option<String>,
    of_workspaces: bool,
    typed: Fields,
    rows: Vec<LimitRow>,
    mistakes: Mistakes,
    /// True when somebody has changed the plan since the form was opened.
    overtaken: bool,
}

#[derive(Template)]
#[template(path = "plan_confirm.html")]
struct ConfirmPage {
    chrome: Chrome,
    name: String,
    of_workspaces: bool,
    /// How many are on it.
    number: u64,
    changes: Vec<Change>,
    /// Whether requests that were good may not be any more.
    restricts: bool,
    connected: usize,
    cut_off: usize,
    without_plans: usize,
    fields: Vec<(String, String)>,
}

/// Something that is another one afterwards.
struct Change {
    label: &'static str,
    before: String,
    after: String,
}

/// The field of a form that has been shown what it does, and of one that wants to be filled in again.
const CONFIRMED: &str = "confirmed";
const BACK: &str = "back";

/// The form of a new plan.
pub(in crate::http::pages) async fn new(
    Operator(signed_in): Operator,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, PageError> {
    Ok(form(&signed_in, None, in_order(&Fields::of_query(&uri)), Problems::default(), false))
}

/// Makes it.
pub(in crate::http::pages) async fn create(
    State(app): State<App>,
    PostedByOperator { signed_in, fields }: PostedByOperator,
) -> Result<Response, PageError> {
    let (fields, mut problems) = (in_order(&fields), Problems::default());
    let wanted = draft(&fields, &mut problems);
    if let (false, Err(Error::Invalid(more))) = (problems.is_empty(), wanted.clone().check(app.clock.now())) {
        problems.extend(more);
    }
    if !problems.is_empty() {
        return Ok(refused(&signed_in, None, fields, problems));
    }
    match app.plans.create(wanted.clone(), signed_in.actor()).await {
        Ok(made) => Ok(Redirect::to(&format!("{}?saved=1", place_of(&made.value.name))).into_response()),
        Err(Error::Invalid(problems)) => Ok(refused(&signed_in, None, fields, problems)),
        Err(Error::Conflict { message, .. }) => {
            let name = fields.text("name").to_owned();
            let there = app.plans.named(Some(&name)).await?;
            let wanted = wanted.check(app.clock.now())?;
            let is_same = |there: &Plan| {
                (there.scope, &there.limits, &there.restrict)
                    == (wanted.scope, &wanted.limits, &wanted.restrict)
            };
            if there.is_some_and(|there| is_same(&there)) {
                return Ok(Redirect::to(&place_of(&name)).into_response());
            }
            Ok(refused(&signed_in, None, fields, Problems::one("name", message)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The form of a plan that is there.
pub(in crate::http::pages) async fn ask_edit(
    State(app): State<App>,
    Operator(signed_in): Operator,
    Path(name): Path<String>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, PageError> {
    let (plan, _) = app.plans.find(&name).await?;
    let typed = filled_in_for(Fields::of_query(&uri), &plan);
    Ok(form(&signed_in, Some(&plan), typed, Problems::default(), false))
}

/// Shows what a change does, or does it.
pub(in crate::http::pages) async fn edit(
    State(app): State<App>,
    Path(name): Path<String>,
    PostedByOperator { signed_in, fields }: PostedByOperator,
) -> Result<Response, PageError> {
    let (fields, mut problems) = (in_order(&fields), Problems::default());
    let (plan, uses) = app.plans.find(&name).await?;
    if fields.has(BACK) {
        let typed = filled_in_for(without(&fields, &[BACK, CONFIRMED]), &plan);
        return Ok(form(&signed_in, Some(&plan), typed, Problems::default(), false));
    }
    let patch = patch(&fields, &mut problems);
    let wanted = match patch.clone().apply(&plan) {
        Err(Error::Invalid(more)) => {
            problems.extend(more);
            None
        }
        wanted => Some(wanted?),
    };
    let Some(wanted) = wanted.filter(|_| problems.is_empty()) else {
        return Ok(refused(&signed_in, Some(&plan), fields, problems));
    };
    let is_news = wanted != plan;
    if is_news && patch.seen != Some(plan.revision) {
        return Ok(overtaken(&signed_in, &plan, fields));
    }
    if is_news && uses != PlanUses::default() && !fields.has(CONFIRMED) {
        return Ok(confirm(&app, &signed_in, (&plan, &wanted), uses, &fields));
    }
    match app.plans.update(&name, patch, signed_in.actor()).await {
        Ok(written) => {
            let done = if is_news { "?saved=1" } else { "" };
            // So that the page has news of the gateways.
            let (revision, at, longest) = (written.head.revision, Some(written.at), app.patience.receipt);
            drop(ReceiptView::wait(&app, &signed_in, revision, at, longest).await);
            Ok(Redirect::to(&format!("{}{done}", place_of(&name))).into_response())
        }
        Err(Error::Invalid(problems)) => Ok(refused(&signed_in, Some(&plan), fields, problems)),
        Err(Error::Conflict { .. }) => Ok(overtaken(&signed_in, &app.plans.find(&name).await?.0, fields)),
        Err(error) => Err(error.into()),
    }
}

/// The form as it was sent, made for the plan as it is now.
fn overtaken(signed_in: &SignedIn, plan: &Plan, fields: Fields) -> Response {
    let typed = filled_in_for(without(&fields, &["revision", CONFIRMED]), plan);
    (StatusCode::CONFLICT, form(signed_in, Some(plan), typed, Problems::default(), true)).into_response()
}

fn without(fields: &Fields, names: &[&str]) -> Fields {
    let others = fields.pairs().into_iter().filter(|(name, _)| !names.contains(name));
    Fields::of(others.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn refused(signed_in: &SignedIn, plan: Option<&Plan>, typed: Fields, problems: Problems) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, form(signed_in, plan, typed, problems, false)).into_response()
}

fn form(
    signed_in: &SignedIn,
    plan: Option<&Plan>,
    typed: Fields,
    problems: Problems,
    overtaken: bool,
) -> Response {
    let title = if plan.is_some() { "Edit plan" } else { "New plan" };
    let chrome = Chrome::new(title, Section::Plans, signed_in, None);
    let chrome =
        if problems.is_empty() && !overtaken { chrome } else { chrome.titled(&format!("Error: {title}")) };
    let typed = typed.without_keys();
    html(&FormPage {
        chrome,
        of_workspaces: plan.map_or_else(|| is_of_workspaces(&typed), |plan| plan.scope == Scope::Workspace),
        plan: plan.map(|plan| plan.name.clone()),
        rows: rows(&typed),
        mistakes: Mistakes::new(&problems).naming(&problems, &typed),
        typed,
        overtaken,
    })
}

fn confirm(
    app: &App,
    signed_in: &SignedIn,
    (before, after): (&Plan, &Plan),
    uses: PlanUses,
    fields: &Fields,
) -> Response {
    let Glance { connected, cut_off, .. } = Glance::new(&app.gateways.list(), 0);
    let of_workspaces = before.scope == Scope::Workspace;
    let sent = fields.pairs().into_iter().filter(|(name, _)| *name != "csrf");
    html(&ConfirmPage {
        chrome: Chrome::new("Change plan", Section::Plans, signed_in, None),
        name: before.name.clone(),
        of_workspaces,
        number: if of_workspaces { uses.workspaces } else { uses.keys },
        changes: changes(before, after),
        restricts: after.restrict.is_some() && after.restrict != before.restrict,
        connected,
        cut_off,
        without_plans: app.gateways.of_before(),
        fields: sent.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    })
}

/// What is another one afterwards.
fn changes(before: &Plan, after: &Plan) -> Vec<Change> {
    let mut changes = Vec::new();
    if before.limits != after.limits {
        let (before, after) = (limits_text(&before.limits), limits_text(&after.limits));
        changes.push(Change { label: "Limits", before, after });
    }
    let lists = |plan: &Plan| {
        let lines = restriction_lines(plan.restrict.as_ref());
        move |labels: &[&str]| {
            let line = lines.iter().find(|(label, _)| labels.contains(label));
            line.map_or_else(|| "any".to_owned(), |(_, list)| list.join(", "))
        }
    };
    let (old, new) = (lists(before), lists(after));
    for (label, labels) in [
        ("Methods", &["Methods", "Read only"][..]),
        ("Paths", &["Paths"]),
        ("Client addresses", &["Client addresses"]),
    ] {
        let (before, after) = (old(labels), new(labels));
        if before != after {
            changes.push(Change { label, before, after });
        }
    }
    changes
}

impl FormPage {
    fn place(&self) -> String {
        self.plan.as_deref().map_or_else(|| "/operators/plans".to_owned(), place_of)
    }
}

impl ConfirmPage {
    fn place(&self) -> String {
        place_of(&self.name)
    }

    /// `1,204 keys`, `all keys of 1 workspace`.
    fn who(&self) -> String {
        if self.of_workspaces {
            format!("all keys of {}", how_many(self.number, "workspace"))
        } else {
            how_many(self.number, "key")
        }
    }
}

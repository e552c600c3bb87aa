//! The plans of the installation, for people who are operators: what each allows, and who is on it. They are made and changed by the
//! command line and the API, where a change can be reviewed.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::limits::limits_text;
use super::tokens::Operator;
use super::view::{grouped, html};
use crate::contract::Scope;
use crate::domain::keys::restrict::in_words;
use crate::domain::plans::{Plan, PlanUses};
use crate::http::app::App;

#[derive(Template)]
#[template(path = "plans.html")]
struct PlansPage {
    chrome: Chrome,
    rows: Vec<Row>,
}

/// A line of the table.
struct Row {
    name: String,
    of_workspaces: bool,
    limits: String,
    restrictions: Option<String>,
    keys: String,
    workspaces: String,
}

/// The page.
pub(super) async fn show(
    State(app): State<App>,
    Operator(signed_in): Operator,
) -> Result<Response, PageError> {
    let rows = app.plans.list().await?.into_iter().map(Row::new).collect();
    Ok(html(&PlansPage { chrome: Chrome::new("Plans", Section::Plans, &signed_in, None), rows }))
}

impl Row {
    fn new((plan, uses): (Plan, PlanUses)) -> Self {
        Self {
            of_workspaces: plan.scope == Scope::Workspace,
            limits: limits_text(&plan.limits),
            restrictions: plan.restrict.as_ref().map(in_words),
            keys: grouped(uses.keys),
            workspaces: grouped(uses.workspaces),
            name: plan.name,
        }
    }
}

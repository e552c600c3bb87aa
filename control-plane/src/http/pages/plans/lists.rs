//! All plans: what each allows, and how many are on it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::contract::Scope;
use crate::domain::plans::{Plan, PlanUses};
use crate::http::app::App;
use crate::http::extract::Query;
use crate::http::pages::chrome::{Chrome, Section};
use crate::http::pages::error::PageError;
use crate::http::pages::operator::Operator;
use crate::http::pages::plan_words::PlanWords;
use crate::http::pages::view::{how_many, html};

#[derive(Template)]
#[template(path = "plans.html")]
struct PlansPage {
    chrome: Chrome,
    rows: Vec<Row>,
    /// True when one was removed just now.
    deleted: bool,
}

/// A line of the table.
struct Row {
    plan: PlanWords,
    of_workspaces: bool,
    /// How many are on it: keys or workspaces, as it is for.
    on_it: String,
}

/// Set after a deletion.
#[derive(serde::Deserialize)]
pub(in crate::http::pages) struct ListQuery {
    deleted: Option<String>,
}

/// The page.
pub(in crate::http::pages) async fn list(
    State(app): State<App>,
    Operator(signed_in): Operator,
    Query(query): Query<ListQuery>,
) -> Result<Response, PageError> {
    let plans = app.plans.over(app.for_lists());
    let found = app.turns.run(&signed_in.user.id, async move { plans.list().await }).await?;
    let chrome = Chrome::new("Plans", Section::Plans, &signed_in, None);
    let rows = found.into_iter().map(Row::new).collect();
    Ok(html(&PlansPage { chrome, rows, deleted: query.deleted.is_some() }))
}

impl Row {
    fn new((plan, uses): (Plan, PlanUses)) -> Self {
        let of_workspaces = plan.scope == Scope::Workspace;
        let (number, one) = if of_workspaces { (uses.workspaces, "workspace") } else { (uses.keys, "key") };
        Self { plan: PlanWords::new(&plan), of_workspaces, on_it: how_many(number, one) }
    }
}

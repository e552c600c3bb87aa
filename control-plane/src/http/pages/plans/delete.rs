//! A plan is removed, after it was asked whether that is meant: only one that nobody has.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::page::place_of;
use crate::domain::error::Error;
use crate::domain::plans::PlanUses;
use crate::http::app::App;
use crate::http::pages::chrome::{Chrome, Section};
use crate::http::pages::error::PageError;
use crate::http::pages::operator::{Operator, PostedByOperator};
use crate::http::pages::plan_words::PlanWords;
use crate::http::pages::session::SignedIn;
use crate::http::pages::view::{how_many, html};

#[derive(Template)]
#[template(path = "plan_delete.html")]
struct DeletePage {
    chrome: Chrome,
    plan: PlanWords,
    /// Whether somebody has it; it can go when nobody does.
    in_use: bool,
    who: String,
}

/// Asks.
pub(in crate::http::pages) async fn ask_delete(
    State(app): State<App>,
    Operator(signed_in): Operator,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    page(&app, &signed_in, &name).await
}

/// Removes it. Once more is as if it were the first time.
pub(in crate::http::pages) async fn delete(
    State(app): State<App>,
    Path(name): Path<String>,
    PostedByOperator { signed_in, .. }: PostedByOperator,
) -> Result<Response, PageError> {
    match app.plans.delete(&name, signed_in.actor()).await {
        Ok(_) | Err(Error::NotFound(_)) => Ok(Redirect::to("/operators/plans?deleted=1").into_response()),
        // Somebody has got it since the page was opened.
        Err(Error::Conflict { .. }) => {
            Ok((StatusCode::CONFLICT, page(&app, &signed_in, &name).await?).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn page(app: &App, signed_in: &SignedIn, name: &str) -> Result<Response, PageError> {
    let (plan, PlanUses { keys, workspaces }) = app.plans.find(name).await?;
    Ok(html(&DeletePage {
        chrome: Chrome::new("Delete plan", Section::Plans, signed_in, None),
        plan: PlanWords::new(&plan),
        in_use: keys + workspaces > 0,
        // A plan is for one of the two.
        who: if keys > 0 { how_many(keys, "key") } else { how_many(workspaces, "workspace") },
    }))
}

impl DeletePage {
    fn place(&self) -> String {
        place_of(&self.plan.name)
    }
}

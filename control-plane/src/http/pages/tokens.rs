//! The tokens of operators, for people who are operators: listed, and revoked. To make one takes one: what somebody does with an open
//! browser ends with its session, and a token would not.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{Redirect, Response};

use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::operator::{Operator, UncountedByOperator};
use super::view::{Moment, html};
use crate::domain::access::Scope;
use crate::domain::operators::{OperatorToken, TokenStatus};
use crate::http::app::App;

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    chrome: Chrome,
    rows: Vec<Row>,
    /// True when there are more than these.
    more: bool,
}

#[derive(Template)]
#[template(path = "token_revoke.html")]
struct RevokePage {
    chrome: Chrome,
    row: Row,
}

/// A line of the table.
struct Row {
    name: String,
    scope: String,
    status: TokenStatus,
    created_by: String,
    created: Moment,
    expires: Option<Moment>,
    last_used: Option<Moment>,
}

/// Most lines of the page.
const MOST: u32 = 500;

/// The page.
pub(super) async fn show(
    State(app): State<App>,
    Operator(signed_in): Operator,
) -> Result<Response, PageError> {
    let (tokens, next) = app.operators.list(0, MOST).await?;
    let mut rows: Vec<_> = tokens.into_iter().map(|token| Row::new(token, &app)).collect();
    // What can be used comes first.
    rows.sort_by_key(|row| row.status != TokenStatus::Active);
    let chrome = Chrome::new("Operator tokens", Section::Tokens, &signed_in, None);
    Ok(html(&TokensPage { chrome, rows, more: next.is_some() }))
}

/// Asks whether a token is to be ended.
pub(super) async fn ask_revoke(
    State(app): State<App>,
    Operator(signed_in): Operator,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let row = Row::new(app.operators.find(&name).await?, &app);
    let chrome = Chrome::new("Revoke a token", Section::Tokens, &signed_in, None);
    Ok(html(&RevokePage { chrome, row }))
}

/// Ends it.
pub(super) async fn revoke(
    State(app): State<App>,
    Path(name): Path<String>,
    UncountedByOperator(posted): UncountedByOperator,
) -> Result<Redirect, PageError> {
    app.operators.revoke(&name, posted.signed_in.actor()).await?;
    Ok(Redirect::to("/operators/tokens"))
}

impl Row {
    fn new(token: OperatorToken, app: &App) -> Self {
        let now = app.clock.now();
        Self {
            status: token.status(now),
            scope: match &token.scope {
                Scope::Everything => "Everything".to_owned(),
                Scope::Workspace(place) => format!("{} of {}", place.role.as_str(), place.slug),
            },
            created: Moment::day(token.created_at),
            expires: token.expires_at.map(|end| Moment::end(end, now)),
            last_used: token.last_used_at.map(Moment::ago),
            created_by: token.created_by,
            name: token.name,
        }
    }

    fn is_active(&self) -> bool {
        self.status == TokenStatus::Active
    }
}

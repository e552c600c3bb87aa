//! The user's own account: sessions and password.

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::chrome::{Chrome, Section};
use super::colours::Colours;
use super::device::Devices;
use super::error::PageError;
use super::form::Posted;
use super::mistakes::Mistakes;
use super::session::SignedIn;
use super::view::{Moment, html};
use crate::domain::error::{Error, Problems};
use crate::domain::sessions::Session;
use crate::domain::users::password::{MIN_CHARS, Password};
use crate::http::app::App;
use crate::http::error::Failure;
use crate::http::extract::Query;
use crate::service::users::{SESSIONS_SHOWN, ShownSecondFactor};

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    chrome: Chrome,
    mistakes: Mistakes,
    min_chars: usize,
    sessions: Vec<Row>,
    /// Behind how many sessions the older ones are.
    more: Option<u32>,
    ended: bool,
    /// Whether accounts have passwords here.
    passwords: bool,
    second: Option<Second>,
    second_done: &'static str,
    /// The mistakes are in the form of the second factor, and not in that of the password.
    about_second: bool,
}

/// The second factor.
struct Second {
    since: Moment,
    /// How many recovery codes there are, in words.
    left: String,
    few: bool,
}

/// A browser in which the user is signed in.
struct Row {
    id: String,
    agent: String,
    address: String,
    began: Moment,
    seen: Moment,
    /// True for the one that looks.
    here: bool,
}

/// What was done.
#[derive(Deserialize)]
pub(super) struct AccountQuery {
    ended: Option<String>,
    second: Option<String>,
    behind: Option<String>,
}

/// What the page tells.
#[derive(Default)]
pub(super) struct Told {
    pub problems: Problems,
    /// What is wrong is in the form of the second factor.
    pub about_second_factor: bool,
    pub ended: bool,
    pub second_done: &'static str,
    pub behind: u32,
}

/// From so many recovery codes on somebody should think of new ones.
const FEW_CODES: u64 = 3;

/// The page.
pub(super) async fn show(
    State(app): State<App>,
    signed_in: SignedIn,
    Query(query): Query<AccountQuery>,
) -> Result<Response, PageError> {
    let second_done = match query.second.as_deref() {
        Some("set") => "Your second factor is on, and you are signed out everywhere else.",
        Some("removed") => "Your second factor is off. Your password alone lets you in.",
        _ => "",
    };
    let behind = query.behind.as_deref().and_then(|behind| behind.parse().ok()).unwrap_or(0);
    page(&app, &signed_in, Told { ended: query.ended.is_some(), second_done, behind, ..Told::default() })
        .await
}

/// Ends one session of the user.
pub(super) async fn end_session(State(app): State<App>, posted: Posted) -> Result<Redirect, PageError> {
    let Posted { signed_in, fields } = posted;
    let by = signed_in.actor();
    app.users.end_session(&signed_in.user, fields.text("session"), by).await?;
    Ok(Redirect::to("/account?ended=1"))
}

/// Keeps the colours that were chosen.
pub(super) async fn choose_colours(State(app): State<App>, posted: Posted) -> Result<Response, PageError> {
    let cookie = Colours::of(posted.fields.text("colours")).cookie(&app)?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/account#colours")).into_response())
}

/// Gives the user another password and ends all their sessions.
pub(super) async fn change_password(
    State(app): State<App>,
    devices: Devices,
    posted: Posted,
) -> Result<Response, PageError> {
    let Posted { signed_in, fields } = posted;
    if !app.pages.passwords {
        return Err(PageError::Failed(Failure::NoRoute));
    }
    let told = |problems| Told { problems, ..Told::default() };
    let field = |name| Password::new(fields.raw(name).to_owned());
    let (user, by) = (signed_in.user.clone(), signed_in.actor());
    if let Err(Error::RateLimited { retry_after_seconds }) = app.people.admit(user.seq, app.clock.instant()) {
        let problems =
            Problems::one("current", format!("too many changes; wait {retry_after_seconds} seconds"));
        let page = page(&app, &signed_in, told(problems)).await?;
        return Ok((StatusCode::TOO_MANY_REQUESTS, page).into_response());
    }
    match app.users.change_password(user, field("current"), field("new"), (by, &signed_in.csrf)).await {
        // Whoever sits here knew both passwords: the browser stays one on which they have signed in.
        Ok(user) => {
            Ok((devices.remember(&app, &user)?, Redirect::to("/sign-in?bye=password")).into_response())
        }
        // The other click of two has changed it, or somebody else has ended the session.
        Err(_) if is_over(&app, &signed_in).await? => {
            Ok(Redirect::to("/sign-in?next=/account&ended=password").into_response())
        }
        Err(Error::Invalid(mut problems)) => {
            // What is wrong with the new one is told with it.
            if problems.of("password").is_none() {
                field("new").check(&signed_in.user.email, &mut problems);
            }
            let page = page(&app, &signed_in, told(problems)).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the session has ended since the request came.
pub(super) async fn is_over(app: &App, signed_in: &SignedIn) -> Result<bool, Error> {
    Ok(app.users.of_session(&signed_in.user.id, &signed_in.user.stamp).await?.is_none())
}

/// Ends all sessions of the user, this one too.
pub(super) async fn sign_out_everywhere(
    State(app): State<App>,
    devices: Devices,
    posted: Posted,
) -> Result<Response, PageError> {
    let by = posted.signed_in.actor();
    let was_known = devices.0.iter().any(|device| device.is_of(&posted.signed_in.user));
    let user = app.users.sign_out_everywhere(posted.signed_in.user, by).await?;
    let back = Redirect::to("/sign-in?bye=everywhere");
    // The other browsers are strangers' from now on. This one stays what it was: a session alone does not make it known.
    Ok(if was_known { (devices.remember(&app, &user)?, back).into_response() } else { back.into_response() })
}

/// The page, with what there is to tell.
pub(super) async fn page(app: &App, signed_in: &SignedIn, told: Told) -> Result<Response, PageError> {
    let Told { problems, about_second_factor, ended, second_done, behind } = told;
    let here = signed_in.session_id();
    let (sessions, more) = app.users.sessions(&signed_in.user, (behind, SESSIONS_SHOWN)).await?;
    let row = |session: Session| Row {
        here: here.as_deref() == Some(&session.id),
        agent: session.agent.as_deref().map_or("A browser", browser).to_owned(),
        address: session.address.map(|address| address.to_string()).unwrap_or_default(),
        began: Moment::new(session.began),
        seen: Moment::ago(session.seen),
        id: session.id,
    };
    let second = app.users.second_factor(&signed_in.user).await?;
    let second = second.map(|ShownSecondFactor { since, codes_left }| Second {
        since: Moment::day(since),
        left: match codes_left {
            0 => "no recovery codes left".to_owned(),
            1 => "1 recovery code left".to_owned(),
            left => format!("{left} recovery codes left"),
        },
        few: codes_left <= FEW_CODES,
    });
    let mut mistakes = Mistakes::new(&problems);
    if about_second_factor {
        mistakes.rename("current", "second-current");
    }
    let title = if problems.is_empty() { "Account" } else { "Error: Account" };
    Ok(html(&AccountPage {
        chrome: Chrome::new("Account", Section::Account, signed_in, None).titled(title),
        mistakes,
        min_chars: MIN_CHARS,
        sessions: sessions.into_iter().map(row).collect(),
        more,
        ended,
        passwords: app.pages.passwords,
        second,
        second_done,
        about_second: about_second_factor,
    }))
}

/// The browser's name in what it calls itself: each calls itself what came before it, too.
fn browser(agent: &str) -> &str {
    const NAMES: [(&str, &str); 5] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    NAMES.into_iter().find(|(mark, _)| agent.contains(mark)).map_or(agent, |(_, name)| name)
}

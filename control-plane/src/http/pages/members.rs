//! Settings → Members: who is there. Owners invite by a link, give roles and take people out; their keys work on.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::fields::Fields;
use super::mistakes::Mistakes;
use super::place::{Place, PostedIn};
use super::query::query_of;
use super::view::{Moment, counted, html};
use crate::domain::error::{Error, Problems};
use crate::domain::keys::{KeyFilter, Status};
use crate::domain::lists::MOST_COUNTED;
use crate::domain::users::{Invitation, Role, User};
use crate::http::app::App;
use crate::http::extract::Query;

#[derive(Template)]
#[template(path = "members.html")]
struct MembersPage {
    chrome: Chrome,
    members: Vec<Member>,
    more: bool,
    invitations: Vec<Open>,
    /// The link that was just made.
    link: Option<Link>,
    is_owner: bool,
    typed: Fields,
    mistakes: Mistakes,
    done: &'static str,
}

#[derive(Template)]
#[template(path = "member.html")]
struct MemberPage {
    chrome: Chrome,
    member: Member,
    /// How many active keys they have made.
    keys: String,
    /// The query of the list that shows them.
    /// True when the workspace has more keys than were looked at.
    partly: bool,
    query: String,
    problem: Option<String>,
}

/// Somebody in the workspace.
struct Member {
    id: String,
    email: String,
    role: Role,
    you: bool,
    disabled: bool,
    created: Moment,
}

/// An invitation that is open.
struct Open {
    id: String,
    email: String,
    role: &'static str,
    by: String,
    until: Moment,
}

/// A link, as it is shown once.
struct Link {
    url: String,
    email: String,
    until: Moment,
    /// False when only the browser knows where these pages are.
    whole: bool,
}

/// What was done.
#[derive(Deserialize)]
pub(super) struct MembersQuery {
    done: Option<String>,
}

/// Members on the page; a workspace with more of them is listed by the API.
const MEMBERS_SHOWN: u32 = 200;

/// Who is there.
pub(super) async fn show(
    State(app): State<App>,
    place: Place,
    Query(query): Query<MembersQuery>,
) -> Result<Response, PageError> {
    let done = match query.done.as_deref() {
        Some("role") => "The role is changed. It counts at once.",
        Some("removed") => {
            "They are out of the workspace. The keys that they made work on: revoke those that should not."
        }
        Some("withdrawn") => "The invitation is withdrawn: its link does not work any more.",
        _ => "",
    };
    let page = MembersPage { done, ..page(&app, &place).await? };
    Ok(html(&page))
}

/// Makes a link and shows it.
pub(super) async fn invite(State(app): State<App>, posted: PostedIn) -> Result<Response, PageError> {
    let PostedIn { place, fields } = posted;
    place.need(Role::Owner)?;
    let seq = place.membership.workspace_seq;
    let (email, role) = (fields.text("email"), fields.text("role"));
    let refused = |problems: Problems| Mistakes::new(&problems);
    let (status, link, mistakes) = match app.users.invite(seq, email, role, place.signed_in.actor()).await {
        Ok(invited) => {
            let origin = app.pages.public_origin.clone();
            let link = Link {
                whole: origin.is_some(),
                url: format!("{}/join/{}", origin.unwrap_or_default(), invited.secret),
                email: invited.invitation.email,
                until: Moment::new(invited.invitation.expires_at),
            };
            (StatusCode::OK, Some(link), Mistakes::default())
        }
        Err(Error::Invalid(problems)) => (StatusCode::UNPROCESSABLE_ENTITY, None, refused(problems)),
        Err(Error::Conflict { message, .. }) => {
            (StatusCode::CONFLICT, None, refused(Problems::one("email", message)))
        }
        Err(error) => return Err(error.into()),
    };
    let typed = if link.is_some() { Fields::default() } else { fields.without_keys() };
    let page = MembersPage { link, typed, mistakes, ..page(&app, &place).await? };
    Ok((status, html(&page)).into_response())
}

/// Ends an invitation.
pub(super) async fn withdraw(State(app): State<App>, posted: PostedIn) -> Result<Response, PageError> {
    let PostedIn { place, fields } = posted;
    place.need(Role::Owner)?;
    let seq = place.membership.workspace_seq;
    app.users.withdraw(seq, fields.text("invitation"), place.signed_in.actor()).await?;
    Ok(back(&place, "withdrawn"))
}

/// One member: their role, their keys, and the way out.
pub(super) async fn show_one(State(app): State<App>, place: Place) -> Result<Response, PageError> {
    place.need(Role::Owner)?;
    one(&app, &place, None).await
}

/// Gives them another role.
pub(super) async fn change_role(State(app): State<App>, posted: PostedIn) -> Result<Response, PageError> {
    let PostedIn { place, fields } = posted;
    place.need(Role::Owner)?;
    match Role::named(fields.text("role")) {
        Some(role) => change(&app, &place, Some(role), "role").await,
        None => one(&app, &place, Some("Choose a role.".to_owned())).await,
    }
}

/// Takes them out of the workspace.
pub(super) async fn remove(State(app): State<App>, posted: PostedIn) -> Result<Response, PageError> {
    let place = posted.place;
    place.need(Role::Owner)?;
    change(&app, &place, None, "removed").await
}

async fn change(app: &App, place: &Place, role: Option<Role>, done: &str) -> Result<Response, PageError> {
    let (seq, id) = (place.membership.workspace_seq, place.id()?);
    match app.users.change_member(seq, id, role, place.signed_in.actor()).await {
        // Who has taken themselves out, or down, has nothing more to see here.
        Ok(()) if id == place.signed_in.user.id && role != Some(Role::Owner) => {
            Ok(Redirect::to("/").into_response())
        }
        Ok(()) => Ok(back(place, done)),
        Err(Error::Conflict { message, .. }) => {
            Ok((StatusCode::CONFLICT, one(app, place, Some(message)).await?).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn one(app: &App, place: &Place, problem: Option<String>) -> Result<Response, PageError> {
    let user = app.users.find(place.id()?).await?;
    let member = member(place, &user).ok_or(Error::NotFound("member"))?;
    let workspace_seq = Some(place.membership.workspace_seq);
    let created_by = Some(user.email.clone());
    let active = KeyFilter {
        workspace_seq,
        status: Some(Status::Active),
        look: Some(MOST_COUNTED),
        ..KeyFilter::default()
    };
    let lists = app.keys.over(app.for_lists());
    let count = async move {
        let all = lists.count(&active).await?;
        Ok((lists.count(&KeyFilter { created_by, ..active }).await?, all > MOST_COUNTED.into()))
    };
    let (keys, partly) = app.turns.run(&place.signed_in.user.id, count).await?;
    let keys = counted(keys);
    let query = query_of(&[("by", &user.email)]);
    let chrome = place.chrome("Member", Section::Members);
    Ok(html(&MemberPage { chrome, member, keys, partly, query, problem }))
}

async fn page(app: &App, place: &Place) -> Result<MembersPage, PageError> {
    let (seq, is_owner) = (place.membership.workspace_seq, place.may(Role::Owner));
    let (users, next) = app.users.list(Some(seq), 0, MEMBERS_SHOWN).await?;
    let invitations = if is_owner { app.users.invitations(seq).await? } else { Vec::new() };
    Ok(MembersPage {
        chrome: place.chrome("Members", Section::Members),
        members: users.iter().filter_map(|user| member(place, user)).collect(),
        more: next.is_some(),
        invitations: invitations.into_iter().map(open).collect(),
        link: None,
        is_owner,
        typed: Fields::default(),
        mistakes: Mistakes::default(),
        done: "",
    })
}

/// Somebody as the page shows them; `None` for who is no member.
fn member(place: &Place, user: &User) -> Option<Member> {
    Some(Member {
        id: user.id.clone(),
        role: user.membership(&place.membership.slug)?.role,
        you: user.id == place.signed_in.user.id,
        disabled: user.disabled_at.is_some(),
        created: Moment::day(user.created_at),
        email: user.email.clone(),
    })
}

fn open(invitation: Invitation) -> Open {
    let Invitation { id, email, role, created_by, expires_at, .. } = invitation;
    Open { id, email, role: role.words(), by: created_by, until: Moment::new(expires_at) }
}

fn back(place: &Place, done: &str) -> Response {
    Redirect::to(&format!("/w/{}/settings/members?done={done}", place.membership.slug)).into_response()
}

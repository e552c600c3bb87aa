//! The page of a plan: what it allows, where it is in force, and who is on it: a page of a range of an index, whatever else there is.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::Timestamp;

use crate::contract::Scope;
use crate::domain::error::Error;
use crate::domain::keys::{Key, KeyFilter};
use crate::domain::lists::MOST_COUNTED;
use crate::domain::plans::{Plan, PlanUses};
use crate::domain::users::User;
use crate::domain::workspaces::Workspace;
use crate::http::app::App;
use crate::http::extract::Query;
use crate::http::pages::audit::page_number;
use crate::http::pages::chrome::{Chrome, Section};
use crate::http::pages::error::PageError;
use crate::http::pages::keys::Row;
use crate::http::pages::operator::Operator;
use crate::http::pages::plan_words::PlanWords;
use crate::http::pages::receipt::ReceiptView;
use crate::http::pages::view::{Moment, Pager, how_many, html};

#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage {
    chrome: Chrome,
    plan: PlanWords,
    of_workspaces: bool,
    made: Moment,
    /// How many are on it: keys or workspaces, as it is for.
    on_it: u64,
    keys: Vec<OnPlan>,
    workspaces: Vec<Named>,
    pager: Pager,
    /// True on the last page that is shown, when there are more.
    cut: bool,
    receipt: ReceiptView,
    /// Gateways that are connected and know no plans.
    without_plans: usize,
    /// True after it was made or changed.
    saved: bool,
}

/// A key on the plan.
struct OnPlan {
    key: Row,
    workspace: Named,
}

/// A workspace by its names.
struct Named {
    slug: String,
    name: String,
    /// Whether the reader is in it: for everybody else its pages are not there.
    is_theirs: bool,
}

/// Which part of the list, and what was done just now.
#[derive(serde::Deserialize)]
pub(in crate::http::pages) struct PlanQuery {
    page: Option<String>,
    saved: Option<String>,
}

/// What one page of the list has.
struct Part {
    plan: Plan,
    uses: PlanUses,
    keys: Vec<Key>,
    workspaces: Vec<Workspace>,
    more: bool,
}

const PAGE: u32 = 50;
/// As many as a list looks at. The command line lists all.
const LAST_PAGE: u32 = MOST_COUNTED / PAGE;

/// The page.
pub(in crate::http::pages) async fn show(
    State(app): State<App>,
    Operator(signed_in): Operator,
    Path(name): Path<String>,
    Query(query): Query<PlanQuery>,
) -> Result<Response, PageError> {
    let page = page_number(query.page.as_deref()).min(LAST_PAGE);
    let Part { plan, uses, keys, workspaces, more } =
        app.turns.run(&signed_in.user.id, read(app.clone(), name, page)).await?;
    let of_workspaces = plan.scope == Scope::Workspace;
    let (on_it, shown) =
        if of_workspaces { (uses.workspaces, workspaces.len()) } else { (uses.keys, keys.len()) };
    if shown == 0 && page > 1 {
        // An empty page must not look like an empty list.
        let last = on_it.div_ceil(PAGE.into()).clamp(1, LAST_PAGE.into());
        return Ok(Redirect::to(&format!("{}?page={last}", place_of(&plan.name))).into_response());
    }
    let mut pager = Pager::new(page, PAGE, (shown, more), Some(on_it), "");
    let now = app.clock.now();
    Ok(html(&PlanPage {
        cut: page == LAST_PAGE && pager.next.take().is_some(),
        pager,
        made: Moment::day(plan.created_at),
        keys: keys.iter().map(|key| OnPlan::new(key, &signed_in.user, now)).collect(),
        workspaces: workspaces
            .into_iter()
            .map(|one| Named::new(one.seq, one.slug, one.name, &signed_in.user))
            .collect(),
        receipt: ReceiptView::new(app.receipts.standing(plan.revision, None), &signed_in),
        without_plans: app.gateways.of_before(),
        saved: query.saved.is_some(),
        of_workspaces,
        on_it,
        chrome: Chrome::new(&plan.name, Section::Plans, &signed_in, None),
        plan: PlanWords::new(&plan),
    }))
}

async fn read(app: App, name: String, page: u32) -> Result<Part, Error> {
    let plans = app.plans.over(app.for_lists());
    let (plan, uses) = plans.find(&name).await?;
    let offset = (page - 1) * PAGE;
    let (mut keys, mut workspaces) = (Vec::new(), Vec::new());
    let more = if plan.scope == Scope::Workspace {
        let (found, more) = plans.workspaces(&name, offset, PAGE).await?;
        workspaces = found;
        more
    } else {
        let filter = KeyFilter { plan: Some(name), look: Some(MOST_COUNTED), offset, ..KeyFilter::default() };
        let (found, next) = app.keys.over(app.for_lists()).list(&filter, PAGE).await?;
        keys = found;
        next.is_some()
    };
    Ok(Part { plan, uses, keys, workspaces, more })
}

/// The path of a plan's page. Names have no letter that means something in a path.
pub(super) fn place_of(name: &str) -> String {
    format!("/operators/plans/{name}")
}

impl OnPlan {
    fn new(key: &Key, user: &User, now: Timestamp) -> Self {
        let slug = key.workspace_slug.clone();
        let workspace = Named::new(key.workspace_seq, slug.clone(), slug, user);
        Self { key: Row::new(key, now), workspace }
    }
}

impl Named {
    fn new(seq: i64, slug: String, name: String, user: &User) -> Self {
        let is_theirs = user.memberships.iter().any(|one| one.workspace_seq == seq);
        Self { slug, name, is_theirs }
    }
}

impl PlanPage {
    fn who(&self) -> String {
        how_many(self.on_it, if self.of_workspaces { "workspace" } else { "key" })
    }
}

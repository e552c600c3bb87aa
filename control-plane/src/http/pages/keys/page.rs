//! The page of a key: what it is, where it is in force, what it is used for, what was done to it. Of a key that has ended it is the
//! receipt, for good: at the same address, who refuses the key and who may still take it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::fleet::Fleet;
use super::force::Force;
use super::history::History;
use super::pair::Idle;
use super::pair::Other;
use super::row::Row;
use crate::domain::keys::{Key, Status};
use crate::domain::plans::Plan;
use crate::domain::usage::{Headroom, Minute};
use crate::domain::users::Role;
use crate::http::app::App;
use crate::http::extract::Query;
use crate::http::pages::audit_details::Part;
use crate::http::pages::chrome::{Chrome, Section};
use crate::http::pages::error::PageError;
use crate::http::pages::limits::{limits_text, over_text};
use crate::http::pages::place::Place;
use crate::http::pages::plan_words::PlanWords;
use crate::http::pages::usage::{Chart, Span};
use crate::http::pages::view::{Moment, grouped, html};

/// Which time the chart shows. What is not understood is as if it were not there.
#[derive(Deserialize)]
pub(in crate::http::pages) struct PageQuery {
    span: Option<String>,
}

#[derive(Template)]
#[template(path = "key.html")]
struct KeyPage {
    chrome: Chrome,
    key: Row,
    /// Its plan, and its workspace's.
    plan: Option<PlanWords>,
    workspace_plan: Option<PlanWords>,
    note: Option<String>,
    may_change: bool,
    /// True for whoever may put it in shadow.
    is_operator: bool,
    /// Connected gateways that do not know keys in shadow, and refuse them.
    without_shadow: usize,
    /// True while it can be replaced.
    may_rotate: bool,
    force: Force,
    use_: Use,
    chart: Chart,
    fleet: Vec<Fleet>,
    meters: Vec<Meter>,
    /// The key that it replaced, and the one that replaces it.
    earlier: Option<Other>,
    later: Option<Other>,
    history: Option<History>,
}

/// When a key was used, and by whose gateway: that is for operators.
struct Use {
    last: Option<Moment>,
    /// The gateways where that was lately, the latest first.
    at: Vec<String>,
    /// False when nobody has counted yet.
    counted: bool,
    /// Of a key that has ended: when somebody last came with it.
    refused: Option<Moment>,
    refused_at: Option<String>,
}

/// What was used of a limit.
struct Meter {
    limit: String,
    used: String,
    allowed: String,
    over: String,
    /// In thousandths, at most 1,000.
    share: u64,
    is_near: bool,
}

/// Who came with a dead key within this time still uses it.
const STILL: SignedDuration = SignedDuration::from_hours(24 * 7);

/// The page.
pub(in crate::http::pages) async fn show(
    State(app): State<App>,
    place: Place,
    Query(query): Query<PageQuery>,
) -> Result<Response, PageError> {
    let (span, now) = (Span::named(query.span.as_deref()), app.clock.now());
    let period = span.period(now);
    let key = place.key(&app).await?;
    let usage = app.usage.of_key(&key.id, &period).await?;
    let plan = app.plans.named(key.plan.as_deref()).await?;
    let workspace_plan = app.plans.named(key.workspace_plan.as_deref()).await?;
    let headrooms = app.usage.headrooms(&[with_plan(&key, plan.as_ref())]).await?;
    let (earlier, later) = (key.rotated_from.as_deref(), key.rotated_to.as_deref());
    let status = key.status(now);
    Ok(html(&KeyPage {
        chrome: place.chrome(&key.name, Section::ApiKeys),
        may_change: place.may(Role::Member),
        is_operator: place.is_operator(),
        without_shadow: if place.is_operator() { app.gateways.of_before() } else { 0 },
        may_rotate: status == Status::Active && key.rotated_to.is_none(),
        force: Force::new(&app, &place, &key, now).await?,
        use_: Use::new(&key, (usage.since, usage.gateways), &place, now),
        chart: Chart::new(span, &period, &usage.buckets, usage.since),
        fleet: Fleet::of(&app, &place, &key).await?,
        meters: headrooms.into_iter().flatten().map(Meter::new).collect(),
        earlier: Other::find(&app, &place, earlier, usage.since, now).await?,
        later: Other::find(&app, &place, later, usage.since, now).await?,
        history: History::of(&app, &place, &key).await?,
        key: Row::new(&key, now),
        plan: plan.as_ref().map(PlanWords::new),
        workspace_plan: workspace_plan.as_ref().map(PlanWords::new),
        note: key.note,
    }))
}

/// The key as its plan limits it.
fn with_plan(key: &Key, plan: Option<&Plan>) -> Key {
    let mut key = key.clone();
    key.limits.extend(plan.into_iter().flat_map(|plan| plan.limits.clone()));
    key
}

impl Use {
    fn new(
        key: &Key,
        (since, gateways): (Option<Minute>, Vec<(String, Minute)>),
        place: &Place,
        now: Timestamp,
    ) -> Self {
        let uses = key.uses.clone();
        let has_ended = key.status(now) != Status::Active;
        let by = |gateway: Option<String>| gateway.filter(|_| place.is_operator());
        let refused = uses.last_refused_at.filter(|_| has_ended);
        let refused = refused.filter(|at| now.duration_since(*at) < STILL);
        Self {
            last: uses.last_used_at.map(|at| Moment::used(at, now)),
            at: gateways.into_iter().filter_map(|(gateway, _)| by(Some(gateway))).collect(),
            counted: since.is_some(),
            refused: refused.map(|at| Moment::used(at, now)),
            refused_at: by(uses.last_refused_by),
        }
    }
}

impl Meter {
    fn new(headroom: Headroom) -> Self {
        let share = u128::from(headroom.used) * 1_000 / u128::from(headroom.allowed.max(1));
        Self {
            limit: limits_text(std::slice::from_ref(&headroom.limit)),
            used: grouped(headroom.used),
            allowed: grouped(headroom.allowed),
            over: over_text(&headroom),
            share: u64::try_from(share).unwrap_or(1_000).min(1_000),
            is_near: headroom.is_near(),
        }
    }
}

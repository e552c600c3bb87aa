//! The first page of a workspace: what needs attention, what its keys are used for, how fast revocations are in force. While no key was
//! ever used, the way to the first request.

mod attention;

use askama::Template;
use axum::extract::State;
use axum::response::{Redirect, Response};
use serde::Deserialize;

use self::attention::{Attention, Part as AttentionPart};
use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::gateways::Glance;
use super::place::Place;
use super::session::SignedIn;
use super::usage::{Chart, LastUsed, Line, Span};
use super::view::{counted, grouped, html};
use crate::domain::error::Error;
use crate::domain::keys::{Key, KeyFilter, Status};
use crate::domain::lists::MOST_COUNTED;
use crate::domain::receipts::Speed;
use crate::domain::usage::{Bucket, Headroom, Lines, Minute, Period, Step, Tally, minute_of};
use crate::domain::users::Role;
use crate::http::app::App;
use crate::http::extract::Query;
use crate::service::keys::Keys;
use crate::service::receipts::Receipts;
use crate::service::usage::{Notice, Usage};

/// Which time the chart shows. What is not understood is as if it were not there.
#[derive(Deserialize)]
pub(super) struct OverviewQuery {
    span: Option<String>,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    chrome: Chrome,
    active: String,
    gateways: Glance,
    may_create: bool,
    may_invite: bool,
    api_url: String,
    /// While no key of the workspace was ever used: whether there is one.
    first: Option<bool>,
    attention: Vec<Attention>,
    span: Span,
    traffic: Traffic,
    speed: Speed,
    chart: Chart,
    busiest: Vec<Busy>,
}

/// Requests of the chart's time, in words.
struct Traffic {
    counted: bool,
    total: String,
    limited: String,
    refused: String,
}

/// A line of the busiest keys.
struct Busy {
    id: String,
    name: String,
    hint: String,
    total: String,
    limited: String,
    refused: String,
    last_used: LastUsed,
    line: Line,
}

/// What is read for the page, by the readers of lists.
struct Found {
    active: u64,
    has_key: bool,
    was_used: bool,
    since: Option<Minute>,
    buckets: Vec<Bucket>,
    busiest: Vec<(Key, Tally)>,
    near: Vec<(Key, Headroom)>,
    notices: Vec<Notice>,
    /// Of the keys that have ended and are still used, and of the busiest.
    lines: Lines,
    speed: Speed,
}

/// Busiest keys on the page.
const MOST_BUSY: usize = 8;
/// As long as days are kept.
const EVER: i64 = 400 * 1_440;

/// Leads to the user's first workspace.
pub(super) async fn home(signed_in: SignedIn) -> Redirect {
    match signed_in.user.memberships.first() {
        Some(first) => Redirect::to(&format!("/w/{}", first.slug)),
        None => Redirect::to("/account"),
    }
}

/// How the workspace is, at a glance.
pub(super) async fn show(
    State(app): State<App>,
    place: Place,
    Query(query): Query<OverviewQuery>,
) -> Result<Response, PageError> {
    let (span, now) = (Span::named(query.span.as_deref()), app.clock.now());
    let period = span.period(now);
    let lists = app.for_lists();
    let services = (app.keys.over(lists.clone()), app.usage.over(lists.clone()), app.receipts.over(lists));
    let (id, seq) = (place.membership.workspace.clone(), place.membership.workspace_seq);
    let read = read(services, id, seq, period, minute_of(now));
    let found = app.turns.run(&place.signed_in.user.id, read).await?;
    let gateways = Glance::new(&app.gateways.list(), app.store.head().revision);
    let operator = place.is_operator();
    let busy = |(key, tally): &(Key, Tally)| Busy::new(key, tally, &found.lines, now);
    Ok(html(&OverviewPage {
        chrome: place.chrome("Overview", Section::Overview),
        active: counted(found.active),
        may_create: place.may(Role::Member),
        may_invite: place.may(Role::Owner),
        api_url: app.pages.api_url.clone(),
        first: (!found.was_used).then_some(found.has_key),
        attention: attention::all(&found.notices, &found.near, &found.lines, &gateways, (now, operator)),
        span,
        traffic: Traffic::new(&found.buckets, found.since.is_some()),
        speed: found.speed,
        chart: Chart::new(span, &period, &found.buckets, found.since),
        busiest: found.busiest.iter().take(MOST_BUSY).map(busy).collect(),
        gateways,
    }))
}

async fn read(
    (keys, usage, receipts): (Keys, Usage, Receipts),
    id: String,
    workspace_seq: i64,
    period: Period,
    now: Minute,
) -> Result<Found, Error> {
    let (here, look) = (Some(workspace_seq), Some(MOST_COUNTED));
    let mine = KeyFilter { workspace_seq: here, look, ..KeyFilter::default() };
    let active = keys.count(&KeyFilter { status: Some(Status::Active), ..mine.clone() }).await?;
    let used = usage.of_workspace(&id, &period).await?;
    let is_used = |buckets: &[Bucket]| buckets.iter().any(|bucket| bucket.tally.total() > 0);
    let was_used = is_used(&used.buckets) || {
        let days = Period { step: Step::Day, from: Step::Day.start(now - EVER), to: now + 1 };
        is_used(&usage.of_workspace(&id, &days).await?.buckets)
    };
    let notices = usage.notices(Some(workspace_seq)).await?;
    let busy: Vec<_> = used.busiest.iter().map(|(key, _)| key.clone()).collect();
    let rooms = usage.headrooms(&busy).await?;
    let tightest = |(key, rooms): (&Key, Vec<Headroom>)| {
        let near = rooms.into_iter().find(Headroom::is_near);
        near.filter(|_| key.revoked_at.is_none()).map(|room| (key.clone(), room))
    };
    let near = busy.iter().zip(rooms).filter_map(tightest).collect();
    let dead = notices.iter().map(|notice| notice.key.clone());
    let shown: Vec<_> = busy.iter().cloned().chain(dead).collect();
    Ok(Found {
        active,
        has_key: active > 0 || !keys.list(&mine, 1).await?.0.is_empty(),
        was_used,
        since: used.since,
        buckets: used.buckets,
        busiest: used.busiest,
        near,
        lines: usage.lines(&shown).await?,
        notices,
        speed: receipts.speed(workspace_seq).await?,
    })
}

impl OverviewPage {
    fn grouped(number: &u64) -> String {
        grouped(*number)
    }
}

impl Traffic {
    fn new(buckets: &[Bucket], counted: bool) -> Self {
        let sum = Tally::sum(buckets.iter().map(|bucket| &bucket.tally));
        let share = |part: u64| share(part, sum.total());
        Self {
            counted,
            total: grouped(sum.total()),
            limited: share(sum.limited()),
            refused: share(sum.refused()),
        }
    }
}

impl Busy {
    fn new(key: &Key, tally: &Tally, lines: &Lines, now: jiff::Timestamp) -> Self {
        Self {
            id: key.id.clone(),
            name: key.name.clone(),
            hint: key.hint.clone(),
            total: grouped(tally.total()),
            limited: share(tally.limited(), tally.total()),
            refused: share(tally.refused(), tally.total()),
            last_used: LastUsed::new(lines, key, now),
            line: Line::new(lines, key),
        }
    }
}

/// `0.3 %`. What there is, is never nothing, and what is not all is never all.
fn share(part: u64, whole: u64) -> String {
    let thousandths = u128::from(part) * 1_000 / u128::from(whole.max(1));
    match (part, thousandths) {
        (0, _) => "0 %".to_owned(),
        (_, 0) => "under 0.1 %".to_owned(),
        (_, 100..) => format!("{} %", thousandths / 10),
        _ => format!("{}.{} %", thousandths / 10, thousandths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_short_and_do_not_lie() {
        for (part, whole, text) in [
            (0, 0, "0 %"),
            (1, 100_000, "under 0.1 %"),
            (3, 1_000, "0.3 %"),
            (999, 1_000, "99 %"),
            (42, 1_000, "4.2 %"),
            (u64::MAX, u64::MAX, "100 %"),
        ] {
            assert_eq!(share(part, whole), text, "{part} of {whole}");
        }
    }
}

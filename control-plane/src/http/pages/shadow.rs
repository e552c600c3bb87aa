//! Before enforcing, for people who are operators: what would have been refused and has passed in shadow, at which gateways, of which keys.
//! What is enforced is changed where it is set: in Envoy's configuration, and on a key's page.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::audit::page_number;
use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::operator::Operator;
use super::view::{Moment, Pager, counted, grouped, html};
use crate::domain::keys::Key;
use crate::domain::lists::MOST_COUNTED;
use crate::domain::shadow::{GatewayShadow, KeySum, Mode, ReasonSum};
use crate::domain::usage::{Minute, time_of};
use crate::domain::users::User;
use crate::http::app::App;
use crate::http::extract::Query;
use crate::service::shadow::ShadowReport;

/// Which time, and which part of the keys. What is not understood is as if it were not there.
#[derive(Deserialize)]
pub(super) struct ShadowQuery {
    days: Option<String>,
    page: Option<String>,
}

#[derive(Template)]
#[template(path = "shadow.html")]
struct ShadowPage {
    chrome: Chrome,
    /// Number of days, words, and whether it is the one that is shown.
    spans: [(u32, &'static str, bool); 3],
    from: Option<Moment>,
    in_shadow: usize,
    silent: usize,
    /// Connected gateways that refuse, and where nothing has passed.
    quiet: usize,
    keys_in_shadow: u64,
    keys_in_shadow_text: String,
    requests: u64,
    requests_text: String,
    keys: String,
    has_keys: bool,
    last: Option<Moment>,
    gateways: Vec<GatewayLine>,
    /// How many gateways more there are than these.
    more_gateways: usize,
    rows: Vec<KeyLine>,
    pager: Pager,
    /// True on the last page that is shown, when there are more keys.
    cut: bool,
}

/// A line of the gateways.
struct GatewayLine {
    id: String,
    mode: Mode,
    connected: bool,
    reasons: Vec<ReasonLine>,
}

/// A reason at a gateway.
struct ReasonLine {
    /// `429 RATE_LIMITED`.
    answer: String,
    why: String,
    requests: String,
    last: Option<Moment>,
}

/// A line of the keys.
struct KeyLine {
    name: String,
    hint: String,
    id: String,
    workspace: String,
    /// Where its page is, for whoever may see that workspace.
    path: Option<String>,
    shadow: bool,
    /// Answers and how often.
    counts: Vec<(&'static str, String)>,
    since: Option<Moment>,
    last: Option<Moment>,
}

const PAGE: u32 = 50;
/// The last page that is shown, as in the list of keys.
const LAST_PAGE: u32 = MOST_COUNTED / PAGE;
/// Most gateways that are shown.
const MOST_GATEWAYS: usize = 200;
const SPANS: [(u32, &str); 3] = [(1, "Today"), (7, "7 days"), (31, "31 days")];

/// The page.
pub(super) async fn show(
    State(app): State<App>,
    Operator(signed_in): Operator,
    Query(query): Query<ShadowQuery>,
) -> Result<Response, PageError> {
    let asked = query.days.as_deref().and_then(|days| days.parse().ok());
    let days = SPANS.into_iter().map(|(days, _)| days).find(|days| Some(*days) == asked).unwrap_or(7);
    let page = page_number(query.page.as_deref()).min(LAST_PAGE);
    let lists = app.shadow.over(app.for_lists());
    let read = async move {
        let report = lists.report(days).await?;
        let keys = lists.keys(days, (page - 1) * PAGE, PAGE).await?;
        Ok((report, keys))
    };
    let (report, found) = app.turns.run(&signed_in.user.id, read).await?;
    let last = found.total.div_ceil(PAGE.into()).min(LAST_PAGE.into());
    if found.keys.is_empty() && page > 1 {
        // An empty page must not look like an empty list.
        return Ok(
            Redirect::to(&format!("/operators/shadow?days={days}&page={}", last.max(1))).into_response()
        );
    }
    let now = app.clock.now();
    let more = found.total > u64::from(page) * u64::from(PAGE);
    let mut pager =
        Pager::new(page, PAGE, (found.keys.len(), more), Some(found.total), &format!("days={days}"));
    let cut = page == LAST_PAGE && pager.next.take().is_some();
    let rows = found.keys.into_iter().map(|found| KeyLine::new(found, &signed_in.user, now)).collect();
    let chrome = Chrome::new("Before enforcing", Section::Shadow, &signed_in, None);
    Ok(html(&ShadowPage::new(chrome, days, report, rows, (pager, cut), now)))
}

impl ShadowPage {
    fn new(
        chrome: Chrome,
        days: u32,
        report: ShadowReport,
        rows: Vec<KeyLine>,
        (pager, cut): (Pager, bool),
        now: Timestamp,
    ) -> Self {
        let (in_shadow, silent) = report.connected();
        let all = || report.gateways.iter().flat_map(|gateway| &gateway.reasons);
        let requests = all().map(|sum| sum.shadow.requests).fold(0, u64::saturating_add);
        let last = all().map(|sum| sum.shadow.last).max();
        let is_quiet = |gateway: &GatewayShadow| {
            gateway.reasons.is_empty() && (gateway.mode == Mode::Enforces || !gateway.connected)
        };
        let quiet = report.gateways.iter().filter(|gateway| gateway.connected && is_quiet(gateway)).count();
        let told: Vec<_> = report.gateways.into_iter().filter(|gateway| !is_quiet(gateway)).collect();
        Self {
            chrome,
            spans: SPANS.map(|(number, words)| (number, words, number == days)),
            from: time_of(report.from).map(Moment::date),
            in_shadow,
            silent,
            quiet,
            keys_in_shadow: report.keys_in_shadow,
            keys_in_shadow_text: counted(report.keys_in_shadow),
            requests,
            requests_text: grouped(requests),
            keys: grouped(report.keys),
            has_keys: report.keys > 0,
            last: last.and_then(|last| used(last, now)),
            more_gateways: told.len().saturating_sub(MOST_GATEWAYS),
            gateways: told.into_iter().take(MOST_GATEWAYS).map(|line| GatewayLine::new(line, now)).collect(),
            rows,
            pager,
            cut,
        }
    }
}

impl GatewayLine {
    fn new(gateway: GatewayShadow, now: Timestamp) -> Self {
        let reasons = gateway.reasons.iter().map(|sum| ReasonLine::new(sum, now)).collect();
        Self { id: gateway.id, mode: gateway.mode, connected: gateway.connected, reasons }
    }
}

impl ReasonLine {
    fn new(sum: &ReasonSum, now: Timestamp) -> Self {
        let (verdict, reason) = sum.reason.split_once('.').unwrap_or((&sum.reason, ""));
        Self {
            answer: answer(verdict),
            why: reason.replace('_', " "),
            requests: grouped(sum.shadow.requests),
            last: used(sum.shadow.last, now),
        }
    }
}

impl KeyLine {
    fn new((key, sum): (Key, KeySum), user: &User, now: Timestamp) -> Self {
        let counts = [
            ("429 over a limit", sum.shadow.rate_limited),
            ("403 outside of its restrictions", sum.shadow.forbidden),
            ("401 expired", sum.shadow.expired),
            ("401 another environment", sum.shadow.environment),
        ];
        let is_theirs = user.membership(&key.workspace_slug).is_some();
        Self {
            path: is_theirs.then(|| format!("/w/{}/settings/api-keys/{}", key.workspace_slug, key.id)),
            counts: counts
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(words, count)| (words, grouped(count)))
                .collect(),
            since: time_of(sum.since).map(Moment::date),
            last: used(sum.shadow.last, now),
            name: key.name,
            hint: key.hint,
            id: key.id,
            workspace: key.workspace_slug,
            shadow: key.shadow,
        }
    }
}

fn used(minute: Minute, now: Timestamp) -> Option<Moment> {
    time_of(minute).map(|time| Moment::used(time, now))
}

/// The answer that a verdict stands for: its status and code.
fn answer(verdict: &str) -> String {
    let status = match verdict {
        "unauthorized" | "invalid_api_key" => "401 ",
        "forbidden" => "403 ",
        "rate_limited" => "429 ",
        "unavailable" => "503 ",
        _ => "",
    };
    format!("{status}{}", verdict.to_ascii_uppercase())
}

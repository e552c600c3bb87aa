//! What pages are made of: the frame around them, moments, limits in words. Everything that templates show is escaped by
//! them.

use std::num::NonZeroU32;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use flamegate::record::{Limit, Scope};
use jiff::{SignedDuration, Timestamp};

use super::assets;
use super::session::SignedIn;
use crate::error::Error;
use crate::users::{Membership, Role, User};

/// Where stylesheet, script and icon are.
#[derive(Clone, Copy)]
pub(super) struct Assets {
    pub style: &'static str,
    pub script: &'static str,
    pub icon: &'static str,
}

/// The part of the product that a page belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Gateways,
    Audit,
    Settings,
    ApiKeys,
    Members,
    Account,
}

/// The frame of a page for a signed-in user.
pub(super) struct Chrome {
    pub assets: Assets,
    pub title: String,
    section: Section,
    pub email: String,
    pub csrf: String,
    /// The workspace that the page belongs to, or one to go back to.
    pub here: Option<Membership>,
    /// The user's other workspaces.
    pub others: Vec<Membership>,
}

/// A moment: in UTC for everyone, in the reader's zone by the script, exact on hover.
#[derive(Template, Clone)]
#[template(
    source = r#"<time datetime="{{ exact }}" title="{{ exact }}"{% if !form.is_empty() %} data-form="{{ form }}"{% endif %}>{{ text }}</time>"#,
    ext = "html"
)]
pub(super) struct Moment {
    exact: String,
    text: String,
    /// How the script shows it: `ago`, `day`, or in full.
    form: &'static str,
}

/// Which part of a list a page shows.
pub(super) struct Pager {
    pub total: u64,
    pub first: u64,
    pub last: u64,
    /// Query of the page before.
    pub newer: Option<String>,
    /// Query of the page after.
    pub older: Option<String>,
}

impl Assets {
    pub fn new() -> Self {
        Self { style: &assets::STYLE.path, script: &assets::SCRIPT.path, icon: &assets::ICON.path }
    }
}

impl Chrome {
    /// Around a page of a workspace, or of the user.
    pub fn new(title: &str, section: Section, signed_in: &SignedIn, here: Option<&Membership>) -> Self {
        let User { email, memberships, .. } = &signed_in.user;
        let here = here.or(memberships.first()).cloned();
        let other =
            |one: &&Membership| here.as_ref().is_none_or(|here| one.workspace_seq != here.workspace_seq);
        let others = memberships.iter().filter(other).cloned().collect();
        let (title, email, csrf) = (title.to_owned(), email.clone(), signed_in.csrf.clone());
        Self { assets: Assets::new(), title, section, email, csrf, here, others }
    }

    /// The workspace's part of a path.
    pub fn slug(&self) -> &str {
        self.here.as_ref().map(|here| here.slug.as_str()).unwrap_or_default()
    }

    /// ` aria-current` of a link in the sidebar.
    pub fn is(&self, section: &str) -> bool {
        match self.section {
            Section::Overview => section == "overview",
            Section::Gateways => section == "gateways",
            Section::Audit => section == "audit",
            Section::Settings => section == "settings" || section == "general",
            Section::ApiKeys => section == "settings" || section == "api-keys",
            Section::Members => section == "settings" || section == "members",
            Section::Account => section == "account",
        }
    }

    /// Whether the user may see the audit log.
    pub fn sees_audit(&self) -> bool {
        self.here.as_ref().is_some_and(|here| here.role >= Role::Owner)
    }
}

impl Moment {
    /// A date and time.
    pub fn new(moment: Timestamp) -> Self {
        let text = moment.strftime("%-d %b %Y, %H:%M UTC").to_string();
        Self { exact: moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(), text, form: "" }
    }

    /// The same, and the script says how long ago.
    pub fn ago(moment: Timestamp) -> Self {
        Self { form: "ago", ..Self::new(moment) }
    }

    /// Only the day.
    pub fn day(moment: Timestamp) -> Self {
        Self { form: "day", text: moment.strftime("%-d %b %Y").to_string(), ..Self::new(moment) }
    }

    /// An end: the day, or the exact time when it is near.
    pub fn end(moment: Timestamp, now: Timestamp) -> Self {
        let near = moment > now && moment.duration_since(now) < SignedDuration::from_hours(48);
        if near { Self::ago(moment) } else { Self::day(moment) }
    }
}

impl Pager {
    /// Page `page` (the first is 1) of `total` entries; `query` is the rest of the list's query.
    pub fn new(page: u32, size: u32, total: u64, query: &str) -> Self {
        let before = u64::from(page - 1) * u64::from(size);
        let last = (before + u64::from(size)).min(total);
        let link = |page: u32| {
            let rest = if query.is_empty() { String::new() } else { format!("{query}&") };
            format!("?{rest}page={page}")
        };
        Self {
            total,
            first: if total > before { before + 1 } else { 0 },
            last,
            newer: (page > 1).then(|| link(page - 1)),
            older: (total > last).then(|| link(page + 1)),
        }
    }
}

/// A page as an answer.
pub(super) fn html(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => Error::internal(error).into_response(),
    }
}

/// Limits in words: `100 per minute, 20 at once`.
pub(super) fn limits_text(limits: &[Limit]) -> String {
    if limits.is_empty() {
        return "No limit".to_owned();
    }
    limits.iter().map(limit_text).collect::<Vec<_>>().join("; ")
}

fn limit_text(limit: &Limit) -> String {
    let mut text = format!("{} per {}", grouped(limit.requests), window_text(limit.window_seconds.get()));
    if let Some(burst) = limit.burst {
        text.push_str(&format!(", {} at once", grouped(burst)));
    }
    if limit.scope == Scope::Workspace {
        text.push_str(" (whole workspace)");
    }
    text
}

fn window_text(seconds: u32) -> String {
    for (unit, name) in [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")] {
        if seconds.is_multiple_of(unit) {
            let count = seconds / unit;
            return if count == 1 { name.to_owned() } else { format!("{count} {name}s") };
        }
    }
    format!("{seconds} seconds")
}

/// `12,000`.
fn grouped(number: NonZeroU32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_like_sentences() {
        let limits = crate::limits::parse_list("12000/1h+20,shared=5/90s@workspace").unwrap();
        assert_eq!(limits_text(&limits), "12,000 per hour, 20 at once; 5 per 90 seconds (whole workspace)");
        assert_eq!(limits_text(&[]), "No limit");
    }

    #[test]
    fn pages_of_a_list() {
        let pager = Pager::new(2, 50, 120, "status=all");
        assert_eq!((pager.first, pager.last), (51, 100));
        assert_eq!(pager.newer.as_deref(), Some("?status=all&page=1"));
        assert_eq!(pager.older.as_deref(), Some("?status=all&page=3"));
        let empty = Pager::new(1, 50, 0, "");
        assert_eq!((empty.first, empty.last, empty.newer, empty.older), (0, 0, None, None));
    }
}

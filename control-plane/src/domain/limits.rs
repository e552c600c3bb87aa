//! Limits as people give them: JSON drafts in requests, `100/60s` on the command line and in the environment.
//!
//! What a limit may be is decided by the key record (`contract.rs`); this file only gets values into it and
//! reports every broken rule at once.

use std::num::NonZeroU32;
use std::str::FromStr;

use serde::Serialize;

use super::error::Problems;
use super::lending::book::Numbers;
use crate::contract::{KeyRecord, Limit, MAX_LIMITS, MAX_WINDOW_SECONDS, Reach, Scope, WhenUnreachable};

/// A limit of a request that is not checked yet.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LimitDraft {
    /// Name shown to clients in `RateLimit-Policy`; `default` when it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `key` (each key counts for itself, the default) or `workspace` (all its keys together).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Requests per window, 1 to 1,000,000.
    pub requests: Option<i64>,
    /// Length of the window in seconds, 1 to 2,678,400 (31 days).
    pub window_seconds: Option<i64>,
    /// How many requests are admitted at once after a rest; `requests` when it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<i64>,
    /// `gateway` (each gateway counts for itself, the default) or `fleet` (all of them together).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reach: Option<String>,
    /// Of a fleet limit whose tokens cannot be had: `gateway` (each gateway goes by the limit for itself, the default) or `refuse`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_unreachable: Option<String>,
}

/// What everyone gets who asks for nothing else: 100 requests per minute, 20 of them at once.
pub fn product_default() -> Vec<Limit> {
    const REQUESTS: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
    const WINDOW_SECONDS: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
    const BURST: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
    vec![Limit { burst: Some(BURST), ..Limit::per(REQUESTS, WINDOW_SECONDS) }]
}

/// Checks drafts; problems carry paths below `at`, such as `limits[0].requests`.
pub fn check(drafts: &[LimitDraft], at: &str, problems: &mut Problems) -> Vec<Limit> {
    let mut found = Problems::default();
    if drafts.len() > MAX_LIMITS {
        found.add("", format!("at most {MAX_LIMITS} limits"));
        problems.extend_at(at, found);
        return Vec::new();
    }
    let limits: Vec<Limit> = drafts
        .iter()
        .enumerate()
        .filter_map(|(index, draft)| draft.check(&format!("[{index}]"), &mut found))
        .collect();
    // Indices below are those of the drafts only when none was dropped.
    if limits.len() == drafts.len() {
        for (path, message) in record_problems(&limits) {
            found.add(path.strip_prefix("limits").unwrap_or(&path), message);
        }
        for (index, _) in limits.iter().enumerate().filter(|(_, limit)| refills_too_slowly(limit)) {
            found.add(format!("[{index}].burst"), "the burst of a fleet limit must refill within 31 days");
        }
    }
    problems.extend_at(at, found);
    limits
}

impl LimitDraft {
    fn check(&self, at: &str, problems: &mut Problems) -> Option<Limit> {
        let mut number =
            |path: &str, value: Option<i64>| match value.map(|v| u32::try_from(v).map(NonZeroU32::new)) {
                Some(Ok(Some(value))) => Some(value),
                Some(Ok(None)) | Some(Err(_)) if value.is_some_and(|v| v < 1) => {
                    problems.add(format!("{at}.{path}"), "at least 1");
                    None
                }
                Some(_) => {
                    problems.add(format!("{at}.{path}"), "too large");
                    None
                }
                None => {
                    problems.add(format!("{at}.{path}"), "is required");
                    None
                }
            };
        let requests = number("requests", self.requests);
        let window_seconds = number("window_seconds", self.window_seconds);
        let burst = match self.burst {
            None => Some(None),
            given => number("burst", given).map(Some),
        };
        let scope = match self.scope.as_deref() {
            None | Some("key") => Some(Scope::Key),
            Some("workspace") => Some(Scope::Workspace),
            Some(_) => {
                problems.add(format!("{at}.scope"), "must be key or workspace");
                None
            }
        };
        let (reach, when_unreachable) = self.check_reach(at, problems)?;
        let name = self.name.clone().unwrap_or_else(|| "default".to_owned());
        let per = Limit::per(requests?, window_seconds?);
        Some(Limit { name, scope: scope?, burst: burst?, reach, when_unreachable, ..per })
    }

    fn check_reach(&self, at: &str, problems: &mut Problems) -> Option<(Reach, WhenUnreachable)> {
        let reach = match self.reach.as_deref() {
            None | Some("gateway") => Some(Reach::Gateway),
            Some("fleet") => Some(Reach::Fleet),
            Some(_) => {
                problems.add(format!("{at}.reach"), "must be gateway or fleet");
                None
            }
        };
        let when = match self.when_unreachable.as_deref() {
            None | Some("gateway") => Some(WhenUnreachable::Gateway),
            Some("refuse") if reach == Some(Reach::Gateway) => {
                problems.add(format!("{at}.when_unreachable"), "only a fleet limit can be out of reach");
                None
            }
            Some("refuse") => Some(WhenUnreachable::Refuse),
            Some(_) => {
                problems.add(format!("{at}.when_unreachable"), "must be gateway or refuse");
                None
            }
        };
        reach.zip(when)
    }
}

impl From<&Limit> for LimitDraft {
    fn from(limit: &Limit) -> Self {
        Self {
            name: Some(limit.name.clone()),
            scope: Some(scope_name(limit.scope).to_owned()),
            requests: Some(i64::from(limit.requests.get())),
            window_seconds: Some(i64::from(limit.window_seconds.get())),
            burst: limit.burst.map(|burst| i64::from(burst.get())),
            reach: (limit.reach == Reach::Fleet).then(|| "fleet".to_owned()),
            when_unreachable: (limit.when_unreachable == WhenUnreachable::Refuse)
                .then(|| "refuse".to_owned()),
        }
    }
}

/// The text form `[name=]requests/window[+burst][@scope][^reach]`, for example `100/60s`, `100/1m+20`,
/// `shared=5000/1h@workspace` or `100/60s+20^fleet`. The window's unit is s, m, h or d; without a unit it is seconds. `^fleet-refuse` is
/// a fleet limit that refuses while its tokens cannot be had.
impl FromStr for LimitDraft {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, reach, when_unreachable) = match text.split_once('^') {
            None => (text, None, None),
            Some((rest, "fleet-refuse")) => (rest, Some("fleet".to_owned()), Some("refuse".to_owned())),
            Some((rest, "fleet")) => (rest, Some("fleet".to_owned()), None),
            Some(_) => return Err(bad(text, "behind '^' stands fleet or fleet-refuse")),
        };
        let (rest, scope) = match rest.split_once('@') {
            Some((rest, scope)) => (rest, Some(scope.to_owned())),
            None => (rest, None),
        };
        let (name, rest) = match rest.split_once('=') {
            Some((name, rest)) => (Some(name.to_owned()), rest),
            None => (None, rest),
        };
        let (rest, burst) = match rest.split_once('+') {
            Some((rest, burst)) => {
                (rest, Some(burst.parse().map_err(|_| bad(text, "the burst is no number"))?))
            }
            None => (rest, None),
        };
        let (requests, window) = rest.split_once('/').ok_or_else(|| bad(text, "there is no '/'"))?;
        let requests = requests.parse().map_err(|_| bad(text, "the number of requests is no number"))?;
        let window =
            seconds(window).ok_or_else(|| bad(text, "the window is no time such as 60s, 1m, 1h or 1d"))?;
        let (requests, window_seconds) = (Some(requests), Some(window));
        Ok(Self { name, scope, requests, window_seconds, burst, reach, when_unreachable })
    }
}

/// A limit in the text form that [`LimitDraft::from_str`] reads.
pub fn to_text(limit: &Limit) -> String {
    let mut text = format!("{}={}/{}s", limit.name, limit.requests, limit.window_seconds);
    if let Some(burst) = limit.burst {
        text.push_str(&format!("+{burst}"));
    }
    if limit.scope == Scope::Workspace {
        text.push_str("@workspace");
    }
    match (limit.reach, limit.when_unreachable) {
        (Reach::Gateway, _) => {}
        (Reach::Fleet, WhenUnreachable::Gateway) => text.push_str("^fleet"),
        (Reach::Fleet, WhenUnreachable::Refuse) => text.push_str("^fleet-refuse"),
    }
    text
}

/// Reads a comma-separated list of limits in text form; `none` is the empty list.
pub fn parse_list(text: &str) -> Result<Vec<Limit>, String> {
    if text == "none" {
        return Ok(Vec::new());
    }
    let drafts =
        text.split(',').map(|part| part.trim().parse()).collect::<Result<Vec<LimitDraft>, String>>()?;
    let mut problems = Problems::default();
    let limits = check(&drafts, "limits", &mut problems);
    if problems.is_empty() { Ok(limits) } else { Err(problems.to_string()) }
}

/// Seconds of `90`, `90s`, `2m`, `1h` or `7d`; `None` for anything else.
pub fn seconds(text: &str) -> Option<i64> {
    let (digits, unit) = match text.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        None => (text, 1),
        Some((at, _)) => {
            let unit = match text.get(at..)? {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                _ => return None,
            };
            (text.get(..at)?, unit)
        }
    };
    digits.parse::<i64>().ok()?.checked_mul(unit)
}

/// Its name in JSON and the database.
pub const fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Key => "key",
        Scope::Workspace => "workspace",
    }
}

/// The record's own rules over a list of limits.
fn record_problems(limits: &[Limit]) -> Vec<(String, String)> {
    let environment = crate::contract::Environment::Live;
    let name = || "x".to_owned();
    let limits = limits.to_vec();
    KeyRecord { limits, ..KeyRecord::new(name(), name(), environment) }.problems()
}

/// The book counts in microseconds, and forgets what is older.
fn refills_too_slowly(limit: &Limit) -> bool {
    // Each T is rounded up by less than a microsecond.
    let most = u64::from(MAX_WINDOW_SECONDS) * 1_000_000 + u64::from(limit.burst().get());
    limit.reach == Reach::Fleet && Numbers::of(limit, 0).full_us() > most
}

fn bad(text: &str, why: &str) -> String {
    format!("'{text}' is no limit such as 100/60s or shared=5000/1h+200@workspace: {why}")
}

#[cfg(test)]
mod tests;

//! Which keys the list shows, and in which order: read from its address, written into its links.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::search::bounded;
use crate::contract::Environment;
use crate::domain::keys::{KeyFilter, KeyOrder, StateCounts, Status};
use crate::domain::lists::MOST_COUNTED;
use crate::http::pages::query::query_of;
use crate::service::keys::soon;
use crate::service::usage::STILL_USED;

/// Keys on a page of the list.
pub(super) const PAGE: u32 = 50;
/// The last page that is shown: what is left out on the way to a page is looked at.
pub(super) const LAST_PAGE: u32 = MOST_COUNTED / PAGE;

/// What the address says. What is not understood is as if it were not there: a page is not an API.
#[derive(Deserialize)]
pub(in crate::http::pages) struct ListQuery {
    pub q: Option<String>,
    environment: Option<String>,
    status: Option<String>,
    sort: Option<String>,
    by: Option<String>,
    pub page: Option<String>,
    /// Set after a search for a key that is not one of this workspace.
    pub pasted: Option<String>,
    /// Set after several keys were changed: what was done, and with how many.
    pub done: Option<String>,
    pub number: Option<String>,
}

/// What is chosen. Names are those of the address.
#[derive(Clone)]
pub(super) struct Chosen {
    search: String,
    environment: &'static str,
    status: &'static str,
    sort: &'static str,
    /// Who has made them; empty for anybody.
    by: String,
}

/// A link to the same list with something else chosen.
pub(super) struct Choice {
    pub words: &'static str,
    pub query: String,
    pub chosen: bool,
    /// How many keys there are, where somebody has counted.
    pub count: Option<String>,
}

/// The states: in the address, on the link, and in "No … key matches".
const STATES: [(&str, &str, &str); 7] = [
    ("active", "Active", "active"),
    ("ending", "Ending soon", "key that ends soon"),
    ("expired", "Expired", "expired"),
    ("revoked", "Revoked", "revoked"),
    ("all", "All", ""),
    ("unused", "Unused for 90 days", "unused"),
    ("still-used", "Ended and still used", "ended and still used"),
];
const ENVIRONMENTS: [(&str, &str); 3] = [("", "All"), ("live", "Live"), ("test", "Test")];
const ORDERS: [(&str, &str); 4] =
    [("", "Newest"), ("oldest", "Oldest"), ("ends", "Ends first"), ("unused", "Longest unused")];
const UNUSED: SignedDuration = SignedDuration::from_hours(90 * 24);

impl Chosen {
    pub fn of(query: &ListQuery, search: &str) -> Self {
        let named = |given: &Option<String>, known: &[&'static str]| {
            known.iter().copied().find(|name| given.as_deref() == Some(name)).unwrap_or_default()
        };
        let states = STATES.map(|(name, ..)| name);
        // A search looks everywhere: "there is no such key" must not mean "among the active ones".
        let status = match named(&query.status, &states) {
            "" if search.is_empty() => "active",
            "" => "all",
            status => status,
        };
        Self {
            search: search.to_owned(),
            environment: named(&query.environment, &ENVIRONMENTS.map(|(name, _)| name)),
            status,
            sort: named(&query.sort, &ORDERS.map(|(name, _)| name)),
            by: bounded(query.by.as_deref().unwrap_or_default()).to_owned(),
        }
    }

    /// The filter of one page of the list.
    pub fn filter(&self, workspace_seq: i64, now: Timestamp) -> KeyFilter {
        let look = Some(MOST_COUNTED);
        let everything = KeyFilter { workspace_seq: Some(workspace_seq), look, ..KeyFilter::default() };
        let active = KeyFilter { status: Some(Status::Active), ..everything.clone() };
        let filter = match self.status {
            "active" => active,
            "ending" => KeyFilter { ends_before: Some(soon(now)), ..active },
            "expired" => KeyFilter { status: Some(Status::Expired), ..everything },
            "revoked" => KeyFilter { status: Some(Status::Revoked), ..everything },
            "unused" => KeyFilter { unused_since: Some(before(now, UNUSED)), ..active },
            "still-used" => KeyFilter { refused_since: Some(before(now, STILL_USED)), ..everything },
            _ => everything,
        };
        let order = match self.sort {
            // What ends next, what has ended last, what has waited longest: these lists have one order.
            _ if matches!(self.status, "ending" | "expired") => KeyOrder::Ends,
            _ if self.is_by_use() => KeyOrder::LongestUnused,
            _ if self.status == "still-used" => KeyOrder::LatestRefused,
            "oldest" => KeyOrder::Oldest,
            "ends" if self.status == "active" => KeyOrder::Ends,
            _ if self.status == "all" && !self.search.is_empty() => KeyOrder::WorkingFirst,
            _ => KeyOrder::Newest,
        };
        let environment = match self.environment {
            "live" => Some(Environment::Live),
            "test" => Some(Environment::Test),
            _ => None,
        };
        let search = (!self.search.is_empty()).then(|| self.search.clone());
        let created_by = (!self.by.is_empty()).then(|| self.by.clone());
        KeyFilter { search, environment, order, created_by, ..filter }
    }

    /// True when those come first that were not used for the longest time.
    pub fn is_by_use(&self) -> bool {
        self.status == "unused" || (self.status == "active" && self.sort == "unused")
    }

    /// What was searched for.
    pub fn search(&self) -> &str {
        &self.search
    }

    /// Who has made them; empty for anybody.
    pub fn by(&self) -> &str {
        &self.by
    }

    /// The query without that.
    pub fn by_anybody(&self) -> String {
        Self { by: String::new(), ..self.clone() }.query()
    }

    /// Name of the environment in the address.
    pub const fn environment(&self) -> &'static str {
        self.environment
    }

    /// The state as a word before "key": `active`, or nothing.
    pub fn state_words(&self) -> &'static str {
        STATES.iter().find(|(name, ..)| *name == self.status).map_or("", |(.., words)| words)
    }

    /// True when nothing narrows the list but the state that it shows anyway.
    pub fn is_plain(&self) -> bool {
        self.search.is_empty() && self.environment.is_empty() && self.by.is_empty() && self.status == "active"
    }

    /// True when something is asked that no index knows.
    pub fn is_narrowed(&self) -> bool {
        !self.search.is_empty() || !self.environment.is_empty() || !self.by.is_empty()
    }

    /// True when there are more keys in the state than are looked at, so that some of those that were asked for may not be there.
    pub fn is_partly(&self, counts: &StateCounts) -> bool {
        let StateCounts { active, expired, revoked, .. } = *counts;
        let of_state = match self.status {
            "expired" => expired,
            "revoked" => revoked,
            "all" | "still-used" => active + expired + revoked,
            _ => active,
        };
        let asks = self.is_narrowed() || self.sort == "ends";
        asks && of_state > MOST_COUNTED.into()
    }

    /// The number of keys it leaves when that is the number of a state, which is counted anyway.
    pub fn counted(&self, counts: &StateCounts) -> Option<u64> {
        if self.is_narrowed() {
            return None;
        }
        match self.status {
            "active" => Some(counts.active),
            "ending" => Some(counts.ending),
            "expired" => Some(counts.expired),
            "revoked" => Some(counts.revoked),
            "all" => Some(counts.active + counts.expired + counts.revoked),
            _ => None,
        }
    }

    /// The query of the list's address, without the page.
    pub fn query(&self) -> String {
        query_of(&[
            ("q", &self.search),
            ("environment", self.environment),
            ("status", self.status),
            ("sort", self.sort),
            ("by", &self.by),
        ])
    }

    /// The query of the same search in every state and environment.
    pub fn everywhere(&self) -> String {
        Self { environment: "", status: "all", by: String::new(), ..self.clone() }.query()
    }

    /// Links to the states. The last two are there when they are chosen: one comes to them by other pages.
    pub fn states(&self, counts: &StateCounts) -> Vec<Choice> {
        let shown = STATES.iter().filter(|(name, ..)| !name.contains("used") || *name == self.status);
        shown
            .map(|(name, words, _)| Choice {
                words,
                query: Self { status: name, ..self.clone() }.query(),
                chosen: *name == self.status,
                // Of what was searched for nobody has counted how many are in each state.
                count: Self { status: name, ..self.clone() }.counted(counts).map(short),
            })
            .collect()
    }

    /// Links to the environments.
    pub fn environments(&self) -> Vec<Choice> {
        let link = |(name, words)| {
            let query = Self { environment: name, ..self.clone() }.query();
            Choice { words, query, chosen: name == self.environment, count: None }
        };
        ENVIRONMENTS.map(link).into()
    }

    /// Links to the orders, where there is a choice.
    pub fn orders(&self) -> Vec<Choice> {
        let orders = match self.status {
            "ending" | "expired" | "unused" | "still-used" => &[],
            "active" => &ORDERS[..],
            _ => &ORDERS[..2],
        };
        let link = |(name, words): &(&'static str, &'static str)| {
            let query = Self { sort: name, ..self.clone() }.query();
            Choice { words, query, chosen: *name == self.sort, count: None }
        };
        orders.iter().map(link).collect()
    }
}

fn before(now: Timestamp, time: SignedDuration) -> Timestamp {
    now.checked_sub(time).unwrap_or(Timestamp::MIN)
}

/// `520`, or `10,000+` where counting has stopped.
fn short(count: u64) -> String {
    if count > MOST_COUNTED.into() { "10,000+".to_owned() } else { count.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(q: &str, status: &str, sort: &str) -> Chosen {
        let some = |text: &str| Some(text.to_owned());
        let (environment, by, page, pasted, done, number) = (None, None, None, None, None, None);
        let query = ListQuery {
            q: some(q),
            status: some(status),
            sort: some(sort),
            environment,
            by,
            page,
            pasted,
            done,
            number,
        };
        Chosen::of(&query, q)
    }

    #[test]
    fn a_search_looks_at_every_state_unless_one_is_chosen() {
        let now = Timestamp::UNIX_EPOCH;
        let filter = chosen("x", "", "").filter(1, now);
        assert_eq!((filter.status, filter.order), (None, KeyOrder::WorkingFirst));
        assert_eq!(chosen("x", "revoked", "").filter(1, now).status, Some(Status::Revoked));
        assert_eq!(chosen("", "", "").filter(1, now).status, Some(Status::Active));
        assert_eq!(chosen("", "nonsense", "nonsense").query(), "status=active");
        assert_eq!(chosen("", "ending", "").filter(1, now).order, KeyOrder::Ends);
    }

    #[test]
    fn each_list_has_an_order_that_an_index_has_and_says_when_it_does_not_look_at_all() {
        let now = Timestamp::UNIX_EPOCH;
        let order = |status, sort| chosen("", status, sort).filter(1, now).order;
        assert_eq!(order("expired", "oldest"), KeyOrder::Ends);
        assert_eq!(order("unused", "oldest"), KeyOrder::LongestUnused);
        assert_eq!(order("still-used", ""), KeyOrder::LatestRefused);
        assert_eq!(order("active", "unused"), KeyOrder::LongestUnused);
        assert_eq!(order("all", "ends"), KeyOrder::Newest);
        assert_eq!(chosen("", "unused", "").orders().len(), 0);
        let counts = StateCounts { active: 10_001, ending: 0, expired: 0, revoked: 10_000 };
        assert!(chosen("x", "", "").is_partly(&counts) && chosen("x", "active", "").is_partly(&counts));
        assert!(!chosen("x", "revoked", "").is_partly(&counts), "all of those are looked at");
        assert!(!chosen("", "active", "").is_partly(&counts), "the order is the index's");
    }

    #[test]
    fn links_keep_the_rest_of_the_address() {
        let counts = StateCounts { active: 3, ending: 1, expired: 0, revoked: 20_000 };
        let states = chosen("a&b", "active", "oldest").states(&counts);
        assert!(states.iter().all(|state| state.count.is_none()), "those are not the search's");
        let told: Vec<_> = states.iter().map(|link| (link.words, link.query.as_str(), link.chosen)).collect();
        assert_eq!(told[3], ("Revoked", "q=a%26b&status=revoked&sort=oldest", false));
        assert_eq!((told.len(), told[0].2), (5, true));
        let states = chosen("", "active", "").states(&counts);
        assert_eq!((states[0].count.as_deref(), states[3].count.as_deref()), (Some("3"), Some("10,000+")));
    }
}

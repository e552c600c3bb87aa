//! Settings → API Keys: the list. Making keys, showing them once and changing them are in the files below.

mod ask;
mod change;
mod chosen;
mod create;
mod edit;
mod fleet;
mod force;
mod history;
mod once;
mod page;
mod pair;
mod reveal;
mod row;
mod search;
mod selected;
mod shadow;
mod terms;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::Timestamp;

use self::chosen::{Choice, Chosen, LAST_PAGE, ListQuery, PAGE};
use super::audit::page_number;
use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::place::Place;
use super::usage::{LastUsed, Line};
use super::view::{Pager, html};
use crate::domain::error::Error;
use crate::domain::keys::{Key, KeyFilter, StateCounts};
use crate::domain::usage::Lines;
use crate::domain::users::Role;
use crate::http::app::App;
use crate::http::extract::Query;

pub(super) use self::ask::{ask_revoke, ask_rotate};
pub(super) use self::change::{revoke, rotate};
pub(super) use self::create::{create, new};
pub(super) use self::edit::{ask_edit, edit};
pub(super) use self::once::copied;
pub(super) use self::page::show;
pub(super) use self::row::Row;
pub(super) use self::search::search;
pub(super) use self::selected::{ask_selected, change_selected};
pub(super) use self::shadow::set as set_shadow;

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    chrome: Chrome,
    rows: Vec<Listed>,
    pager: Pager,
    chosen: Chosen,
    states: Vec<Choice>,
    environments: Vec<Choice>,
    orders: Vec<Choice>,
    /// True when there are more keys than were looked at for this.
    partly: bool,
    /// True on the last page that is shown, when there are more keys.
    cut: bool,
    /// True when somebody has pasted a key that is not here.
    pasted: bool,
    /// What was done with several keys.
    done: Option<String>,
    /// Where else there are keys that match, when none of the chosen state does.
    elsewhere: bool,
    may_change: bool,
    /// True when the workspace has no keys at all, whatever the filter.
    none_yet: bool,
    workspace: String,
    api_url: String,
}

/// A row of the list.
struct Listed {
    key: Row,
    used: LastUsed,
    line: Line,
}

/// What the list's turn has read.
struct Read {
    keys: Vec<Key>,
    lines: Lines,
    more: bool,
    total: Option<u64>,
    counts: StateCounts,
    elsewhere: bool,
    none_yet: bool,
}

/// The list.
pub(super) async fn list(
    State(app): State<App>,
    place: Place,
    Query(query): Query<ListQuery>,
) -> Result<Response, PageError> {
    let search = query.q.as_deref().unwrap_or_default().trim();
    if let Some(key) = search::place_of_key(&app, &place, search).await? {
        // It came in the address, where nobody should put it. It must not stay there.
        return Ok(Redirect::to(&key).into_response());
    }
    let (page, now) = (page_number(query.page.as_deref()).min(LAST_PAGE), app.clock.now());
    let chosen = Chosen::of(&query, search::bounded(search));
    let filter = chosen.filter(place.membership.workspace_seq, now);
    let work = read(app.clone(), filter, chosen.clone(), page);
    let read = app.turns.run(&place.signed_in.user.id, work).await?;
    if let (true, Some(last)) = (read.keys.is_empty() && page > 1, last_page(&read)) {
        // An empty page must not look like an empty list.
        let place = format!("/w/{}/settings/api-keys?{}&page={last}", place.membership.slug, chosen.query());
        return Ok(Redirect::to(&place).into_response());
    }
    let mut pager = Pager::new(page, PAGE, (read.keys.len(), read.more), read.total, &chosen.query());
    let cut = page == LAST_PAGE && pager.next.take().is_some();
    Ok(html(&KeysPage {
        chrome: place.chrome("API Keys", Section::ApiKeys),
        rows: read.keys.iter().map(|key| listed(key, &read.lines, now)).collect(),
        pager,
        cut,
        partly: chosen.is_partly(&read.counts),
        states: chosen.states(&read.counts),
        environments: chosen.environments(),
        orders: chosen.orders(),
        pasted: query.pasted.is_some(),
        done: selected::done_words(query.done.as_deref(), query.number.as_deref()),
        elsewhere: read.elsewhere,
        may_change: place.may(Role::Member),
        none_yet: read.none_yet,
        workspace: place.membership.name.clone(),
        api_url: app.pages.api_url.clone(),
        chosen,
    }))
}

fn listed(key: &Key, lines: &Lines, now: Timestamp) -> Listed {
    Listed { key: Row::new(key, now), used: LastUsed::new(lines, key, now), line: Line::new(lines, key) }
}

/// One page of keys, and how many there are.
async fn read(app: App, filter: KeyFilter, chosen: Chosen, page: u32) -> Result<Read, Error> {
    let lists = app.keys.over(app.for_lists());
    let wanted = KeyFilter { offset: (page - 1) * PAGE, ..filter.clone() };
    let (keys, next) = lists.list(&wanted, PAGE).await?;
    let workspace_seq = filter.workspace_seq.unwrap_or_default();
    let counts = lists.state_counts(workspace_seq).await?;
    let lines = app.usage.over(app.for_lists()).lines(&keys).await?;
    let (more, is_empty) = (next.is_some(), keys.is_empty());
    // What a search leaves is not counted as well: that would be another look at all of them.
    let total = match chosen.counted(&counts) {
        Some(counted) => Some(counted),
        None if (more && chosen.search().is_empty()) || (is_empty && page > 1) => {
            Some(lists.count(&filter).await?)
        }
        None => None,
    };
    let everything =
        KeyFilter { workspace_seq: Some(workspace_seq), look: filter.look, ..KeyFilter::default() };
    let none_yet = is_empty && lists.list(&everything, 1).await?.0.is_empty();
    let anywhere = KeyFilter { search: filter.search.clone(), ..everything };
    let elsewhere = is_empty && !none_yet && page == 1 && !lists.list(&anywhere, 1).await?.0.is_empty();
    Ok(Read { keys, lines, more, total, counts, elsewhere, none_yet })
}

/// Number of the last page that has keys; `None` when no page has.
fn last_page(read: &Read) -> Option<u64> {
    read.total.map(|total| total.div_ceil(PAGE.into())).filter(|last| *last > 0)
}

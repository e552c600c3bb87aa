//! The search of the list: a form that is sent and leads to an address, so that a key that somebody pastes is in no address, no
//! history and no log. It is looked up by its hash, and forgotten.

use axum::extract::State;
use axum::response::Redirect;

use crate::domain::error::Error;
use crate::http::app::App;
use crate::http::pages::error::PageError;
use crate::http::pages::place::{Place, Uncounted};
use crate::http::pages::query::query_of;
use crate::service::keys::Pasted;

/// Longest text that is searched for, in bytes. A name has at most 100 characters.
const MAX_TEXT: usize = 1_000;

/// Leads to what was searched for.
pub(in crate::http::pages) async fn search(
    State(app): State<App>,
    posted: Uncounted,
) -> Result<Redirect, PageError> {
    let posted = posted.uncounted();
    let text = posted.fields.text("q");
    if let Some(place) = place_of_key(&app, &posted.place, text).await? {
        return Ok(Redirect::to(&place));
    }
    let mut parts = vec![("q", bounded(text))];
    parts.extend(["environment", "status", "sort"].map(|name| (name, posted.fields.text(name))));
    let query = match query_of(&parts) {
        none if none.is_empty() => none,
        query => format!("?{query}"),
    };
    Ok(Redirect::to(&format!("/w/{}/settings/api-keys{query}", posted.place.membership.slug)))
}

/// The page of the key that the text holds or whose id it is, whatever its state; `None` for other text. A key of another workspace is as
/// unknown as one of nobody.
pub(super) async fn place_of_key(app: &App, place: &Place, text: &str) -> Result<Option<String>, PageError> {
    let (list, workspace_seq) =
        (format!("/w/{}/settings/api-keys", place.membership.slug), place.membership.workspace_seq);
    let page = |id: &str| Some(format!("{list}/{id}"));
    Ok(match app.keys.pasted(workspace_seq, text).await? {
        Pasted::Unknown => Some(format!("{list}?status=all&pasted=unknown")),
        Pasted::Here(key) => page(&key.id),
        Pasted::Text if text.starts_with("key_") => match app.keys.find(text).await {
            Ok(key) if key.workspace_seq == workspace_seq => page(&key.id),
            Ok(_) | Err(Error::NotFound(_)) => None,
            Err(error) => return Err(error.into()),
        },
        Pasted::Text => None,
    })
}

/// As much of the text as can be part of a name.
pub(super) fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or(text)
}

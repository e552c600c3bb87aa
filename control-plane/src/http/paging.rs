//! Which part of a list is asked for, and of which workspace.

use super::app::App;
use crate::domain::error::Error;

/// Entries per page: 1 to 200, 50 when nothing is asked for.
pub(super) fn page_size(asked: Option<u32>) -> Result<u32, Error> {
    match asked {
        None => Ok(50),
        Some(size @ 1..=200) => Ok(size),
        Some(_) => Err(Error::invalid("limit", "must be 1 to 200")),
    }
}

/// A cursor is the number of the last row; clients need not know.
pub(super) fn cursor(text: Option<&str>) -> Result<Option<i64>, Error> {
    let parsed = text.map(|text| text.parse().ok().filter(|seq| *seq >= 0));
    match parsed {
        Some(None) => Err(no_cursor()),
        Some(seq) => Ok(seq),
        None => Ok(None),
    }
}

/// What a cursor is that is none.
pub(super) fn no_cursor() -> Error {
    Error::invalid("cursor", "must be a next_cursor of this list")
}

/// The row of the workspace that a query names by id or slug, if it names one.
pub(super) async fn workspace_row(app: &App, id_or_slug: Option<&str>) -> Result<Option<i64>, Error> {
    match id_or_slug {
        None => Ok(None),
        Some(workspace) => Ok(Some(app.workspaces.find(workspace).await?.seq)),
    }
}

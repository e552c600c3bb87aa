//! The frame around a page that cannot be shown: of whoever is signed in, in their workspace, as far as the request has found that out.
//!
//! An error is put into words where nothing is known of its request. So what was found stands beside the task that answers it; nothing is looked
//! up for it. Whoever is not signed in, and whoever asks for a workspace that is not theirs, has found nothing that could be shown.

use std::cell::Cell;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::chrome::{Chrome, Person, Section};
use crate::domain::users::Membership;

tokio::task_local! { static FOUND: Cell<Option<Chrome>>; }

/// Answers a request of which nothing is known yet.
pub(super) async fn around(request: Request, next: Next) -> Response {
    FOUND.scope(Cell::new(None), next.run(request)).await
}

/// Somebody is signed in, and a member of this workspace, if it is in one.
pub(super) fn found(person: &impl Person, here: Option<&Membership>) {
    let chrome = Chrome::new("", Section::Elsewhere, person, here);
    // Outside of a request nobody asks for it.
    let _ = FOUND.try_with(|found| found.set(Some(chrome)));
}

/// The frame, for the one page that is shown in it.
pub(super) fn take(title: &str) -> Option<Chrome> {
    FOUND.try_with(Cell::take).ok().flatten().map(|chrome| chrome.titled(title))
}

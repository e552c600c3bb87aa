//! The last few changes, ready to be sent: what gateways ask for that are up to date, or nearly.
//!
//! A change wakes a thousand polls that all ask for the same, and a revocation must not wait behind whoever asks for
//! something else. Between two changes there are at most [`WINDOW`] different questions here of gateways of each version, and each is read
//! once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::page::{self, ChangesRequest, Difference, encode};
use crate::contract::Protocol;
use crate::domain::error::Error;
use crate::domain::log::{Head, Since};
use crate::service::metrics::Metrics;
use crate::store::Store;

/// How many revisions behind still counts as nearly up to date.
const WINDOW: u64 = 64;

pub(super) struct Recent {
    store: Store,
    metrics: Metrics,
    known: Mutex<Known>,
}

/// What was read since the last change, by the revision that was asked for and what the gateway understands.
#[derive(Default)]
struct Known {
    head: Option<Head>,
    found: HashMap<(u64, Protocol), Found>,
}

enum Found {
    /// So many changes, and the tag of the revision that they begin behind.
    Page {
        tag: String,
        changes: usize,
        body: Bytes,
    },
    TooOld,
    /// It has to be read in pages, or the log went on meanwhile.
    NotHere,
}

impl Recent {
    pub fn new(store: Store, metrics: Metrics) -> Self {
        Self { store, metrics, known: Mutex::default() }
    }

    /// The difference between the gateway's revision and `head`; `None` when it is none of the last few.
    pub async fn difference(
        &self,
        request: &ChangesRequest,
        head: &Head,
    ) -> Result<Option<Difference>, Error> {
        let after = request.after;
        let is_near = after < head.revision && head.revision - after <= WINDOW;
        if !is_near {
            return Ok(None);
        }
        let mut known = self.known.lock().await;
        if known.head.as_ref() != Some(head) {
            *known = Known { head: Some(head.clone()), found: HashMap::new() };
        }
        let found = match known.found.entry((after, request.accepts)) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(place) => place.insert(self.read(after, request.accepts).await?),
        };
        Ok(match found {
            Found::Page { tag, changes, body } => {
                let is_ours = request.tag.as_ref().is_none_or(|theirs| *theirs == *tag);
                let fits = u32::try_from(*changes).is_ok_and(|changes| changes <= request.limit);
                match (is_ours, fits) {
                    (false, _) => Some(Difference::Unknown),
                    (true, true) => Some(Difference::Page(body.clone())),
                    (true, false) => None,
                }
            }
            Found::TooOld => Some(Difference::TooOld),
            Found::NotHere => None,
        })
    }

    async fn read(&self, after: u64, accepts: Protocol) -> Result<Found, Error> {
        let most = u32::try_from(WINDOW).unwrap_or(u32::MAX);
        let mut connection = self.store.read().await?;
        let found = connection.changes_since(after, None, most).await?;
        drop(connection);
        Ok(match found {
            Since::Changes { page, base_tag } if !page.more => {
                self.metrics.sync_page("difference");
                let changes = page.changes.len();
                Found::Page { tag: base_tag, changes, body: encode(page::difference(page), accepts)? }
            }
            Since::TooOld => Found::TooOld,
            Since::Changes { .. } | Since::Unknown => Found::NotHere,
        })
    }
}

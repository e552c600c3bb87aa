//! Where a key is in force: who accepts it or refuses it now, and how fast its revocation was.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::error::Error;
use crate::domain::keys::{Key, Status};
use crate::domain::receipts::Measured;
use crate::http::app::App;
use crate::http::pages::place::Place;
use crate::http::pages::receipt::ReceiptView;
use crate::http::pages::view::Moment;

/// Where a key is in force.
pub(super) struct Force {
    /// Who enforces its last change.
    pub receipt: ReceiptView,
    /// What was measured when it was revoked.
    pub measured: Option<Measured>,
    /// When it ended; `None` while it works.
    pub ended: Option<Moment>,
    /// True when somebody ended it, and not its time.
    pub revoked: bool,
    /// True while the page should look again by itself.
    pub is_live: bool,
}

/// So long after a change the page looks again by itself, while somebody has not confirmed it. Not for ever: a page that asks keeps its
/// session alive.
const LIVE: SignedDuration = SignedDuration::from_mins(10);

impl Force {
    /// Of a key.
    pub async fn new(app: &App, place: &Place, key: &Key, now: Timestamp) -> Result<Self, Error> {
        let status = key.status(now);
        // Its removal may have left the log: then whoever has any table of ours has not got it.
        let revision = key.revision.unwrap_or(0);
        let receipt = match status {
            Status::Active => app.receipts.standing(revision, None),
            Status::Revoked | Status::Expired => {
                let committed = app.receipts.committed(key.seq);
                app.gateways.receipt(revision, committed, Duration::ZERO, app.shutdown()).await
            }
        };
        let receipt = ReceiptView::new(receipt, &place.signed_in);
        let ended = match status {
            Status::Active => None,
            Status::Revoked => key.revoked_at.map(Moment::new),
            Status::Expired => key.expires_at.map(Moment::at),
        };
        let is_new = key.revoked_at.is_some_and(|at| now.duration_since(at) < LIVE);
        Ok(Self {
            measured: match status {
                Status::Revoked => app.receipts.of_key(key.seq).await?,
                Status::Active | Status::Expired => None,
            },
            ended,
            revoked: status == Status::Revoked,
            is_live: is_new && (receipt.pending > 0 || receipt.replicas > 0),
            receipt,
        })
    }
}

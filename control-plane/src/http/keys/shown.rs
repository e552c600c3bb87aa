//! Keys and receipts as whoever asks may see them: for a token of one workspace without what tells of everybody's doings.

use jiff::Timestamp;

use super::bodies::{KeyBody, ReceiptBody};
use crate::domain::gateways::Receipt;
use crate::domain::keys::Key;
use crate::http::caller::Caller;

impl Caller {
    /// A key as this caller may see it.
    pub(in crate::http) fn key_body(&self, key: Key, now: Timestamp) -> KeyBody {
        KeyBody::new(&self.shown(key), now)
    }

    /// The same of a receipt.
    pub(super) fn receipt_body(&self, receipt: Receipt) -> ReceiptBody {
        let mut body = ReceiptBody::new(self.shown_receipt(receipt));
        body.revision = body.revision.filter(|_| !self.is_tenant());
        body
    }
}

//! API keys: what one is, what may be asked of it, and its secret.

pub(crate) mod draft;
pub(crate) mod end;
pub(crate) mod filter;
pub(crate) mod idempotency;
pub(crate) mod import;
pub(crate) mod key;
pub(crate) mod paste;
pub(crate) mod restrict;
pub(crate) mod rotate;
pub mod secret;

pub use self::draft::{KeyDraft, KeyPatch};
pub use self::end::End;
pub use self::filter::{KeyCounts, KeyFilter, KeyOrder, NoticeCounts, StateCounts};
pub(crate) use self::idempotency::Idempotent;
pub use self::idempotency::{Earlier, IdempotencyKey, RETENTION};
pub use self::import::{ImportDraft, Imported, MAX_BATCH};
pub use self::key::{Key, NewKey, Status, Uses};
pub use self::restrict::RestrictDraft;
pub use self::rotate::RotateDraft;

//! Why a page could not be applied.

use crate::host::HostError;

/// Why a page could not be applied. Nothing is lost: the page is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// The host refused a call.
    Host(HostError),
    /// Somebody else writes the table; this writer has to stand back.
    Contended,
    /// A difference came although there is no table, or it was lost or damaged: a reset is needed.
    NoTable,
    /// A reset page is no continuation of the pages before it.
    BrokenReset,
}

//! What keys are used for: what gateways post, and what is answered about it.

mod headroom;
mod intake;
mod notices;
mod service;

pub use self::intake::Intake;
pub use self::notices::{MOST_NOTICES, Notice, STILL_USED, Why};
pub use self::service::{KeyUsage, Usage, WorkspaceUsage};

//! Pages for gateways: answers at once when there is something new, otherwise holds the poll.

mod lanes;
mod notices;
mod page;
mod recent;
mod service;
mod touch;

pub use self::page::{ChangesRequest, DEFAULT_LIMIT, MAX_WAIT, page_limit};
pub use self::service::Sync;

#[cfg(test)]
mod tests;

//! The plugin configuration: JSON in, [`Config`] or *every* mistake with its path out.
//!
//! Parsing is a pure function of the bytes and the environment: Envoy's validation and every worker come to the same
//! answer, which matters because Envoy lets requests through unauthenticated when a worker refuses what validation
//! accepted. Unknown fields, wrong types and contradictions are mistakes. Defaults stand in `parse` and nowhere else.

mod fields;
mod key_sources;
mod mistakes;
mod parse;
mod published;
mod route_metadata;
mod settings;
mod workspace_limits;

pub use self::mistakes::{ConfigError, Mistake};
pub use crate::decision::route_settings::RouteSettings;
pub use crate::decision::sources::{KeySources, Source};

pub use self::route_metadata::{handed_over, route_settings};
pub use self::settings::{Config, FilterConfig, Role, SyncConfig, SyncMode};

#[cfg(test)]
mod tests;

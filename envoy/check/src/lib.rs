//! Reads what Flamegate and Envoy are configured with, and says everything that is wrong with it at once.
//!
//! Text in, findings out: a plugin configuration, a whole Envoy file, what discovery delivers (`resources`), the resources of Istio
//! and Envoy Gateway that hold one, or Envoy's own `/config_dump`. Nothing is fetched and nothing is started. The plugin's part is
//! read by the filter's own parser. Values that could be secrets are never repeated.
//!
//! ```text
//! text ─ text::read ─▶ tree ─ input ─▶ model (listeners, routes, clusters, extensions)
//!                                        │ plugin, filters, routes, neighbours, connection, logs, process, cluster
//!                                        ▼
//!                                      findings
//! ```

/// A list of rules: name in the code, severity, name, why, what to do.
macro_rules! rules {
    ($list:ident $about:literal; $($id:ident $severity:ident $name:literal $why:literal $fix:literal)*) => {
        $(
            #[doc = $why]
            pub static $id: Rule = Rule { name: $name, severity: $severity, why: $why, fix: $fix };
        )*
        #[doc = $about]
        pub static $list: &[&Rule] = &[$(&$id),*];
    };
}

mod bypass;
mod chain;
mod cluster;
mod connection;
mod control;
mod filters;
mod finding;
mod gateway;
pub mod gateway_rules;
mod guard;
mod input;
mod jwt;
mod logs;
mod looked_at;
mod model;
mod neighbours;
mod node;
mod options;
mod plugin;
mod process;
mod routes;
pub mod rules;
mod running;
mod stats;
mod text;
mod tree;

pub use flamegate::config::Role;

pub use self::control::{Control, Token, TokenFile, control, tokens};
pub use self::finding::{Finding, Rule, Severity};
pub use self::gateway::{STATS_FILTER, look, summary};
pub use self::input::check;
pub use self::looked_at::{Admin, Known};
pub use self::options::{Environment, Options};

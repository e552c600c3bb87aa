//! What is known beside the text that is checked.

use flamegate::config::Role;

/// Looks an environment variable up.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// What is known beside the text.
#[derive(Clone, Copy, Default)]
pub struct Options<'e> {
    /// The environment that Envoy will have; nothing when that is not known, as for a running Envoy.
    pub environment: Option<Environment<'e>>,
    /// What a plugin configuration is for, when that is given.
    pub role: Option<Role>,
}

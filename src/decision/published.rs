//! What is published as filter state: for the guard, for access logs, and for other filters. Each value costs a request about 4,000
//! instructions, so a configuration names those that somebody reads. Envoy puts `wasm.` before the names.

/// Who is calling: workspace id, key id, environment. Only ever on a request that passes by its key: guards rely on it.
pub const IDENTITY: [&str; 3] = ["flamegate.workspace_id", "flamegate.key_id", "flamegate.environment"];

/// Why a request passes without a key.
pub const BYPASS: &str = "flamegate.bypass";

/// What [`BYPASS`] is on a request that would be refused and passes in shadow. A guard that does not name it refuses it.
pub const SHADOW: &str = "shadow";

/// Whose request was refused and why, `<reason>;<key id>`. No guard knows it.
pub const DENIED: &str = "flamegate.denied";

/// What a configuration may name: [`IDENTITY`], and [`DENIED`].
pub const NAMES: [&str; 4] = ["key_id", "workspace_id", "environment", "denied"];

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published([bool; NAMES.len()]);

impl Default for Published {
    /// What the guard needs and nothing more.
    fn default() -> Self {
        Self([true, false, false, false])
    }
}

impl Published {
    /// Nothing at all.
    pub const NOTHING: Self = Self([false; NAMES.len()]);

    /// The same, and this one of [`NAMES`]; `None` when it is none of them.
    pub fn with(mut self, name: &str) -> Option<Self> {
        let (_, place) = NAMES.iter().zip(&mut self.0).find(|(known, _)| **known == name)?;
        *place = true;
        Some(self)
    }

    /// Which of [`IDENTITY`].
    pub const fn identity(self) -> [bool; IDENTITY.len()] {
        let [key_id, workspace_id, environment, _] = self.0;
        [workspace_id, key_id, environment]
    }

    /// Whether [`BYPASS`] is: together with the key id, because guards read both.
    pub const fn bypass(self) -> bool {
        let [key_id, ..] = self.0;
        key_id
    }

    /// Whether [`DENIED`] is.
    pub const fn denied(self) -> bool {
        let [.., denied] = self.0;
        denied
    }
}

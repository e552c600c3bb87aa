//! Why a command failed, and its exit code.

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The control plane answered with an error.
    #[error("{message} ({code})")]
    Api { status: u16, code: String, message: String, error: serde_json::Value },
    /// It could not be reached or answered with something else.
    #[error("the control plane at {0} cannot be reached: {1}")]
    Unreachable(String, String),
    /// A mistake on the command line or in the environment that clap does not see.
    #[error("{0}")]
    Usage(String),
    /// The change is made but a gateway may still serve without it.
    #[error("{0}")]
    NotEnforced(String),
    /// A part is done, and a part was refused.
    #[error("{0}")]
    Partly(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl CliError {
    /// The exit code, for scripts.
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Api { status: 404, .. } => 3,
            Self::Api { status: 401, .. } => 4,
            Self::Api { .. } | Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(..) => 5,
            Self::NotEnforced(_) => 6,
            Self::Partly(_) => 7,
        }
    }
}

//! What every seam may answer.

use std::fmt;

/// The host refused a call. Carries the host's status number and nothing of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError(pub u32);

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host call failed with status {}", self.0)
    }
}

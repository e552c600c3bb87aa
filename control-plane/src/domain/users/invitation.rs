//! An invitation: a link by which an owner lets somebody into a workspace. Whoever has the link may use it once, within a time.

use jiff::{SignedDuration, Timestamp};

use super::user::Role;

/// How long a link is good.
pub const VALID: SignedDuration = SignedDuration::from_hours(72);
/// Most links of a workspace that are good at once.
pub const MOST_OPEN: u64 = 50;

/// An invitation as stored; of what is in the link there is only the hash.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// `inv_…`, to withdraw it.
    pub id: String,
    /// Into this workspace.
    pub workspace_seq: i64,
    /// Who is meant.
    pub email: String,
    /// As what.
    pub role: Role,
    /// Who invites, for people.
    pub created_by: String,
    /// Since when.
    pub created_at: Timestamp,
    /// First moment at which it is good no longer.
    pub expires_at: Timestamp,
}

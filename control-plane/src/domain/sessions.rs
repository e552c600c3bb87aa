//! A session of the pages, as stored.

/// A session as stored.
#[derive(Clone, Debug)]
pub struct StoredSession {
    /// SHA-256 of the id in the cookie.
    pub id_hash: [u8; 32],
    /// JSON object.
    pub data: String,
    /// First second at which it is over.
    pub expires_at: i64,
}

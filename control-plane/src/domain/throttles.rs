//! Attempts that control planes on one database count together.

/// What became of a subject since it was told last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// Whose: a kind and a keyed hash or a network.
    pub subject: String,
    /// True when what was there before is forgiven.
    pub anew: bool,
    /// Milliseconds by which it is busy for longer; negative for what was given back.
    pub more_ms: i64,
}

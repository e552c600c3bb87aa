//! Which version of the sync protocol a gateway understands. One that was built before there were two says nothing of it.

/// The protocol that a gateway understands, as it says by `accepts` in its poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Says nothing.
    #[default]
    One,
    /// `accepts=2`.
    Two,
}

impl Protocol {
    /// From the value of `accepts`; whatever is later than ours includes ours.
    pub const fn from_accepts(version: u32) -> Self {
        if version < 2 { Self::One } else { Self::Two }
    }

    /// The value of `accepts`; `None` for what says nothing.
    pub const fn accepts(self) -> Option<u32> {
        match self {
            Self::One => None,
            Self::Two => Some(2),
        }
    }
}

//! Which version of the sync protocol a gateway understands. One that was built before there were two says nothing of it.
//!
//! What a gateway was shown stands in the tag of its revision, which every version repeats as it came: so the control plane knows, without
//! remembering anything, whose table was made for another version, even when another filter goes on with it.

/// The protocol that a gateway understands, as it says by `accepts` in its poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    /// The tag of a page for this version: `tag`, or `tag.2`.
    pub fn mark(self, tag: &str) -> String {
        match self {
            Self::One => tag.to_owned(),
            Self::Two => format!("{tag}{MARK}"),
        }
    }

    /// What a gateway was shown that has this tag, and the tag without that.
    pub fn of_tag(tag: &str) -> (Self, &str) {
        tag.strip_suffix(MARK).map_or((Self::One, tag), |tag| (Self::Two, tag))
    }
}

/// Behind the tag of a page of version 2.
const MARK: &str = ".2";

#[cfg(test)]
mod tests {
    use super::Protocol;

    #[test]
    fn a_tag_says_what_was_shown() {
        for protocol in [Protocol::One, Protocol::Two] {
            assert_eq!(Protocol::of_tag(&protocol.mark("t_a")), (protocol, "t_a"));
        }
        assert_eq!(Protocol::One.mark("t_a"), "t_a", "as ever");
        assert_eq!(Protocol::of_tag(""), (Protocol::One, ""));
    }
}

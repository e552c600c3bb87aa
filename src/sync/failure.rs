//! Why a poll has no page, and what that says about the way to the control plane: a poll that something between cut, or a page that
//! was too large for it, is to be asked for in another way; what the control plane itself refuses is not.

/// A failed poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In words, for a log.
    pub why: String,
    /// What it says about the way.
    pub kind: Kind,
}

/// What a failure says about the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: the control plane said no, or could not be asked.
    Refused,
    /// Nothing: the token is not one of the control plane's.
    Unauthorized,
    /// Nothing: the control plane has no such path, as one of a version before has none for usage.
    NoSuchPath,
    /// Nothing: the control plane will never take this.
    Rejected,
    /// An answer came, and it is no page: cut short, too large, or somebody else's.
    Unreadable,
    /// The proxy had no connection, or lost it before an answer. Sooner than any poll is held that is a control plane that is away.
    Unreached,
    /// Whoever is between gave up, or the connection broke off in the middle of an answer.
    Lost,
}

impl Failure {
    /// Of an answer with another status than 200. `json`: it has the content type of the control plane's own answers; a proxy that
    /// has lost its connection says 503 as well, as plain text.
    pub fn status(status: &[u8], json: bool) -> Self {
        let kind = match status {
            b"408" | b"502" | b"504" => Kind::Lost,
            b"503" if !json => Kind::Unreached,
            b"401" => Kind::Unauthorized,
            b"404" | b"405" => Kind::NoSuchPath,
            b"400" | b"413" | b"415" | b"422" => Kind::Rejected,
            _ => Kind::Refused,
        };
        Self { why: format!("answer with status {}", String::from_utf8_lossy(status)), kind }
    }

    /// Of this kind.
    pub fn new(kind: Kind, why: impl Into<String>) -> Self {
        Self { why: why.into(), kind }
    }
}

impl Kind {
    /// True when a poll that failed like this may have been held until something cut it.
    pub const fn may_be_cut(self) -> bool {
        matches!(self, Self::Unreached | Self::Lost)
    }

    /// True when the answer may have been too large for the way; `soon`: it failed sooner than any poll is held.
    pub const fn may_be_too_large(self, soon: bool) -> bool {
        match self {
            Self::Refused | Self::Unauthorized | Self::NoSuchPath | Self::Rejected => false,
            Self::Unreached => !soon,
            Self::Unreadable | Self::Lost => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_control_plane_did_not_say_itself_may_be_a_cut() {
        for (status, json, cut) in [
            ("504", false, true),
            ("502", false, true),
            ("408", false, true),
            // The proxy's own, when a connection is closed before an answer.
            ("503", false, true),
            ("503", true, false),
            ("401", true, false),
            ("429", true, false),
            ("500", true, false),
            ("500", false, false),
            ("", false, false),
        ] {
            assert_eq!(Failure::status(status.as_bytes(), json).kind.may_be_cut(), cut, "{status} {json}");
        }
    }
}

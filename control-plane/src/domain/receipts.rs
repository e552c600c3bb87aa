//! How fast a revocation was in force, as it is stored, and how fast those of a workspace are.

use jiff::Timestamp;

/// How fast the revocation of a key was in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The key's row.
    pub key_seq: i64,
    /// Its workspace's.
    pub workspace_seq: i64,
    /// When that was measured.
    pub at: Timestamp,
    /// Gateways that were connected then.
    pub gateways: u64,
    /// How many of those had confirmed it.
    pub enforced: u64,
    /// Gateways that were not connected then and may have gone on with the key.
    pub cut_off: u64,
    /// Milliseconds from the commit to the last confirmation, rounded up; `None` without one.
    pub slowest_ms: Option<u64>,
}

/// How fast revocations are in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speed {
    /// How many were measured.
    pub measured: usize,
    /// How many of those were confirmed by every gateway that was there.
    pub confirmed: usize,
    /// Milliseconds until the slowest gateway: of the middle one of those that were confirmed, and of the slowest.
    pub times: Option<(u64, u64)>,
}

impl Measured {
    /// True when there were gateways, and nobody may have gone on with the key.
    pub const fn is_confirmed(&self) -> bool {
        self.gateways > 0 && self.enforced == self.gateways && self.cut_off == 0
    }
}

impl Speed {
    /// Of what was measured.
    pub fn of(measured: &[Measured]) -> Self {
        let confirmed = measured.iter().filter(|one| one.is_confirmed());
        let mut times: Vec<_> = confirmed.clone().filter_map(|one| one.slowest_ms).collect();
        times.sort_unstable();
        let middle = times.get(times.len().saturating_sub(1) / 2).copied();
        Self {
            measured: measured.len(),
            confirmed: confirmed.count(),
            times: middle.zip(times.last().copied()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(gateways: u64, enforced: u64, cut_off: u64, slowest_ms: Option<u64>) -> Measured {
        let at = Timestamp::UNIX_EPOCH;
        Measured { key_seq: 1, workspace_seq: 1, at, gateways, enforced, cut_off, slowest_ms }
    }

    #[test]
    fn only_what_is_in_force_everywhere_has_a_time() {
        assert_eq!(Speed::of(&[]), Speed::default());
        let all = [
            measured(2, 2, 0, Some(9)),
            measured(2, 2, 0, Some(30)),
            measured(2, 2, 0, Some(20)),
            measured(2, 1, 0, Some(1)),
            measured(2, 2, 1, Some(2)),
            measured(0, 0, 0, None),
        ];
        assert_eq!(Speed::of(&all), Speed { measured: 6, confirmed: 3, times: Some((20, 30)) });
        assert_eq!(Speed::of(&all[..2]).times, Some((9, 30)));
        assert_eq!(Speed::of(&all[5..]), Speed { measured: 1, confirmed: 0, times: None });
    }
}

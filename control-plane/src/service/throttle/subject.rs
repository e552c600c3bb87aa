//! What attempts are counted for, and how many each may have.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What attempts are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// Strangers' attempts at an account, wherever they come from.
    Account(u128),
    /// Those of one address.
    Pair(u128),
    /// Attempts of one device at the account that has signed in on it.
    Device(u128),
    /// Those of all its devices and sessions.
    Devices(u128),
    Address(u128),
    /// 256 neighbourhoods of IPv6.
    Network(u128),
    /// An attempt of this network has failed lately.
    Failed(u128),
    /// Successes: each is a session that stays for hours, and three writes.
    Welcome(u128),
    /// Wrong tokens of an address.
    Tokens(u128),
    /// Attempts at the code of an account's second factor by whoever knows its password: of strangers, or of its devices and sessions.
    Codes(u128),
}

/// How many attempts at once, and the time until the next one after that.
pub(super) struct Policy {
    pub(super) burst: u32,
    pub(super) every: Duration,
}

/// What one person may mistype: at one address, and on one device.
const PER_PAIR: Policy = Policy { burst: 8, every: Duration::from_secs(30) };
const PER_DEVICE: Policy = PER_PAIR;
/// Over all addresses. In the long run as slow as one address, so a botnet guesses no faster.
pub(super) const PER_ACCOUNT: Policy = Policy { burst: 40, every: Duration::from_secs(30) };
/// Over all devices: more than one can use up, so that one that was stolen keeps no other one out.
pub(super) const PER_DEVICES: Policy = Policy { burst: 60, every: Duration::from_secs(5) };
const PER_ADDRESS: Policy = Policy { burst: 30, every: Duration::from_secs(5) };
const PER_NETWORK: Policy = Policy { burst: 60, every: Duration::from_secs(2) };
/// How long it is known.
pub(super) const FAILED: Policy = Policy { burst: 1, every: Duration::from_secs(600) };
const WELCOMES_PER_ACCOUNT: Policy = Policy { burst: 100, every: Duration::from_secs(10) };
/// Wrong tokens: a gateway or a script with an old token tries every few seconds.
const TOKENS_PER_ADDRESS: Policy = Policy { burst: 20, every: Duration::from_secs(3) };

/// Three codes of a million are good at a time: so many guesses take 26 years for an even chance.
const CODES_PER_ACCOUNT: Policy = Policy { burst: 10, every: Duration::from_secs(3_600) };

impl Subject {
    pub(super) const fn policy(self) -> Policy {
        match self {
            Self::Account(_) => PER_ACCOUNT,
            Self::Pair(_) => PER_PAIR,
            Self::Device(_) => PER_DEVICE,
            Self::Devices(_) => PER_DEVICES,
            Self::Address(_) => PER_ADDRESS,
            Self::Network(_) => PER_NETWORK,
            Self::Failed(_) => FAILED,
            Self::Welcome(_) => WELCOMES_PER_ACCOUNT,
            Self::Tokens(_) => TOKENS_PER_ADDRESS,
            Self::Codes(_) => CODES_PER_ACCOUNT,
        }
    }

    pub(super) fn wait(self, rests: &HashMap<Self, Instant>, now: Instant) -> Duration {
        self.wait_for(1, rests, now)
    }

    /// How long until so many attempts may be made at once.
    pub(super) fn wait_for(self, attempts: u32, rests: &HashMap<Self, Instant>, now: Instant) -> Duration {
        let Policy { burst, every } = self.policy();
        let busy = rests.get(&self).map_or(Duration::ZERO, |rest| rest.saturating_duration_since(now));
        busy.saturating_sub(every * burst.saturating_sub(attempts))
    }
}

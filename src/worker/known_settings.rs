//! Settings of routes as a worker has read them, remembered by their bytes: no more than a few, of bounded length. A route's name would not
//! do: routes change while the name stays, and many have none.

use super::log_limit::LogLimit;
use crate::bytes::equal;
use crate::decision::route_settings::{MAX_BYTES, RouteSettings, Unreadable};
use crate::host::Monotonic;

/// Settings that were read, those that were used last first.
#[derive(Debug, Default)]
pub struct KnownSettings {
    /// `None` for what cannot be read.
    known: Vec<(Box<[u8]>, Option<RouteSettings>)>,
    log: LogLimit,
}

/// Most that are remembered; what is beyond them is read anew.
const MOST_KNOWN: usize = 32;

impl KnownSettings {
    /// The settings with these bytes; `None` for what cannot be read.
    pub fn of(&mut self, bytes: &[u8], now: impl FnOnce() -> Monotonic) -> Option<RouteSettings> {
        match self.known.iter().position(|(known, _)| equal(known, bytes)) {
            Some(0) => {}
            Some(index) => {
                let last = self.known.remove(index);
                self.known.insert(0, last);
            }
            None => return self.learn(bytes, now),
        }
        self.known.first().and_then(|(_, settings)| *settings)
    }

    #[cold]
    fn learn(&mut self, bytes: &[u8], now: impl FnOnce() -> Monotonic) -> Option<RouteSettings> {
        let settings = RouteSettings::read(bytes);
        if let Err(why) = &settings {
            self.report(why, now);
        }
        let settings = settings.ok();
        if bytes.len() <= MAX_BYTES {
            self.known.truncate(MOST_KNOWN.saturating_sub(1));
            self.known.insert(0, (bytes.into(), settings));
        }
        settings
    }

    /// Tells operators, at most once a second and worker.
    #[cold]
    pub fn report(&mut self, why: &Unreadable, now: impl FnOnce() -> Monotonic) {
        if self.log.admit(|| Some(now())).is_some() {
            log::warn!(
                "flamegate: the settings of a route cannot be read, so its requests are refused: {why}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::headers::serialize_map;

    fn live() -> Vec<u8> {
        let list = serialize_map([("live", "")].into_iter());
        let list = String::from_utf8(list).unwrap();
        serialize_map([("environments", list.as_str())].into_iter())
    }

    #[test]
    fn what_was_read_is_known_by_its_bytes_and_no_more_than_a_few() {
        let mut known = KnownSettings::default();
        let settings = known.of(&live(), || 0).unwrap();
        assert_eq!(settings, RouteSettings::read(&live()).unwrap());
        for number in 0..3 * MOST_KNOWN {
            let name = format!("unknown{number}");
            let bytes = serialize_map([(name.as_str(), "")].into_iter());
            assert_eq!(known.of(&bytes, || 0), None);
            assert_eq!(known.of(&bytes, || 0), None, "again");
            assert_eq!(known.of(&live(), || 0), Some(settings), "what is used stays");
            assert!(known.known.len() <= MOST_KNOWN);
        }
        assert_eq!(known.of(&[0; MAX_BYTES + 1], || 0), None);
        assert!(known.known.iter().all(|(bytes, _)| bytes.len() <= MAX_BYTES));
    }
}

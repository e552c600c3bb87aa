//! The gateways where a key was used last: a few for each key, in whole hours, so that a key in use at many gateways costs no write for
//! each post of each of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::tally::Minute;

/// Most gateways that are kept for a key.
pub const MOST_GATEWAYS: usize = 8;

/// A gateway where a key was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGateway {
    /// The key's row.
    pub key_seq: i64,
    /// Id of the gateway.
    pub gateway: String,
    /// First minute of the hour in which it was used there last.
    pub hour: Minute,
}

/// What is to be written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GatewayChanges {
    /// New ones, and new hours.
    pub set: Vec<KeyGateway>,
    /// Those that are too many.
    pub gone: Vec<KeyGateway>,
}

impl GatewayChanges {
    /// What `used`, by key and gateway, makes of what is `known` of these keys. A gateway that is new takes a place that is free, or that of one
    /// with an earlier hour.
    pub fn new(known: Vec<KeyGateway>, used: &BTreeMap<(i64, String), Minute>) -> Self {
        // By key: gateway, its hour, and the one that is stored.
        let mut keys: BTreeMap<i64, BTreeMap<String, (Minute, Option<Minute>)>> = BTreeMap::new();
        for KeyGateway { key_seq, gateway, hour } in known {
            keys.entry(key_seq).or_default().insert(gateway, (hour, Some(hour)));
        }
        for ((key_seq, gateway), hour) in used {
            let (newest, _) = keys.entry(*key_seq).or_default().entry(gateway.clone()).or_default();
            *newest = (*newest).max(*hour);
        }
        let mut changes = Self::default();
        for (key_seq, gateways) in keys {
            let mut all: Vec<_> = gateways.into_iter().collect();
            all.sort_by_key(|(_, (hour, stored))| (Reverse(*hour), stored.is_none()));
            for (place, (gateway, (hour, stored))) in all.into_iter().enumerate() {
                let row = KeyGateway { key_seq, gateway, hour };
                if place < MOST_GATEWAYS {
                    changes.set.extend((stored != Some(hour)).then_some(row));
                } else if stored.is_some() {
                    changes.gone.push(row);
                }
            }
        }
        // Whoever writes them at the same time takes the rows in the same order.
        let order = |row: &KeyGateway| (row.key_seq, row.gateway.clone());
        changes.set.sort_by_key(order);
        changes.gone.sort_by_key(order);
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(gateway: &str, hour: Minute) -> KeyGateway {
        KeyGateway { key_seq: 1, gateway: gateway.to_owned(), hour }
    }

    fn changes(known: Vec<KeyGateway>, used: &[(&str, Minute)]) -> GatewayChanges {
        let used = used.iter().map(|(gateway, hour)| ((1, (*gateway).to_owned()), *hour)).collect();
        GatewayChanges::new(known, &used)
    }

    #[test]
    fn within_an_hour_nothing_is_written() {
        let known = vec![row("a", 60), row("b", 120)];
        assert_eq!(changes(known.clone(), &[("a", 60), ("b", 60)]), GatewayChanges::default());
        let later = changes(known, &[("a", 120), ("c", 60)]);
        assert_eq!(later, GatewayChanges { set: vec![row("a", 120), row("c", 60)], gone: Vec::new() });
    }

    #[test]
    fn the_latest_few_are_kept_and_one_that_is_new_drives_out_no_equal() {
        let known: Vec<_> = (0..8).map(|n| row(&format!("old-{n}"), if n == 3 { 60 } else { 120 })).collect();
        let all = changes(known.clone(), &[("a", 120), ("b", 120)]);
        assert_eq!(all, GatewayChanges { set: vec![row("a", 120)], gone: vec![row("old-3", 60)] });
        assert_eq!(changes(known, &[("a", 60), ("b", 0)]), GatewayChanges::default());
        let names: Vec<_> = (0..20).map(|n| format!("new-{n:02}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), 180)).collect();
        let first = changes(Vec::new(), &many);
        assert_eq!((first.set.len(), first.gone.len()), (MOST_GATEWAYS, 0));
    }
}

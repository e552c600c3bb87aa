//! What an engine must be for the bound to hold, by what it says of itself (`INFO`).

use std::collections::HashMap;

/// What `INFO` said.
pub(super) struct Info(HashMap<String, String>);

/// The engine's own name for its history.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Process, replication history, and how many keys it has evicted: after any of them, nobody knows what was lent before.
    pub name: String,
    /// It has replicas, one of which may take its place with less than was said, or has taken another's place.
    pub fails_over: bool,
}

const OLDEST: u32 = 7;

impl Info {
    pub fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.trim().split_once(':'));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// What is known of an engine that may be used, or why it may not be.
    pub fn judge(&self) -> Result<Known, String> {
        let version = self.text("valkey_version").or_else(|| self.text("redis_version")).unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < OLDEST) {
            return Err(format!(
                "version {version} has no functions: it must be Redis {OLDEST} or later, or Valkey"
            ));
        }
        if self.text("role") != Some("master") {
            return Err("it is a replica, which nothing can be written to".to_owned());
        }
        let policy = self.text("maxmemory_policy").unwrap_or("noeviction");
        if self.text("maxmemory").is_some_and(|most| most != "0") && policy != "noeviction" {
            return Err(format!(
                "maxmemory-policy is {policy}: an evicted book is a full bucket again; it must be noeviction"
            ));
        }
        let has_replicas = self.text("connected_slaves").is_some_and(|number| number != "0");
        let waits_for_replicas = self.text("min_slaves_good_slaves").is_some();
        if has_replicas && !waits_for_replicas {
            return Err(
                "it has replicas, and min-replicas-to-write is 0: after a failover it would go on by itself"
                    .to_owned(),
            );
        }
        let was_replica = self.text("second_repl_offset").is_some_and(|offset| offset != "-1");
        let id = |name: &str| self.text(name).unwrap_or("unknown");
        let evicted = self.text("evicted_keys").unwrap_or("0");
        let name = format!("{}-{}-{evicted}", id("run_id"), id("master_replid"));
        Ok(Known { name, fails_over: has_replicas || waits_for_replicas || was_replica })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nrole:master\r\nconnected_slaves:0\r\nmaster_replid:def\r\nsecond_repl_offset:-1\r\nevicted_keys:0\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n";

    #[test]
    fn an_engine_that_would_break_the_bound_is_refused_with_the_reason() {
        let judge = |changes: &[(&str, &str)]| {
            let text = changes.iter().fold(GOOD.to_owned(), |text, (from, to)| text.replace(from, to));
            Info::parse(&text).judge()
        };
        assert_eq!(judge(&[]), Ok(Known { name: "abc-def-0".to_owned(), fails_over: false }));
        assert_eq!(judge(&[("evicted_keys:0", "evicted_keys:7")]).unwrap().name, "abc-def-7");
        assert!(judge(&[("noeviction", "allkeys-lru")]).is_ok(), "without a maximum nothing is evicted");
        assert!(judge(&[("7.0.15", "7.2.4\r\nvalkey_version:9.1.2")]).is_ok());
        let replicas = ("connected_slaves:0", "connected_slaves:1");
        let waits = ("role", "min_slaves_good_slaves:1\r\nrole");
        for changes in [&[replicas, waits][..], &[waits], &[("offset:-1", "offset:42")]] {
            assert!(judge(changes).unwrap().fails_over, "{changes:?}");
        }
        for (changes, why) in [
            (vec![("7.0.15", "6.2.1")], "version 6.2.1 has no functions"),
            (vec![("role:master", "role:slave")], "it is a replica"),
            (
                vec![("noeviction", "volatile-lru"), ("maxmemory:0", "maxmemory:100")],
                "maxmemory-policy is volatile-lru",
            ),
            (vec![replicas], "it has replicas, and min-replicas-to-write is 0"),
        ] {
            assert!(judge(&changes).unwrap_err().starts_with(why), "{why}");
        }
    }
}

//! Variables of the environment that begin with our name. One that nobody reads may be a typing error: whoever sets
//! `FLAMEGATE_DATABSE` has another database than they think. One that is nearly a setting is refused, other ones are named once.
//!
//! Platforms set variables, too: for a service called `flamegate-control` Kubernetes puts `FLAMEGATE_CONTROL_SERVICE_HOST`,
//! `FLAMEGATE_CONTROL_PORT_8080_TCP_ADDR` and so on into every container beside it. Those are nobody's mistake.

/// What is odd about the variables.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Oddities {
    /// Those that are nearly a setting, as text with what is probably meant.
    pub near_misses: Vec<String>,
    /// Those that nothing reads.
    pub unknown: Vec<String>,
}

const PREFIX: &str = "FLAMEGATE_";

/// What the program reads. A new setting comes in here, or nobody can use it by its variable.
const SETTINGS: [&str; 44] = [
    "FLAMEGATE_ADMIN_LIMIT",
    "FLAMEGATE_ADMIN_TOKEN",
    "FLAMEGATE_ADMIN_TOKEN_FILE",
    "FLAMEGATE_API_URL",
    "FLAMEGATE_CA_FILE",
    "FLAMEGATE_CONTROL_URL",
    "FLAMEGATE_DATABASE",
    "FLAMEGATE_DATABASE_DIRECT",
    "FLAMEGATE_DATABASE_PASSWORD_FILE",
    "FLAMEGATE_DEFAULT_LIMITS",
    "FLAMEGATE_DEFAULT_MAX_ACTIVE_KEYS",
    "FLAMEGATE_IDLE_TIMEOUT",
    "FLAMEGATE_LIMIT_STORE",
    "FLAMEGATE_LIMIT_STORE_CA_FILE",
    "FLAMEGATE_LIMIT_STORE_CERT_FILE",
    "FLAMEGATE_LIMIT_STORE_KEY_FILE",
    "FLAMEGATE_LIMIT_STORE_PASSWORD_FILE",
    "FLAMEGATE_LIMIT_STORE_SENTINEL_PASSWORD_FILE",
    "FLAMEGATE_LISTEN",
    "FLAMEGATE_LOG",
    "FLAMEGATE_LOG_FORMAT",
    "FLAMEGATE_MAX_CONNECTIONS",
    "FLAMEGATE_METRICS_LISTEN",
    "FLAMEGATE_METRICS_PER_KEY",
    "FLAMEGATE_METRICS_TOKEN",
    "FLAMEGATE_METRICS_TOKEN_FILE",
    "FLAMEGATE_OIDC_CLIENT_ID",
    "FLAMEGATE_OIDC_CLIENT_SECRET_FILE",
    "FLAMEGATE_OIDC_ISSUER",
    "FLAMEGATE_OIDC_NAME",
    "FLAMEGATE_OIDC_ROLES",
    "FLAMEGATE_OIDC_SCOPES",
    "FLAMEGATE_PASSWORDS",
    "FLAMEGATE_PERSON_LIMIT",
    "FLAMEGATE_PUBLIC_URL",
    "FLAMEGATE_REMOVALS_KEPT",
    "FLAMEGATE_SESSION_IDLE",
    "FLAMEGATE_SESSION_MAX",
    "FLAMEGATE_SYNC_TOKEN",
    "FLAMEGATE_SYNC_TOKEN_FILE",
    "FLAMEGATE_TLS_CERT",
    "FLAMEGATE_TLS_CLIENT_CA",
    "FLAMEGATE_TLS_KEY",
    "FLAMEGATE_TRUST_PROXY",
];

/// What belongs to the parts around it (`make run`, Compose, the demo, the tests), and stands in the same shells and files.
const AROUND: [&str; 40] = [
    "FLAMEGATE_BENCH_RESULTS",
    "FLAMEGATE_CHAOS_SECONDS",
    "FLAMEGATE_CHAOS_SEED",
    "FLAMEGATE_COMPOSE_BUILD",
    "FLAMEGATE_CONTROL_PORT",
    "FLAMEGATE_CONTROL_URLS",
    "FLAMEGATE_DEMO_EMAIL",
    "FLAMEGATE_DEMO_KEY",
    "FLAMEGATE_DEMO_PASSWORD",
    "FLAMEGATE_ENVOY_ADMIN_PORT",
    "FLAMEGATE_FLEET_CONTROL_1_PORT",
    "FLAMEGATE_FLEET_CONTROL_2_PORT",
    "FLAMEGATE_FLEET_FAILOVERS",
    "FLAMEGATE_FLEET_GATEWAY_1_PORT",
    "FLAMEGATE_FLEET_GATEWAY_2_PORT",
    "FLAMEGATE_FLEET_PORT",
    "FLAMEGATE_GATEWAY_PORT",
    "FLAMEGATE_GATEWAY_URL",
    "FLAMEGATE_GATEWAY_URLS",
    "FLAMEGATE_GRAFANA_PORT",
    "FLAMEGATE_HOSTILE_SEED",
    "FLAMEGATE_KILL_ROUNDS",
    "FLAMEGATE_KILL_SEED",
    "FLAMEGATE_LATENCY_ROUNDS",
    "FLAMEGATE_LENDING_BURST",
    "FLAMEGATE_LENDING_FAULTS",
    "FLAMEGATE_LENDING_GATEWAYS",
    "FLAMEGATE_LENDING_TICKS",
    "FLAMEGATE_OLDER_FILTER",
    "FLAMEGATE_PLANS_DAYS",
    "FLAMEGATE_PLANS_KEYS",
    "FLAMEGATE_PLAN_KEYS",
    "FLAMEGATE_PLAN_ROUNDS",
    "FLAMEGATE_PROMETHEUS_PORT",
    "FLAMEGATE_SCALE_KEYS",
    "FLAMEGATE_STATE_DIR",
    "FLAMEGATE_STRANGERS_KEYS",
    "FLAMEGATE_STRANGERS_SECONDS",
    "FLAMEGATE_UPSTREAM_PORT",
    "FLAMEGATE_USAGE_REQUESTS",
];

/// More slips than these make another word of it, and so do those that are more than one in so many characters behind the prefix: of
/// `LOG` two slips make anything.
const SLIPS: usize = 2;
const CHARS_PER_SLIP: usize = 3;
/// Longest name that is repeated: a variable may have any.
const MAX_SHOWN: usize = 64;

/// Looks through the names of the environment's variables.
pub(crate) fn check(names: impl Iterator<Item = String>) -> Oddities {
    let mut odd = Oddities::default();
    let mut ours: Vec<_> = names.filter(|name| name.starts_with(PREFIX) && !is_known(name)).collect();
    ours.sort();
    for name in ours {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect();
        match nearest(&name) {
            Some(meant) => odd.near_misses.push(format!("{shown} is not a setting: is {meant} meant?")),
            None => odd.unknown.push(shown),
        }
    }
    odd
}

/// The same of this process.
pub(crate) fn check_own() -> Oddities {
    check(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

fn is_known(name: &str) -> bool {
    SETTINGS.contains(&name) || AROUND.contains(&name) || is_service_link(name)
}

/// `…_SERVICE_HOST`, `…_SERVICE_PORT`, `…_SERVICE_PORT_<port's name>`, `…_PORT`, `…_PORT_<number>_<protocol>` and what may follow.
fn is_service_link(name: &str) -> bool {
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") || name.ends_with("_PORT") {
        return true;
    }
    let protocol = |rest: &str| {
        ["TCP", "UDP", "SCTP"].into_iter().any(|known| {
            let rest = rest.strip_prefix(known);
            rest.is_some_and(|rest| ["", "_PROTO", "_PORT", "_ADDR"].contains(&rest))
        })
    };
    let numbered = |rest: &str| {
        rest.split_once('_').is_some_and(|(number, rest)| number.parse::<u16>().is_ok() && protocol(rest))
    };
    name.contains("_SERVICE_PORT_")
        || name.match_indices("_PORT_").any(|(at, found)| name.get(at + found.len()..).is_some_and(numbered))
}

/// The setting that was probably meant.
fn nearest(name: &str) -> Option<&'static str> {
    let near = SETTINGS.into_iter().map(|known| (distance(name, known), known));
    let is_slip =
        |(slips, known): &(usize, &str)| *slips <= SLIPS.min((known.len() - PREFIX.len()) / CHARS_PER_SLIP);
    near.filter(is_slip).min().map(|(_, known)| known)
}

/// How many slips there are between two names: a character too much, missing, another one, or two that changed places (the optimal
/// string alignment distance). Names that differ in length by more than what counts are not compared.
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len().abs_diff(other.len()) > SLIPS {
        return usize::MAX;
    }
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, a) in one.iter().enumerate() {
        let mut now = vec![row + 1];
        for (column, b) in other.iter().enumerate() {
            let mut least =
                (last[column] + usize::from(a != b)).min(last[column + 1] + 1).min(now[column] + 1);
            if row > 0 && column > 0 && *a == other[column - 1] && one[row - 1] == *b {
                let swapped: &Vec<usize> = &before_last;
                least = least.min(swapped[column - 1] + 1);
            }
            now.push(least);
        }
        before_last = std::mem::replace(&mut last, now);
    }
    last.pop().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn of(names: &[&str]) -> Oddities {
        check(names.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn what_platforms_and_our_own_files_set_is_nothing_odd() {
        let names = [
            "FLAMEGATE_CONTROL_SERVICE_HOST",
            "FLAMEGATE_CONTROL_SERVICE_PORT",
            "FLAMEGATE_CONTROL_SERVICE_PORT_HTTP",
            "FLAMEGATE_CONTROL_PORT",
            "FLAMEGATE_CONTROL_PORT_8080_TCP",
            "FLAMEGATE_CONTROL_PORT_8080_TCP_PROTO",
            "FLAMEGATE_CONTROL_PORT_8080_TCP_PORT",
            "FLAMEGATE_CONTROL_PORT_8080_TCP_ADDR",
            "FLAMEGATE_SERVICE_HOST",
            "FLAMEGATE_PORT_80_UDP",
            "FLAMEGATE_DATABASE_PORT",
            "FLAMEGATE_DATABASE_PORT_5432_TCP_ADDR",
            "FLAMEGATE_LISTEN_SERVICE_PORT_HTTPS_ADMIN",
            "FLAMEGATE_DEMO_KEY",
            "FLAMEGATE_ADMIN_TOKEN_FILE",
            "PATH",
            "flamegate_databse",
        ];
        assert_eq!(of(&names), Oddities::default());
        for name in SETTINGS.into_iter().chain(AROUND) {
            assert_eq!(of(&[name]), Oddities::default(), "{name}");
        }
    }

    #[test]
    fn a_slip_is_refused_and_another_word_is_named() {
        for (name, meant) in [
            ("FLAMEGATE_DATABSE", "FLAMEGATE_DATABASE"),
            ("FLAMEGATE_ADMIN_TOKNE", "FLAMEGATE_ADMIN_TOKEN"),
            ("FLAMEGATE_ADMIN_TOKENS", "FLAMEGATE_ADMIN_TOKEN"),
            ("FLAMEGATE_LOGFORMAT", "FLAMEGATE_LOG_FORMAT"),
            ("FLAMEGATE_TRUST_PROXIE", "FLAMEGATE_TRUST_PROXY"),
            ("FLAMEGATE_SESION_IDEL", "FLAMEGATE_SESSION_IDLE"),
            ("FLAMEGATE_LGO", "FLAMEGATE_LOG"),
            ("FLAMEGATE_LOGS", "FLAMEGATE_LOG"),
            ("FLAMEGATE_LSITNE", "FLAMEGATE_LISTEN"),
        ] {
            let odd = of(&[name]);
            assert_eq!(odd.near_misses, [format!("{name} is not a setting: is {meant} meant?")]);
            assert!(odd.unknown.is_empty());
        }
        let words = ["COLOUR", "DB", "FOO", "JOB", "LOG_LEVEL", "MODE", "TAG"];
        let words = words.map(|word| format!("{PREFIX}{word}"));
        let odd = check(words.iter().cloned());
        assert_eq!(odd.unknown, words);
        assert!(odd.near_misses.is_empty());
    }

    /// What a person reads about, and what our files write, is never odd.
    #[test]
    fn every_variable_of_the_documents_and_the_files_around_is_known() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let files = [
            "docs/CONFIGURATION.md",
            "README.md",
            "envoy/run.py",
            "envoy/demo.py",
            "envoy/engines.py",
            "envoy/fleet.py",
            "envoy/docker-compose.yaml",
            "envoy/compose/tokens.sh",
            "control-plane/src/config.rs",
            "control-plane/src/config/limit_store/files.rs",
            "control-plane/src/config/oidc.rs",
            "control-plane/src/config/pages.rs",
            "control-plane/src/config/tls.rs",
            "control-plane/src/cli.rs",
        ];
        for file in files {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            for (at, _) in text.match_indices(PREFIX) {
                let rest = text.get(at..).unwrap_or_default();
                let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(rest.len());
                let name = rest.get(..end).unwrap_or_default();
                assert!(name.ends_with('_') || is_known(name), "{file}: {name}");
            }
        }
    }
}

//! `--methods`, `--paths`, `--addresses` and `--read-only`: what a key may be used for.

use serde_json::{Map, Value, json};

use crate::domain::keys::restrict::READ_ONLY;

/// What a key may be used for. Each list that is given must match.
#[derive(clap::Args)]
pub(super) struct RestrictArgs {
    /// Only these methods, in capitals: GET,HEAD. A WebSocket needs GET,CONNECT. "any" for all
    #[arg(long, value_delimiter = ',', value_name = "METHODS")]
    methods: Vec<String>,
    /// The key may only read: the methods GET, HEAD and OPTIONS
    #[arg(long, conflicts_with = "methods")]
    read_only: bool,
    /// Only these paths: /v1/agents,/v1/agents/* (all that is below it). "any" for all
    #[arg(long, value_delimiter = ',', value_name = "PATHS")]
    paths: Vec<String>,
    /// Only clients with these addresses or in these networks: 10.0.0.0/8,2001:db8::/32. "any" for all
    #[arg(long, value_delimiter = ',', value_name = "NETWORKS")]
    addresses: Vec<String>,
}

impl RestrictArgs {
    /// The JSON for a request, with the lists that were given; `None` when none was.
    pub fn to_json(&self) -> Option<Value> {
        let read_only = || READ_ONLY.map(str::to_owned).to_vec();
        let methods = if self.read_only { read_only() } else { self.methods.clone() };
        let lists =
            [("methods", methods), ("paths", self.paths.clone()), ("addresses", self.addresses.clone())];
        let given = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let body: Map<_, _> = given
            .map(|(name, list)| (name.to_owned(), if list == ["any"] { json!([]) } else { json!(list) }))
            .collect();
        (!body.is_empty()).then_some(Value::Object(body))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RestrictArgs,
    }

    #[test]
    fn lists_are_separated_by_commas_and_any_clears_one() {
        let json = |args: &[&str]| Line::parse_from(["x"].iter().chain(args)).args.to_json();
        assert_eq!(json(&[]), None);
        assert_eq!(json(&["--read-only"]), Some(json!({"methods": ["GET", "HEAD", "OPTIONS"]})));
        let all = json(&["--methods", "GET,PUT", "--paths", "/a,/b/*", "--addresses", "any"]);
        assert_eq!(all, Some(json!({"methods": ["GET", "PUT"], "paths": ["/a", "/b/*"], "addresses": []})));
        assert!(Line::try_parse_from(["x", "--read-only", "--methods", "GET"]).is_err());
    }
}

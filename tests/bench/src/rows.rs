//! The rows of the instruction table: what is sent to what, what that is called, where it stands in the report. This is the one list
//! of them: what is measured, compared, drawn and bounded is read off it.

mod goals;
mod table;

use anyhow::Result;

use crate::{
    connection::Downstream,
    envoy::{Flamegate, Guard},
    load::Load,
    process::free_port,
    stamp::Part,
};

pub use goals::{BESIDE, GOALS, Goal};
pub use table::ROWS;

/// The size of table at which everything is measured and compared; at others what could depend on it.
pub const USUAL_KEYS: u32 = 1_000;

/// Beyond this, Envoy's configuration with all keys in it takes longer to load than the measurement.
const MOST_NATIVE_KEYS: u32 = 100_000;
/// The same for a Lua script, which every worker has a copy of.
const MOST_LUA_KEYS: u32 = 1_000;
/// Records that a worker remembers.
const CACHED_KEYS: u32 = 4_096;

/// One load on one setup.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// Name of the row.
    pub id: &'static str,
    /// The same for people.
    pub what: &'static str,
    /// The same in a chart.
    pub short: &'static str,
    /// What it is sent to.
    pub rig: Rig,
    /// What is sent.
    load: Load,
    /// Header lines that only the gateway may set.
    pub forged: &'static str,
    /// What has to come back.
    pub status: u16,
    /// Whether it stands in the comparison of everything with everything.
    pub compared: bool,
}

/// What stands between client and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rig {
    /// Envoy without a filter, reached by this way.
    Envoy(Way),
    /// Nothing but the guard: it refuses, and this is what it costs by itself.
    Guard(Guard),
    /// A proxy-wasm filter that does nothing.
    Empty,
    /// Envoy's own filter.
    ApiKeyAuth {
        /// Whether `local_ratelimit` stands behind it.
        limited: bool,
        /// Whether the identity is passed on and the key is not: so with all of those below.
        safe: bool,
    },
    /// A script.
    Lua {
        /// See above.
        safe: bool,
    },
    /// `ext_authz` with a server in Rust.
    ExtAuthz {
        /// By gRPC and not by HTTP.
        grpc: bool,
        /// See above.
        safe: bool,
    },
    /// Envoy's `ratelimit` filter with a service over limitador.
    RateLimit {
        /// Whether the service counts by itself and tells Redis later.
        cached: bool,
    },
    /// A gateway's share of a limit, by `local_ratelimit`.
    LocalShare,
    /// HAProxy without a check.
    HaproxyAlone,
    /// HAProxy doing the same job.
    Haproxy {
        /// See above.
        safe: bool,
    },
    /// The filter in this state, reached by this way.
    Flamegate(Flamegate, Way),
    /// The filter, bare, with a control plane that lends tokens of fleet limits.
    Fleet,
}

/// How a request comes to the gateway, and what answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// HTTP/1.1 in clear, answered by the route.
    Clear,
    /// HTTP/1.1 in clear, to an upstream.
    Upstream,
    /// HTTP/1.1 by TLS.
    Tls,
    /// HTTP/2 in clear.
    Http2,
    /// HTTP/2 by TLS.
    Http2Tls,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Clear, Self::Upstream, Self::Tls, Self::Http2, Self::Http2Tls];

    /// What a client speaks.
    pub const fn downstream(self) -> Downstream {
        match self {
            Self::Clear | Self::Upstream => Downstream::Http1,
            Self::Tls => Downstream::Http1Tls,
            Self::Http2 => Downstream::Http2,
            Self::Http2Tls => Downstream::Http2Tls,
        }
    }
}

/// The row of this name.
pub fn find(id: &str) -> Option<&'static Series> {
    ROWS.iter().find(|row| row.id == id)
}

/// Its words for people; the name itself for a row that is not measured any more.
pub fn what(id: &str) -> &str {
    find(id).map_or(id, |row| row.what)
}

/// True for a row of ours: the others stay as they are when the filter changes.
pub fn is_ours(id: &str) -> bool {
    find(id).is_some_and(|row| row.rig.is_ours())
}

/// What takes part in a row.
pub fn part(id: &str) -> Part {
    find(id).map_or(Part::Peer, |row| row.rig.part())
}

impl Rig {
    /// What takes part in it.
    pub const fn part(self) -> Part {
        match self {
            Self::Flamegate(..) => Part::Proxy,
            Self::Fleet => Part::Both,
            Self::RateLimit { .. } => Part::Service,
            _ => Part::Peer,
        }
    }

    /// True when the filter takes part.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Flamegate(..) | Self::Fleet)
    }

    /// True when nothing is there whose cost is asked for.
    const fn is_bare_proxy(self) -> bool {
        matches!(self, Self::Envoy(_) | Self::HaproxyAlone)
    }

    /// True when it has keys in its table, so that there are rows of several sizes.
    const fn has_keys(self) -> bool {
        !self.is_bare_proxy()
            && !matches!(self, Self::Guard(_) | Self::Empty | Self::RateLimit { .. } | Self::LocalShare)
    }

    /// The way by which it is reached.
    pub const fn way(self) -> Way {
        match self {
            Self::Envoy(way) | Self::Flamegate(_, way) => way,
            // Its filter looks at no route that answers by itself.
            Self::RateLimit { .. } => Way::Upstream,
            _ => Way::Clear,
        }
    }
}

impl Series {
    /// What is sent where the table has `keys` keys.
    pub fn load(&self, keys: u32) -> Load {
        match self.load {
            Load::Cycle(most) => Load::Cycle(most.min(keys)),
            Load::Scattered(_) => Load::Scattered(keys),
            other => other,
        }
    }

    /// True when each request has a key that the worker does not remember.
    pub const fn scatters(&self) -> bool {
        matches!(self.load, Load::Scattered(_))
    }

    /// True when there is such a row for a table of `keys` keys (0: for none).
    pub fn is_at(&self, keys: u32) -> bool {
        if !self.rig.has_keys() {
            return keys == 0;
        }
        let most = match self.rig {
            // Their table is part of the configuration, which sets an end to it.
            Rig::ApiKeyAuth { .. } => MOST_NATIVE_KEYS,
            Rig::Lua { .. } => MOST_LUA_KEYS,
            _ => u32::MAX,
        };
        let least = if self.scatters() { CACHED_KEYS + 1 } else { 1 };
        let anywhere = match self.rig {
            Rig::ApiKeyAuth { safe, .. }
            | Rig::Lua { safe }
            | Rig::ExtAuthz { safe, .. }
            | Rig::Haproxy { safe } => !safe,
            Rig::Fleet => false,
            Rig::Flamegate(state, way) => way == Way::Clear && !state.is_option(),
            rig => rig.way() == Way::Clear,
        };
        (least..=most).contains(&keys) && (anywhere || keys == USUAL_KEYS)
    }

    /// The row that shows what the proxy needs for the same request without a check; `None` for those rows themselves.
    pub fn baseline(&self) -> Option<&'static str> {
        let proxy = match self.rig {
            Rig::Envoy(_) | Rig::HaproxyAlone => return None,
            Rig::Haproxy { .. } => Rig::HaproxyAlone,
            rig => Rig::Envoy(rig.way()),
        };
        let keyless = |row: &Series| match row.load {
            Load::Missing => Some(Load::Missing),
            Load::Header => Some(Load::Header),
            _ => None,
        };
        let same = |row: &&Series| row.forged == self.forged && keyless(row) == keyless(self);
        ROWS.iter().filter(|row| row.rig == proxy).find(same).map(|row| row.id)
    }
}

/// The command line of the server behind `ext_authz`, and its port. `safe`: it tells who is calling.
pub fn authz_server(grpc: bool, keys: u32, safe: bool) -> Result<(Vec<String>, u16)> {
    let port = free_port();
    let program = std::env::current_exe()?.display().to_string();
    let numbers = (port.to_string(), keys.to_string());
    let mut line =
        [&program, "authz", "--port", &numbers.0, "--keys", &numbers.1].map(str::to_owned).to_vec();
    line.extend(grpc.then(|| "--grpc".to_owned()));
    line.extend(safe.then(|| "--safe".to_owned()));
    Ok((line, port))
}

#[cfg(test)]
mod tests;

//! Gateways as people see them and as they are stored, and the receipt of a change.

use jiff::Timestamp;

use crate::contract::Protocol;

/// A gateway as people see it.
#[derive(Clone, Debug)]
pub struct GatewayView {
    /// `<credential>/<what it calls itself>`, with `~` and some digits behind it when another process has that id; with
    /// [`PUSHED_OUT`] it stands for all that had acknowledged and were pushed out for room.
    pub id: String,
    /// Name of the credential that it shows.
    pub credential: String,
    /// True when its process has a session: nobody else can acknowledge for it.
    pub has_session: bool,
    /// Its program's version, from `user-agent`.
    pub version: Option<String>,
    /// True when revocations are expected to reach it.
    pub connected: bool,
    /// True when it refuses requests because its table was not confirmed for too long: our answers do not arrive.
    pub stale: bool,
    /// How many live VMs of its filter decide requests by its table (one for each worker, and one of Envoy's main thread); `None`
    /// for a filter that does not say. With 0 it serves nobody.
    pub workers: Option<u32>,
    /// The protocol that every worker of it understands. To one of 1, keys with restrictions are gone: it refuses them.
    pub accepts: Protocol,
    /// True while a filter of it is in shadow and refuses nothing; `None` for one that does not say.
    pub shadow: Option<bool>,
    /// True while it has the table of another database, and decides by that.
    pub other_database: bool,
    /// True when it will be forgotten once it is not connected any more; for ten minutes after that was asked.
    pub leaving: bool,
    /// The last revision that all its workers enforce; `None` while its table is empty, of another history, or too old.
    pub acknowledged: Option<u64>,
    /// When it acknowledged that.
    pub acknowledged_at: Option<Timestamp>,
    /// Its first poll.
    pub first_seen: Timestamp,
    /// Its last poll.
    pub last_seen: Timestamp,
}

/// How many gateways there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatewayCounts {
    /// Connected, and all its workers enforce a revision of ours.
    pub enforcing: usize,
    /// Connected, and has not said that it has a table.
    pub no_table: usize,
    /// Connected, and refuses requests because our answers do not arrive.
    pub stale: usize,
    /// Had a table, is not connected, and was not forgotten: whom receipts name as cut off.
    pub cut_off: usize,
}

/// Who enforces a revision. A gateway that does not answer is listed, never left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The revision of the change.
    pub revision: u64,
    /// Each gateway that is connected, in order of ids.
    pub gateways: Vec<GatewayReceipt>,
    /// Gateways that were connected, are not now, and have not confirmed the change. One that still runs may serve without
    /// it until it comes back. Who was forgotten is not among them.
    pub cut_off: Vec<String>,
    /// Control planes that have not said yet that they know of the change: a gateway may have come to one of them of which this
    /// receipt does not know. Empty where there is one control plane.
    pub replicas: Vec<String>,
}

/// One gateway's line of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayReceipt {
    /// The gateway's id.
    pub id: String,
    /// True when every worker of it enforces the change.
    pub enforced: bool,
    /// Milliseconds from the commit to the acknowledgement, rounded up; `None` when it is not enforced or was not timed.
    pub ms: Option<u64>,
}

/// A gateway as last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGateway {
    /// `<credential>/<what the gateway calls itself>`.
    pub id: String,
    /// SHA-256 of its process's session; `None` for a filter that knows none.
    pub session: Option<[u8; 32]>,
    /// Its program's version.
    pub version: Option<String>,
    /// Whether it was connected when this was written.
    pub connected: bool,
    /// Its first poll.
    pub first_seen: Timestamp,
    /// Its last poll.
    pub last_seen: Timestamp,
}

/// What stands behind `<credential>/` for gateways that were pushed out for room after they had acknowledged.
pub const PUSHED_OUT: &str = "~pushed-out";

impl GatewayCounts {
    /// How many are connected.
    pub const fn connected(&self) -> usize {
        self.enforcing + self.no_table + self.stale
    }

    /// Each state's name in metrics, and how many are in it.
    pub const fn by_state(&self) -> [(&'static str, usize); 4] {
        [
            ("enforcing", self.enforcing),
            ("no_table", self.no_table),
            ("stale", self.stale),
            ("cut_off", self.cut_off),
        ]
    }
}

impl Receipt {
    /// How many gateways enforce the change.
    pub fn enforced(&self) -> usize {
        self.gateways.iter().filter(|gateway| gateway.enforced).count()
    }

    /// Ids of the connected gateways that do not enforce it yet.
    pub fn pending(&self) -> Vec<String> {
        self.gateways.iter().filter(|gateway| !gateway.enforced).map(|gateway| gateway.id.clone()).collect()
    }

    /// True when nobody may serve without the change.
    pub fn is_confirmed(&self) -> bool {
        self.replicas.is_empty()
            && self.cut_off.is_empty()
            && self.gateways.iter().all(|gateway| gateway.enforced)
    }

    /// The same with numbers in place of names, for whom names are not.
    pub fn without_names(mut self) -> Self {
        let numbered = |names: &mut Vec<String>, what: &str| {
            for (number, name) in (1u32..).zip(names) {
                *name = format!("{what} {number}");
            }
        };
        for (number, gateway) in (1u32..).zip(&mut self.gateways) {
            gateway.id = format!("gateway {number}");
        }
        numbered(&mut self.cut_off, "cut-off gateway");
        numbered(&mut self.replicas, "control plane");
        self
    }

    /// The slowest acknowledgement in milliseconds.
    pub fn slowest_ms(&self) -> Option<u64> {
        self.gateways.iter().filter_map(|gateway| gateway.ms).max()
    }
}

//! The floors, from the ground up. What stands here is the plan; the code follows it, and so does the picture in
//! `docs/ARCHITECTURE.md`.

/// One crate's floors.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Where its sources are, from the repository's root.
    pub folder: &'static str,
    /// As other crates write it.
    pub crate_name: &'static str,
    /// From the ground up; an import goes down, or stays in its room.
    pub floors: &'static [Floor],
}

/// Rooms of the same height do not know each other.
pub struct Floor {
    pub name: &'static str,
    /// A room is a folder with the file of its name, or a file.
    pub rooms: &'static [&'static str],
    /// For people.
    pub holds: &'static str,
}

const fn floor(name: &'static str, rooms: &'static [&'static str], holds: &'static str) -> Floor {
    Floor { name, rooms, holds }
}

pub const FILTER: Plan = Plan {
    folder: "src",
    crate_name: "flamegate",
    floors: &[
        floor("bytes", &["bytes"], "checked reading and constant-time comparison of bytes"),
        floor(
            "contract",
            &["contract"],
            "what gateway and control plane agree on: keys, records, pages, leases, usage",
        ),
        floor("host", &["host"], "the seams to the proxy, and a host in memory"),
        floor("state", &["limit", "table"], "limiter and key table in shared data"),
        floor("decision", &["decision"], "a request's bytes -> permit or denial -> reply or edits"),
        floor("config", &["config"], "what an operator may say"),
        floor("worker", &["worker"], "one worker's memory, and a request's way through it"),
        floor("sync", &["sync"], "keeps the table equal to the control plane's"),
        floor("edge", &["wasm"], "proxy-wasm: the ABI, dispatch, root and stream contexts"),
    ],
};

pub const CONTROL_PLANE: Plan = Plan {
    folder: "control-plane/src",
    crate_name: "flamegate_control",
    floors: &[
        floor("contract", &["contract"], "what it takes of the filter"),
        floor("domain", &["domain"], "types, rules, one error type"),
        floor("config", &["config"], "what an operator may say"),
        floor(
            "store",
            &["store", "books"],
            "the named functions as one seam; engines below it; books of fleet limits",
        ),
        floor("service", &["service"], "keys, workspaces, people, audit, gateways and receipts, sync"),
        floor("http", &["http"], "API, pages, sync, admission; from domain error to status"),
        floor("cli", &["cli"], "commands, and the server's start"),
    ],
};

/// The checker stands between: it takes the filter's parser, and the control plane's command line takes it.
pub const CHECKER: Plan = Plan {
    folder: "envoy/check/src",
    crate_name: "flamegate_check",
    floors: &[
        floor("tree", &["node"], "a configuration as a tree, with lines"),
        floor("ground", &["text", "finding"], "text to trees; what, where, why, what to do"),
        floor(
            "rules",
            &["rules", "gateway_rules", "options"],
            "every kind of mistake; what is known beside the text",
        ),
        floor("model", &["model", "guard"], "listeners, routes, clusters; what makes a guard"),
        floor("plugin", &["plugin"], "one plugin configuration, by the filter's own parser"),
        floor(
            "parts",
            &["chain", "bypass", "cluster", "jwt", "process", "tree"],
            "what can be said of each part by itself",
        ),
        floor("around", &["routes", "neighbours", "connection", "logs"], "what stands around the filter"),
        floor("filters", &["filters"], "every HTTP chain"),
        floor("input", &["input"], "which kind of text it is, and what is done with each"),
        floor("running", &["running", "stats"], "what a running Envoy says of its sync and its guards"),
        floor("looked at", &["looked_at"], "one gateway, and what the control plane lists of it"),
        floor("gateway", &["gateway"], "a gateway, by its admin interface"),
        floor("control", &["control"], "a control plane, by its answers; tokens"),
    ],
};

impl Plan {
    /// The crate's root and its program stand above all floors.
    pub fn is_roof(&self, file: &str) -> bool {
        matches!(file, "lib.rs" | "main.rs")
    }

    /// The room of a file: the first part of its path.
    pub fn room_of<'f>(&self, file: &'f str) -> Option<&'f str> {
        let room = file.split('/').next().unwrap_or(file);
        let room = room.strip_suffix(".rs").unwrap_or(room);
        self.rooms().any(|known| known == room).then_some(room)
    }

    /// Counted from the ground.
    pub fn floor_of(&self, file: &str) -> Option<usize> {
        let room = self.room_of(file)?;
        self.floors.iter().position(|floor| floor.rooms.contains(&room))
    }

    pub fn rooms(&self) -> impl Iterator<Item = &'static str> {
        self.floors.iter().flat_map(|floor| floor.rooms.iter().copied())
    }

    /// The house as text, the roof first.
    pub fn drawing(&self) -> String {
        let rooms =
            |floor: &Floor| floor.rooms.iter().map(|room| format!("{room}/")).collect::<Vec<_>>().join("  ");
        let width = self.floors.iter().map(|floor| rooms(floor).len()).max().unwrap_or_default();
        let lines = self
            .floors
            .iter()
            .enumerate()
            .rev()
            .map(|(height, floor)| format!("{height}  {:width$}  {}\n", rooms(floor), floor.holds));
        lines.collect()
    }
}

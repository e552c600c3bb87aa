//! What there is to check, wherever it came from: listeners with their HTTP chains, named routes, clusters, bootstrap extensions.

use crate::node::{At, Node};

/// An Envoy configuration.
#[derive(Default)]
pub struct Model<'a> {
    /// The bootstrap, when there is one.
    pub bootstrap: Option<At<'a>>,
    /// Listeners, static or delivered.
    pub listeners: Vec<At<'a>>,
    /// Clusters.
    pub clusters: Vec<At<'a>>,
    /// Route configurations that listeners name.
    pub routes: Vec<At<'a>>,
    /// HTTP filters that chains name (ECDS).
    pub filters: Vec<At<'a>>,
    /// Parts of route configurations that come by themselves: virtual hosts (VHDS), scopes (SRDS).
    pub parts: Vec<At<'a>>,
    /// Updates that Envoy refused, with its words.
    pub refused: Vec<(At<'a>, String)>,
    /// True for what a running Envoy says about itself: then nothing comes that is not here.
    pub is_running: bool,
}

/// A connection manager and its chain.
pub struct Http<'a> {
    /// For people.
    pub listener: String,
    /// `HttpConnectionManager`.
    pub manager: At<'a>,
    /// Its filters, in their order.
    pub filters: Vec<Filter<'a>>,
}

/// An HTTP filter of a chain.
#[derive(Clone)]
pub struct Filter<'a> {
    /// Its name, under which routes change it.
    pub name: &'a str,
    /// Where it stands.
    pub at: At<'a>,
    /// Type of its configuration, without the domain; empty when it is not seen.
    pub kind: &'a str,
    /// Its configuration.
    pub config: Option<At<'a>>,
}

/// Type of the Wasm filter's configuration.
pub const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";
/// Type of the RBAC filter's configuration.
pub const RBAC: &str = "envoy.extensions.filters.http.rbac.v3.RBAC";
const MANAGER: &str = ".HttpConnectionManager";

impl<'a> Model<'a> {
    /// Of a bootstrap.
    pub fn of_bootstrap(root: At<'a>) -> Self {
        let statics = root.get("static_resources");
        let list = |name| statics.as_ref().map(|statics| statics.list(name)).unwrap_or_default();
        Self {
            listeners: list("listeners"),
            clusters: list("clusters"),
            bootstrap: Some(root),
            ..Self::default()
        }
    }

    /// Of what discovery delivers in a file: `resources`.
    pub fn of_resources(root: &At<'a>) -> Self {
        let mut model = Self::default();
        for resource in root.list("resources") {
            let (kind, at) = resource.typed();
            match kind.rsplit('.').next() {
                Some("Listener") => model.listeners.push(at),
                Some("Cluster") => model.clusters.push(at),
                Some("RouteConfiguration") => model.routes.push(at),
                Some("TypedExtensionConfig") => model.filters.push(at),
                Some("VirtualHost" | "ScopedRouteConfiguration") => model.parts.push(at),
                _ => {}
            }
        }
        model
    }

    /// Of `/config_dump`.
    pub fn of_dump(root: &At<'a>) -> Self {
        let mut model = Self { is_running: true, ..Self::default() };
        for config in root.list("configs") {
            match config.typed().0.rsplit('.').next() {
                Some("BootstrapConfigDump") => model.bootstrap = config.get("bootstrap"),
                Some("ClustersConfigDump") => {
                    let lists = ["static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters"];
                    let all = lists.iter().flat_map(|name| config.list(name));
                    for entry in all {
                        model.clusters.extend(entry.get("cluster"));
                        model.note_refusal(&entry);
                    }
                }
                Some("ListenersConfigDump") => model.take_listeners(&config),
                Some("RoutesConfigDump") => {
                    for entry in config.list("dynamic_route_configs") {
                        model.routes.extend(entry.get("route_config"));
                        model.note_refusal(&entry);
                    }
                }
                Some("EcdsConfigDump") => {
                    for entry in config.list("ecds_filters") {
                        model.filters.extend(entry.get("ecds_filter"));
                        model.note_refusal(&entry);
                    }
                }
                _ => {}
            }
        }
        model
    }

    fn take_listeners(&mut self, config: &At<'a>) {
        self.listeners
            .extend(config.list("static_listeners").iter().filter_map(|entry| entry.get("listener")));
        for entry in config.list("dynamic_listeners") {
            // The one that serves; another one only while there is none.
            let state =
                ["active_state", "warming_state"].iter().find_map(|state| entry.dig(&[state, "listener"]));
            self.listeners.extend(state);
            self.note_refusal(&entry);
        }
    }

    fn note_refusal(&mut self, entry: &At<'a>) {
        if let Some(refused) = entry.get("error_state") {
            let details = refused.text_of("details").to_owned();
            self.refused.push((refused, details));
        }
    }

    /// The network filters of all listeners, with the listeners' names.
    pub fn network(&self) -> Vec<(&'a str, At<'a>)> {
        let of = |listener: &At<'a>| {
            let name = listener.text_of("name");
            network_of(listener).into_iter().map(move |filter| (name, filter))
        };
        self.listeners.iter().flat_map(of).collect()
    }

    /// All HTTP chains.
    pub fn http(&self) -> Vec<Http<'a>> {
        let mut found = Vec::new();
        for listener in &self.listeners {
            let name = listener.text_of("name");
            let filters = network_of(listener).into_iter();
            let typed = filters.filter_map(|filter| filter.get("typed_config"));
            let api = listener.dig(&["api_listener", "api_listener"]);
            for config in typed.chain(api) {
                let (kind, manager) = config.typed();
                if kind.ends_with(MANAGER) {
                    let filters = manager.list("http_filters").iter().map(|at| self.filter(at)).collect();
                    let listener = if name.is_empty() { listener.path() } else { name.to_owned() };
                    found.push(Http { listener, manager, filters });
                }
            }
        }
        found
    }

    /// A filter of a chain, with what discovery delivered for it.
    pub fn filter(&self, at: &At<'a>) -> Filter<'a> {
        let name = at.text_of("name");
        let delivered = self.filters.iter().find(|filter| filter.text_of("name") == name);
        let delivered = delivered.filter(|_| at.get("config_discovery").is_some());
        let fallback = at.dig(&["config_discovery", "default_config"]);
        let config = at.get("typed_config").or_else(|| delivered?.get("typed_config")).or(fallback);
        let (kind, config) = config.map_or(("", None), |config| {
            let (kind, config) = config.typed();
            (kind, Some(config))
        });
        Filter { name, at: at.clone(), kind, config }
    }

    /// A filter as discovery delivers it.
    pub fn delivered(&self, at: &At<'a>) -> Filter<'a> {
        let config = at.get("typed_config").map(|config| config.typed());
        let (kind, config) = config.map_or(("", None), |(kind, config)| (kind, Some(config)));
        Filter { name: at.text_of("name"), at: at.clone(), kind, config }
    }

    /// The routes of a manager; nothing when they are not here.
    pub fn routes_of(&self, manager: &At<'a>) -> Option<At<'a>> {
        let name = manager.get("rds").map(|rds| rds.text_of("route_config_name"));
        match name {
            None => manager.get("route_config"),
            Some(name) => self.routes.iter().find(|routes| routes.text_of("name") == name).cloned(),
        }
    }

    /// A cluster by its name.
    pub fn cluster(&self, name: &str) -> Option<&At<'a>> {
        self.clusters.iter().find(|cluster| cluster.text_of("name") == name)
    }

    /// True when discovery of this kind (`cds_config`, `lds_config`) may bring more than is here.
    pub fn may_bring(&self, kind: &str) -> bool {
        let bootstrap = self.bootstrap.as_ref().and_then(|at| at.dig(&["dynamic_resources", kind]));
        // What discovery delivers is a part of something.
        !self.is_running && (bootstrap.is_some() || self.bootstrap.is_none())
    }

    /// The Wasm services of the bootstrap: `WasmService`.
    pub fn services(&self) -> Vec<At<'a>> {
        let extensions =
            self.bootstrap.as_ref().map(|at| at.list("bootstrap_extensions")).unwrap_or_default();
        let typed = extensions.iter().filter_map(|at| Some(at.get("typed_config")?.typed()));
        typed.filter(|(kind, _)| kind.ends_with(".WasmService")).map(|(_, at)| at).collect()
    }
}

/// The network filters of a listener's chains.
fn network_of<'a>(listener: &At<'a>) -> Vec<At<'a>> {
    let chains = listener.list("filter_chains").into_iter().chain(listener.get("default_filter_chain"));
    chains.flat_map(|chain| chain.list("filters")).collect()
}

/// True when a document is what Envoy says about itself.
pub fn is_dump(root: &Node) -> bool {
    let configs = root.root().list("configs");
    configs.first().is_some_and(|config| config.text_of("@type").contains("ConfigDump"))
}

//! The ways from a client to an upstream: through the gateway, and through the gateway and another Envoy over HTTP/2.

use flamegate_e2e::{
    Envoy, Plugin,
    envoy::{Upstreams, fill_file, render, with_upstream_protocol},
    process::Folder,
};
use serde_json::json;

use crate::sockets::{Manner, Sockets};

/// SHA-256 of [`KEY`], computed elsewhere.
const HASH: &str = "68eade98c9651b765058d6875a435a2b575b4a2962f1f70d90cd00e1d7a0a14d";
/// The key that is good for everything.
pub const KEY: &str = "sk_test_staticKeyOfTheEndToEndTests";

/// A key that may only read, and one that may open sockets as well, with their SHA-256.
pub const READS: (&str, &str) = (
    "sk_test_thisOneReadsAndNothingElse",
    "40651c796664af9cab71377af4930425e18c9b51b399320ec1753d25853d4db3",
);
pub const OPENS: (&str, &str) =
    ("sk_test_thisOneOpensSocketsToo", "9c1fd828dd3b2b98c42e3a05675b48d0a48cb3f18b3f4e7c9bc894437baa2132");

/// What stands between the client and the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The gateway.
    Direct,
    /// The gateway, HTTP/2, another Envoy.
    TwoHops,
}

/// Each way to each kind of upstream.
pub const WAYS: [(Way, Manner); 4] = [
    (Way::Direct, Manner::Naive),
    (Way::Direct, Manner::Strict),
    (Way::TwoHops, Manner::Naive),
    (Way::TwoHops, Manner::Strict),
];

/// A gateway, an upstream behind it, and what is between them.
pub struct Path {
    /// The gateway.
    pub gateway: Envoy,
    /// The upstream.
    pub upstream: Sockets,
    /// Which way it is.
    pub about: String,
    _second: Option<Envoy>,
    _folder: Folder,
}

impl Path {
    /// Starts everything on a way.
    pub fn start((way, manner): (Way, Manner)) -> Self {
        let about = format!("{way:?} {manner:?}");
        let folder = Folder::new("upgrades");
        let upstream = Sockets::start(manner);
        let second = (way == Way::TwoHops).then(|| {
            Envoy::start_with("second", &folder, |(port, admin), _| {
                let values =
                    [("GATEWAY_PORT", port), ("ADMIN_PORT", admin), ("UPSTREAM_PORT", upstream.port)];
                let values = values.map(|(name, value)| (name, value.to_string()));
                fill_file("tests/e2e/configs/second-hop.yaml", &values)
            })
        });
        let record = |hash: &str, restrict| {
            json!({"hash": hash, "id": format!("static_{}", &hash[..4]), "workspace": "ws_1", "environment": "test",
                "restrict": restrict})
        };
        let keys = [
            record(HASH, json!({})),
            record(READS.1, json!({"methods": ["GET", "HEAD", "OPTIONS"]})),
            record(OPENS.1, json!({"methods": ["GET", "CONNECT"], "paths": ["/v1/*"]})),
        ];
        let bypass = json!([
            {"path": "/open/", "match": "prefix"},
            {"path": "/socket", "upgrade": true},
            {"path": "/post", "methods": ["POST", "CONNECT"], "upgrade": true},
        ]);
        let plugin = Plugin::alone(json!({"static_keys": keys, "bypass": bypass}));
        let next = second.as_ref().map_or(upstream.port, |second| second.port);
        let gateway = Envoy::start_with("envoy", &folder, |ports, log| {
            let text = render(&plugin, Upstreams { upstream: next, control: 1 }, ports, log);
            // More doors than the shipped file has: any kind of upgrade, and extended CONNECT from clients.
            let own = "upgrade_configs: [{ upgrade_type: websocket }]";
            let more = "upgrade_configs: [{ upgrade_type: websocket }, { upgrade_type: tunnel }]";
            let streams = "max_concurrent_streams: 100\n";
            assert!(text.contains(own) && text.contains(streams));
            let text = text.replace(own, more);
            let text =
                text.replacen(streams, &format!("{streams}                  allow_connect: true\n"), 1);
            let protocol = match way {
                Way::Direct => "http_protocol_options: {}",
                Way::TwoHops => "http2_protocol_options: { allow_connect: true }",
            };
            with_upstream_protocol(&text, &format!("explicit_http_config: {{ {protocol} }}"))
        });
        Self { gateway, upstream, about, _second: second, _folder: folder }
    }

    /// Panics when something has arrived that is not open, or is an upgrade.
    pub fn judge(&self, what: &str) {
        for arrived in self.upstream.take() {
            let open = arrived.target.starts_with("/open/")
                || arrived.method == "OPTIONS"
                || (&*arrived.method, &*arrived.target) == ("POST", "/post");
            let plain = arrived.upgrade.is_none() && arrived.method != "CONNECT";
            assert!(open && plain, "{}: {what}: {arrived:?}", self.about);
        }
    }
}

//! What the control plane counts, in Prometheus' text format.

mod lending;
mod tls;

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts,
};
use prometheus::{Registry, TextEncoder};

pub use self::lending::LendingMetrics;
pub use self::tls::{NoHandshake, TlsMetrics};
use super::key_series::KeySeries;
use crate::domain::error::Error;
use crate::domain::gateways::{GatewayCounts, Receipt};
use crate::domain::keys::{KeyCounts, NoticeCounts};

/// All metrics of one server. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    latency: HistogramVec,
    sync_pages: IntCounterVec,
    foreign_epochs: IntCounter,
    other_histories: IntCounter,
    enforcement: Histogram,
    keys: IntGaugeVec,
    revision: IntGauge,
    connected: IntGauge,
    gateways: IntGaugeVec,
    serving_nobody: IntGauge,
    in_shadow: IntGauge,
    notices: IntGaugeVec,
    polls: IntGauge,
    replicas: IntGauge,
    clock_ahead: Gauge,
    unverified: IntGauge,
    refused_tokens: IntCounterVec,
    connections: IntGaugeVec,
    turned_away: IntCounter,
    of_keys: Option<KeySeries>,
}

/// What is read when the metrics are asked for.
pub struct Reading {
    /// Keys by state.
    pub keys: KeyCounts,
    /// Keys that somebody ought to look at.
    pub notices: NoticeCounts,
    /// The log's revision.
    pub revision: u64,
    /// Gateways by state.
    pub gateways: GatewayCounts,
    /// Those of them that are connected and have the keys while none of their workers has.
    pub serving_nobody: usize,
    /// Those that are connected and have a filter in shadow.
    pub in_shadow: usize,
    /// Polls that are held.
    pub polls: u32,
    /// Control planes on the database, this one included.
    pub replicas: usize,
    /// Seconds by which this machine's clock is ahead of the database's.
    pub clock_ahead: f64,
    /// Whether nobody checks that the database's server, on another machine, is that.
    pub unverified: bool,
    /// Connections.
    pub connections: Census,
}

/// What there is now, for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Connections by class: strangers, people, operators, gateways.
    pub open: [usize; 4],
    /// Strangers that were closed to make room, since the start.
    pub turned_away: u64,
}

/// What a token was shown for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `/v1`.
    Admin,
    /// `/sync/v1`.
    Sync,
    /// `/sync/v1`, where none was shown: a gateway that was started without one.
    NoSync,
    /// `/sync/v1`, without the certificate that gateways need here.
    NoCertificate,
    /// `/metrics`.
    Metrics,
}

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Seconds; a revocation is expected within tens of milliseconds.
const ENFORCEMENT_BUCKETS: [f64; 12] = [0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0];

impl TokenKind {
    /// All of them.
    const ALL: [Self; 5] = [Self::Admin, Self::Sync, Self::NoSync, Self::NoCertificate, Self::Metrics];

    /// Its label, and its name in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Sync => "sync",
            Self::NoSync => "sync_missing",
            Self::NoCertificate => "sync_certificate",
            Self::Metrics => "metrics",
        }
    }
}

impl Metrics {
    /// A set of metrics of its own, so that several servers can live in one process. At most so many keys have series of their own.
    pub fn new(most_keys: usize) -> Result<Self, Error> {
        Self::register(most_keys).map_err(Error::internal)
    }

    fn register(most_keys: usize) -> prometheus::Result<Self> {
        let counters =
            |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let registry = Registry::new_custom(Some("flamegate_control".to_owned()), None)?;
        let this = Self {
            of_keys: KeySeries::new(most_keys, &registry)?,
            registry,
            requests: counters("http_requests_total", "Requests answered.", &["method", "route", "status"])?,
            latency: HistogramVec::new(
                HistogramOpts::new(
                    "http_request_duration_seconds",
                    "Time to answer, without requests that wait.",
                ),
                &["method", "route"],
            )?,
            sync_pages: counters("sync_pages_total", "Pages made for gateways.", &["kind"])?,
            foreign_epochs: IntCounter::new(
                "foreign_epochs_total",
                "Polls of gateways that had the table of another epoch.",
            )?,
            other_histories: IntCounter::new(
                "other_histories_total",
                "Polls of gateways that had seen a revision that the database has not.",
            )?,
            enforcement: Histogram::with_opts(
                HistogramOpts::new(
                    "enforcement_seconds",
                    "From the commit of a change to a gateway's acknowledgement.",
                )
                .buckets(ENFORCEMENT_BUCKETS.to_vec()),
            )?,
            keys: IntGaugeVec::new(Opts::new("keys", "API keys by state."), &["status"])?,
            revision: IntGauge::new("revision", "Last revision of the log.")?,
            connected: IntGauge::new(
                "gateways_connected",
                "Gateways that changes are expected to reach, of all control planes on the database: each tells the same, so take the largest, no sum.",
            )?,
            gateways: IntGaugeVec::new(
                Opts::new(
                    "gateways",
                    "Gateways by what they do, of all control planes on the database: take the largest, no sum.",
                ),
                &["state"],
            )?,
            serving_nobody: IntGauge::new(
                "gateways_serving_nobody",
                "Connected gateways that have the keys while none of their workers has.",
            )?,
            in_shadow: IntGauge::new(
                "gateways_in_shadow",
                "Connected gateways that say that a filter of theirs is in shadow: it decides and counts, and refuses nothing.",
            )?,
            notices: IntGaugeVec::new(
                Opts::new("notices", "Keys that somebody ought to look at, by why."),
                &["kind"],
            )?,
            polls: IntGauge::new("polls_held", "Polls of gateways in progress, at this control plane.")?,
            replicas: IntGauge::new(
                "replicas",
                "Control planes that serve the database, this one included. Each tells the same: take the largest, no sum.",
            )?,
            clock_ahead: Gauge::new(
                "clock_ahead_seconds",
                "How far this machine's clock is ahead of the database server's; below zero when it is behind.",
            )?,
            unverified: IntGauge::new(
                "database_unverified",
                "1 when nobody checks that the database's server, on another machine, is that: no sslmode=verify-full.",
            )?,
            refused_tokens: counters(
                "refused_tokens_total",
                "Wrong tokens, by what they were shown for.",
                &["kind"],
            )?,
            connections: IntGaugeVec::new(
                Opts::new("connections", "Open connections, by who has shown what on them."),
                &["class"],
            )?,
            turned_away: IntCounter::new(
                "strangers_turned_away_total",
                "Connections without a credential that were closed to make room.",
            )?,
        };
        this.register_all()?;
        // An increase from nothing to one is none to Prometheus.
        for kind in TokenKind::ALL {
            this.refused_tokens.with_label_values(&[kind.as_str()]);
        }
        Ok(this)
    }

    fn register_all(&self) -> prometheus::Result<()> {
        let all: [Box<dyn Collector>; 20] = [
            Box::new(self.requests.clone()),
            Box::new(self.latency.clone()),
            Box::new(self.sync_pages.clone()),
            Box::new(self.foreign_epochs.clone()),
            Box::new(self.other_histories.clone()),
            Box::new(self.enforcement.clone()),
            Box::new(self.keys.clone()),
            Box::new(self.revision.clone()),
            Box::new(self.connected.clone()),
            Box::new(self.gateways.clone()),
            Box::new(self.serving_nobody.clone()),
            Box::new(self.in_shadow.clone()),
            Box::new(self.notices.clone()),
            Box::new(self.polls.clone()),
            Box::new(self.replicas.clone()),
            Box::new(self.clock_ahead.clone()),
            Box::new(self.unverified.clone()),
            Box::new(self.refused_tokens.clone()),
            Box::new(self.connections.clone()),
            Box::new(self.turned_away.clone()),
        ];
        all.into_iter().try_for_each(|metric| self.registry.register(metric))
    }

    /// What is counted of TLS, for a server that speaks it; once.
    pub fn of_tls(&self) -> Result<TlsMetrics, Error> {
        TlsMetrics::register(&self.registry).map_err(Error::internal)
    }

    /// What is counted of fleet limits; once.
    pub fn of_lending(&self) -> Result<LendingMetrics, Error> {
        LendingMetrics::register(&self.registry).map_err(Error::internal)
    }

    /// Counts an answer. Each label is from a closed set, because a series is kept for ever: `method` is one that is known or
    /// `other`, `route` is the pattern and not the path. `timed` is false for requests that wait for something.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration, timed: bool) {
        self.requests.with_label_values(&[method, route, &status.to_string()]).inc();
        if timed {
            self.latency.with_label_values(&[method, route]).observe(took.as_secs_f64());
        }
    }

    /// Counts a wrong token.
    pub fn refused_token(&self, kind: TokenKind) {
        self.refused_tokens.with_label_values(&[kind.as_str()]).inc();
    }

    /// The series of keys, if there are any.
    pub const fn of_keys(&self) -> Option<&KeySeries> {
        self.of_keys.as_ref()
    }

    /// Counts a page, by kind: `difference` or `reset`.
    pub fn sync_page(&self, kind: &str) {
        self.sync_pages.with_label_values(&[kind]).inc();
    }

    /// Counts a gateway that comes with the table of another epoch.
    pub fn foreign_epoch(&self) {
        self.foreign_epochs.inc();
    }

    /// Counts a gateway that has seen what the database has not.
    pub fn other_history(&self) {
        self.other_histories.inc();
    }

    /// Notes how fast gateways enforced a change.
    pub fn receipt(&self, receipt: &Receipt) {
        for ms in receipt.gateways.iter().filter_map(|gateway| gateway.ms) {
            self.enforcement.observe(Duration::from_millis(ms).as_secs_f64());
        }
    }

    /// The text for Prometheus.
    pub fn render(&self, reading: &Reading) -> Result<Vec<u8>, Error> {
        let keys = reading.keys;
        for (status, count) in [("active", keys.active), ("revoked", keys.revoked), ("expired", keys.expired)]
        {
            self.keys.with_label_values(&[status]).set(count);
        }
        self.revision.set(i64::try_from(reading.revision).unwrap_or(i64::MAX));
        let gateways = reading.gateways;
        let counted = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.connected.set(counted(gateways.connected()));
        for (state, count) in gateways.by_state() {
            self.gateways.with_label_values(&[state]).set(counted(count));
        }
        for (kind, count) in reading.notices.by_kind() {
            self.notices.with_label_values(&[kind]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.serving_nobody.set(counted(reading.serving_nobody));
        self.in_shadow.set(counted(reading.in_shadow));
        self.polls.set(i64::from(reading.polls));
        self.replicas.set(counted(reading.replicas));
        self.clock_ahead.set(reading.clock_ahead);
        self.unverified.set(i64::from(reading.unverified));
        for (class, count) in
            ["stranger", "person", "operator", "gateway"].into_iter().zip(reading.connections.open)
        {
            self.connections.with_label_values(&[class]).set(counted(count));
        }
        self.turned_away.inc_by(reading.connections.turned_away.saturating_sub(self.turned_away.get()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).map_err(Error::internal)?;
        Ok(text)
    }
}

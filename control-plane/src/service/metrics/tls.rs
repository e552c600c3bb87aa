//! What is counted of TLS, where the server speaks it.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

/// Metrics of a server that speaks TLS. Clones share them.
#[derive(Clone)]
pub struct TlsMetrics {
    failed: IntCounterVec,
    expiry: IntGauge,
    refused: IntGauge,
}

/// Why there was no connection by TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHandshake {
    /// Plain HTTP was spoken.
    Plain,
    /// The client's certificate is not good.
    Certificate,
    /// The client refused, mostly our certificate.
    Refused,
    /// It took too long.
    Time,
    /// Anything else: no version or cipher in common, garbage, a client that went.
    Other,
}

impl NoHandshake {
    const ALL: [Self; 5] = [Self::Plain, Self::Certificate, Self::Refused, Self::Time, Self::Other];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Certificate => "certificate",
            Self::Refused => "refused",
            Self::Time => "time",
            Self::Other => "other",
        }
    }
}

impl TlsMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let failed = Opts::new("tls_handshakes_failed_total", "Connections that came to no TLS, by why.");
        let this = Self {
            failed: IntCounterVec::new(failed, &["reason"])?,
            expiry: IntGauge::new(
                "tls_certificate_expiry_timestamp_seconds",
                "Until when the certificates that are sent are good, in seconds since the Unix epoch.",
            )?,
            refused: IntGauge::new(
                "tls_files_refused",
                "1 while what is in the files for TLS cannot be used, and what was in them before is.",
            )?,
        };
        registry.register(Box::new(this.failed.clone()))?;
        registry.register(Box::new(this.expiry.clone()))?;
        registry.register(Box::new(this.refused.clone()))?;
        // An increase from nothing to one is none to Prometheus.
        for why in NoHandshake::ALL {
            this.failed.with_label_values(&[why.as_str()]);
        }
        Ok(this)
    }

    /// Counts a connection that came to no TLS.
    pub fn no_handshake(&self, why: NoHandshake) {
        self.failed.with_label_values(&[why.as_str()]).inc();
    }

    /// Notes until when the certificates are good, in Unix seconds.
    pub fn good_until(&self, until: i64) {
        self.expiry.set(until);
    }

    /// Notes whether the files hold something that cannot be used.
    pub fn files_refused(&self, are_refused: bool) {
        self.refused.set(i64::from(are_refused));
    }
}

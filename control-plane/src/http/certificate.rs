//! From when until when a certificate is good, and the one that a client has shown.

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// From when until when something is good, in Unix seconds, both included (RFC 5280, 4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub from: i64,
    pub until: i64,
}

/// The certificate that a client has shown and the handshake has verified; the server notes it on every request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Certified(pub Validity);

impl Certified {
    /// True while the certificate is good: a connection may outlive it.
    pub fn is_good(self, now: i64) -> bool {
        self.0.mistake(now).is_none()
    }
}

impl Validity {
    /// Of a certificate; `None` when it is none.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let validity = certificate.validity();
        Some(Self { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() })
    }

    /// When both are good.
    pub fn and(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }

    /// Why it is not good at this time.
    pub fn mistake(self, now: i64) -> Option<String> {
        let text =
            |second| Timestamp::from_second(second).map_or_else(|_| second.to_string(), |at| at.to_string());
        if now > self.until {
            return Some(format!("the certificate has expired: it was good until {}", text(self.until)));
        }
        (now < self.from).then(|| format!("the certificate is good from {} only", text(self.from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn a_chain_is_good_while_all_of_it_is() {
        let one = Validity { from: 10 * DAY, until: 20 * DAY };
        let both = one.and(Validity { from: 12 * DAY, until: 30 * DAY });
        assert_eq!(both, Validity { from: 12 * DAY, until: 20 * DAY });
        assert_eq!((both.mistake(12 * DAY), both.mistake(20 * DAY)), (None, None));
        assert!(
            both.mistake(20 * DAY + 1).unwrap().contains("expired: it was good until 1970-01-21T00:00:00Z")
        );
        assert!(both.mistake(12 * DAY - 1).unwrap().contains("from 1970-01-13T00:00:00Z only"));
    }
}

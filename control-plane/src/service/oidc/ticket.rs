//! What a sign-in is made of while its browser is at the provider: signed, so that nobody can make one up, and good for ten minutes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::service::signer::Signer;

/// One sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// What the provider has to bring back.
    pub(super) state: String,
    /// What its token has to say.
    pub(super) nonce: String,
    /// What proves that the code is ours (PKCE).
    pub(super) verifier: String,
    /// Where to go afterwards.
    pub next: String,
    /// Until when it is good (Unix seconds).
    pub(super) until: i64,
}

/// How long somebody may take at the provider, in seconds.
pub(super) const GOOD_FOR: i64 = 600;
const PURPOSE: &str = "oidc";

impl Ticket {
    pub(super) fn seal(&self, signer: &Signer) -> String {
        signer.sign(PURPOSE, &URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default()))
    }

    /// The ticket in a cookie, if it is ours and good at this time.
    pub(super) fn open(signer: &Signer, cookie: &str, now: i64) -> Option<Self> {
        let text = URL_SAFE_NO_PAD.decode(signer.verify(PURPOSE, cookie)?).ok()?;
        let ticket: Self = serde_json::from_slice(&text).ok()?;
        (now < ticket.until).then_some(ticket)
    }

    pub(super) fn is_of(&self, state: &str) -> bool {
        self.state.as_bytes().ct_eq(state.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn a_ticket_is_ours_for_ten_minutes_and_nobody_makes_one() {
        let folder = tempfile::tempdir().unwrap();
        let signer = async |name: &str| {
            let store = Store::open_or_make(&*folder.path().join(name)).await.unwrap();
            Signer::load(&store).await.unwrap()
        };
        let (ours, other) = (signer("one").await, signer("two").await);
        let text = |text: &str| text.to_owned();
        let (state, nonce, verifier) = (text("s"), text("n"), text("v"));
        let ticket = Ticket { state, nonce, verifier, next: text("/w/demo"), until: 1_600 };
        let cookie = ticket.seal(&ours);
        assert_eq!(Ticket::open(&ours, &cookie, 1_599), Some(ticket.clone()));
        assert_eq!(Ticket::open(&ours, &cookie, 1_600), None, "over");
        assert_eq!(Ticket::open(&other, &cookie, 1_000), None);
        // What was signed for something else is no ticket.
        let (body, _) = cookie.split_once('.').unwrap();
        assert_eq!(Ticket::open(&ours, &ours.sign("device", body), 1_000), None);
        assert!(ticket.is_of("s") && !ticket.is_of("t") && !ticket.is_of(""));
    }
}

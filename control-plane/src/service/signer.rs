//! Signs what browsers keep for us, such as which device has signed in before. HMAC-SHA256 under a key of the database, so every control
//! plane of it accepts what another one has signed. Each purpose has signatures of its own: what was signed for one is nothing for another.

use ring::hmac::{self, HMAC_SHA256, Key};

use crate::domain::error::Error;
use crate::domain::random;
use crate::store::Store;

/// The signer. Clones share the key.
#[derive(Clone)]
pub struct Signer {
    key: Key,
}

const NAME: &str = "cookies";
/// Characters of a signature.
const DIGITS: usize = 64;

impl Signer {
    /// With the key of the database, which is made where there is none.
    pub async fn load(store: &Store) -> Result<Self, Error> {
        let mut found = store.read().await?.find_signing_key(NAME).await?;
        if found.is_none() {
            let new = random::bytes()?;
            let write = store.write(move |tx| {
                Box::pin(async move {
                    tx.insert_signing_key(NAME, new).await?;
                    tx.find_signing_key(NAME).await
                })
            });
            found = write.await?.value;
        }
        let key = found.ok_or_else(|| Error::internal("there is no signing key"))?;
        Ok(Self { key: Key::new(HMAC_SHA256, &key) })
    }

    #[cfg(test)]
    pub(super) fn of(key: [u8; 32]) -> Self {
        Self { key: Key::new(HMAC_SHA256, &key) }
    }

    /// The text with its signature behind it.
    pub fn sign(&self, purpose: &str, text: &str) -> String {
        let tag = hmac::sign(&self.key, &message(purpose, text));
        let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{text}.{digits}")
    }

    /// A number of 63 bits that only this key makes of a text.
    pub fn number(&self, purpose: &str, text: &str) -> i64 {
        let tag = hmac::sign(&self.key, &message(purpose, text));
        tag.as_ref().iter().take(8).fold(0, |number, byte| (number << 8) | i64::from(*byte)) & i64::MAX
    }

    /// The text, when it was signed for this purpose.
    pub fn verify<'s>(&self, purpose: &str, signed: &'s str) -> Option<&'s str> {
        let (text, digits) = signed.rsplit_once('.')?;
        if digits.len() != DIGITS || !digits.is_ascii() {
            return None;
        }
        let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        let tag: Vec<u8> = (0..DIGITS).step_by(2).map_while(byte).collect();
        hmac::verify(&self.key, &message(purpose, text), &tag).ok().map(|()| text)
    }
}

/// No purpose has a zero byte in it.
fn message(purpose: &str, text: &str) -> Vec<u8> {
    [purpose.as_bytes(), &[0], text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_for_a_purpose_is_taken_for_it() {
        let signer = |byte| Signer::of([byte; 32]);
        let (ours, others) = (signer(1), signer(2));
        let signed = ours.sign("device", "usr_1.a.b");
        assert_eq!(ours.verify("device", &signed), Some("usr_1.a.b"));
        assert_eq!(ours.verify("state", &signed), None);
        assert_eq!(others.verify("device", &signed), None);
        let longer = format!("{signed}0");
        let other = signed.replace("usr_1", "usr_2");
        let (cut, _) = signed.split_at(signed.len() - 2);
        for wrong in ["", ".", "usr_1.a.b", longer.as_str(), other.as_str(), cut, "x.ä"] {
            assert_eq!(ours.verify("device", wrong), None, "{wrong}");
        }
    }
}

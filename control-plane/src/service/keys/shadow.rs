//! A key in shadow: what its limits or restrictions would refuse is counted and passes. It loosens what bounds a workspace, so it is the
//! operators' to set; whoever calls this has seen to that.

use serde_json::json;

use super::change::conflict;
use super::service::{Keys, existing};
use crate::domain::audit::{Action, Actor};
use crate::domain::error::Error;
use crate::domain::keys::Key;
use crate::store::Written;

impl Keys {
    /// Puts a key in shadow, or takes it out. A key that is there already changes nothing and takes no revision. A key that has expired may be
    /// set for when it gets another end; one that is revoked stays as it is.
    pub async fn set_shadow(&self, id: &str, shadow: bool, by: Actor) -> Result<Written<Key>, Error> {
        let (now, id) = (self.clock.now(), id.to_owned());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let key = existing(tx, &id).await?;
                    if key.shadow == shadow {
                        return Ok(key);
                    }
                    if key.revoked_at.is_some() {
                        return Err(conflict("a revoked key stays revoked", &key.id));
                    }
                    tx.set_key_shadow(key.seq, shadow).await?;
                    let action = if shadow { Action::KeyShadowBegun } else { Action::KeyShadowEnded };
                    by.did(tx, now, action, key.as_target(), json!({ "key": key.hint })).await?;
                    existing(tx, &id).await
                })
            })
            .await
    }
}

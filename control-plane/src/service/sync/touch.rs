//! Whether we still hear of the database. Where others commit as well, "nothing is new" is true only of the moment when the database said so: a
//! control plane that is cut off from it, or was frozen, says nothing to gateways, so that they ask another one, count their table as
//! not confirmed, and wait for no revocation that cannot come.

use std::future::pending;
use std::time::Duration;

use tokio::time;

use crate::domain::random;
use crate::store::Store;

/// How old what we know may be. Restarts and fail-overs that are over sooner reach no gateway.
const LONGEST: Duration = Duration::from_secs(5);
/// Polls that are held end within this time after that, each at another moment: they all come again.
const SPREAD: Duration = Duration::from_secs(2);
/// What a gateway is told then.
pub(super) const LOST: &str = "the database cannot be reached, so nobody knows what is new";

/// Whether what we know is too old.
pub(super) fn is_lost(store: &Store) -> bool {
    store.head_asked().is_some_and(|asked| asked.elapsed() >= LONGEST)
}

/// Returns some time after that has come true.
pub(super) async fn lost(store: &Store) {
    let longest = LONGEST + random::some_of(SPREAD);
    loop {
        let Some(asked) = store.head_asked() else { return pending().await };
        if asked.elapsed() >= longest {
            return;
        }
        time::sleep_until((asked + longest).into()).await;
    }
}

//! What becomes of a poll that waits for its turn.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::contract::Protocol;
use crate::domain::audit::{Actor, Via};
use crate::domain::credentials::Credential;
use crate::domain::error::Error;
use crate::domain::log::Head;
use crate::service::clock::Clock;
use crate::service::credentials::Credentials;
use crate::service::gateways::Gateways;
use crate::service::metrics::Metrics;
use crate::service::sync::*;
use crate::store::Store;

fn by() -> Actor {
    Actor::admin_token(Via::Cli, None)
}

/// The service over a new database, with a credential `eu`.
async fn service(directory: &tempfile::TempDir) -> (Sync, watch::Sender<bool>) {
    let store = Store::open_or_make(&directory.path().join("control.db")).await.unwrap();
    let clock = Clock::default();
    let gateways = Gateways::new(clock.clone());
    let credentials =
        Credentials::load(store.clone(), clock.clone(), gateways.clone(), Arc::new(())).await.unwrap();
    credentials.add("eu", by()).await.unwrap();
    let (up, shutdown) = watch::channel(false);
    (Sync::new(store, (gateways, credentials), Metrics::new(0).unwrap(), clock, shutdown), up)
}

/// A poll without a table, from this address.
fn request(last: u8) -> ChangesRequest {
    ChangesRequest {
        accepts: Protocol::Two,
        shadow: Some(false),
        shown: Protocol::Two,
        credential: Credential::named("eu"),
        address: Some([192, 0, 2, last].into()),
        gateway: "gw".to_owned(),
        session: Some([1; 32]),
        version: None,
        epoch: None,
        after: 0,
        tag: None,
        limit: DEFAULT_LIMIT,
        wait: Duration::ZERO,
        stale: false,
        workers: None,
        cursor: None,
    }
}

#[test]
fn a_held_poll_is_answered_when_its_revision_is_not_where_the_log_stands() {
    let held =
        ChangesRequest { epoch: Some("e".to_owned()), after: 11, tag: Some("a".to_owned()), ..request(1) };
    for (epoch, revision, tag, is_outdated) in [
        ("e", 11, "a", false),
        ("e", 12, "c", true),
        // Lost, and another one committed in its place; only lost; another database.
        ("e", 11, "b", true),
        ("e", 10, "z", true),
        ("f", 11, "a", true),
    ] {
        let head = Head { epoch: epoch.to_owned(), revision, tag: tag.to_owned() };
        assert_eq!(held.is_outdated(&head), is_outdated, "{head:?}");
    }
}

#[tokio::test]
async fn who_waited_for_its_turn_while_its_credential_was_revoked_gets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (sync, _up) = service(&directory).await;
    sync.changes(request(1)).await.expect("a page, while it is good");
    let turn = sync.lanes.enter(&request(1)).await.unwrap();
    let asks = sync.clone();
    let asked = tokio::spawn(async move { asks.changes(request(2)).await });
    while sync.gateways.counts().1 == 0 {
        tokio::task::yield_now().await;
    }
    sync.credentials.revoke("eu", by()).await.unwrap();
    drop(turn);
    assert!(matches!(asked.await.unwrap(), Err(Error::Unauthorized)));
}

#[tokio::test]
async fn whoever_asks_a_hundred_times_is_before_another_address_once() {
    let directory = tempfile::tempdir().unwrap();
    let (sync, _up) = service(&directory).await;
    let busy = sync.lanes.enter(&request(1)).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let (thief, real) = (66, 7);
    let mut waiting = Vec::new();
    for address in std::iter::repeat_n(thief, 100).chain([real]) {
        let (sync, order) = (sync.clone(), Arc::clone(&order));
        waiting.push(tokio::spawn(async move {
            let _turn = sync.lanes.enter(&request(address)).await.unwrap();
            order.lock().unwrap().push(address);
        }));
        // It waits now, before the next one comes.
        tokio::task::yield_now().await;
    }
    drop(busy);
    for one in waiting {
        one.await.unwrap();
    }
    assert_eq!(order.lock().unwrap()[..3], [thief, real, thief]);
}

//! Passwords are compared and made one by one, and that takes its time: what an operator did meanwhile holds.

use std::sync::Arc;

use flamegate_control::domain::audit::{Actor, Via};
use flamegate_control::domain::error::Error;
use flamegate_control::domain::users::password::Password;
use flamegate_control::service::users::SignIn;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::browser::{Browser, PASSWORD, add_user};
use crate::common::Control;

const ADA: &str = "ada@example.com";
const WRONG: &str = "no horse of anybody";

/// Keeps everybody from writing until the sender is used.
async fn hold_the_writer(control: &Control) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (entered, holds) = oneshot::channel();
    let (release, released) = oneshot::channel::<()>();
    let store = control.server.app.store.clone();
    let writer = tokio::spawn(async move {
        let work = store.write(move |_| {
            Box::pin(async move {
                entered.send(()).unwrap();
                released.await.map_err(Error::internal)
            })
        });
        work.await.map(|_| ()).unwrap();
    });
    holds.await.unwrap();
    (release, writer)
}

fn typed(text: &str) -> Password {
    Password::new(text.to_owned())
}

#[tokio::test]
async fn a_password_that_was_being_changed_does_not_undo_a_reset() {
    let control = Control::with_workspace().await;
    let thief = Arc::new(Browser::of(&control, ADA, "member").await);
    let csrf = thief.get("/account").await.value("csrf");
    let mut changes = JoinSet::new();
    for n in 0..6 {
        let (thief, csrf) = (Arc::clone(&thief), csrf.clone());
        changes.spawn(async move {
            let new = format!("password of the thief {n}");
            let fields = [("csrf", csrf.as_str()), ("current", PASSWORD), ("new", &new)];
            (thief.post("/account/password", &fields).await.status, new)
        });
    }
    let reset = json!({"password": "chosen by the operator"});
    control.post(&format!("/v1/users/{ADA}/reset-password"), reset).await.expect(200);
    for (status, new) in changes.join_all().await {
        let page = Browser::new(&control).sign_in(ADA, &new).await;
        assert_ne!(page.status, 303, "{new} signs in; changing to it was answered with {status}");
    }
    assert_eq!(Browser::new(&control).sign_in(ADA, "chosen by the operator").await.status, 303);
}

#[tokio::test]
async fn a_password_that_was_being_changed_does_not_outlive_a_lock_out() {
    let control = Control::with_workspace().await;
    add_user(&control, ADA, "demo", "member").await;
    let users = control.server.app.users.clone();
    let user = users.find(ADA).await.unwrap();
    // Between the session's look at the user and the comparison ...
    control.post(&format!("/v1/users/{ADA}/disable"), json!({})).await.expect(200);
    control.post(&format!("/v1/users/{ADA}/enable"), json!({})).await.expect(200);
    let by = || user.as_actor(None);
    let changed =
        users.change_password(user.clone(), typed(PASSWORD), typed("another horse battery"), (by(), "one"));
    assert!(matches!(changed.await, Err(Error::Conflict { .. })));
    // ... and between the comparison and the write.
    let user = users.find(ADA).await.unwrap();
    let (release, writer) = hold_the_writer(&control).await;
    let (admin, other) = (users.clone(), users.clone());
    let locked = tokio::spawn(async move { admin.set_disabled(ADA, true, operator()).await });
    tokio::task::yield_now().await;
    let (whom, by) = (user.clone(), user.as_actor(None));
    let changed = tokio::spawn(async move {
        other.change_password(whom, typed(PASSWORD), typed("another horse battery"), (by, "one")).await
    });
    // Those who are known are hashed for in their order: the comparison and the hash before it are done after these.
    for _ in 0..2 {
        let wrong =
            users.change_password(user.clone(), typed(WRONG), typed(WRONG), (user.as_actor(None), "one"));
        assert!(matches!(wrong.await, Err(Error::Invalid(_))));
    }
    release.send(()).unwrap();
    writer.await.unwrap();
    locked.await.unwrap().unwrap();
    assert!(matches!(changed.await.unwrap(), Err(Error::Conflict { .. })));
    control.post(&format!("/v1/users/{ADA}/enable"), json!({})).await.expect(200);
    assert_eq!(Browser::new(&control).sign_in(ADA, PASSWORD).await.status, 303, "it is the old one still");
}

#[tokio::test]
async fn who_is_locked_out_while_their_password_is_compared_does_not_come_in() {
    let control = Control::with_workspace().await;
    add_user(&control, ADA, "demo", "member").await;
    let users = control.server.app.users.clone();
    let (release, writer) = hold_the_writer(&control).await;
    let (admin, ada) = (users.clone(), users.clone());
    let locked = tokio::spawn(async move { admin.set_disabled(ADA, true, operator()).await });
    tokio::task::yield_now().await;
    let signed_in = tokio::spawn(async move { ada.sign_in(ADA, typed(PASSWORD), None, &[]).await });
    for name in ["bob@example.com", "eve@example.com"] {
        let stranger = users.sign_in(name, typed(WRONG), None, &[]).await;
        assert!(matches!(stranger, Ok(SignIn::Refused)));
    }
    release.send(()).unwrap();
    writer.await.unwrap();
    locked.await.unwrap().unwrap();
    assert!(matches!(signed_in.await.unwrap(), Ok(SignIn::Refused)));
    let entries = control.get("/v1/audit?action=session.signed_in").await.expect(200);
    assert_eq!(entries, json!([]), "nobody signed in");
}

fn operator() -> Actor {
    Actor::admin_token(Via::Api, None)
}

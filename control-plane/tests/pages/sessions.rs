//! The sessions of a user: listed, and ended one by one.

use std::time::Duration;

use flamegate_control::domain::sessions::StoredSession;
use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::{Browser, PASSWORD, add_user};
use crate::common::{Answer, Control};

const ADA: &str = "ada@example.com";

async fn list(control: &Control, user: &str) -> Vec<Value> {
    control.get(&format!("/v1/users/{user}/sessions")).await.expect(200).as_array().unwrap().clone()
}

async fn end(control: &Control, user: &str, id: &str) -> Answer {
    Answer::of(control.request(Method::DELETE, &format!("/v1/users/{user}/sessions/{id}"))).await
}

#[tokio::test]
async fn one_session_is_ended_and_the_others_go_on() {
    let control = Control::with_workspace().await;
    let laptop = Browser::of(&control, ADA, "member").await;
    let first = list(&control, ADA).await;
    control.clock.advance(Duration::from_secs(120));
    let phone = Browser::new(&control);
    phone.sign_in(ADA, PASSWORD).await;
    let all = list(&control, ADA).await;
    assert_eq!((first.len(), all.len()), (1, 2));
    assert_eq!(all[1]["id"], first[0]["id"], "the last used one is first");
    assert_eq!((&all[0]["address"], &all[0]["user_agent"]), (&json!("127.0.0.1"), &Value::Null));
    add_user(&control, "bob@example.com", "demo", "member").await;
    let id = all[1]["id"].as_str().unwrap().to_owned();
    end(&control, "bob@example.com", &id).await.refused(404, "NOT_FOUND");
    end(&control, ADA, "ses_none").await.refused(404, "NOT_FOUND");
    assert_eq!(end(&control, ADA, &id).await.expect(200), json!({"id": id}));
    end(&control, ADA, &id).await.refused(404, "NOT_FOUND");
    assert_eq!(laptop.get("/account").await.status, 303);
    assert_eq!(phone.get("/account").await.status, 200);
    let log = control.get("/v1/audit?action=session.ended").await.expect(200);
    assert_eq!((&log[0]["target"]["name"], &log[0]["details"]["session"]), (&json!(ADA), &json!(id)));
    assert_eq!(log.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn only_sessions_that_open_something_are_listed() {
    let control = Control::with_workspace().await.restart_with(&[("FLAMEGATE_SESSION_MAX", "2h")]).await;
    let browser = Browser::of(&control, ADA, "member").await;
    // Somebody who has only looked at the form is nobody.
    Browser::new(&control).get("/sign-in").await;
    assert_eq!(list(&control, ADA).await.len(), 1);
    control.clock.advance(Duration::from_secs(90));
    let request = browser.request(Method::GET, "/account").header("user-agent", "Firefox/150 (X11)");
    browser.send(request).await;
    let seen = list(&control, ADA).await;
    assert_ne!(seen[0]["began"], seen[0]["last_seen"]);
    assert_eq!(seen[0]["user_agent"], "Firefox/150 (X11)");
    control.clock.advance(Duration::from_secs(2 * 3_600));
    assert!(list(&control, ADA).await.is_empty(), "after its longest time");
    browser.sign_in(ADA, PASSWORD).await;
    control.post(&format!("/v1/users/{ADA}/reset-password"), json!({})).await.expect(200);
    assert!(list(&control, ADA).await.is_empty(), "with another password");
}

#[tokio::test]
async fn a_session_behind_many_newer_ones_is_listed_and_ended() {
    let control = Control::with_workspace().await;
    let old = Browser::of(&control, ADA, "member").await;
    let first = list(&control, ADA).await[0]["id"].as_str().unwrap().to_owned();
    // As 200 more sign-ins leave them: the same with another hash, and a later end.
    let store = &control.server.app.store;
    let user = control.get(&format!("/v1/users/{ADA}")).await.expect(200)["id"].as_str().unwrap().to_owned();
    let now = control.clock.now();
    let there = store.read().await.unwrap().sessions_of(&user, now, (0, 1)).await.unwrap().remove(0);
    let write = store.write(move |tx| {
        Box::pin(async move {
            for number in 0..200 {
                let expires_at = there.expires_at + 1;
                let more = StoredSession { id_hash: [number; 32], expires_at, ..there.clone() };
                assert!(tx.insert_session(&more).await?);
            }
            Ok(())
        })
    });
    write.await.map(drop).unwrap();
    let newest = control.get(&format!("/v1/users/{ADA}/sessions")).await.body;
    assert_eq!(newest["data"].as_array().unwrap().len(), 200);
    assert!(!newest.to_string().contains(&first));
    let next = newest["pagination"]["next_cursor"].as_str().unwrap();
    let rest = control.get(&format!("/v1/users/{ADA}/sessions?cursor={next}")).await.body;
    assert_eq!((&rest["data"][0]["id"], rest["data"].as_array().unwrap().len()), (&json!(first), 1));
    assert_eq!(rest["pagination"]["next_cursor"], Value::Null);
    control
        .get(&format!("/v1/users/{ADA}/sessions?cursor=99999999999"))
        .await
        .refused(422, "VALIDATION_FAILED");
    let page = old.get("/account").await;
    page.hides(&first);
    page.shows("/account?behind=200");
    old.get("/account?behind=200").await.shows("This one");
    assert_eq!(end(&control, ADA, &first).await.expect(200), json!({"id": first}));
    assert_eq!(old.get("/account").await.status, 303);
}

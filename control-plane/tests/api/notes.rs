//! Notes of keys: made, changed, taken away, and never with a key in them.

use serde_json::json;

use crate::common::Control;

#[tokio::test]
async fn a_note_is_set_changed_and_taken_away() {
    let control = Control::with_workspace().await;
    let body =
        json!({"workspace": "demo", "name": "A", "environment": "live", "note": "  billing, ask Ada "});
    let made = control.post("/v1/api-keys", body).await.expect(201);
    assert_eq!(made["note"], "billing, ask Ada");
    let path = format!("/v1/api-keys/{}", made["id"].as_str().unwrap());
    let revision = control.revision();
    assert_eq!(control.patch(&path, json!({"name": "B"})).await.expect(200)["note"], "billing, ask Ada");
    assert_eq!(control.patch(&path, json!({"note": "ask Bob"})).await.expect(200)["note"], "ask Bob");
    assert_eq!(control.patch(&path, json!({"note": null})).await.expect(200)["note"], json!(null));
    assert_eq!(control.revision(), revision, "gateways do not see it");
    let audit = control.get("/v1/audit?action=api_key.updated").await.expect(200);
    assert_eq!(
        (&audit[0]["details"]["note"], &audit[0]["details"]["before"]),
        (&json!(null), &json!({"note": "ask Bob"}))
    );
}

#[tokio::test]
async fn what_is_no_note_is_refused() {
    let control = Control::with_workspace().await;
    let made = control.create_key().await;
    let path = format!("/v1/api-keys/{}", made["id"].as_str().unwrap());
    for note in ["x".repeat(501), "two\nlines".to_owned(), made["key"].as_str().unwrap().to_owned()] {
        let problems = control.patch(&path, json!({"note": note})).await.problems();
        assert!(problems.len() == 1 && problems[0].starts_with("note: "), "{problems:?}");
    }
    assert_eq!(control.get(&path).await.expect(200)["note"], json!(null));
}

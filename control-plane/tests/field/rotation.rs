//! Rotation: the new key does not end with the old one unnoticed, a lost one can be made again, and a revived one is told.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::program::{command, failed, succeeded};
use crate::common::{Answer, Control};

async fn rotate(control: &Control, id: &str, body: Value) -> Answer {
    control.post(&format!("/v1/api-keys/{id}/rotate"), body).await
}

/// A key that ends so many seconds from now.
async fn ending(control: &Control, seconds: i64) -> (String, Value) {
    let end = control.clock.now().as_second() + seconds;
    let body = json!({"workspace": "demo", "name": "k", "environment": "live", "expires_at": end});
    let key = control.post("/v1/api-keys", body).await.expect(201);
    (key["id"].as_str().unwrap().to_owned(), key["expires_at"].clone())
}

async fn cli(control: &Control, args: &[&str]) -> std::process::Output {
    let mut program = command(&control.url(""), args);
    tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_near_end_is_not_inherited_unnoticed() {
    let control = Control::with_workspace().await;
    for (left, grace) in [(20, "24h"), (20, "0s"), (3_500, "0s"), (86_000, "24h")] {
        let (id, end) = ending(&control, left).await;
        let told = rotate(&control, &id, json!({"grace": grace})).await.problems();
        let end = end.as_str().unwrap();
        assert_eq!(
            told,
            [format!(
                "expires_at: is needed, or the new key would end at {end} with the old one; null is never"
            )]
        );
        let new = rotate(&control, &id, json!({"grace": grace, "expires_at": null})).await.expect(201);
        assert_eq!(new["expires_at"], Value::Null);
    }
    // One that is not near is inherited as before.
    for (left, grace) in [(3_700, "0s"), (90_000, "24h")] {
        let (id, end) = ending(&control, left).await;
        assert_eq!(rotate(&control, &id, json!({"grace": grace})).await.expect(201)["expires_at"], end);
    }
    let (id, _) = ending(&control, 20).await;
    let said = "2040-01-01T00:00:00Z";
    assert_eq!(
        rotate(&control, &id, json!({"grace": "0", "expires_at": said})).await.expect(201)["expires_at"],
        said
    );
    for (end, told) in
        [(json!(1), "must be in the future"), (json!("soon"), "must be RFC 3339 text or Unix seconds")]
    {
        let (id, _) = ending(&control, 20).await;
        assert_eq!(
            rotate(&control, &id, json!({"grace": "0", "expires_at": end})).await.problems(),
            [format!("expires_at: {told}")]
        );
    }
}

#[tokio::test]
async fn a_new_key_that_was_lost_can_be_made_again() {
    let control = Control::with_workspace().await;
    let (id, end) = ending(&control, 30 * 86_400).await;
    let grace = json!({"grace": "24h"});
    let lost = rotate(&control, &id, grace.clone()).await.expect(201);
    let lost_id = lost["id"].as_str().unwrap();
    let told = rotate(&control, &id, grace.clone()).await.refused(409, "CONFLICT");
    assert_eq!(told["details"]["id"], lost["id"], "while the new key works it is the one");
    control.revoke(lost_id, "0").await;
    let new = rotate(&control, &id, grace.clone()).await.expect(201);
    assert_eq!((&new["expires_at"], &new["rotated_from"]), (&end, &json!(id)), "not the end of the grace");
    assert_eq!(new["previous"]["expires_at"], lost["previous"]["expires_at"], "the grace is not longer now");
    assert_eq!(new["previous"]["rotated_to"], new["id"]);
    // A successor that was replaced at once has one that works.
    let newest = rotate(&control, new["id"].as_str().unwrap(), json!({"grace": "0"})).await.expect(201);
    let told = rotate(&control, &id, grace.clone()).await.refused(409, "CONFLICT");
    assert_eq!(told["details"]["id"], newest["id"]);
    // Once the old key is over, it is over.
    control.revoke(newest["id"].as_str().unwrap(), "0").await;
    control.clock.advance(Duration::from_secs(90_000));
    rotate(&control, &id, grace).await.refused(409, "CONFLICT");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_when_the_new_key_ends_and_that_an_old_one_is_revived() {
    let control = Control::with_workspace().await;
    let (id, _) = ending(&control, 20).await;
    assert!(
        failed(&cli(&control, &["keys", "rotate", &id, "--grace", "24h"]).await, 1)
            .contains("expires_at: is needed")
    );
    let both = ["keys", "rotate", &id, "--grace", "0", "--expires-in", "90d", "--never-expires"];
    failed(&cli(&control, &both).await, 2);
    let output = cli(&control, &["keys", "rotate", &id, "--grace", "24h", "--expires-in", "90d"]).await;
    succeeded(&output);
    let told = String::from_utf8(output.stderr).unwrap();
    let keys = control.get("/v1/api-keys").await.expect(200);
    let (new, end) = (keys[0]["id"].as_str().unwrap(), keys[0]["expires_at"].as_str().unwrap());
    assert!(told.contains(&format!("ends {end} itself")), "{told}");
    let revived = cli(&control, &["keys", "update", &id, "--never-expires"]).await;
    let told = String::from_utf8(revived.stderr.clone()).unwrap();
    assert_eq!(told, format!("{id} was replaced by {new}, and works beside it for good\n"));
    succeeded(&revived);
    let entries = control.get("/v1/audit?action=api_key.updated").await.expect(200);
    assert_eq!(entries[0]["details"]["rotated_to"], new);
    // A rename revives nobody, and a key that was never replaced is not said to be.
    assert!(cli(&control, &["keys", "update", &id, "--name", "x"]).await.stderr.is_empty());
    assert!(cli(&control, &["keys", "update", new, "--never-expires"]).await.stderr.is_empty());
}

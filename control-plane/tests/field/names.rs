//! One spelling of names, addresses and passwords, whatever system they were typed on, and no name that passes for another.

use std::time::Duration;

use flamegate_control::domain::users::password::Password;
use flamegate_control::service::users::SignIn;
use serde_json::json;

use crate::common::Control;

const IN_ONE_PIECE: &str = "\u{c4}rger mit Schl\u{fc}sseln";
const IN_TWO_PIECES: &str = "A\u{308}rger mit\u{a0}Schlu\u{308}sseln";

async fn sign_in(control: &Control, email: &str, password: &str) -> SignIn {
    let users = &control.server.app.users;
    users.sign_in(email, Password::new(password.to_owned()), None, &[]).await.unwrap()
}

fn is_welcome(attempt: &SignIn) -> bool {
    matches!(attempt, SignIn::Welcome(_))
}

/// argon2id of the text in two pieces as it stands, by the release before.
const OLD_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$qJ7cN6N5wqcc3Z//f3mICQ$ystyN3uSXXd79p8B3gjWFtnlnPbVwJ55tYSJ+Hi4FRs";

/// Changes the database as a release before would have left it.
async fn run(control: &Control, sql: &'static str, values: &[&str]) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(control.database());
    let opened = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await;
    let mut query = sqlx::query(sql);
    for value in values {
        query = query.bind(value.to_string());
    }
    query.execute(&mut opened.unwrap()).await.unwrap();
}

async fn add(control: &Control, email: &str, password: &str) {
    let body = json!({"email": email, "workspace": "demo", "role": "member", "password": password});
    control.post("/v1/users", body).await.expect(201);
}

#[tokio::test]
async fn a_password_is_the_same_on_every_system() {
    let control = Control::with_workspace().await;
    add(&control, "ada@example.com", IN_TWO_PIECES).await;
    for typed in [IN_ONE_PIECE, IN_TWO_PIECES] {
        assert!(is_welcome(&sign_in(&control, "ada@example.com", typed).await), "{typed}");
    }
    assert!(!is_welcome(&sign_in(&control, "ada@example.com", "Arger mit Schlusseln").await));
    let reset = json!({"password": IN_ONE_PIECE.to_uppercase()});
    control.post("/v1/users/ada@example.com/reset-password", reset).await.expect(200);
    assert!(!is_welcome(&sign_in(&control, "ada@example.com", IN_ONE_PIECE).await), "case counts");
}

#[tokio::test]
async fn a_hash_of_what_was_typed_still_fits_that() {
    let control = Control::with_workspace().await;
    add(&control, "ada@example.com", "any password will do").await;
    run(&control, "UPDATE users SET password_hash = ?", &[OLD_HASH]).await;
    assert!(is_welcome(&sign_in(&control, "ada@example.com", IN_TWO_PIECES).await));
    assert!(!is_welcome(&sign_in(&control, "ada@example.com", IN_ONE_PIECE).await));
}

#[tokio::test]
async fn who_types_in_two_pieces_gets_no_more_hashes_than_others() {
    let control = Control::with_workspace().await;
    control.clock.stop();
    add(&control, "ada@example.com", IN_ONE_PIECE).await;
    // Eight attempts are free, and each of these is two: for a user, and for nobody.
    for email in ["ada@example.com", "nobody@example.com"] {
        for _ in 0..4 {
            assert!(matches!(
                sign_in(&control, email, "wro\u{308}ng pa\u{308}ssword").await,
                SignIn::Refused
            ));
        }
        assert!(matches!(sign_in(&control, email, IN_ONE_PIECE).await, SignIn::TooMany(_)), "{email}");
    }
    control.clock.advance(Duration::from_secs(60));
    // The right one is found at the first look, so it is one.
    for _ in 0..20 {
        assert!(is_welcome(&sign_in(&control, "ada@example.com", IN_TWO_PIECES).await));
    }
}

#[tokio::test]
async fn a_password_from_before_gets_in_though_the_throttle_is_used_up() {
    let control = Control::with_workspace().await;
    control.clock.stop();
    add(&control, "ada@example.com", "any password will do").await;
    run(&control, "UPDATE users SET password_hash = ?", &[OLD_HASH]).await;
    for _ in 0..8 {
        assert!(matches!(sign_in(&control, "ada@example.com", "wrong password").await, SignIn::Refused));
    }
    // It is told how long to wait for both looks, and after that time it gets in.
    let SignIn::TooMany(wait) = sign_in(&control, "ada@example.com", IN_TWO_PIECES).await else { panic!() };
    control.clock.advance(wait + Duration::from_millis(1));
    assert!(is_welcome(&sign_in(&control, "ada@example.com", IN_TWO_PIECES).await));
}

#[tokio::test]
async fn of_two_addresses_from_before_that_compose_to_one_each_signs_in_as_typed() {
    let control = Control::with_workspace().await;
    let (composed, decomposed) = ("\u{e4}da@example.com", "a\u{308}da@example.com");
    add(&control, composed, "password of the first").await;
    add(&control, "other@example.com", "password of the other").await;
    run(&control, "UPDATE users SET email = ? WHERE email = ?", &[decomposed, "other@example.com"]).await;
    assert!(is_welcome(&sign_in(&control, composed, "password of the first").await));
    assert!(is_welcome(&sign_in(&control, decomposed, "password of the other").await));
    for email in [composed, decomposed] {
        assert_eq!(control.get(&format!("/v1/users/{email}")).await.expect(200)["email"], email);
    }
}

#[tokio::test]
async fn a_workspace_that_has_a_twin_from_before_may_keep_its_name() {
    let control = Control::with_workspace().await;
    control.post("/v1/workspaces", json!({"name": "Other", "slug": "other"})).await.expect(201);
    let twin = "D\u{435}mo";
    run(&control, "UPDATE workspaces SET name = ? WHERE slug = ?", &[twin, "other"]).await;
    for (slug, own) in [("demo", "Demo"), ("other", twin)] {
        let path = format!("/v1/workspaces/{slug}");
        control.patch(&path, json!({"name": own, "max_active_keys": 7})).await.expect(200);
        control.patch(&path, json!({"name": "D\u{435}m\u{43e}"})).await.refused(409, "CONFLICT");
    }
}

#[tokio::test]
async fn addresses_and_names_are_kept_in_one_spelling() {
    let control = Control::with_workspace().await;
    add(&control, "A\u{308}da@Example.com", IN_ONE_PIECE).await;
    let again = json!({"email": "\u{e4}da@example.com", "workspace": "demo", "role": "member"});
    control.post("/v1/users", again).await.refused(409, "CONFLICT");
    assert!(is_welcome(&sign_in(&control, "\u{e4}DA@example.com", IN_ONE_PIECE).await));
    assert_eq!(
        control.get("/v1/users/A\u{308}da@example.com").await.expect(200)["email"],
        "\u{e4}da@example.com"
    );
    let key = json!({"workspace": "demo", "name": "A\u{308}rger  im\u{a0}Haus", "environment": "live"});
    let key = control.post("/v1/api-keys", key).await.expect(201);
    assert_eq!(key["name"], "\u{c4}rger im Haus");
    let path = format!("/v1/api-keys/{}", key["id"].as_str().unwrap());
    let renamed = control.patch(&path, json!({"name": "o\u{308}"})).await.expect(200);
    assert_eq!(renamed["name"], "\u{f6}");
}

#[tokio::test]
async fn a_name_that_passes_for_another_is_refused() {
    let control = Control::with_workspace().await;
    let twin = "D\u{435}mo";
    let made = async |name: &str, slug: &str| {
        control.post("/v1/workspaces", json!({"name": name, "slug": slug})).await
    };
    let error = made(twin, "other").await.refused(409, "CONFLICT");
    assert!(error["message"].as_str().unwrap().contains("looks like 'Demo'"), "{error}");
    made("Demo", "second").await.expect(201);
    made("Modem", "modem").await.expect(201);
    made("Modern", "modern").await.expect(201);
    made("\u{6771}\u{4eac}", "tokyo").await.expect(201);
    for slug in ["modem", "second"] {
        let path = format!("/v1/workspaces/{slug}");
        control.patch(&path, json!({"name": twin})).await.refused(409, "CONFLICT");
        control.patch(&path, json!({"max_active_keys": 7})).await.expect(200);
    }
    // The name that one has is no twin of itself.
    control.patch("/v1/workspaces/tokyo", json!({"name": "\u{6771}\u{4eac}"})).await.expect(200);

    let credential = async |name: &str| control.post("/v1/gateway-credentials", json!({"name": name})).await;
    credential("eu-1").await.expect(201);
    credential("eu-2").await.expect(201);
    credential("eu-l").await.refused(409, "CONFLICT");

    add(&control, "ada@example.com", IN_ONE_PIECE).await;
    let body = json!({"email": "\u{430}da@example.com", "workspace": "demo", "role": "member"});
    control.post("/v1/users", body).await.refused(409, "CONFLICT");
    // Keys are told apart by their last characters and ids: a rotation makes two of one name.
    for name in ["Demo", twin, "Demo"] {
        let body = json!({"workspace": "demo", "name": name, "environment": "live"});
        control.post("/v1/api-keys", body).await.expect(201);
    }
}

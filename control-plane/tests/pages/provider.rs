//! Accounts of people who come by a provider of identities: whose they are, and whose they were before.

use flamegate_control::domain::error::Error;
use flamegate_control::domain::oidc::Identity;
use flamegate_control::service::users::SignIn;

use crate::browser::{Browser, PASSWORD, add_user, give_second_factor};
use crate::common::Control;

fn identity(subject: &str, email: &str) -> Identity {
    Identity {
        subject: subject.to_owned(),
        email: email.to_owned(),
        roles: [("demo".to_owned(), flamegate_control::domain::users::Role::named("owner"))].into(),
        operator: None,
    }
}

async fn enter(control: &Control, subject: &str, email: &str) -> Result<SignIn, Error> {
    control.server.app.users.sign_in_by_provider(identity(subject, email), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_taken_an_address_by_an_invitation_loses_it_to_whose_it_is() {
    let control = Control::with_workspace().await;
    for email in ["taken@example.com", "own@example.com"] {
        add_user(&control, email, "demo", "viewer").await;
    }
    // As an invitation leaves it; whoever opened the link has chosen the password.
    control.sql("UPDATE users SET vouched_by = 1 WHERE email = 'taken@example.com'").await;
    let (thief, own) = (Browser::new(&control), Browser::new(&control));
    let has_factor =
        async |email: &str| control.server.app.users.find(email).await.unwrap().has_second_factor;
    thief.sign_in("taken@example.com", PASSWORD).await;
    own.sign_in("own@example.com", PASSWORD).await;
    for browser in [&thief, &own] {
        assert_eq!(browser.get("/account").await.status, 200);
    }
    for email in ["taken@example.com", "own@example.com"] {
        give_second_factor(&control, email).await;
    }
    for (subject, email) in [("1", "taken@example.com"), ("2", "own@example.com")] {
        assert!(matches!(enter(&control, subject, email).await, Ok(SignIn::Welcome(_))), "{email}");
    }
    assert_eq!(thief.get("/account").await.status, 303, "signed out");
    assert_eq!(
        own.get("/account").await.status,
        200,
        "an operator has made this one, and it stays as it was"
    );
    let again = Browser::new(&control);
    let answer = again.sign_in("taken@example.com", PASSWORD).await;
    assert_eq!(answer.status, 401, "the password is nobody's any more");
    assert!(!has_factor("taken@example.com").await, "nor is the second factor");
    assert!(has_factor("own@example.com").await, "it is not asked for here, and stays");
    // Somebody else who gets the address later is somebody else.
    assert!(matches!(enter(&control, "3", "own@example.com").await, Err(Error::Conflict { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn successes_of_one_person_are_bounded_as_well() {
    let control = Control::with_workspace().await;
    control.clock.stop();
    let mut entered = 0;
    while matches!(enter(&control, "1", "ann@example.com").await, Ok(SignIn::Welcome(_))) {
        entered += 1;
        assert!(entered <= 1_000, "no end of it");
    }
    assert!(matches!(enter(&control, "1", "ann@example.com").await, Ok(SignIn::TooMany(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_an_address_looks_like_is_not_told() {
    let control = Control::with_workspace().await;
    add_user(&control, "carol@example.com", "demo", "viewer").await;
    // With a Cyrillic letter.
    match enter(&control, "1", "c\u{430}rol@example.com").await {
        Err(Error::Conflict { message, .. }) => assert!(!message.contains("carol@"), "{message}"),
        other => panic!("{other:?}"),
    }
}

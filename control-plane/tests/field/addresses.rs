//! Who asks, behind a proxy: the forms in which proxies write an address, and that all forms of one address are one.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::common::{Answer, Control};

/// The address that the audit log has for a request with these headers.
async fn logged(control: &Control, headers: &[(&str, &str)]) -> String {
    let id = control.create_key_id().await;
    let mut request =
        control.request(Method::PATCH, &format!("/v1/api-keys/{id}")).json(&json!({"name": "n"}));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request).await.expect(200);
    let entries = control.get("/v1/audit?action=api_key.renamed").await.expect(200);
    entries[0]["actor"]["address"].as_str().unwrap().to_owned()
}

async fn behind_a_proxy() -> Control {
    Control::with_workspace().await.restart_with(&[("FLAMEGATE_TRUST_PROXY", "true")]).await
}

#[tokio::test]
async fn an_address_is_read_in_every_form_that_proxies_write() {
    let control = behind_a_proxy().await;
    for (told, address) in [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:5678", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:DB8::0001]:4711", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:80", "203.0.113.9"),
        ("::ffff:cb00:7109", "203.0.113.9"),
        ("10.0.0.1, 203.0.113.9:5678 ", "203.0.113.9"),
        ("\"[2001:db8::1]:4711\"", "2001:db8::1"),
    ] {
        assert_eq!(logged(&control, &[("x-forwarded-for", told)]).await, address, "{told}");
    }
    // The nearest proxy writes last, in a line of its own or not.
    let two = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "203.0.113.9:1")];
    assert_eq!(logged(&control, &two).await, "203.0.113.9");
}

#[tokio::test]
async fn what_is_no_address_is_not_believed() {
    let control = behind_a_proxy().await;
    for told in [
        "",
        "unknown",
        "_hidden",
        "203.0.113.9:",
        "203.0.113.9:99999",
        "203.0.113.9:x",
        "203.0.113",
        "[2001:db8::1",
        "2001:db8::1]",
        "[203.0.113.9]:80",
        "[2001:db8::1]x",
        "203.0.113.9,",
        "example.com:80",
        "\"203.0.113.9",
    ] {
        assert_eq!(logged(&control, &[("x-forwarded-for", told)]).await, "127.0.0.1", "{told}");
    }
    // A proxy that sets one of the headers lets the other one through as the client wrote it.
    let forwarded = ("forwarded", "for=198.51.100.1");
    assert_eq!(logged(&control, &[forwarded]).await, "127.0.0.1");
    assert_eq!(logged(&control, &[forwarded, ("x-forwarded-for", "203.0.113.9")]).await, "203.0.113.9");
    let nobody = Control::with_workspace().await;
    assert_eq!(logged(&nobody, &[("x-forwarded-for", "203.0.113.9")]).await, "127.0.0.1");
}

#[tokio::test]
async fn every_form_of_an_address_has_one_throttle() {
    let control = Control::tuned(|config| {
        config.pages.trust_proxy = true;
        config.guess_pause = Duration::ZERO;
    })
    .await;
    control.clock.stop();
    let wrong = async |told: &str| {
        let request = control.http.get(control.url("/v1/api-keys")).bearer_auth("not-the-token-at-all");
        let answer = Answer::of(request.header("x-forwarded-for", told)).await;
        assert_eq!(answer.status, 401);
        answer.headers.get("connection").is_some_and(|value| value == "close")
    };
    for port in 0..20 {
        assert!(!wrong(&format!("203.0.113.9:{}", 1_024 + port)).await, "{port}");
    }
    for told in ["203.0.113.9", "203.0.113.9:80", "::ffff:203.0.113.9", "[::ffff:203.0.113.9]:443"] {
        assert!(wrong(told).await, "{told}");
    }
    // Others notice nothing.
    assert!(!wrong("203.0.113.10:80").await && !wrong("[2001:db8::1]:80").await);
}

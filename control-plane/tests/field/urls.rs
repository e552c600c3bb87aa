//! URLs that people give: ports, user names, empty hosts and whatever else is no address, each with an error that says so.

use flamegate_control::config::{Config, ServeArgs};

use crate::common::program::{command, failed};
use crate::common::{ADMIN, Control, SYNC};

/// What is wrong with a URL, and how it is told.
const BAD: [(&str, &str); 22] = [
    ("https://:8443", "there is no host in it"),
    ("https://", "there is no host in it"),
    ("https:///", "there is no host in it"),
    ("https://h:99999", "its port must be 1 to 65535"),
    ("https://h:0", "its port must be 1 to 65535"),
    ("https://h:port", "its port must be 1 to 65535"),
    ("https://h:-1", "its port must be 1 to 65535"),
    ("http://user:secret-word@h", "it must have no user and no password"),
    ("http://user@h", "it must have no user and no password"),
    ("http://:secret-word@h", "it must have no user and no password"),
    ("http://@h", "it must have no user and no password"),
    ("http://h?x=1", "it must have no query and no fragment"),
    ("http://h#x", "it must have no query and no fragment"),
    ("ftp://h", "it must begin with http:// or https://"),
    ("h", "it must begin with http:// or https://"),
    ("h:8080", "it must begin with http:// or https://"),
    ("http:h", "it must begin with http:// or https://"),
    ("//h", "it must begin with http:// or https://"),
    ("http://[::1", "there is no host in it"),
    ("http://a b", "it must have no space, backslash or control character"),
    ("http:\\\\h", "it must have no space, backslash or control character"),
    ("http://h\u{9}.example", "it must have no space, backslash or control character"),
];

fn load(name: &str, url: &str) -> Result<Config, String> {
    let source = |variable: &str| match variable {
        "FLAMEGATE_ADMIN_TOKEN" => Some(ADMIN.to_owned()),
        "FLAMEGATE_SYNC_TOKEN" => Some(SYNC.to_owned()),
        other => (other == name).then(|| url.to_owned()),
    };
    Config::load(&ServeArgs::default(), &source).map_err(|errors| errors.to_string())
}

#[test]
fn a_url_of_the_server_that_is_none_is_refused_with_the_reason() {
    for name in ["FLAMEGATE_PUBLIC_URL", "FLAMEGATE_API_URL"] {
        for (url, why) in BAD.into_iter().chain([("https://h/path", "it must have no path")]) {
            let told = load(name, url).unwrap_err();
            assert!(told.contains(name) && told.contains(why), "{url}: {told}");
            assert!(!told.contains("secret-word"), "{told}");
        }
    }
}

#[test]
fn a_url_is_kept_as_browsers_write_it() {
    for (given, kept) in [
        ("https://Keys.Example.com/", "https://keys.example.com"),
        ("https://keys.example.com:443", "https://keys.example.com"),
        ("http://keys.example.com:80/", "http://keys.example.com"),
        ("HTTPS://keys.example.com:8443", "https://keys.example.com:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://[2001:DB8:0::1]", "http://[2001:db8::1]"),
        ("https://schlüssel.example", "https://xn--schlssel-95a.example"),
    ] {
        let config = load("FLAMEGATE_PUBLIC_URL", given).unwrap();
        assert_eq!(config.pages.public_origin.as_deref(), Some(kept), "{given}");
        assert_eq!(load("FLAMEGATE_API_URL", given).unwrap().pages.api_url, kept, "{given}");
    }
    assert_eq!(load("FLAMEGATE_PUBLIC_URL", "").unwrap().pages.public_origin, None);
}

#[tokio::test]
async fn forms_are_accepted_from_the_origin_that_browsers_send() {
    let control = Control::with_workspace().await;
    let control = control.restart_with(&[("FLAMEGATE_PUBLIC_URL", "https://Keys.example.com:443/")]).await;
    assert_ne!(browser_origin(&control, "https://keys.example.com").await, 403);
    assert_eq!(browser_origin(&control, "https://evil.example.com").await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_of_the_client_that_is_none_is_refused_and_nothing_is_sent() {
    for (url, why) in BAD {
        for by_flag in [true, false] {
            let mut program =
                if by_flag { command("", &["--url", url, "gateways"]) } else { command(url, &["gateways"]) };
            let told = failed(&program.output().unwrap(), 2);
            assert!(told.contains(why) && !told.contains("secret-word"), "{url}: {told}");
        }
    }
    let control = Control::with_workspace().await;
    // A path is fine: the API may be below one.
    let below = format!("{}/below/", control.url(""));
    let output =
        tokio::task::spawn_blocking(move || command(&below, &["gateways"]).output().unwrap()).await.unwrap();
    failed(&output, 3);
}

/// The status of a form that a browser sends from a page of this origin.
async fn browser_origin(control: &Control, origin: &str) -> u16 {
    let request = control.http.post(control.url("/sign-in")).header("origin", origin);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    request.body("email=nobody@example.com&password=wrong").send().await.unwrap().status().as_u16()
}

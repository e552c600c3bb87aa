//! After the page that shows it, a key is nowhere: not in a page, not in the database, not in its side files. Session ids
//! and passwords are not in the database either.

use crate::browser::{Browser, PASSWORD};
use crate::common::{Control, database};

const KEYS: &str = "/w/demo/settings/api-keys";

#[tokio::test]
async fn nothing_secret_is_left_behind() {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    let key =
        browser.submit(&format!("{KEYS}/new"), KEYS, &[("name", "x"), ("environment", "live")]).await.key();
    let secret = &key["sk_live_".len()..];
    for path in ["/w/demo", KEYS, "/w/demo/audit", "/w/demo/gateways", "/account"] {
        browser.get(path).await.hides(secret);
    }
    let session = browser.cookie().unwrap();
    let mut found = 0;
    for (name, bytes) in database::contents(&control.database()) {
        found += 1;
        for secret in [secret, PASSWORD, session.as_str()] {
            let holds = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!holds, "{name} holds a secret");
        }
    }
    assert!(found >= 2, "the database and its log, or its tables");
}

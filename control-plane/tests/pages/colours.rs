//! Light or dark, as the reader chooses: on every page, without scripts.

use crate::browser::Browser;
use crate::common::Control;

#[tokio::test]
async fn the_colours_that_a_reader_chooses_are_those_of_every_page() {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "viewer").await;
    let account = browser.get("/account").await;
    account.shows("<html lang=\"en\" class=\"system\">");
    account.shows("value=\"system\" checked");
    for (name, scheme) in [("dark", "dark"), ("light", "light"), ("system", "light dark")] {
        let answer = browser.submit("/account", "/account/colours", &[("colours", name)]).await;
        assert_eq!((answer.status, answer.location()), (303, "/account#colours"));
        let cookie = answer.headers["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Lax; Path=/; Max-Age="), "{cookie}");
        // Also of those that know no session, and of those that something went wrong on.
        for path in ["/account", "/w/demo", "/w/demo/settings/api-keys/new", "/join/nothing", "/w/nothing"] {
            let mut page = browser.get(path).await;
            while page.status == 303 {
                page = browser.follow(&page).await;
            }
            page.shows(&format!("<html lang=\"en\" class=\"{name}\">"));
            page.shows(&format!("<meta name=\"color-scheme\" content=\"{scheme}\">"));
        }
        browser.get("/account").await.shows(&format!("value=\"{name}\" checked"));
    }
    let odd = browser.submit("/account", "/account/colours", &[("colours", "\"><script>")]).await;
    assert_eq!(odd.status, 303);
    browser.get("/account").await.shows("class=\"system\">");
    // Only a page of this session may choose.
    assert_eq!(browser.post("/account/colours", &[("colours", "dark")]).await.status, 403);
}

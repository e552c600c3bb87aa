//! A second factor: set up, asked for after the password, taken away.

use std::time::Duration;

use flamegate_control::domain::users::second_factor::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::{Browser, Form as _, PASSWORD, Page};
use crate::common::Control;

const ADA: &str = "ada@example.com";
const SET_UP: &str = "/account/second-factor";
const REMOVE: &str = "/account/second-factor/remove";
const STEP: u64 = 30;

/// An app that makes codes.
struct App {
    secret: Secret,
    recovery: Vec<String>,
}

impl App {
    /// What the page to set up shows is typed into it.
    fn of(page: &Page) -> Self {
        let (_, text) = page.text.split_once("id=\"secret\">").expect("the page shows a secret");
        let text = text.split('<').next().unwrap();
        const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let bits: String = text.chars().filter_map(|c| DIGITS.find(c)).map(|n| format!("{n:05b}")).collect();
        let bytes =
            bits.as_bytes().chunks_exact(8).map(|b| u8::from_str_radix(std::str::from_utf8(b).unwrap(), 2));
        let bytes: Vec<u8> = bytes.map(Result::unwrap).collect();
        let codes =
            page.text.split("<li><code>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
        Self { secret: Secret::of(&bytes).unwrap(), recovery: codes.collect() }
    }

    /// What it shows, so many steps from now.
    fn code(&self, control: &Control, steps: i64) -> String {
        let step = control.clock.now().as_second().div_euclid(30);
        format!("{:06}", self.secret.code(step + steps))
    }
}

/// A control plane whose time stands still, where ada has set up a second factor in this browser.
async fn start() -> (Control, Browser, App) {
    let control = Control::with_workspace().await.restart_with(&[("FLAMEGATE_TRUST_PROXY", "true")]).await;
    control.clock.stop();
    let browser = Browser::of(&control, ADA, "owner").await;
    let app = set_up(&control, &browser).await;
    (control, browser, app)
}

async fn set_up(control: &Control, browser: &Browser) -> App {
    let form = browser.get(SET_UP).await;
    let app = App::of(&form);
    assert_eq!(app.recovery.len(), 10);
    let code = app.code(control, 0);
    let done = confirm(browser, &form, PASSWORD, &code).await;
    assert_eq!((done.status, done.location()), (303, "/account?second=set"), "{}", done.text);
    app
}

async fn confirm(browser: &Browser, form: &Page, password: &str, code: &str) -> Page {
    let sealed = form.value("sealed");
    let fields = [("sealed", sealed.as_str()), ("current", password), ("code", code)];
    browser.submit_from(form, SET_UP, &fields).await
}

/// Types the password; the form for the code.
async fn half_way(browser: &Browser) -> Page {
    let page = browser.sign_in(ADA, PASSWORD).await;
    assert_eq!(page.status, 200, "{}", page.text);
    page.shows("Enter your code");
    page
}

async fn enter(browser: &Browser, form: &Page, code: &str) -> Page {
    enter_from(browser, form, code, "203.0.113.9").await
}

async fn enter_from(browser: &Browser, form: &Page, code: &str, from: &str) -> Page {
    let half = form.value("half");
    let request = browser.request(Method::POST, "/sign-in/code").header("sec-fetch-site", "same-origin");
    let request = request.header("x-forwarded-for", from);
    browser.send(request.form(&[("half", &half), ("code", code), ("next", "/account")])).await
}

async fn is_signed_in(browser: &Browser) -> bool {
    browser.get("/account").await.status == 200
}

async fn audit(control: &Control, action: &str) -> Vec<Value> {
    control.get(&format!("/v1/audit?action={action}")).await.expect(200).as_array().unwrap().clone()
}

#[tokio::test]
async fn a_code_is_asked_for_after_the_password_and_is_good_once() {
    let (control, first, app) = start().await;
    let user = control.get(&format!("/v1/users/{ADA}")).await.expect(200);
    assert_eq!(user["second_factor"], true);
    let browser = Browser::new(&control);
    let form = half_way(&browser).await;
    assert!(!is_signed_in(&browser).await && browser.cookie().is_none(), "the password alone opens nothing");
    // The one that set it up was used by that.
    assert_eq!(enter(&browser, &form, &app.code(&control, 0)).await.status, 401);
    let wrong = enter(&browser, &form, "000000").await;
    assert_eq!(wrong.status, 401);
    wrong.shows("not right, or it was used before");
    control.clock.advance(Duration::from_secs(STEP));
    let code = app.code(&control, 0);
    let typed = format!("{} {}", &code[..3], &code[3..]);
    let done = enter(&browser, &form, &typed).await;
    assert_eq!((done.status, done.location()), (303, "/sign-in?entered=1&next=/account"));
    assert!(is_signed_in(&browser).await && is_signed_in(&first).await);
    let entries = audit(&control, "session.signed_in").await;
    assert_eq!(entries[0]["details"], json!({"second_factor": "app"}));
    // Somebody looked over the shoulder; and a code that comes early is good, but not those behind it.
    let thief = Browser::new(&control);
    let form = half_way(&thief).await;
    assert_eq!(enter(&thief, &form, &code).await.status, 401);
    assert_eq!(enter(&thief, &form, &app.code(&control, 1)).await.status, 303);
    let form = half_way(&thief).await;
    for steps in [-1, 0, 1, 2] {
        assert_eq!(enter(&thief, &form, &app.code(&control, steps)).await.status, 401, "{steps}");
    }
}

#[tokio::test]
async fn one_code_lets_one_in_however_many_come_at_once() {
    let (control, _, app) = start().await;
    control.clock.advance(Duration::from_secs(STEP));
    let browsers: Vec<_> = std::iter::repeat_with(|| Browser::new(&control)).take(3).collect();
    let code = app.code(&control, 0);
    let mut forms = Vec::new();
    for browser in &browsers {
        forms.push(half_way(browser).await);
    }
    let [a, b, c] = [0, 1, 2].map(|n| enter(&browsers[n], &forms[n], &code));
    let (a, b, c) = tokio::join!(a, b, c);
    let mut statuses = [a.status, b.status, c.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 401, 401]);
}

#[tokio::test]
async fn a_recovery_code_lets_in_once() {
    let (control, _, app) = start().await;
    let browser = Browser::new(&control);
    let form = half_way(&browser).await;
    assert_eq!(enter(&browser, &form, &app.recovery[3].to_uppercase()).await.status, 303);
    let page = browser.get("/account").await;
    page.shows("9 recovery codes left");
    let entries = audit(&control, "session.signed_in").await;
    assert_eq!(entries[0]["details"], json!({"second_factor": "recovery code", "codes_left": 9}));
    let again = Browser::new(&control);
    let form = half_way(&again).await;
    assert_eq!(enter(&again, &form, &app.recovery[3]).await.status, 401);
    assert_eq!(enter(&again, &form, &app.recovery[4].replace('-', "")).await.status, 303);
}

#[tokio::test]
async fn setting_up_takes_the_password_and_a_code_and_ends_what_the_password_alone_has_opened() {
    let control = Control::with_workspace().await;
    control.clock.stop();
    let (laptop, phone) = (Browser::of(&control, ADA, "owner").await, Browser::new(&control));
    phone.sign_in(ADA, PASSWORD).await;
    let (_, device) = laptop.device();
    let form = laptop.get(SET_UP).await;
    form.shows("<svg class=\"qr\"");
    let app = App::of(&form);
    for (password, code, words) in [
        ("no horse of hers", app.code(&control, 0), "That is not your current password."),
        (PASSWORD, app.code(&control, 7), "The code is not the one that the app shows now."),
        (PASSWORD, app.recovery[0].clone(), "The code is not the one that the app shows now."),
    ] {
        let page = confirm(&laptop, &form, password, &code).await;
        assert_eq!(page.status, 422, "{words}");
        page.shows(words);
        assert_eq!(App::of(&page).secret, app.secret, "what the app has is still right");
    }
    // What is on another one's screen is nothing here, nor is what nobody has signed.
    let bob = Browser::of(&control, "bob@example.com", "owner").await;
    let (others, sealed) = (bob.get(SET_UP).await, form.value("sealed"));
    for wrong in [others.value("sealed"), sealed.replace(&sealed[..4], "AAAA"), String::new()] {
        let fields = [("sealed", wrong.as_str()), ("current", PASSWORD), ("code", &app.code(&control, 0))];
        let page = laptop.submit_from(&form, SET_UP, &fields).await;
        assert_eq!((page.status, page.location()), (303, SET_UP));
    }
    assert!(is_signed_in(&phone).await);
    let before = laptop.cookie();
    assert_eq!(confirm(&laptop, &form, PASSWORD, &app.code(&control, 0)).await.status, 303);
    assert!(is_signed_in(&laptop).await && laptop.cookie() != before);
    assert!(!is_signed_in(&phone).await, "it was let in by the password alone");
    assert_ne!(laptop.device().1, device, "browsers from before are strangers'");
    let page = laptop.get("/account?second=set").await;
    page.shows("10 recovery codes left");
    page.hides(&app.recovery[0]);
    assert_eq!(laptop.get(SET_UP).await.location(), "/account", "there is one");
    assert_eq!(audit(&control, "user.second_factor_set").await.len(), 1);
}

#[tokio::test]
async fn its_user_takes_it_away_by_password_and_code() {
    let (control, laptop, app) = start().await;
    control.clock.advance(Duration::from_secs(STEP));
    let remove = async |password: &str, code: &str| {
        laptop.submit("/account", REMOVE, &[("current", password), ("code", code)]).await
    };
    let wrong = remove("no horse of hers", &app.code(&control, 0)).await;
    assert_eq!(wrong.status, 422);
    wrong.shows("That is not your current password.");
    let wrong = remove(PASSWORD, "000000").await;
    assert_eq!(wrong.status, 422);
    wrong.shows("The code is not right, or was used before.");
    // A code that came with a wrong password is still good.
    let removed = remove(PASSWORD, &app.code(&control, 0)).await;
    assert_eq!((removed.status, removed.location()), (303, "/account?second=removed"), "{}", removed.text);
    assert!(is_signed_in(&laptop).await);
    assert_eq!(Browser::new(&control).sign_in(ADA, PASSWORD).await.status, 303);
    assert_eq!(audit(&control, "user.second_factor_removed").await.len(), 1);
    assert_eq!(control.rows("recovery_codes").await, 0);
    // The next one is another one.
    let next = set_up(&control, &laptop).await;
    assert_ne!(next.secret, app.secret);
}

#[tokio::test]
async fn an_operator_takes_it_away_and_a_new_password_does_not() {
    let (control, laptop, _) = start().await;
    let reset = json!({"password": "chosen by the operator"});
    control.post(&format!("/v1/users/{ADA}/reset-password"), reset).await.expect(200);
    let page = Browser::new(&control).sign_in(ADA, "chosen by the operator").await;
    page.shows("Enter your code");
    let path = format!("/v1/users/{ADA}/reset-second-factor");
    let form = page;
    for _ in 0..2 {
        assert_eq!(control.post(&path, json!({})).await.expect(200)["second_factor"], false);
    }
    assert_eq!(audit(&control, "user.second_factor_removed").await.len(), 1, "once");
    assert!(!is_signed_in(&laptop).await);
    // Whoever was between the steps begins again.
    let between = Browser::new(&control);
    let page = enter(&between, &form, "000000").await;
    assert_eq!(page.status, 400);
    page.shows("Begin again");
    assert_eq!(between.sign_in(ADA, "chosen by the operator").await.status, 303);
    control
        .post("/v1/users/nobody@example.com/reset-second-factor", json!({}))
        .await
        .refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn between_the_steps_nothing_lasts() {
    let (control, laptop, app) = start().await;
    let browser = Browser::new(&control);
    let form = half_way(&browser).await;
    control.clock.advance(Duration::from_secs(299));
    assert_eq!(enter(&browser, &form, "000000").await.status, 401);
    control.clock.advance(Duration::from_secs(1));
    assert_eq!(enter(&browser, &form, &app.code(&control, 0)).await.status, 400, "five minutes are over");
    let form = half_way(&browser).await;
    laptop.submit("/account", "/account/sign-out-everywhere", &[]).await;
    assert_eq!(enter(&browser, &form, &app.code(&control, 0)).await.status, 400, "signed out everywhere");
    // What was signed for something else is nothing here.
    let half = half_way(&browser).await.value("half");
    let (_, device) = laptop.device();
    let (body, signature) = half.split_once('.').unwrap();
    for wrong in [String::new(), device, format!("{body}A.{signature}"), body.to_owned()] {
        let fields = [("half", wrong.as_str()), ("code", &app.code(&control, 0))];
        assert_eq!(browser.post("/sign-in/code", &fields).await.status, 400, "{wrong}");
    }
    assert!(!is_signed_in(&browser).await);
    let request = browser.request(Method::POST, "/sign-in/code").form(&[("half", &half), ("code", "1")]);
    assert_eq!(browser.send(request).await.status, 403, "another site's form");
}

/// Tries wrong codes until that is too much, each from an address of its own; how many it were.
async fn guesses(browser: &Browser, form: &Page) -> u32 {
    let mut tries = 0;
    loop {
        let page = enter_from(browser, form, "000000", &format!("198.51.{tries}.7")).await;
        if page.status == 429 {
            page.shows("Too many attempts");
            return tries;
        }
        assert_eq!(page.status, 401);
        tries += 1;
    }
}

#[tokio::test]
async fn who_knows_the_password_guesses_few_codes_and_keeps_nobody_out() {
    let (control, laptop, app) = start().await;
    laptop.submit("/account", "/sign-out", &[]).await;
    control.clock.advance(Duration::from_secs(STEP));
    let thief = Browser::new(&control);
    let form = half_way(&thief).await;
    assert_eq!(guesses(&thief, &form).await, 10, "over all addresses");
    let right = enter_from(&thief, &form, &app.code(&control, 0), "198.51.200.7").await;
    assert_eq!(right.status, 429, "even the right one");
    control.clock.advance(Duration::from_secs(3_600));
    let form = half_way(&thief).await;
    assert_eq!(guesses(&thief, &form).await, 1, "one an hour");
    // The owner comes in: where they have before, and by a recovery code wherever they are.
    let form = half_way(&laptop).await;
    assert_eq!(enter(&laptop, &form, &app.code(&control, 0)).await.status, 303);
    let elsewhere = Browser::new(&control);
    let form = half_way(&elsewhere).await;
    assert_eq!(enter(&elsewhere, &form, &app.recovery[0]).await.status, 303);
}

#[tokio::test]
async fn a_wrong_code_counts_as_a_wrong_password() {
    let (control, laptop, app) = start().await;
    control.clock.advance(Duration::from_secs(STEP));
    // Of eight attempts at one address the password was one.
    let browser = Browser::new(&control);
    let request = browser.request(Method::POST, "/sign-in").header("sec-fetch-site", "same-origin");
    let request =
        request.header("x-forwarded-for", "203.0.113.9").form(&[("email", ADA), ("password", PASSWORD)]);
    let form = browser.send(request).await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(enter(&browser, &form, "not a recovery code").await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 401, 401, 429]);
    // A password that is right gives none of them back, the code does.
    let form = half_way(&laptop).await;
    assert_eq!(enter(&laptop, &form, "000000").await.status, 401);
    assert_eq!(enter(&laptop, &form, &app.code(&control, 0)).await.status, 303);
    let mut tries = 0;
    while laptop.sign_in(ADA, "wrong horse").await.status == 401 {
        tries += 1;
    }
    assert_eq!(tries, 8, "at rest");
}

#[tokio::test]
async fn without_passwords_there_is_none() {
    let control = Control::tuned(|config| config.pages.passwords = false).await;
    assert_eq!(Browser::new(&control).post("/sign-in/code", &[]).await.status, 404);
}

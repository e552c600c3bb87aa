//! Somebody has stolen a gateway's token, and invents names of gateways: that costs a bounded number of rows, and no gateway of another
//! credential anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::common::fleet::client;
use crate::common::gateway::Gateway;
use crate::common::program::Program;
use crate::common::{ADMIN, Answer};
use crate::{SERVER, fill, name, new_database, serve};

/// How many names, how many polls at once, and how many rows they have at most at one control plane: a thousand, those that came since they were
/// counted, and those of polls under way.
const NAMES: usize = 1_400;
const AT_ONCE: usize = 48;
const MOST_ROWS: usize = 1_000 + 64 + 2 * AT_ONCE;

async fn call(program: &Program, method: Method, path: &str) -> Value {
    let request = client().request(method, format!("{}{path}", program.url)).bearer_auth(ADMIN);
    Answer::of(request.json(&json!({"name": "stolen"}))).await.body["data"].take()
}

/// How many of them one lists.
async fn listed(program: &Program) -> usize {
    let list = call(program, Method::GET, "/v1/gateways").await;
    list.as_array().unwrap().iter().filter(|gateway| gateway["credential"] == "stolen").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_without_end_have_so_many_rows_and_hurt_nobody_else() {
    let url = new_database();
    let (first, second) = (serve(&url), serve(&url));
    let key = fill(&first);
    let made = call(&first, Method::POST, "/v1/gateway-credentials").await;
    let token = made["token"].as_str().unwrap().to_owned();
    let mut honest = Gateway::at(client(), second.url.clone(), "honest");
    while !honest.ids().contains(&key.as_str()) || honest.poll().await.is_err() {
        let _ = honest.poll().await;
    }
    honest.query.wait = 25;
    let (begun, gone) = (Instant::now(), key.clone());
    let held = tokio::spawn(async move {
        let mut polls = 0;
        while honest.ids().contains(&gone.as_str()) {
            polls += u64::from(honest.poll().await.is_ok());
        }
        polls
    });
    let next = Arc::new(AtomicUsize::new(0));
    let invents = |_| {
        let (next, token, base, http) = (Arc::clone(&next), token.clone(), first.url.clone(), client());
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= NAMES {
                    return;
                }
                let mut invented = Gateway::at(http.clone(), base.clone(), &format!("n{number}"));
                invented.token.clone_from(&token);
                // As a gateway does: the database may be busy for longer than a poll waits for its row.
                while invented.poll().await.is_err() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        })
    };
    for task in (0..AT_ONCE).map(invents).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let rows = || {
        let rows = SERVER.sql(name(&url), "SELECT count(*) FROM gateways WHERE id LIKE 'stolen/%'");
        rows.parse::<usize>().unwrap()
    };
    let rows = tokio::task::block_in_place(rows);
    assert!((1_000..=MOST_ROWS).contains(&rows), "{rows} rows of {NAMES} names");
    assert!(listed(&first).await <= MOST_ROWS);
    // Who polls under another credential was not ended by all that, and hears of what is done now.
    call(&first, Method::POST, &format!("/v1/api-keys/{key}/revoke?wait=0")).await;
    let polls = held.await.unwrap();
    let most = 2 + begun.elapsed().as_secs() / 20;
    assert!(polls <= most, "{polls} polls that are held for 25 s each");
    let list = call(&first, Method::GET, "/v1/gateways?connected=true").await;
    let is_it =
        |gateway: &Value| gateway["id"] == "shared/honest" && gateway["acknowledged_revision"].is_u64();
    assert!(list.as_array().unwrap().iter().any(is_it), "{list}");
}

//! `POST /sync/v1/usage`, and what is answered about use.

use std::time::Duration;

use flamegate::contract::key::ApiKey;
use serde_json::{Value, json};

use crate::common::{Answer, Control, SYNC};

const SESSION: &str = "00112233445566778899aabbccddeeff";

async fn post(control: &Control, session: &str, body: &Value) -> Answer {
    let request = control.http.post(control.url("/sync/v1/usage")).bearer_auth(SYNC).json(body);
    Answer::of(request.header("x-flamegate-session", session)).await
}

fn hash_of(key: &Value) -> String {
    ApiKey::from_bytes(key["key"].as_str().unwrap().as_bytes()).unwrap().hash().to_hex()
}

fn minute(control: &Control) -> i64 {
    control.clock.now().as_second() / 60
}

fn count(key: &Value, outcome: &str, minute: i64, requests: u64) -> Value {
    json!({"key_id": key["id"], "outcome": outcome, "minute": minute, "requests": requests})
}

fn a_post(sequence: u64, counts: Value) -> Value {
    json!({"gateway": "gw-1", "sequence": sequence, "counts": counts})
}

#[tokio::test]
async fn a_post_is_counted_once_however_often_it_comes() {
    let control = Control::with_workspace().await;
    let key = control.create_key().await;
    assert_eq!((&key["last_used_at"], &key["last_refused_at"]), (&json!(null), &json!(null)));
    let path = format!("/v1/api-keys/{}/usage", key["id"].as_str().unwrap());
    let usage = control.get(&path).await.expect(200);
    assert_eq!((&usage["counted_since"], &usage["buckets"]), (&json!(null), &json!([])), "no data is not 0");
    let now = minute(&control);
    let counts = json!([
        count(&key, "admitted", now, 5),
        count(&key, "rate_limited", now, 2),
        count(&key, "admitted", now - 1, 3)
    ]);
    for _ in 0..3 {
        let answer = post(&control, SESSION, &a_post(1, counts.clone())).await;
        assert_eq!((answer.status, &answer.body["sequence"]), (200, &json!(1)));
    }
    assert_eq!(
        post(&control, SESSION, &a_post(2, json!([count(&key, "admitted", now, 1)]))).await.status,
        200
    );
    let other = SESSION.replace('0', "f");
    assert_eq!(post(&control, &other, &a_post(1, json!([count(&key, "expired", now, 4)]))).await.status, 200);
    let usage = control.get(&path).await.expect(200);
    let totals = &usage["totals"];
    assert_eq!(
        (&totals["admitted"], &totals["rate_limited"], &totals["expired"]),
        (&json!(9), &json!(2), &json!(4))
    );
    assert_eq!(usage["step"], "hour");
    let minutes = control.get(&format!("{path}?step=minute")).await.expect(200);
    let buckets: Vec<_> =
        minutes["buckets"].as_array().unwrap().iter().filter(|bucket| bucket["admitted"] != 0).collect();
    assert_eq!(buckets.iter().map(|bucket| bucket["admitted"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 6]);
    let key = control.get(path.trim_end_matches("/usage")).await.expect(200);
    assert_eq!((&key["last_used_at"], &key["last_used_by"]), (&buckets[1]["start"], &json!("shared/gw-1")));
    let gateways = usage["gateways"].as_array().unwrap();
    assert_eq!((gateways.len(), &gateways[0]["id"]), (1, &json!("shared/gw-1")), "{usage}");
    assert!(gateways[0]["last_used_at"].as_str().unwrap().ends_with(":00:00Z"), "{usage}");
    let workspace = control.get("/v1/workspaces/demo/usage?step=day").await.expect(200);
    assert_eq!(workspace["totals"], usage["totals"]);
    assert_eq!(
        (&workspace["busiest"][0]["id"], &workspace["busiest"][0]["admitted"]),
        (&key["id"], &json!(9))
    );
}

#[tokio::test]
async fn a_dead_key_in_use_is_known_by_its_hash() {
    let control = Control::with_workspace().await;
    let (dead, live) = (control.create_key().await, control.create_key().await);
    control.revoke(dead["id"].as_str().unwrap(), "0s").await;
    let now = minute(&control);
    let refused = |key: &Value| {
        let hash = hash_of(key);
        json!({"hash": hash, "minute": now, "requests": 7})
    };
    let nobodys = json!({"hash": "0".repeat(64), "minute": now, "requests": 9});
    let body = json!({"gateway": "gw-1", "sequence": 1, "counts": [], "refused": [refused(&dead), refused(&live), nobodys]});
    assert_eq!(post(&control, SESSION, &body).await.status, 200);
    let of = async |key: &Value| {
        control.get(&format!("/v1/api-keys/{}/usage", key["id"].as_str().unwrap())).await.expect(200)
    };
    let usage = of(&dead).await;
    assert_eq!((&usage["totals"]["revoked"], &usage["last_refused_by"]), (&json!(7), &json!("shared/gw-1")));
    assert_eq!(usage["last_used_at"], json!(null));
    assert_eq!(of(&live).await["totals"]["revoked"], 0);
    let still = control.get("/v1/api-keys?still_used=true").await.expect(200);
    assert_eq!(still.as_array().unwrap().iter().map(|key| &key["id"]).collect::<Vec<_>>(), [&dead["id"]]);
    assert!(control.get("/v1/api-keys?unused_for=30d").await.expect(200).as_array().unwrap().is_empty());
    control.housekeeping(1_000).await;
    control.clock.advance(Duration::from_secs(31 * 86_400));
    let unused = control.get("/v1/api-keys?unused_for=30d&status=active").await.expect(200);
    assert_eq!(unused.as_array().unwrap().iter().map(|key| &key["id"]).collect::<Vec<_>>(), [&live["id"]]);
    assert!(control.get("/v1/api-keys?still_used=true").await.expect(200).as_array().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_a_post_is_refused_with_its_place() {
    let control = Control::with_workspace().await;
    let key = control.create_key().await;
    let now = minute(&control);
    for (body, place) in [
        (json!({"gateway": "gw-1", "sequence": 0, "counts": []}), "sequence: begins at 1"),
        (json!({"gateway": "a/b", "sequence": 1, "counts": []}), "gateway: not a name"),
        (json!([]), "not a post"),
        (
            a_post(1, json!([count(&key, "admitted", now, 1), count(&key, "admitted", now, 1)])),
            "counts[1]: is there twice",
        ),
    ] {
        let answer = post(&control, SESSION, &body).await;
        assert_eq!(answer.status, 422, "{body}");
        assert!(answer.body.to_string().contains(place), "{}", answer.body);
    }
    assert_eq!(post(&control, "no session", &a_post(1, json!([]))).await.status, 422);
    let request =
        control.http.post(control.url("/sync/v1/usage")).bearer_auth("wrong").json(&a_post(1, json!([])));
    assert_eq!(Answer::of(request).await.status, 401);
    let large = json!({"gateway": "g".repeat(2 << 20), "sequence": 1, "counts": []});
    assert_eq!(post(&control, SESSION, &large).await.status, 413);
    for query in ["from=yesterday", "step=week", "from=2020-01-01T00:00:00Z&step=minute", "since=1h"] {
        let answer = control.get(&format!("/v1/workspaces/demo/usage?{query}")).await;
        assert!(matches!(answer.status, 400 | 422), "{query}: {}", answer.body);
    }
    assert_eq!(control.get("/v1/api-keys/key_unknown/usage").await.status, 404);
    assert_eq!(control.get("/v1/workspaces/unknown/usage").await.status, 404);
}

/// Whoever has a credential can make numbers up; they end as they are told to.
#[tokio::test]
async fn counts_are_kept_as_long_as_their_step_says() {
    let control = Control::with_workspace().await;
    let key = control.create_key().await;
    let counts = json!([count(&key, "admitted", minute(&control), u64::MAX)]);
    assert_eq!(post(&control, SESSION, &a_post(1, counts)).await.status, 200);
    let tables = async || {
        (
            control.rows("key_usage").await,
            control.rows("workspace_usage").await,
            control.rows("usage_cursors").await,
        )
    };
    assert_eq!(tables().await, (3, 3, 1));
    for (days, left) in [(3, (2, 2, 1)), (30, (1, 1, 0)), (380, (0, 0, 0))] {
        control.clock.advance(Duration::from_secs(days * 86_400));
        control.housekeeping(1_000).await;
        assert_eq!(tables().await, left, "{days}");
    }
}

#[tokio::test]
async fn notices_say_which_keys_are_to_be_looked_at() {
    let control = Control::with_workspace().await;
    let (dead, quiet) = (control.create_key().await, control.create_key().await);
    let ends = control.clock.now() + jiff::SignedDuration::from_hours(5 * 24);
    let body = json!({"workspace": "demo", "name": "Soon over", "environment": "live", "expires_at": ends.to_string()});
    let soon = control.post("/v1/api-keys", body).await.expect(201);
    control.revoke(dead["id"].as_str().unwrap(), "0s").await;
    let hash = hash_of(&dead);
    let refused = json!([{"hash": hash, "minute": minute(&control), "requests": 1}]);
    let body = json!({"gateway": "gw-1", "sequence": 1, "counts": [], "refused": refused});
    assert_eq!(post(&control, SESSION, &body).await.status, 200);
    let told = async || {
        let notices = control.get("/v1/notices?workspace=demo").await.expect(200);
        let notices = notices.as_array().unwrap().iter();
        notices
            .map(|notice| {
                (
                    notice["kind"].as_str().unwrap().to_owned(),
                    notice["within_days"].clone(),
                    notice["api_key"]["id"].clone(),
                )
            })
            .collect::<Vec<_>>()
    };
    let still = ("still_used".to_owned(), json!(null), dead["id"].clone());
    assert_eq!(told().await, [still, ("ends".to_owned(), json!(7), soon["id"].clone())]);
    let metrics = control.http.get(control.url("/metrics")).send().await.unwrap().text().await.unwrap();
    for line in
        ["{kind=\"still_used\"} 1", "{kind=\"ends_7d\"} 1", "{kind=\"ends_1d\"} 0", "{kind=\"unused\"} 0"]
    {
        assert!(metrics.contains(&format!("flamegate_control_notices{line}")), "{line}: {metrics}");
    }
    control.housekeeping(1_000).await;
    control.clock.advance(Duration::from_secs(91 * 86_400));
    assert_eq!(told().await, [("unused".to_owned(), json!(null), quiet["id"].clone())]);
    assert_eq!(control.get("/v1/notices?workspace=unknown").await.status, 404);
}

/// A series is kept for ever, so only so many keys have one; a post that comes again is in none twice.
#[tokio::test]
async fn series_of_keys_are_told_where_somebody_asked_for_them() {
    let told = async |control: &Control| {
        let text = control.http.get(control.url("/metrics")).send().await.unwrap().text().await.unwrap();
        text.lines()
            .filter(|line| line.contains("key_requests_total{"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let control = Control::with_workspace().await;
    let key = control.create_key().await;
    let body = |control: &Control, keys: &[&Value]| {
        let counts: Vec<_> = keys.iter().map(|key| count(key, "admitted", minute(control), 5)).collect();
        a_post(1, counts.into())
    };
    assert_eq!(post(&control, SESSION, &body(&control, &[&key])).await.status, 200);
    assert_eq!(told(&control).await, [""; 0], "off unless asked for");
    let control = Control::tuned(|config| config.metrics_per_key = 1).await;
    control.post("/v1/workspaces", json!({"name": "Demo"})).await.expect(201);
    let first = control.create_key().await;
    assert_eq!(post(&control, SESSION, &body(&control, &[&first])).await.status, 200);
    let (second, third) = (control.create_key().await, control.create_key().await);
    let other = SESSION.replace('0', "f");
    for _ in 0..2 {
        assert_eq!(post(&control, &other, &body(&control, &[&second, &third, &first])).await.status, 200);
    }
    let line = |id: &str, requests: u64| {
        format!("flamegate_control_key_requests_total{{key_id=\"{id}\",outcome=\"admitted\"}} {requests}")
    };
    let mut wanted = vec![line(first["id"].as_str().unwrap(), 10), line("other", 10)];
    wanted.sort();
    assert_eq!(told(&control).await, wanted);
}

//! Posts of what keys were used for, while the database dies.

use flamegate_engines::{Database, Postgres};
use serde_json::{Value, json};

use super::blocking;
use super::common::SYNC;
use super::common::fleet::Fleet;

const SESSION: &str = "00112233445566778899aabbccddeeff";

async fn post(fleet: &Fleet, key: &str, sequence: u64) -> u16 {
    let minute = jiff::Timestamp::now().as_second() / 60;
    let count = json!({"key_id": key, "outcome": "admitted", "minute": minute, "requests": 1});
    let body = json!({"gateway": "gw-1", "sequence": sequence, "counts": [count]});
    let request = fleet.http.post(format!("{}/sync/v1/usage", fleet.programs[0].url)).bearer_auth(SYNC);
    request.header("x-flamegate-session", SESSION).json(&body).send().await.unwrap().status().as_u16()
}

async fn admitted(fleet: &Fleet, key: &str) -> Value {
    fleet.get(0, &format!("/v1/api-keys/{key}/usage")).await.expect(200)["totals"]["admitted"].clone()
}

/// A gateway never sends again what was acknowledged. The server writes nothing to the disk by itself here, but what somebody waits for.
#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_post_is_there_after_the_server_was_killed() {
    let cluster = blocking(|| Postgres::start_with(&[("wal_writer_delay", "10s")]));
    let mut database = blocking(|| Database::on(cluster, 1, None));
    let fleet = Fleet::on(&database, 1).await;
    let key = fleet.create(0).await;
    for sequence in 1..=2 {
        assert_eq!(post(&fleet, &key, sequence).await, 200);
        blocking(|| {
            database.primary.kill();
            database.primary.start_again();
        });
        fleet.recovers(0).await;
        assert_eq!(admitted(&fleet, &key).await, json!(sequence));
        assert_eq!(post(&fleet, &key, sequence).await, 200, "as a gateway does that has not heard of it");
        assert_eq!(admitted(&fleet, &key).await, json!(sequence), "counted once");
    }
}

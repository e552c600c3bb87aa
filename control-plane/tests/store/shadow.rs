//! What has passed in shadow: summed by day, found by the latest, bounded however many names somebody makes up, and forgotten.

use flamegate_control::domain::usage::{
    KeyShadow, MOST_GATEWAYS_A_DAY, Minute, ReasonShadow, Rows, ShadowRows, Step, minute_of,
};

use crate::fixtures::{Database, at};

const LOOK: u32 = 100;

fn today() -> Minute {
    Step::Day.start(minute_of(at(0)))
}

async fn add(database: &Database, shadow: ShadowRows) {
    let rows = Rows { shadow, ..Rows::default() };
    database.store.note(move |tx| Box::pin(async move { tx.add_usage(&rows, at(0)).await })).await.unwrap();
}

fn of_key(day: Minute, key_seq: i64, rate_limited: u64, last: Minute) -> ShadowRows {
    let shadow = KeyShadow { rate_limited, expired: 1, last, ..KeyShadow::default() };
    ShadowRows { keys: [((day, key_seq), shadow)].into(), ..ShadowRows::default() }
}

fn of_gateway(day: Minute, gateway: &str, reason: &'static str, requests: u64, last: Minute) -> ShadowRows {
    let key = (day, gateway.to_owned(), reason);
    ShadowRows { reasons: [(key, ReasonShadow { requests, last })].into(), ..ShadowRows::default() }
}

/// Ids, requests over a limit, since when and until when.
async fn keys(database: &Database, since: Minute, look: u32) -> Vec<(String, u64, Minute, Minute)> {
    let mut reader = database.store.read().await.unwrap();
    let (found, total) = reader.shadowed_keys(since, look, 0, 10).await.unwrap();
    assert_eq!(total, found.len() as u64);
    found.into_iter().map(|sum| (sum.id, sum.shadow.rate_limited, sum.since, sum.shadow.last)).collect()
}

pub async fn what_has_passed_is_summed_by_day_and_the_latest_comes_first(database: Database) {
    let workspace = database.workspace("demo").await;
    let [a, b, c] = [
        database.key(&workspace, "k1").await.seq,
        database.key(&workspace, "k2").await.seq,
        database.key(&workspace, "k3").await.seq,
    ];
    let (today, yesterday) = (today(), today() - 1_440);
    for rows in [
        of_key(today, a, 3, today + 5),
        of_key(today, a, 4, today + 2),
        of_key(yesterday, a, 5, yesterday + 9),
        of_key(today, b, 1, today + 7),
        of_key(yesterday, c, 2, yesterday + 1),
    ] {
        add(&database, rows).await;
    }
    let first = ("key_k2".to_owned(), 1, today, today + 7);
    assert_eq!(
        keys(&database, today, LOOK).await,
        [first.clone(), ("key_k1".to_owned(), 7, today, today + 5)]
    );
    let whole = ("key_k1".to_owned(), 12, yesterday, today + 5);
    let last = ("key_k3".to_owned(), 2, yesterday, yesterday + 1);
    assert_eq!(keys(&database, yesterday, LOOK).await, [first.clone(), whole, last]);
    assert_eq!(keys(&database, yesterday, 2).await.len(), 2, "of the newest rows");
    let mut reader = database.store.read().await.unwrap();
    let (second, total) = reader.shadowed_keys(yesterday, LOOK, 1, 1).await.unwrap();
    assert_eq!((second[0].id.as_str(), second[0].shadow.expired, total), ("key_k1", 3, 3));
    drop(reader);
    database.write(move |tx| Box::pin(async move { tx.revoke_key(a, at(9)).await })).await;
    assert_eq!(keys(&database, today, LOOK).await, [first], "nobody asks about a revoked one");
}

pub async fn reasons_are_summed_by_gateway(database: Database) {
    let today = today();
    for rows in [
        of_gateway(today, "eu/b", "unauthorized.missing", 5, today + 1),
        of_gateway(today, "eu/b", "unauthorized.missing", 6, today),
        of_gateway(today - 1_440, "eu/b", "rate_limited.key", 20, today - 3),
        of_gateway(today, "eu/a", "other", 1, today + 2),
    ] {
        add(&database, rows).await;
    }
    let mut reader = database.store.read().await.unwrap();
    let found = reader.shadowed_reasons(today - 1_440, LOOK).await.unwrap();
    let told: Vec<_> = found
        .iter()
        .map(|sum| {
            (sum.gateway.as_str(), sum.reason.as_str(), sum.shadow.requests, sum.since, sum.shadow.last)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("eu/a", "other", 1, today, today + 2),
            ("eu/b", "rate_limited.key", 20, today - 1_440, today - 3),
            ("eu/b", "unauthorized.missing", 11, today, today + 1),
        ]
    );
    assert_eq!(reader.shadowed_reasons(today, LOOK).await.unwrap().len(), 2);
}

pub async fn names_without_end_are_one_and_hide_no_other_credential(database: Database) {
    let today = today();
    let mut shadow = ShadowRows::default();
    for number in 0..MOST_GATEWAYS_A_DAY + 9 {
        let key = (today, format!("stolen/{number}"), "unauthorized.missing");
        shadow.reasons.insert(key, ReasonShadow { requests: 1, last: today });
    }
    add(&database, shadow).await;
    add(&database, of_gateway(today, "stolen/more", "unauthorized.missing", 2, today)).await;
    add(&database, of_gateway(today, "stolen/1", "unauthorized.missing", 1, today)).await;
    add(&database, of_gateway(today, "honest/a", "unauthorized.missing", 1, today)).await;
    let mut reader = database.store.read().await.unwrap();
    let found = reader.shadowed_reasons(today, 1_000).await.unwrap();
    assert_eq!(found.len(), MOST_GATEWAYS_A_DAY as usize + 2);
    let of = |id: &str| found.iter().find(|sum| sum.gateway == id).map(|sum| sum.shadow.requests);
    assert_eq!(
        (of("stolen/~others"), of("stolen/1"), of("honest/a"), of("stolen/more")),
        (Some(11), Some(2), Some(1), None)
    );
}

pub async fn old_days_are_forgotten_in_parts(database: Database) {
    let workspace = database.workspace("demo").await;
    let key = database.key(&workspace, "k1").await.seq;
    let today = today();
    for day in 0..5 {
        add(&database, of_key(today - day * 1_440, key, 1, today)).await;
        add(&database, of_gateway(today - day * 1_440, "eu/a", "other", 1, today)).await;
    }
    let forget = async || {
        let gone = database.store.note(move |tx| Box::pin(tx.forget_shadow(today - 1_440, 2)));
        gone.await.unwrap()
    };
    assert_eq!((forget().await, forget().await, forget().await), (4, 2, 0));
    assert_eq!(keys(&database, 0, LOOK).await[0].2, today - 1_440);
}

//! What keys are used for: counted once, summed in every step, forgotten in time.

use flamegate_control::domain::keys::{KeyFilter, Status};
use flamegate_control::domain::usage::{
    Bucket, Lines, Minute, Period, Rows, Step, Tally, Use, minute_of, time_of,
};
use jiff::{SignedDuration, Timestamp};

use crate::fixtures::{Database, at};

fn now() -> Minute {
    minute_of(at(0))
}

/// Counts of a key in one minute, in every step.
fn rows(key: i64, workspace: i64, minute: Minute, admitted: u64) -> Rows {
    let mut rows = Rows::default();
    let tally = Tally { admitted, expired: 1, ..Tally::default() };
    for step in Step::ALL {
        rows.keys.insert((key, workspace, step, step.start(minute)), tally);
        rows.workspaces.insert((workspace, step, step.start(minute)), tally);
    }
    rows.used.insert(key, Use { key_seq: key, minute, gateway: format!("eu/{minute}") });
    rows
}

async fn add(database: &Database, rows: Rows) {
    database.store.note(move |tx| Box::pin(async move { tx.add_usage(&rows, at(0)).await })).await.unwrap();
}

async fn take(database: &Database, session: u8, sequence: u64, seconds: i64) -> bool {
    let take = database.store.note(move |tx| {
        Box::pin(async move { tx.take_usage_number("eu", &[session; 32], sequence, at(seconds)).await })
    });
    take.await.unwrap()
}

async fn of_key(database: &Database, key: i64, step: Step, from: Minute, to: Minute) -> Vec<Bucket> {
    let period = Period { step, from, to };
    database.store.read().await.unwrap().usage_of_key(key, &period).await.unwrap()
}

pub async fn counts_add_up_in_every_step_of_key_and_workspace(database: Database) {
    let (ours, other) = (database.workspace("ours").await, database.workspace("other").await);
    let (a, b, c) =
        (database.key(&ours, "a").await, database.key(&ours, "b").await, database.key(&other, "c").await);
    let (minute, hour, day) = (now(), Step::Hour.start(now()), Step::Day.start(now()));
    for (key, workspace, minute, admitted) in [
        (a.seq, ours.seq, minute, 3),
        (a.seq, ours.seq, minute, 4),
        (a.seq, ours.seq, hour, 10),
        (b.seq, ours.seq, minute, 100),
        (c.seq, other.seq, minute, 1_000),
    ] {
        add(&database, rows(key, workspace, minute, admitted)).await;
    }
    let found = of_key(&database, a.seq, Step::Minute, day, minute + 1).await;
    let told: Vec<_> =
        found.iter().map(|bucket| (bucket.start, bucket.tally.admitted, bucket.tally.expired)).collect();
    let wanted = if minute == hour { vec![(minute, 17, 3)] } else { vec![(hour, 10, 1), (minute, 7, 2)] };
    assert_eq!(told, wanted);
    let found = of_key(&database, a.seq, Step::Hour, hour, hour + 60).await;
    assert_eq!(
        found,
        [Bucket { start: hour, tally: Tally { admitted: 17, expired: 3, ..Tally::default() } }]
    );
    assert!(of_key(&database, a.seq, Step::Hour, hour - 60, hour).await.is_empty());
    let mut view = database.store.read().await.unwrap();
    let period = Period { step: Step::Day, from: day, to: day + 1_440 };
    let of_ours = view.usage_of_workspace(ours.seq, &period).await.unwrap();
    assert_eq!((of_ours.len(), of_ours[0].tally.admitted, of_ours[0].tally.expired), (1, 117, 4));
    let busiest = view.busiest_keys(ours.seq, minute, minute + 1, 10).await.unwrap();
    let told: Vec<_> = busiest.iter().map(|(id, tally)| (id.as_str(), tally.admitted)).collect();
    assert_eq!(told, [("key_b", 100), ("key_a", 17)]);
    assert_eq!(view.busiest_keys(ours.seq, minute, minute + 1, 1).await.unwrap().len(), 1);
    assert_eq!(view.usage_since().await.unwrap(), Some(now()));
    let ids = ["key_c", "key_x", "key_a"].map(str::to_owned);
    let mut rows = view.key_rows(&ids).await.unwrap();
    rows.sort_by_key(|(id, _)| id.clone());
    assert_eq!(
        rows.iter().map(|(id, row)| (id.as_str(), row.seq)).collect::<Vec<_>>(),
        [("key_a", a.seq), ("key_c", c.seq)]
    );
}

pub async fn many_rows_come_in_one_go(database: Database) {
    let workspace = database.workspace("ours").await;
    let key = database.key(&workspace, "a").await;
    let mut all = Rows::default();
    for minute in 0..2_500 {
        all.keys
            .insert((key.seq, workspace.seq, Step::Minute, minute), Tally { revoked: 1, ..Tally::default() });
    }
    add(&database, all).await;
    assert_eq!(of_key(&database, key.seq, Step::Minute, 0, 5_000).await.len(), 2_500);
}

pub async fn a_number_of_a_process_is_taken_once_and_only_forward(database: Database) {
    assert!(take(&database, 1, 1, 0).await);
    assert!(!take(&database, 1, 1, 0).await);
    assert!(take(&database, 2, 1, 0).await, "another process");
    assert!(take(&database, 1, 5, 0).await, "numbers between were lost with an older database");
    assert!(!take(&database, 1, 4, 0).await);
    // The same post at several control planes at once.
    let mut tries = Vec::new();
    for _ in 0..8 {
        let store = database.store.clone();
        tries.push(tokio::spawn(async move {
            let take = store
                .note(|tx| Box::pin(async move { tx.take_usage_number("eu", &[1; 32], 6, at(0)).await }));
            take.await.unwrap()
        }));
    }
    let mut taken = 0;
    for one in tries {
        taken += usize::from(one.await.unwrap());
    }
    assert_eq!(taken, 1);
}

pub async fn numbers_of_processes_that_are_long_gone_or_too_many_are_forgotten(database: Database) {
    for session in 0..6 {
        assert!(take(&database, session, 9, i64::from(session) * 60).await);
    }
    database.write(|tx| Box::pin(tx.forget_usage_numbers(at(60), 3))).await;
    for (session, is_new) in [(0, true), (1, true), (2, true), (3, false), (5, false)] {
        assert_eq!(take(&database, session, 9, 600).await, is_new, "{session}");
    }
}

pub async fn a_last_use_never_goes_back(database: Database) {
    let workspace = database.workspace("ours").await;
    let key = database.key(&workspace, "a").await;
    assert_eq!(key.uses, Default::default());
    for (minute, wanted) in [(100, 100), (90, 100), (101, 101), (101, 101)] {
        add(&database, rows(key.seq, workspace.seq, minute, 1)).await;
        let uses = database.find_key("key_a").await.unwrap().uses;
        assert_eq!((uses.last_used_at, uses.last_used_by), (time_of(wanted), Some(format!("eu/{wanted}"))));
        assert_eq!(uses.last_refused_at, None);
    }
    let refused = Use { key_seq: key.seq, minute: 95, gateway: "us/1".to_owned() };
    let refused = Rows { refused: [(key.seq, refused)].into(), ..Rows::default() };
    add(&database, refused).await;
    let uses = database.find_key("key_a").await.unwrap().uses;
    assert_eq!((uses.last_refused_at, uses.last_refused_by.as_deref()), (time_of(95), Some("us/1")));
    assert_eq!(uses.last_used_at, time_of(101));
}

pub async fn what_is_old_is_forgotten_in_parts(database: Database) {
    let workspace = database.workspace("ours").await;
    let key = database.key(&workspace, "a").await;
    for minute in 1_440..1_450 {
        add(&database, rows(key.seq, workspace.seq, minute, 1)).await;
    }
    let forget =
        |before, limit| database.write(move |tx| Box::pin(tx.forget_usage(Step::Minute, before, limit)));
    assert_eq!(forget(1_445, 3).await.value, 6, "three of the key and three of the workspace");
    assert_eq!(forget(1_445, 100).await.value, 4);
    assert_eq!(forget(1_445, 100).await.value, 0);
    let left = of_key(&database, key.seq, Step::Minute, 0, 9_999).await;
    assert_eq!((left.len(), left[0].start), (5, 1_445));
    assert_eq!(of_key(&database, key.seq, Step::Day, 0, 9_999).await[0].tally.admitted, 10);
}

pub async fn keys_are_found_by_their_use(database: Database) {
    let workspace = database.workspace("ours").await;
    for name in ["old", "new", "never", "dead", "quiet"] {
        database.key(&workspace, name).await;
    }
    let keys = async |filter: KeyFilter| {
        let later = at(0) + SignedDuration::from_hours(1_000);
        let found = database.store.read().await.unwrap().list_keys(&filter, later, 10).await.unwrap();
        found.into_iter().map(|key| key.name).collect::<Vec<_>>()
    };
    let since = |hours: i64| at(0) + SignedDuration::from_hours(hours);
    let unused = |since: Timestamp| KeyFilter { unused_since: Some(since), ..KeyFilter::default() };
    assert!(keys(unused(since(900))).await.is_empty(), "nobody has counted yet");
    for (name, hours) in [("old", 1), ("new", 500)] {
        let key = database.find_key(&format!("key_{name}")).await.unwrap();
        add(&database, rows(key.seq, workspace.seq, minute_of(since(hours)), 1)).await;
    }
    assert_eq!(keys(unused(since(400))).await, ["quiet", "dead", "never", "old"]);
    assert!(keys(unused(at(-60))).await.is_empty(), "made and counted since then");
    let dead = database.find_key("key_dead").await.unwrap();
    for name in ["dead", "quiet"] {
        let seq = database.find_key(&format!("key_{name}")).await.unwrap().seq;
        database.write(move |tx| Box::pin(tx.revoke_key(seq, at(5)))).await;
    }
    let refused = Use { key_seq: dead.seq, minute: minute_of(since(100)), gateway: "eu/1".to_owned() };
    add(&database, Rows { refused: [(dead.seq, refused)].into(), ..Rows::default() }).await;
    let still = |since: Timestamp| KeyFilter { refused_since: Some(since), ..KeyFilter::default() };
    assert_eq!(keys(still(since(100))).await, ["dead"]);
    assert!(keys(still(since(101))).await.is_empty());
    let active = KeyFilter { status: Some(Status::Active), ..unused(since(400)) };
    assert_eq!(keys(active).await, ["never", "old"]);
}

pub async fn days_of_several_keys_come_in_one_answer(database: Database) {
    let workspace = database.workspace("ours").await;
    let mut seqs = Vec::new();
    for (name, ago) in [("a", 0), ("b", 1_440), ("c", 40 * 1_440)] {
        let key = database.key(&workspace, name).await;
        add(&database, rows(key.seq, workspace.seq, now() - ago, 5)).await;
        seqs.push(key.seq);
    }
    let period = Lines::period(now());
    let found = async |seqs: &[i64]| {
        let mut view = database.store.read().await.unwrap();
        let found = view.usage_of_keys(seqs, &period).await.unwrap();
        let mut found: Vec<_> =
            found.iter().map(|(key, bucket)| (*key, bucket.start, bucket.tally.admitted)).collect();
        found.sort_unstable();
        found
    };
    let today = Step::Day.start(now());
    assert_eq!(found(&seqs).await, [(seqs[0], today, 5), (seqs[1], today - 1_440, 5)]);
    assert_eq!(found(&seqs[1..]).await, [(seqs[1], today - 1_440, 5)]);
    assert!(found(&[]).await.is_empty() && found(&[i64::MAX]).await.is_empty());
}

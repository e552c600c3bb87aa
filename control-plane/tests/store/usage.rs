//! What keys are used for: counted once, summed in every step, forgotten in time.

use flamegate_control::domain::keys::{End, Key, KeyFilter, KeyOrder, Status};
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
    let gateway = format!("eu/{minute}");
    rows.gateways.insert((key, gateway.clone()), Step::Hour.start(minute));
    rows.used.insert(key, Use { key_seq: key, workspace_seq: workspace, minute, gateway });
    rows
}

/// Somebody came with a key that had ended.
fn refused(key: &Key, minute: Minute) -> Rows {
    let (key_seq, workspace_seq) = (key.seq, key.workspace_seq);
    let last = Use { key_seq, workspace_seq, minute, gateway: format!("us/{minute}") };
    Rows { refused: [(key.seq, last)].into(), ..Rows::default() }
}

/// Until the log has nothing more to follow, in small steps.
async fn follow(database: &Database) {
    while database.store.note(|tx| Box::pin(tx.follow_keys(2))).await.unwrap() {}
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
    add(&database, refused(&key, 95)).await;
    let uses = database.find_key("key_a").await.unwrap().uses;
    assert_eq!((uses.last_refused_at, uses.last_refused_by.as_deref()), (time_of(95), Some("us/95")));
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
    let (workspace, other) = (database.workspace("ours").await, database.workspace("other").await);
    for name in ["old", "new", "never", "dead", "quiet"] {
        database.key(&workspace, name).await;
    }
    database.key(&other, "theirs").await;
    let later = at(0) + SignedDuration::from_hours(1_000);
    let keys = async |filter: KeyFilter| {
        let mut view = database.store.read().await.unwrap();
        let found = view.list_keys(&filter, later, 10).await.unwrap();
        assert_eq!(view.count_keys(&filter, later).await.unwrap(), found.len() as u64, "{filter:?}");
        found.into_iter().map(|key| key.name).collect::<Vec<_>>()
    };
    let since = |hours: i64| at(0) + SignedDuration::from_hours(hours);
    let unused = |since: Timestamp| KeyFilter { unused_since: Some(since), ..KeyFilter::default() };
    let here = |filter: KeyFilter| KeyFilter { workspace_seq: Some(workspace.seq), ..filter };
    follow(&database).await;
    assert!(keys(unused(since(900))).await.is_empty(), "nobody has counted yet");
    for (name, hours) in [("old", 1), ("new", 500)] {
        let key = database.find_key(&format!("key_{name}")).await.unwrap();
        add(&database, rows(key.seq, workspace.seq, minute_of(since(hours)), 1)).await;
    }
    assert_eq!(keys(unused(since(400))).await, ["theirs", "quiet", "dead", "never", "old"]);
    assert_eq!(keys(here(unused(since(400)))).await, ["quiet", "dead", "never", "old"]);
    assert!(keys(unused(at(-60))).await.is_empty(), "made and counted since then");
    let longest = KeyFilter { order: KeyOrder::LongestUnused, ..here(unused(since(600))) };
    assert_eq!(keys(longest).await, ["old", "never", "dead", "quiet", "new"]);
    for name in ["dead", "quiet"] {
        let seq = database.find_key(&format!("key_{name}")).await.unwrap().seq;
        database.write(move |tx| Box::pin(tx.revoke_key(seq, at(5)))).await;
    }
    assert_eq!(keys(here(unused(since(400)))).await, ["never", "old"], "at once");
    for (name, hours) in [("dead", 100), ("quiet", 50)] {
        let key = database.find_key(&format!("key_{name}")).await.unwrap();
        add(&database, refused(&key, minute_of(since(hours)))).await;
    }
    let still = |since: Timestamp| KeyFilter { refused_since: Some(since), ..KeyFilter::default() };
    assert_eq!(keys(still(since(100))).await, ["dead"]);
    assert!(keys(still(since(101))).await.is_empty());
    let latest = KeyFilter { order: KeyOrder::LatestRefused, ..here(still(since(0))) };
    assert_eq!(keys(latest).await, ["dead", "quiet"]);
    assert!(keys(KeyFilter { workspace_seq: Some(other.seq), ..still(since(0)) }).await.is_empty());
    let never_both = KeyFilter { refused_since: Some(since(0)), ..unused(since(900)) };
    assert!(keys(never_both).await.is_empty());
    let active = KeyFilter { status: Some(Status::Active), ..here(unused(since(400))) };
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

/// What is there of a key that was removed or came back is as the log says, however far the log was compacted meanwhile.
pub async fn unused_keys_follow_the_log(database: Database) {
    let workspace = database.workspace("ours").await;
    let mut seqs = Vec::new();
    for name in ["a", "b", "c", "d"] {
        seqs.push(database.key(&workspace, name).await.seq);
    }
    add(&database, Rows::default()).await;
    let idle = async || {
        let later = at(0) + SignedDuration::from_hours(100);
        let filter =
            KeyFilter { unused_since: Some(later), order: KeyOrder::LongestUnused, ..KeyFilter::default() };
        let found = database.store.read().await.unwrap().list_keys(&filter, later, 10).await.unwrap();
        found.into_iter().map(|key| key.seq).collect::<Vec<_>>()
    };
    assert!(idle().await.is_empty(), "nobody has followed");
    follow(&database).await;
    assert_eq!(idle().await, seqs);
    let (first, second) = (seqs[0], seqs[1]);
    // One that is taken off by the clock and comes back, and one whose removal leaves the log before anybody follows.
    database.write(move |tx| Box::pin(tx.set_key_expiry(first, End::from_second(at(5).as_second())))).await;
    database.write(move |tx| Box::pin(tx.list_by_clock(false, at(10), 10))).await;
    follow(&database).await;
    assert_eq!(idle().await, seqs[1..]);
    database.write(move |tx| Box::pin(tx.set_key_expiry(first, None))).await;
    database.write(move |tx| Box::pin(tx.revoke_key(second, at(20)))).await;
    database.write(|tx| Box::pin(tx.compact_log(0))).await;
    follow(&database).await;
    assert_eq!(idle().await, [seqs[0], seqs[2], seqs[3]]);
    // A use moves the day on, and one of before does not move it back.
    for minute in [minute_of(at(0)) + 2 * 1_440, minute_of(at(0))] {
        add(&database, rows(seqs[0], workspace.seq, minute, 1)).await;
    }
    assert_eq!(idle().await, [seqs[2], seqs[3], seqs[0]]);
}

pub async fn a_few_gateways_are_kept_for_each_key(database: Database) {
    let workspace = database.workspace("ours").await;
    let (a, b) = (database.key(&workspace, "a").await.seq, database.key(&workspace, "b").await.seq);
    for hour in 1..=10 {
        add(&database, rows(a, workspace.seq, hour * 60 + 7, 1)).await;
        add(&database, rows(a, workspace.seq, hour * 60 + 7, 1)).await;
    }
    add(&database, rows(b, workspace.seq, 7, 1)).await;
    let mut view = database.store.read().await.unwrap();
    let mut found = view.gateways_of_keys(&[a, b]).await.unwrap();
    found.sort_by_key(|at| (at.key_seq, at.hour));
    let told: Vec<_> = found.iter().map(|at| (at.key_seq, at.gateway.clone(), at.hour)).collect();
    let eight = (3..=10).map(|hour| (a, format!("eu/{}", hour * 60 + 7), hour * 60));
    assert_eq!(told, eight.chain([(b, "eu/7".to_owned(), 0)]).collect::<Vec<_>>());
}

//! The same operations, drawn at random, on both engines: every answer is the same, and gateways get the same revisions.

use flamegate_control::domain::bounds::Bounds;
use flamegate_control::domain::keys::{End, KeyFilter, Status};
use flamegate_control::domain::log::Since;
use flamegate_control::domain::workspaces::Renewed;

use crate::fixtures::{
    Database, Error, Scope, at, limit, new_key, new_user, new_workspace, postgres, sqlite,
};

/// Numbers that look random, the same for a seed.
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}

const SEEDS: [u64; 3] = [0x5eed_0001, 0x5eed_0002, 0x5eed_0003];
const STEPS: u64 = 120;

#[tokio::test(flavor = "multi_thread")]
async fn random_operations_have_the_same_results_on_both() {
    for seed in SEEDS {
        let (file, server) = (sqlite().await, postgres().await);
        for database in [&file, &server] {
            for slug in ["a", "b"] {
                database.workspace_with(slug, vec![limit("default", Scope::Key, 5)], Bounds::default()).await;
            }
        }
        for step in 0..STEPS {
            let draw = seed.wrapping_mul(step + 1) ^ (step << 32) ^ seed;
            let (one, other) = (apply(&file, draw, step).await, apply(&server, draw, step).await);
            assert_eq!(one, other, "seed {seed:#x}, step {step}");
            assert_eq!(
                file.store.head().revision,
                server.store.head().revision,
                "seed {seed:#x}, step {step}"
            );
            if step % 10 == 0 {
                let after = draw % (file.store.head().revision + 2);
                assert_eq!(
                    seen(&file, after).await,
                    seen(&server, after).await,
                    "seed {seed:#x}, step {step}"
                );
            }
        }
        assert!(file.store.head().revision > 50, "something happened");
    }
}

/// Does one operation; what came of it, as text.
async fn apply(database: &Database, draw: u64, step: u64) -> String {
    let now = at(i64::try_from(step).unwrap() * 10);
    let write = database.store.write(move |tx| {
        Box::pin(async move {
            let mut draws = Draws(draw | 1);
            draws.below(2);
            let slug = if draws.chance(2) { "a" } else { "b" };
            let workspace = tx.find_workspace(slug).await?.unwrap();
            let keys = tx.list_keys(&KeyFilter::default(), now, 50).await?;
            let some = keys.get(usize::try_from(draws.below(50)).unwrap());
            let said = match (draws.below(12), some) {
                (0..4, _) | (_, None) => {
                    let names = (0..=draws.below(3)).map(|number| format!("k{step}x{number}"));
                    let keys: Vec<_> = names
                        .map(|name| {
                            let mut key = new_key(&workspace, &name);
                            let seconds = now.as_second() + i64::try_from(draws.below(400)).unwrap() - 50;
                            key.expires_at = draws.chance(2).then(|| End::from_second(seconds).unwrap());
                            key.limits = draws.chance(3).then(|| vec![limit("own", Scope::Key, 3)]);
                            key
                        })
                        .collect();
                    tx.insert_keys(&keys).await?;
                    format!("{:?}", tx.find_key(&keys[0].id).await?)
                }
                (4, Some(key)) => {
                    tx.revoke_key(key.seq, now).await?;
                    format!("{:?}", tx.find_key(&key.id).await?)
                }
                (5, Some(key)) if key.revoked_at.is_none() => {
                    let end = draws.chance(2).then(|| End::from_second(now.as_second() + 30).unwrap());
                    tx.set_key_expiry(key.seq, end).await?;
                    format!("{:?}", tx.find_key(&key.id).await?)
                }
                (6, Some(key)) => {
                    let own = [limit("own", Scope::Key, 9)];
                    tx.set_key_limits(key.seq, draws.chance(2).then_some(&own[..])).await?;
                    format!("{:?}", tx.own_limits(key.workspace_seq).await?)
                }
                (7, Some(key)) => {
                    tx.rename_key(key, &format!("Größe {step}")).await?;
                    let filter = KeyFilter { search: Some("GRÖSSE".to_owned()), ..KeyFilter::default() };
                    format!("{:?}", tx.list_keys(&filter, now, 10).await?)
                }
                (8, _) => {
                    let bounds = Bounds {
                        ceiling: draws.chance(2).then(|| limit("ceiling", Scope::Key, 2)),
                        workspace_limits: vec![limit("all", Scope::Workspace, 50)],
                        max_active_keys: draws.chance(2).then_some(7),
                    };
                    tx.set_bounds(workspace.seq, &bounds).await?;
                    let which = if draws.chance(2) { Renewed::All } else { Renewed::Followers };
                    tx.renew_keys(workspace.seq, which).await?;
                    format!("{:?}", tx.find_workspace(slug).await?)
                }
                (9, _) => {
                    let gone = tx.list_by_clock(false, now, 5).await?;
                    let back = tx.list_by_clock(true, now, 5).await?;
                    format!("{gone} {back} {:?}", tx.key_counts(now).await?)
                }
                (10, _) => {
                    let floor = tx.compact_log(2).await?;
                    tx.prune_tags(20).await?;
                    format!("{floor:?}")
                }
                (_, _) => {
                    let user = new_user(&format!("u{step}@example.com"));
                    tx.insert_user(&user).await?;
                    tx.remember_request(&format!("request {}", step % 3), &[1, 2], "key", now).await?;
                    let earlier = tx.find_earlier("request 1", now).await?.map(|earlier| earlier.fingerprint);
                    format!("{:?} {earlier:?}", tx.find_user(&user.email).await?)
                }
            };
            if draws.chance(8) {
                // It comes to nothing, also by a row that cannot be.
                let again = tx.insert_workspace(&new_workspace("a", Vec::new(), Bounds::default())).await;
                return Err(again.err().unwrap_or(Error::NotFound("a second workspace a")));
            }
            Ok(said)
        })
    });
    // A row number that was drawn for nothing is given again by one engine and not by the other.
    let told = match write.await {
        Ok(written) => written.value,
        Err(Error::Internal(_)) => "refused".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    without_row_numbers(&told)
}

/// What everybody can see.
async fn seen(database: &Database, after: u64) -> String {
    let mut reader = database.store.read().await.unwrap();
    let now = at(500);
    let since = match reader.changes_since(after, None, 7).await.unwrap() {
        Since::Changes { page, .. } => format!("{} {} {:?}", page.revision, page.more, page.changes),
        other => format!("{other:?}"),
    };
    let table = reader.part_of_table(None, 9).await.unwrap();
    let mut lists = Vec::new();
    for status in [None, Some(Status::Active), Some(Status::Expired), Some(Status::Revoked)] {
        let filter = KeyFilter { status, offset: 1, ..KeyFilter::default() };
        lists.push((
            reader.list_keys(&filter, now, 5).await.unwrap(),
            reader.count_keys(&filter, now).await.unwrap(),
        ));
    }
    let users = reader.list_users(None, 0, 50).await.unwrap();
    let told = format!("{since} {:?} {:?} {lists:?} {users:?}", table.changes, table.more);
    without_row_numbers(&told)
}

fn without_row_numbers(told: &str) -> String {
    let mut parts = told.split(" seq: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + " " + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[test]
fn row_numbers_are_left_out() {
    assert_eq!(without_row_numbers("Key { seq: 12, id: 3 } User { seq: 4 }"), "Key { , id: 3 } User {  }");
}

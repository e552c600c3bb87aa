//! Posts of gateways on their way into the database. Those that come at about the same time are written together: a thousand gateways
//! cost a few small commits a second, and a revocation waits for one of them at most.
//!
//! A post's number and its counts are written in one transaction, so however often it comes it is counted once. Whoever posts waits for the
//! commit; a post that was not written is not acknowledged, and comes again.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time;

use crate::domain::error::Error;
use crate::domain::keys::Status;
use crate::domain::usage::{Batch, Dead, Ended, KeyRow, Rows, Step, Tally, minute_of};
use crate::service::clock::Clock;
use crate::service::key_series::KeySeries;
use crate::store::{Store, Tx};

/// Where posts go in. Clones share it.
#[derive(Clone)]
pub struct Intake(mpsc::Sender<Waiting>);

struct Waiting {
    batch: Batch,
    answer: oneshot::Sender<u64>,
}

/// Most posts that wait; more are refused, and come again.
const MOST_WAITING: usize = 256;
/// Posts that come within this time are written together.
const GATHER: Duration = Duration::from_millis(100);
/// A commit has no more than so many counts and hashes, unless one post has.
const MOST_TOGETHER: usize = 1_500;

const NOT_WRITTEN: Error = Error::Unavailable("the post was not stored");

impl Intake {
    /// Writes what comes, until all clones are gone.
    pub fn new(store: Store, clock: Clock, series: Option<KeySeries>) -> Self {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        tokio::spawn(write_all(receiver, store, clock, series));
        Self(sender)
    }

    /// Adds a post, once. Returns its number when it is counted, now or before.
    pub async fn add(&self, batch: Batch) -> Result<u64, Error> {
        let (answer, written) = oneshot::channel();
        let waiting = Waiting { batch, answer };
        self.0.try_send(waiting).map_err(|_| Error::Unavailable("too many posts at once"))?;
        written.await.map_err(|_| NOT_WRITTEN)
    }
}

async fn write_all(
    mut posts: mpsc::Receiver<Waiting>,
    store: Store,
    clock: Clock,
    series: Option<KeySeries>,
) {
    while let Some(first) = posts.recv().await {
        time::sleep(GATHER).await;
        let size = |Waiting { batch: Batch { post, .. }, .. }: &Waiting| {
            post.counts.len() + post.refused.len() + post.shadow.keys.len() + post.shadow.reasons.len()
        };
        let mut total = size(&first);
        let mut together = vec![first];
        while total < MOST_TOGETHER
            && let Ok(next) = posts.try_recv()
        {
            total += size(&next);
            together.push(next);
        }
        // Whoever else takes the same numbers takes them in the same order.
        together.sort_by(|one, other| one.batch.order().cmp(&other.batch.order()));
        let (batches, answers): (Vec<_>, Vec<_>) =
            together.into_iter().map(|waiting| (waiting.batch, waiting.answer)).unzip();
        let numbers: Vec<_> = batches.iter().map(|batch| batch.post.sequence).collect();
        let clock = clock.clone();
        let written = store.note(move |tx| Box::pin(async move { write(tx, &batches, &clock).await })).await;
        match written {
            // Whoever has hung up asks again.
            Ok(counted) => {
                if let Some(series) = &series {
                    counted.iter().for_each(|(id, tally)| series.count(id, tally));
                }
                answers.into_iter().zip(numbers).for_each(|(answer, number)| {
                    let _ = answer.send(number);
                });
            }
            Err(error) => {
                tracing::error!(%error, cause = ?std::error::Error::source(&error), "usage was not stored; gateways post it again");
            }
        }
    }
}

/// Adds what is new of them; what that was, by the keys' ids.
async fn write(tx: &mut Tx, batches: &[Batch], clock: &Clock) -> Result<Vec<(String, Tally)>, Error> {
    let now = clock.now();
    let mut new = Vec::new();
    for Batch { credential, session, post } in batches {
        let is_new = tx.take_usage_number(credential, session, post.sequence, now).await?;
        new.push(is_new);
    }
    let batches: Vec<_> =
        batches.iter().zip(new).filter(|(_, is_new)| *is_new).map(|(batch, _)| batch).collect();
    let posts = || batches.iter().map(|batch| &batch.post);
    let counts = posts().flat_map(|post| post.counts.iter().chain(&post.shadow.keys));
    let ids: HashSet<_> = counts.map(|count| count.key_id.clone()).collect();
    let hashes: HashSet<_> = posts().flat_map(|post| &post.refused).map(|refused| refused.hash.0).collect();
    let known: HashMap<String, KeyRow> =
        tx.key_rows(&ids.into_iter().collect::<Vec<_>>()).await?.into_iter().collect();
    let hashes: Vec<_> = hashes.into_iter().collect();
    let mut dead = HashMap::new();
    let mut names: HashMap<i64, String> = known.iter().map(|(id, row)| (row.seq, id.clone())).collect();
    for (hash, key) in tx.keys_of_hashes(&hashes).await? {
        let row = KeyRow { seq: key.seq, workspace_seq: key.workspace_seq };
        let ended = match key.status(now) {
            Status::Active => None,
            Status::Revoked => Some(Ended::Revoked),
            Status::Expired => Some(Ended::Expired),
        };
        dead.insert(hash, Dead { row, ended });
        names.insert(key.seq, key.id);
    }
    let mut rows = Rows::default();
    batches.iter().for_each(|batch| rows.take(batch, &known, &dead, minute_of(now)));
    tx.add_usage(&rows, now).await?;
    // A day has everything that its hours and minutes have.
    let of_days = rows.keys.iter().filter(|((_, _, step, _), _)| *step == Step::Day);
    Ok(of_days.filter_map(|((seq, ..), tally)| Some((names.get(seq)?.clone(), *tally))).collect())
}

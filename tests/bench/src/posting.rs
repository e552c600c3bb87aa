//! What gateways post beside their polls: each of them every ten seconds, one after the other, what some keys were used for.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use flamegate::contract::session::SESSION_HEADER;
use flamegate::contract::usage::{Count, Shadowed, USAGE_PATH, UsageOutcome, UsagePost};
use serde::{Deserialize, Serialize};

use crate::{client::Client, control::TOKEN, probe::Waits};

/// What posting beside them does to revocations; both were measured in turn, one after the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Posts a second that were acknowledged.
    pub posts_per_second: f64,
    /// Keys in a post.
    pub keys_in_a_post: usize,
    /// From the call that revokes to each gateway's knowing, in milliseconds.
    pub known: Waits,
    /// The same until the last gateway knows.
    pub all_know: Waits,
    /// How much later than without posts: at the median, and at worst.
    pub later: [f64; 2],
}

/// Gateways that post while they are told to.
pub struct Posters {
    board: Arc<Board>,
}

#[derive(Default)]
struct Board {
    posts: AtomicBool,
    over: AtomicBool,
    acknowledged: AtomicU64,
    trouble: Mutex<Option<String>>,
}

/// Time between two posts of a gateway, as in the filter.
const PERIOD: Duration = Duration::from_secs(10);
/// A hundred thousand keys in use each minute, shared out among a thousand gateways.
const KEYS_IN_A_POST: usize = 17;
/// Who sends the posts: an answer takes a tenth of a second, and there are a hundred posts in one.
const THREADS: u32 = 50;

impl Posters {
    /// Begins with everybody silent. `keys` are the ids that are counted, in turn.
    pub fn start(ports: &[u16], gateways: usize, keys: &[String]) -> Result<Self> {
        ensure!(keys.len() >= KEYS_IN_A_POST, "too few keys");
        let board = Arc::new(Board::default());
        for place in 0..THREADS {
            let (board, keys) = (Arc::clone(&board), keys.to_vec());
            let first = place as usize;
            let port = ports[first % ports.len()];
            let mine: Vec<usize> = (first..gateways).step_by(THREADS as usize).collect();
            thread::spawn(move || {
                if let Err(error) = post_all((port, place), &mine, &keys, &board)
                    && !board.over.load(Ordering::Relaxed)
                {
                    *board.trouble.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(format!("{error:#}"));
                }
            });
        }
        Ok(Self { board })
    }

    /// From now on everybody posts, or nobody does.
    pub fn set(&self, posts: bool) {
        self.board.posts.store(posts, Ordering::Relaxed);
    }

    /// Posts that were acknowledged so far; fails when one was not.
    pub fn acknowledged(&self) -> Result<u64> {
        let trouble = self.board.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ensure!(trouble.is_none(), "a post: {}", trouble.unwrap_or_default());
        Ok(self.board.acknowledged.load(Ordering::Relaxed))
    }
}

impl Drop for Posters {
    fn drop(&mut self) {
        self.board.over.store(true, Ordering::Relaxed);
    }
}

impl Outcome {
    /// What was seen with posts, beside what was seen without them.
    pub fn new(posts: f64, with: [Waits; 2], without: &Waits) -> Self {
        let [known, all_know] = with;
        let later = [all_know.p50 / without.p50, all_know.max / without.max];
        Self { posts_per_second: posts, keys_in_a_post: KEYS_IN_A_POST, known, all_know, later }
    }

    /// For people.
    pub fn print(&self) {
        println!(
            "  with posts         {:.0} a second of {} keys each: all gateways know {}",
            self.posts_per_second, self.keys_in_a_post, self.all_know
        );
        println!("                     {:.2} × at p50, {:.2} × at most", self.later[0], self.later[1]);
    }
}

/// Posts of some gateways, evenly over the period.
fn post_all((port, place): (u16, u32), gateways: &[usize], keys: &[String], board: &Board) -> Result<()> {
    let mut client = Client::connect(port)?;
    let mut sequences: HashMap<usize, u64> = HashMap::new();
    let pause = PERIOD / u32::try_from(gateways.len()).context("gateways")?.max(1);
    // No two threads at the same moment, nor with the same keys.
    let mut next = Instant::now() + pause * place / THREADS;
    let mut key = place as usize * KEYS_IN_A_POST;
    for number in gateways.iter().copied().cycle() {
        next += pause;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        if board.over.load(Ordering::Relaxed) {
            return Ok(());
        }
        if !board.posts.load(Ordering::Relaxed) {
            continue;
        }
        let sequence = sequences.entry(number).or_default();
        *sequence += 1;
        let minute = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() / 60;
        let counts = (0..KEYS_IN_A_POST).map(|place| Count {
            key_id: keys[(key + place) % keys.len()].clone(),
            outcome: UsageOutcome::Admitted,
            minute,
            requests: 7,
        });
        let post = UsagePost {
            gateway: format!("bench-{number}"),
            sequence: *sequence,
            counts: counts.collect(),
            refused: Vec::new(),
            shadow: Shadowed::default(),
        };
        key += KEYS_IN_A_POST;
        client.expect(request(number, &post)?.as_bytes(), 200)?;
        board.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn request(number: usize, post: &UsagePost) -> Result<String> {
    let body = serde_json::to_string(post)?;
    Ok(format!(
        "POST {USAGE_PATH} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\n{SESSION_HEADER}: {number:032x}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

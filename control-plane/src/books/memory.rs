//! Books in the memory of the one control plane that a database has. Its clock is the process's own monotonic one, so no step of the
//! machine's can loosen a limit; while the control plane is down, the books' time stands still.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::history::{History, Rows};
use super::seam::{Away, Books, Entry, Stepped};
use crate::domain::lending::book::LEASE_US;
use crate::domain::lending::{Book, Lent};

/// The books of one process.
pub struct Memory {
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
    started: Instant,
    /// The books' time at `started`.
    base: u64,
    history: History,
    /// `None` after the end.
    books: Mutex<Option<Shelf>>,
}

struct Shelf {
    books: HashMap<String, Book>,
    /// When there were so many, those at rest are looked for.
    sweep_at: usize,
}

/// What is kept over a stop.
#[derive(Serialize, Deserialize)]
struct Saved {
    version: u8,
    mark: u32,
    opens_at: u64,
    rows: (i64, i64),
    now: u64,
    /// Subject, then the book's numbers in their order.
    books: Vec<(String, [u64; 8])>,
}

const VERSION: u8 = 1;
const FEWEST_SWEPT: usize = 1_024;

impl Memory {
    /// Goes on with what an orderly stop has left. Without that a history begins, under the random `mark`, while these rows are the newest.
    pub fn new(
        clock: impl Fn() -> Instant + Send + Sync + 'static,
        saved: Option<&[u8]>,
        mark: u32,
        rows: Rows,
    ) -> Self {
        let saved = saved.and_then(|saved| serde_json::from_slice::<Saved>(saved).ok());
        let saved = saved.filter(|saved| saved.version == VERSION).unwrap_or(Saved {
            version: VERSION,
            mark,
            // Some time, so that nothing is before it.
            opens_at: 3 * LEASE_US,
            rows: (rows.keys, rows.workspaces),
            now: 2 * LEASE_US,
            books: Vec::new(),
        });
        let books: HashMap<_, _> =
            saved.books.into_iter().map(|(subject, numbers)| (subject, from_numbers(numbers))).collect();
        let started = clock();
        Self {
            clock: Box::new(clock),
            started,
            base: saved.now,
            history: History {
                mark: saved.mark,
                opens_at: saved.opens_at,
                rows: Rows { keys: saved.rows.0, workspaces: saved.rows.1 },
            },
            books: Mutex::new(Some(Shelf { sweep_at: (2 * books.len()).max(FEWEST_SWEPT), books })),
        }
    }

    fn now(&self) -> u64 {
        let passed = (self.clock)().saturating_duration_since(self.started);
        self.base + u64::try_from(passed.as_micros()).unwrap_or(u64::MAX / 2)
    }

    /// The books and the time, while lending.
    fn with<T>(&self, work: impl FnOnce(&mut Shelf, u64) -> T) -> Result<T, Away> {
        let mut shelf = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let shelf =
            shelf.as_mut().ok_or_else(|| Away::Engine("the control plane is going down".to_owned()))?;
        // Under the lock, so that it never goes back.
        let now = self.now();
        if now < self.history.opens_at { Err(Away::Silent) } else { Ok(work(shelf, now)) }
    }

    /// Where the debt of a limit begins.
    fn since(&self, entry: &Entry) -> Option<u64> {
        (entry.young_in != Some(self.history.mark)).then_some(self.history.opens_at)
    }
}

#[async_trait]
impl Books for Memory {
    async fn step(&self, entries: &[Entry]) -> Result<Stepped, Away> {
        let history = self.history;
        let lent = self.with(|shelf, now| {
            let step = |entry: &Entry| {
                let found = shelf.books.get(&entry.subject).copied();
                let step = history.own(entry.step, now);
                let (book, lent) = Book::step(found, now, self.since(entry), entry.numbers, step);
                shelf.books.insert(entry.subject.clone(), book);
                history.tell(lent)
            };
            let lent = entries.iter().map(step).collect();
            shelf.sweep(now);
            lent
        })?;
        Ok(Stepped { history, lent })
    }

    async fn look(&self, entries: &[Entry]) -> Result<Vec<Lent>, Away> {
        self.with(|shelf, now| {
            let look = |entry: &Entry| {
                let found = shelf.books.get(&entry.subject).copied();
                let nothing = crate::domain::lending::Step::default();
                Book::step(found, now, self.since(entry), entry.numbers, nothing).1
            };
            entries.iter().map(look).collect()
        })
    }

    async fn history(&self) -> Result<History, Away> {
        self.with(|_, _| self.history)
    }

    fn close(&self) -> Option<Vec<u8>> {
        let mut shelf = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let books = shelf.take()?.books;
        let books = books.into_iter().filter(|(_, book)| book.rests_at() > now);
        let History { mark, opens_at, rows } = self.history;
        let rows = (rows.keys, rows.workspaces);
        let books = books.map(|(subject, book)| (subject, to_numbers(book))).collect();
        serde_json::to_vec(&Saved { version: VERSION, mark, opens_at, rows, now, books }).ok()
    }
}

impl Shelf {
    /// Drops the books at rest, once there are twice as many as were left the last time.
    fn sweep(&mut self, now: u64) {
        if self.books.len() >= self.sweep_at {
            self.books.retain(|_, book| book.rests_at() > now);
            self.sweep_at = (2 * self.books.len()).max(FEWEST_SWEPT);
        }
    }
}

const fn to_numbers(book: Book) -> [u64; 8] {
    let Book { tat, lent_now, lent_before, generation, last, emission_us, burst, revision } = book;
    [tat, lent_now, lent_before, generation, last, emission_us, burst, revision]
}

const fn from_numbers(numbers: [u64; 8]) -> Book {
    let [tat, lent_now, lent_before, generation, last, emission_us, burst, revision] = numbers;
    let emission_us = if emission_us == 0 { 1 } else { emission_us };
    Book { tat, lent_now, lent_before, generation, last, emission_us, burst, revision }
}

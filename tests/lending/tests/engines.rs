//! The keepers of books do the same: one suite for the memory of a process and for Redis, and what only an engine can suffer. The function in
//! Redis is held to the rule step by step, over random histories.

use std::future::Future;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use flamegate_control::books::memory::Memory;
use flamegate_control::books::redis::Redis;
use flamegate_control::books::{Away, Books, Entry, Rows, Stepped};
use flamegate_control::config::limit_store::LimitStore;
use flamegate_control::domain::lending::{Book, Lent, Numbers, Step};
use flamegate_engines::{Redis as Engine, Sentinel};
use redis::aio::MultiplexedConnection;

const PATIENCE: Duration = Duration::from_secs(60);
const LIBRARY: &str = include_str!("../../../control-plane/src/books/redis/flamegate_1.lua");
const ROWS: Rows = Rows { keys: 7, workspaces: 3 };

/// Nothing comes back by itself while a test runs.
fn slow(revision: u64) -> Numbers {
    Numbers { emission_us: NonZeroU64::new(1_000_000_000).unwrap(), burst: 20, revision }
}

fn entry(subject: &str, young_in: Option<u32>, step: Step) -> Entry {
    Entry { subject: subject.to_owned(), numbers: slow(1), young_in, step }
}

fn want(want: u64) -> Step {
    Step { want, ..Step::default() }
}

fn engine_at(engine: &Engine) -> Redis {
    let address = LimitStore::parse(&engine.url()).unwrap();
    Redis::new(address, || async { ROWS })
}

async fn raw(engine: &Engine) -> MultiplexedConnection {
    let client = redis::Client::open(engine.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn say(connection: &mut MultiplexedConnection, words: &[&str]) {
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(word);
    }
    command.query_async::<redis::Value>(connection).await.unwrap();
}

/// Asks until it is so.
async fn eventually<T, F: Future<Output = Result<T, String>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(value) => return value,
            Err(last) => assert!(begun.elapsed() < PATIENCE, "{what}: {last}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn until_lending(books: &dyn Books) -> u32 {
    eventually("lends", || async {
        books.history().await.map(|history| history.mark).map_err(|away| away.to_string())
    })
    .await
}

async fn step(books: &dyn Books, subject: &str, young_in: Option<u32>, step: Step) -> Lent {
    let Stepped { lent, .. } = books.step(&[entry(subject, young_in, step)]).await.unwrap();
    lent[0]
}

/// What every keeper does.
async fn keeps_the_books(books: &dyn Books) {
    let begun = Instant::now();
    let first = books.step(&[entry("a", None, want(1))]).await;
    let is_silent = matches!(first, Err(Away::Silent));
    assert!(is_silent || begun.elapsed() > Duration::from_secs(1), "a history begins in silence: {first:?}");
    let mark = until_lending(books).await;
    let history = books.history().await.unwrap();
    assert_eq!(history.rows, ROWS);
    let debt = step(books, "old", None, want(5)).await;
    assert_eq!((debt.tokens, debt.left), (0, 0));
    assert!(debt.wait_us > 900_000_000, "{debt:?}: one comes after T");
    let young = Some(mark);
    let first = step(books, "a", young, want(12)).await;
    assert_eq!((first.tokens, first.left, first.out), (12, 8, 12));
    let asked = [entry("a", young, want(12)), entry("b", young, want(3)), entry("a", young, want(1))];
    let lent = books.step(&asked).await.unwrap().lent;
    assert_eq!([lent[0].tokens, lent[1].tokens, lent[2].tokens], [8, 3, 0], "in order, each at its own book");
    let back = Step { returned: 5, generation: first.generation, ..Step::default() };
    assert_eq!(step(books, "a", young, back).await.left, 5);
    let others = Step { generation: first.generation ^ (1 << 40), ..back };
    assert_eq!(step(books, "a", young, others).await.left, 5, "a report of another history");
    assert_eq!(step(books, "a", young, Step { alone: 2, ..Step::default() }).await.left, 3);
    let looked = books
        .look(&[entry("a", young, Step::default()), entry("nobody", young, Step::default())])
        .await
        .unwrap();
    assert_eq!([looked[0].left, looked[1].left], [3, 20]);
    let smaller = Entry { numbers: Numbers { burst: 18, ..slow(2) }, ..entry("a", young, Step::default()) };
    assert_eq!(books.step(&[smaller]).await.unwrap().lent[0].left, 1);
    assert_eq!(step(books, "a", young, Step::default()).await.left, 1, "numbers of an older revision");
    assert!(books.step(&[]).await.unwrap().lent.is_empty());
}

#[tokio::test]
async fn memory_keeps_the_books() {
    let memory = Memory::new(Instant::now, None, 9, ROWS);
    keeps_the_books(&memory).await;
    let saved = memory.close().unwrap();
    assert!(matches!(memory.step(&[]).await, Err(Away::Engine(_))), "nothing is lent after the end");
    let memory = Memory::new(Instant::now, Some(&saved), 10, Rows::UNKNOWN);
    assert_eq!(memory.history().await.unwrap().mark, 9, "the same history, without a silence");
    assert_eq!(step(&memory, "a", Some(9), want(20)).await.tokens, 1);
}

#[tokio::test]
async fn redis_keeps_the_books() {
    an_engine_keeps_the_books(Engine::start()).await;
}

#[tokio::test]
async fn valkey_keeps_the_books() {
    an_engine_keeps_the_books(Engine::start_valkey()).await;
}

/// Over restarts of a control plane, and not over its own.
async fn an_engine_keeps_the_books(mut engine: Engine) {
    let books = engine_at(&engine);
    keeps_the_books(&books).await;
    // Another control plane, and this one after a restart, go on in the same history.
    let other = engine_at(&engine);
    let mark = other.history().await.unwrap().mark;
    assert_eq!(step(&other, "a", Some(mark), want(20)).await.tokens, 1);
    // Somebody unloads the functions: they are loaded again.
    say(&mut raw(&engine).await, &["FUNCTION", "FLUSH", "SYNC"]).await;
    assert_eq!(step(&other, "b", Some(mark), want(20)).await.tokens, 17);
    engine.kill();
    assert!(matches!(other.step(&[entry("b", None, want(1))]).await, Err(Away::Engine(_))));
    engine.start_again();
    eventually("the engine is back", || async {
        match other.step(&[entry("c", Some(mark), want(1))]).await {
            Err(Away::Engine(why)) => Err(why),
            Err(Away::Silent) => Ok(()),
            Ok(stepped) => {
                assert_eq!(stepped.lent[0].tokens, 0, "in debt");
                Ok(())
            }
        }
    })
    .await;
    assert_ne!(until_lending(&other).await, mark);
    assert_eq!(
        step(&other, "b", Some(mark), want(20)).await.tokens,
        0,
        "who was young in the old one owes in the new"
    );
}

#[tokio::test]
async fn an_engine_that_would_break_the_bound_is_not_used() {
    let engine = Engine::start();
    let mut connection = raw(&engine).await;
    say(&mut connection, &["CONFIG", "SET", "maxmemory", "100mb"]).await;
    say(&mut connection, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    let why = engine_at(&engine).check().await.unwrap_err();
    assert!(why.contains("maxmemory-policy is allkeys-lru"), "{why}");
    say(&mut connection, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    let books = engine_at(&engine);
    books.check().await.unwrap();
    let mark = until_lending(&books).await;
    // It may become so while it is used.
    say(&mut connection, &["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]).await;
    eventually("it says that it would evict", || async {
        match books.step(&[entry("a", None, want(1))]).await {
            Err(Away::Engine(why)) if why.contains("maxmemory-policy is volatile-lru") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    say(&mut connection, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    assert_eq!(until_lending(&books).await, mark, "nothing was evicted: the same history");
    // It is made a replica of nobody: read-only.
    say(&mut connection, &["REPLICAOF", "127.0.0.1", "1"]).await;
    assert!(matches!(books.step(&[entry("a", None, want(1))]).await, Err(Away::Engine(_))));
    eventually("it says that it is a replica", || async {
        match books.step(&[entry("a", None, want(1))]).await {
            Err(Away::Engine(why)) if why.contains("it is a replica") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    say(&mut connection, &["REPLICAOF", "NO", "ONE"]).await;
    until_lending(&books).await;
}

#[tokio::test]
async fn what_an_engine_evicts_while_it_is_used_begins_a_new_history() {
    let engine = Engine::start();
    let books = engine_at(&engine);
    let mark = until_lending(&books).await;
    assert_eq!(step(&books, "a", Some(mark), want(20)).await.tokens, 20);
    let mut connection = raw(&engine).await;
    say(&mut connection, &["CONFIG", "SET", "maxmemory-policy", "allkeys-random", "maxmemory", "1"]).await;
    eventually("all is evicted", || async {
        let left: u64 = redis::cmd("DBSIZE").query_async(&mut connection.clone()).await.unwrap();
        if left == 0 { Ok(()) } else { Err(format!("{left} keys")) }
    })
    .await;
    say(&mut connection, &["CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction"]).await;
    eventually("another history lends", || async {
        // Only a call looks.
        let stepped = books.step(&[entry("b", None, want(1))]).await;
        match books.history().await {
            Ok(history) if history.mark != mark => Ok(()),
            _ => Err(format!("{stepped:?}")),
        }
    })
    .await;
    assert_eq!(step(&books, "a", Some(mark), want(20)).await.tokens, 0, "its book was lost: in full debt");
}

#[tokio::test]
async fn an_engine_that_stands_still_is_away_and_comes_back_with_its_books() {
    let engine = Engine::start();
    let books = engine_at(&engine);
    let mark = until_lending(&books).await;
    assert_eq!(step(&books, "a", Some(mark), want(15)).await.tokens, 15);
    engine.freeze();
    assert!(matches!(books.step(&[entry("a", Some(mark), want(1))]).await, Err(Away::Engine(_))));
    engine.thaw();
    assert_eq!(until_lending(&books).await, mark, "the same history");
    assert!(
        step(&books, "a", Some(mark), want(20)).await.tokens <= 5,
        "what was asked meanwhile may be lost, and is not twice"
    );
}

#[tokio::test]
async fn a_clock_that_leaps_begins_a_new_history() {
    let engine = Engine::start();
    let books = engine_at(&engine);
    // The books' library, with a clock that can be set.
    let mut connection = raw(&engine).await;
    let set = async |connection: &mut MultiplexedConnection, ahead_us: u64| {
        let library = LIBRARY.replace("+ tonumber(time[2])", &format!("+ tonumber(time[2]) + {ahead_us}"));
        say(connection, &["FUNCTION", "LOAD", "REPLACE", &library]).await;
    };
    set(&mut connection, 0).await;
    let mark = until_lending(&books).await;
    assert_eq!(step(&books, "a", Some(mark), want(20)).await.tokens, 20);
    set(&mut connection, 2_000_000).await;
    assert!(matches!(books.step(&[entry("a", Some(mark), want(1))]).await, Err(Away::Engine(_))));
    let anew = until_lending(&books).await;
    assert_ne!(anew, mark);
    assert_eq!(step(&books, "a", Some(mark), want(1)).await.tokens, 0);
}

#[tokio::test]
async fn what_an_acl_must_allow_is_what_the_documents_say() {
    let engine = Engine::start();
    let document = include_str!("../../../docs/FLEET-LIMITS.md");
    let rules =
        document.split("`+fcall").nth(1).and_then(|rest| rest.split('`').next()).expect("a list of rules");
    let words: Vec<_> = ["ACL", "SETUSER", "gate", "reset", "on", ">a-password", "+fcall"]
        .into_iter()
        .chain(rules.split_whitespace())
        .collect();
    say(&mut raw(&engine).await, &words).await;
    let with = |password: &str| {
        let address =
            LimitStore::parse(&format!("redis://gate:{password}@127.0.0.1:{}", engine.port)).unwrap();
        Redis::new(address, || async { ROWS })
    };
    let why = with("wrong").check().await.unwrap_err();
    assert!(why.starts_with("redis://127.0.0.1:") && !why.contains("wrong"), "{why}");
    let books = with("a-password");
    books.check().await.unwrap();
    let mark = until_lending(&books).await;
    assert_eq!(step(&books, "a", Some(mark), want(20)).await.tokens, 20);
}

#[tokio::test]
async fn a_replica_in_the_engines_place_is_found_and_begins_a_new_history() {
    let (mut engine, replica) = (Engine::start(), Engine::start());
    let mut connection = raw(&engine).await;
    say(&mut raw(&replica).await, &["REPLICAOF", "127.0.0.1", &engine.port.to_string()]).await;
    eventually("the replica follows", || async {
        let info: String =
            redis::cmd("INFO").arg("replication").query_async(&mut connection.clone()).await.unwrap();
        if info.contains("state=online") { Ok(()) } else { Err(info) }
    })
    .await;
    let why = engine_at(&engine).check().await.unwrap_err();
    assert!(why.contains("min-replicas-to-write is 0"), "{why}");
    say(&mut connection, &["CONFIG", "SET", "min-replicas-to-write", "1", "min-replicas-max-lag", "1"]).await;
    let sentinel = Sentinel::watch(&engine, "limits");
    let address = LimitStore::parse(&format!("redis+sentinel://127.0.0.1:{}/limits", sentinel.port)).unwrap();
    let books = Redis::new(address, || async { ROWS });
    let mark = until_lending(&books).await;
    assert_eq!(step(&books, "a", Some(mark), want(15)).await.tokens, 15);
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", sentinel.port)).unwrap();
    let asked = client.get_multiplexed_async_connection().await.unwrap();
    eventually("the sentinel knows the replica", || async {
        let ask = redis::cmd("SENTINEL").arg("REPLICAS").arg("limits").to_owned();
        let known: Vec<redis::Value> = ask.query_async(&mut asked.clone()).await.unwrap();
        if known.is_empty() { Err("it knows none".to_owned()) } else { Ok(()) }
    })
    .await;
    engine.kill();
    let anew = eventually("another history lends", || async {
        match books.history().await {
            Ok(history) if history.mark != mark => Ok(history.mark),
            // Only a call finds out that the connection is dead.
            Ok(_) => Err(format!("{:?}", books.step(&[entry("b", None, want(1))]).await)),
            Err(away) => Err(away.to_string()),
        }
    })
    .await;
    assert_eq!(
        step(&books, "a", Some(mark), want(20)).await.tokens,
        0,
        "in full debt, whatever the replica had"
    );
    assert_eq!(step(&books, "c", Some(anew), want(20)).await.tokens, 20, "who came later owes nothing");
}

/// A simple generator, so that a failure is the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn one_of<T: Copy>(&mut self, some: &[T]) -> T {
        some[usize::try_from(self.below(some.len() as u64)).unwrap()]
    }
}

#[tokio::test]
async fn the_function_in_redis_is_the_rule_step_by_step() {
    let engine = Engine::start();
    let mut connection = raw(&engine).await;
    let clock = "local time = redis.call('TIME')\n  return tonumber(time[1]) * 1000000 + tonumber(time[2])";
    assert!(LIBRARY.contains(clock));
    let library = LIBRARY.replace(clock, "return tonumber(redis.call('GET', 'clock'))");
    say(&mut connection, &["FUNCTION", "LOAD", "REPLACE", &library]).await;
    for seed in 0..150 {
        let mut dice = Dice(seed);
        let (mut book, mut now) = (None, 1_770_000_000_000_000 + dice.below(5_000_000));
        let since = now - dice.below(3_000_000);
        let (mut pipe, mut expected) = (redis::pipe(), Vec::new());
        for _ in 0..100 {
            now += dice.one_of(&[0, 1_000, 90_000, 700_000, 2_500_000]);
            let clock = now - dice.one_of(&[0, 0, 0, 5_000_000]);
            let since = since.min(clock);
            let numbers = Numbers {
                emission_us: NonZeroU64::new(dice.one_of(&[100, 142_858, 1_000_000])).unwrap(),
                burst: dice.one_of(&[1, 20, 10_000]),
                revision: dice.below(4),
            };
            let is_young = dice.below(4) > 0;
            let generation = (now / 1_000_000).saturating_sub(dice.below(3));
            let step = Step {
                want: dice.below(30),
                generation,
                spent: dice.below(12),
                returned: dice.below(8),
                alone: dice.one_of(&[0, 0, 0, 4, 1_000_000]),
            };
            pipe.cmd("SET").arg("clock").arg(clock).ignore();
            pipe.cmd("FCALL").arg("flamegate_1_step").arg(1).arg(format!("book-{seed}"));
            pipe.arg(numbers.emission_us.get())
                .arg(numbers.burst)
                .arg(numbers.revision)
                .arg(since)
                .arg(u8::from(is_young));
            pipe.arg(step.want).arg(step.generation).arg(step.spent).arg(step.returned).arg(step.alone);
            let rests = book.is_some_and(|book: Book| book.rests_at() <= clock);
            let (next, lent) = Book::step(book, clock, (!is_young).then_some(since), numbers, step);
            if rests && numbers.revision >= book.unwrap().revision {
                let anew = Book::step(None, clock, (!is_young).then_some(since), numbers, step).1;
                let is_same =
                    numbers.revision > book.unwrap().revision || numbers.burst == book.unwrap().burst;
                assert!(
                    !is_same || numbers.emission_us.get() != next.emission_us || anew == lent,
                    "a book at rest says nothing"
                );
            }
            book = Some(next);
            expected.push([next.last, lent.tokens, lent.generation, lent.left, lent.out, lent.wait_us]);
        }
        let found: Vec<[u64; 6]> = pipe.query_async(&mut connection).await.unwrap();
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "seed {seed}, step {at}");
        }
        assert_eq!(found.len(), expected.len());
    }
}

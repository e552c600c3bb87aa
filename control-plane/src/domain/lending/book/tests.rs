//! The rule in single steps, and the bound over random histories of one holder after another.

use super::*;
use crate::domain::limits::parse_list;

const S: u64 = 1_000_000;

/// `10/1s+20`: a token each 100 ms.
fn numbers(revision: u64) -> Numbers {
    Numbers { emission_us: NonZeroU64::new(100_000).unwrap(), burst: 20, revision }
}

/// A book, and the time of whoever keeps it.
struct World {
    book: Option<Book>,
    now: u64,
    since: Option<u64>,
}

impl World {
    fn new() -> Self {
        Self { book: None, now: 1_000 * S, since: None }
    }

    fn step(&mut self, step: Step) -> Lent {
        self.step_by(numbers(1), step)
    }

    fn step_by(&mut self, numbers: Numbers, step: Step) -> Lent {
        let (book, lent) = Book::step(self.book, self.now, self.since, numbers, step);
        self.book = Some(book);
        lent
    }

    fn want(&mut self, want: u64) -> Lent {
        self.step(Step { want, ..Step::default() })
    }
}

#[test]
fn numbers_are_of_the_limit_and_round_up() {
    for (text, emission_us, burst) in
        [("100/60s+20", 600_000, 20), ("10000/1s", 100, 10_000), ("7/1s", 142_858, 7)]
    {
        let numbers = Numbers::of(&parse_list(text).unwrap()[0], 5);
        assert_eq!(
            (numbers.emission_us.get(), numbers.burst, numbers.revision),
            (emission_us, burst, 5),
            "{text}"
        );
    }
}

#[test]
fn a_bucket_at_rest_lends_its_burst_and_then_says_when_there_is_one() {
    let mut world = World::new();
    let lent = world.want(50);
    assert_eq!((lent.tokens, lent.left, lent.out, lent.wait_us), (20, 0, 20, 0));
    assert_eq!(world.want(1), Lent { generation: 1_000, out: 20, wait_us: 100_000, ..Lent::default() });
    world.now += 150_000;
    assert_eq!(world.want(1).tokens, 0, "nobody knows that those were used: they still count in full");
    world.step(Step { spent: 20, generation: 1_000, ..Step::default() });
    world.now += 100_000;
    assert_eq!(world.want(5).tokens, 1, "they drain from the moment that they are known to be admitted");
}

#[test]
fn what_comes_back_can_be_lent_again_once() {
    let mut world = World::new();
    let lent = world.want(20);
    let back = Step { returned: 15, generation: lent.generation, ..Step::default() };
    assert_eq!(world.step(back).left, 15);
    assert_eq!(world.step(back).left, 20, "no more than are out");
    assert_eq!(world.step(back).left, 20);
}

#[test]
fn a_report_of_a_generation_that_has_ended_says_nothing() {
    let mut world = World::new();
    let lent = world.want(20);
    world.now += S;
    let report = Step { spent: 5, generation: lent.generation, ..Step::default() };
    assert_eq!(world.step(report).out, 15, "the generation before is still out");
    world.now += S;
    let late = Step { returned: 15, generation: 1_000, want: 20, ..Step::default() };
    assert_eq!(world.step(late).tokens, 5, "they counted until now, and are used as far as anybody knows");
    world.now += 2 * S;
    assert_eq!(world.want(20).tokens, 15, "those five have just ended in their turn");
}

#[test]
fn time_that_goes_back_stands_still() {
    let mut world = World::new();
    world.want(20);
    world.now -= 500 * S;
    assert_eq!(world.want(1).tokens, 0);
    world.now += 500 * S + 4 * S;
    assert_eq!(world.want(50).tokens, 20);
}

#[test]
fn a_new_history_begins_in_full_debt_but_for_a_limit_that_is_younger() {
    let mut world = World::new();
    world.since = Some(world.now);
    assert_eq!(world.want(1), Lent { generation: 1_000, wait_us: 100_000, ..Lent::default() });
    world.now += 300_000;
    assert_eq!(world.want(10).tokens, 3);
    world.book = None;
    assert_eq!(world.want(10).tokens, 3, "the same where nothing is kept");
    world.since = None;
    world.book = None;
    assert_eq!(world.want(30).tokens, 20);
}

#[test]
fn what_was_admitted_alone_fills_the_bucket_and_no_more() {
    let mut world = World::new();
    assert_eq!(world.step(Step { alone: 5, want: 20, ..Step::default() }).tokens, 15);
    let mut world = World::new();
    assert_eq!(world.step(Step { alone: 5_000, want: 20, ..Step::default() }).wait_us, 100_000);
}

#[test]
fn numbers_that_change_keep_what_was_used_and_older_ones_change_nothing() {
    let mut world = World::new();
    let lent = world.want(20);
    world.step(Step { spent: 10, returned: 10, generation: lent.generation, ..Step::default() });
    let slower = Numbers { emission_us: NonZeroU64::new(10 * S).unwrap(), burst: 12, revision: 2 };
    assert_eq!(
        world.step_by(slower, Step { want: 20, ..Step::default() }).tokens,
        2,
        "ten of twelve are used"
    );
    assert_eq!(
        world.step_by(numbers(1), Step { want: 1, ..Step::default() }).wait_us,
        10 * S,
        "an older revision"
    );
    let book = world.book.unwrap();
    assert_eq!((book.burst, book.revision), (12, 2));
    let same = Numbers { revision: 3, ..slower };
    world.step_by(same, Step::default());
    assert_eq!(world.book.unwrap().tat, book.tat, "the same numbers of a newer one change nothing");
}

/// A simple generator, so that a failure is the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Holders that spend to the last moment, reports that are lost, late or wrong in nothing but their time.
#[test]
fn no_interval_of_a_random_history_admits_more_than_burst_and_refill() {
    for seed in 0..400 {
        let mut dice = Dice(seed);
        let mut world = World { now: 1_000 * S + dice.below(S), ..World::new() };
        let mut held: Vec<(u64, Lent)> = Vec::new();
        let (mut earliest, mut admitted): (Option<i128>, i128) = (None, 0);
        for _ in 0..300 {
            world.now += dice.below(250_000);
            held.retain(|(end, lent)| lent.tokens > 0 && world.now < *end);
            if dice.below(3) > 0 {
                let end = world.now + LEASE_US;
                let lent = world.want(dice.below(12));
                if dice.below(10) > 0 {
                    held.push((end, lent));
                }
            }
            let Some(at) = (!held.is_empty()).then(|| dice.below(held.len() as u64) as usize) else {
                continue;
            };
            let (_, lent) = &mut held[at];
            let spent = dice.below(lent.tokens + 1);
            let returned = if dice.below(4) == 0 { lent.tokens - spent } else { 0 };
            lent.tokens -= spent + returned;
            let report = Step { spent, returned, generation: lent.generation, ..Step::default() };
            for _ in 0..spent {
                let drained = i128::from(world.now / 100_000) - admitted;
                earliest = Some(earliest.map_or(drained, |known: i128| known.min(drained)));
                admitted += 1;
                let worst = admitted - i128::from(world.now / 100_000) + earliest.unwrap_or_default();
                assert!(worst <= 20 + 1, "seed {seed}: {worst} at once");
            }
            if dice.below(10) > 0 {
                world.step(report);
            }
        }
    }
}

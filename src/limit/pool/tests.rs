//! Whatever is done with a pool, in any order: nobody has more than was granted, and nothing is told twice.

use proptest::prelude::*;

use super::*;

const MARGIN: u64 = 10;

fn at(monotonic: u64) -> Now {
    Now { monotonic, wall: monotonic + 7 }
}

fn lent(tokens: u32, generation: u64, end: u64) -> Lent {
    Lent { tokens, generation, term: Term { end, ahead: 7 } }
}

fn take(pool: &mut Pool, need: u32, most: u32, now: u64) -> Lent {
    pool.take(need, most, at(now), MARGIN).unwrap_or_default()
}

#[test]
fn a_lease_ends_early_and_at_once_when_the_machine_slept() {
    let second = 1_000_000_000;
    let term = Term::new(at(5 * second), second);
    let moments = [5 * second, 6 * second - 50_000_001, 6 * second - 50_000_000, 6 * second];
    assert_eq!(moments.map(|moment| term.is_over(at(moment), 0)), [false, false, true, true]);
    assert!(term.is_over(at(6 * second - 50_000_001), 1), "or soon");
    let slept = |ahead| term.is_over(Now { monotonic: 5 * second, wall: 5 * second + 7 + ahead }, 0);
    assert_eq!([second, second + 1].map(slept), [false, true]);
    assert!(!term.is_over(Now { monotonic: 5 * second, wall: 0 }, 0), "a clock that was put back");
}

#[test]
fn the_older_tokens_are_used_first_and_not_when_they_end() {
    let mut pool = Pool::default();
    pool.put(lent(5, 2, 200));
    pool.put(lent(3, 1, 100));
    assert_eq!(pool.tokens(), 8);
    assert_eq!(take(&mut pool, 1, 2, 50), lent(2, 1, 100));
    assert_eq!(take(&mut pool, 1, 4, 50), lent(1, 1, 100), "of one end");
    assert_eq!(take(&mut pool, 1, 4, 50), lent(4, 2, 200));
    assert_eq!(take(&mut pool, 1, 4, 190).tokens, 0);
}

#[test]
fn of_more_ends_than_places_the_first_goes_back() {
    let mut pool = Pool::default();
    [lent(1, 1, 100), lent(2, 1, 200), lent(4, 1, 210)].into_iter().for_each(|lent| pool.put(lent));
    pool.put(lent(8, 1, 150));
    assert_eq!(pool.take_reports().collect::<Vec<_>>(), [Report { generation: 1, spent: 0, returned: 9 }]);
    assert_eq!(take(&mut pool, 1, 9, 0), lent(2, 1, 200));
    assert_eq!(take(&mut pool, 1, 9, 0), lent(4, 1, 210));
    [lent(1, 1, 100), lent(2, 2, 200), lent(4, 3, 300)].into_iter().for_each(|lent| pool.put(lent));
    assert_eq!(pool.take_reports().collect::<Vec<_>>(), [Report { generation: 1, spent: 0, returned: 1 }]);
    pool.put(lent(8, 1, 90));
    assert_eq!(pool.take_reports().collect::<Vec<_>>(), [Report { generation: 1, spent: 0, returned: 8 }]);
    assert_eq!(pool.tokens(), 6);
}

#[test]
fn what_is_idle_goes_back_and_what_has_ended_is_nobodys() {
    let mut pool = Pool::default();
    pool.put(lent(5, 1, 100));
    pool.put(lent(5, 2, 200));
    pool.let_go(7, at(50), MARGIN);
    assert_eq!(pool.tokens(), 7);
    pool.let_go(7, at(95), MARGIN);
    assert_eq!(pool.tokens(), 5, "so soon over is not used any more");
    pool.spent(2, 3);
    pool.let_go(0, at(250), MARGIN);
    let told: Vec<_> = pool.take_reports().collect();
    assert_eq!(
        told,
        [Report { generation: 1, spent: 0, returned: 5 }, Report { generation: 2, spent: 3, returned: 0 }]
    );
    assert!(pool.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Grant(u32, u64),
    Take(u32),
    Spend(u32),
    GiveBack,
    LetGo(u32),
    Tell,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..9_u32, 0..4_u64).prop_map(|(tokens, generation)| Step::Grant(tokens, generation)),
        (1..6_u32).prop_map(Step::Take),
        (1..6_u32).prop_map(Step::Spend),
        Just(Step::GiveBack),
        (0..6_u32).prop_map(Step::LetGo),
        Just(Step::Tell),
        (1..60_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn nobody_has_more_than_was_granted_and_nothing_is_told_twice(steps in prop::collection::vec(step(), 0..60)) {
        let (mut pool, mut held, mut now) = (Pool::default(), Lent::default(), 0);
        let (mut granted, mut told, mut unsaid) = ([0_u32; 4], [0_u32; 4], [0_u32; 4]);
        for step in steps {
            match step {
                Step::Grant(tokens, generation) => {
                    granted[generation as usize] += tokens;
                    pool.put(lent(tokens, generation, now + 100));
                }
                Step::Take(most) if held.tokens == 0 => held = take(&mut pool, 1, most, now),
                Step::Spend(tokens) if !held.term.is_over(at(now), 0) => {
                    let tokens = tokens.min(held.tokens);
                    held.tokens -= tokens;
                    unsaid[held.generation as usize] += tokens;
                    pool.spent(held.generation, tokens);
                }
                Step::GiveBack => pool.put(std::mem::take(&mut held)),
                Step::LetGo(keep) => pool.let_go(keep, at(now), MARGIN),
                Step::Tell => {
                    for report in pool.take_reports() {
                        told[report.generation as usize] += report.spent + report.returned;
                        prop_assert!(report.spent <= unsaid[report.generation as usize]);
                        unsaid[report.generation as usize] -= report.spent;
                    }
                }
                Step::Pass(time) => now += time,
                Step::Take(_) | Step::Spend(_) => {}
            }
            let mut here = [0_u32; 4];
            pool.lent.iter().chain([&held]).for_each(|lent| here[lent.generation as usize] += lent.tokens);
            pool.reports().for_each(|report| {
                here[report.generation as usize] += report.spent + report.returned;
            });
            for generation in 0..4 {
                prop_assert!(here[generation] + told[generation] <= granted[generation]);
            }
            prop_assert!(pool.lent[0].term.end <= pool.lent[1].term.end || pool.lent[1].tokens == 0);
        }
    }
}

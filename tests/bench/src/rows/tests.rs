//! The rows: names, bases, sizes and bounds.

use std::collections::BTreeSet;

use super::*;
use crate::keys::Kind;

#[test]
fn each_row_has_a_name_of_its_own_and_the_base_of_its_request() {
    let names: BTreeSet<_> = ROWS.iter().map(|row| row.id).collect();
    assert_eq!(names.len(), ROWS.len());
    for row in &ROWS {
        let base = row.baseline().map(|id| find(id).expect("a base is a row"));
        assert_eq!(base.is_none(), row.rig.is_bare_proxy(), "{}", row.id);
        assert!(base.is_none_or(|base| base.forged == row.forged && base.rig.way() == row.rig.way()));
        assert!(base.is_none_or(|base| base.is_at(0) && !is_ours(base.id)));
    }
    let base = |id: &str| find(id).and_then(Series::baseline);
    assert_eq!(base("missing"), Some("none-missing"));
    assert_eq!(base("shipped-h2-tls"), Some("none-h2-tls"));
    assert_eq!(base("headers-hot"), Some("none-spoofed"));
    assert_eq!(base("safe-haproxy"), Some("haproxy-none"));
    assert!(is_ours("used-up") && !is_ours("lua") && !is_ours("guard-alone") && !is_ours("gone"));
}

#[test]
fn rows_of_one_setup_stand_together() {
    let rigs: Vec<Rig> = ROWS.chunk_by(|a, b| a.rig == b.rig).map(|rows| rows[0].rig).collect();
    for (number, rig) in rigs.iter().enumerate() {
        assert!(!rigs[..number].contains(rig), "{rig:?} would be started twice");
    }
}

#[test]
fn a_row_is_measured_at_the_sizes_at_which_it_says_something() {
    let at = |id: &str| -> Vec<u32> {
        let row = find(id).expect("a row");
        [0, 1, 1_000, 100_000, 1_000_000].into_iter().filter(|keys| row.is_at(*keys)).collect()
    };
    assert_eq!(at("none-h2"), [0]);
    assert_eq!(at("bare-hot"), [1, 1_000, 100_000, 1_000_000]);
    assert_eq!(at("bare-scattered"), [100_000, 1_000_000]);
    assert_eq!(at("api-key-auth"), [1, 1_000, 100_000]);
    assert_eq!(at("lua"), [1, 1_000]);
    assert_eq!(at("shipped-tls"), [1_000]);
    assert_eq!(at("safe-lua"), [1_000]);
    assert_eq!(at("fleet-limit-hot"), [1_000]);
    let cycle = find("bare-cycle").expect("a row");
    assert_eq!((cycle.load(1), cycle.load(1_000_000)), (Load::Cycle(1), Load::Cycle(1_000)));
    assert_eq!(find("bare-hot").expect("a row").load(7), Load::Hot(Kind::Ordinary));
}

#[test]
fn each_goal_is_of_a_row_and_its_bound_is_no_less_than_what_is_asked_for_or_reached() {
    for goal in &GOALS {
        assert!(find(goal.row).is_some_and(|row| row.is_at(goal.keys)), "{}", goal.row);
        let least = goal.reached.unwrap_or(goal.asked) + goal.since();
        assert!(goal.bound().is_none_or(|bound| bound > least && bound < least * 1.03), "{}", goal.row);
    }
    assert!(GOALS.iter().any(|goal| goal.row == "shipped-hot" && goal.bound().is_some()));
}

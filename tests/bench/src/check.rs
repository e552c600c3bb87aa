//! `flamegate-bench check`: counts a few rows again and compares them with the committed ones, and with what each row may add at
//! all. What a filter adds is compared, not the sum: Envoy's own part would hide a change.

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    instructions::{FULL, Instructions, Plan},
    results::{Results, Row},
    rows::{GOALS, Goal, USUAL_KEYS},
};

const KEYS: u32 = USUAL_KEYS;
/// A key that nobody has, and an accepted one: what an attacker spends of the gateway, and what a customer does.
const BAD: &str = "random";
const GOOD: &str = "shipped-hot";
/// By how much a row may be worse, in percent.
const TOLERANCE: f64 = 3.0;

/// A row that is worse is measured this often before it counts: a busy machine adds a little, a change of the code always.
const ATTEMPTS: u32 = 3;

/// An error when a row is worse than the committed one.
pub fn run() -> Result<()> {
    let committed = Results::load()?;
    let mut worse: Vec<&str> =
        GOALS.iter().filter(|goal| goal.bound().is_some()).map(|goal| goal.row).collect();
    for _ in 0..ATTEMPTS {
        worse = worse_rows(&committed, &worse)?;
        if worse.is_empty() {
            return Ok(());
        }
    }
    bail!(
        "more than {TOLERANCE} % worse than the committed results, or above the bound: {}; when that is meant, commit those of `make bench`",
        worse.join(", ")
    )
}

/// The bound of a row that is measured here.
fn bound(row: &str) -> Option<f64> {
    GOALS.iter().find(|goal| goal.row == row && goal.keys == KEYS).and_then(Goal::bound)
}

/// True when a row adds more than it may (`rows/goals.rs`): many changes of less than [`TOLERANCE`] are one that is more.
fn exceeds_bound(row: &str, added: f64) -> bool {
    let exceeded = bound(row).filter(|bound| added > *bound);
    if let Some(bound) = exceeded {
        println!("{row:<12} {added:>8.0} instructions added, allowed are {bound:.0}");
    }
    exceeded.is_some()
}

/// Measures these rows and names the ones that are worse.
fn worse_rows(committed: &Results, rows: &[&'static str]) -> Result<Vec<&'static str>> {
    let mut now = Results::default();
    let effort = FULL;
    let only = rows.iter().map(|row| (*row).to_owned()).collect();
    let plan =
        Plan { only, exact: true, keys: vec![KEYS], effort, save: None, resume: false, by_address: false };
    Instructions::new(&plan, &mut now)?.run()?;
    let mut worse = Vec::new();
    for id in rows {
        let new = now.row(id, KEYS).with_context(|| format!("{id} was not measured"))?.added();
        let change = match committed.row(id, KEYS).map(Row::added) {
            Some(old) => {
                let change = (new / old - 1.0) * 100.0;
                println!("{id:<12} {new:>8.0} instructions added, committed {old:>8.0}: {change:+.1} %");
                change
            }
            // A new row: its bound holds until `make bench` has been run.
            None => {
                println!("{id:<12} {new:>8.0} instructions added, none committed");
                0.0
            }
        };
        if change > TOLERANCE || exceeds_bound(id, new) {
            worse.push(*id);
        }
    }
    if let (Some(bad), Some(good)) = (now.row(BAD, KEYS), now.row(GOOD, KEYS)) {
        let ratio = bad.added() / good.added();
        println!("a key that nobody has costs {ratio:.2} of an accepted request");
        ensure!(
            ratio <= 1.0,
            "whoever sends random keys spends more of the gateway's time than whoever has a good one"
        );
    }
    Ok(worse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_kept_to_the_instruction() {
        for goal in GOALS.iter().filter(|goal| goal.bound().is_some()) {
            assert_eq!(goal.keys, KEYS, "{} is not measured", goal.row);
            let bound = bound(goal.row).expect("it has one");
            assert!(exceeds_bound(goal.row, bound + 1.0) && !exceeds_bound(goal.row, bound));
        }
    }
}

//! `flamegate-bench check`: counts a few rows again and compares them with the committed ones. What a filter adds is
//! compared, not the sum: Envoy's own part would hide a change.

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    instructions::{FULL, Instructions, Plan},
    measure::Effort,
    results::Results,
};

/// The rows: the commonest request, the most work per request, and the two refusals.
const ROWS: [&str; 4] = ["bare-hot", "default-hot", "random", "used-up"];
const KEYS: u32 = 1_000;
/// A key that nobody has, and an accepted one: what an attacker spends of the gateway, and what a customer does.
const BAD: &str = "random";
const GOOD: &str = "default-hot";
/// By how much a row may be worse, in percent.
const TOLERANCE: f64 = 3.0;

/// A row that is worse is measured this often before it counts: a busy machine adds a little, a change of the code always.
const ATTEMPTS: u32 = 2;

/// An error when a row is worse than the committed one.
pub fn run() -> Result<()> {
    let committed = Results::load()?;
    let mut worse = ROWS.to_vec();
    for _ in 0..ATTEMPTS {
        worse = worse_rows(&committed, &worse)?;
        if worse.is_empty() {
            return Ok(());
        }
    }
    bail!(
        "more than {TOLERANCE} % worse than the committed results: {}; when that is meant, commit those of `make bench`",
        worse.join(", ")
    )
}

/// Measures these rows and names the ones that are worse.
fn worse_rows(committed: &Results, rows: &[&'static str]) -> Result<Vec<&'static str>> {
    let mut now = Results::default();
    let effort = Effort { requests: 1_000, runs: 3, ..FULL };
    let only = rows.iter().map(|row| (*row).to_owned()).collect();
    let plan = Plan { only, exact: true, keys: vec![KEYS], effort, save: false };
    Instructions::new(&plan, &mut now)?.run()?;
    let mut worse = Vec::new();
    for id in rows {
        let old = committed
            .row(id, KEYS)
            .with_context(|| format!("no committed row {id}: run `make bench`"))?
            .added();
        let new = now.row(id, KEYS).with_context(|| format!("{id} was not measured"))?.added();
        let change = (new / old - 1.0) * 100.0;
        println!("{id:<12} {new:>8.0} instructions added, committed {old:>8.0}: {change:+.1} %");
        if change > TOLERANCE {
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

//! Every state that a small fleet can come to, and the three rules that look right.

use std::time::Instant;

use flamegate_lending::model::{Fleet, Weakness};
use stateright::{Checker as _, Model as _};

/// One lease without faults, so that a debug build takes seconds (346,593 states); `make lending` looks further.
fn small(weakness: Weakness) -> Fleet {
    Fleet { gateways: 2, burst: 2, most_wanted: 2, ticks: 2, most_messages: 2, most_faults: 0, weakness }
}

/// The number from the environment, for longer series.
fn number<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn check(fleet: Fleet) -> Option<String> {
    let (begun, text) = (Instant::now(), format!("{fleet:?}"));
    let checker = fleet.checker().threads(2).spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("{text}: {states} states in {:.1?}", begun.elapsed());
    checker.discoveries().into_values().next().map(|path| format!("{:?}", path.into_actions()))
}

#[test]
fn the_rule_holds_in_every_state() {
    let fleet = Fleet {
        ticks: number("FLAMEGATE_LENDING_TICKS", 2),
        most_faults: number("FLAMEGATE_LENDING_FAULTS", 0),
        gateways: number("FLAMEGATE_LENDING_GATEWAYS", 2),
        burst: number("FLAMEGATE_LENDING_BURST", 2),
        ..small(Weakness::None)
    };
    let found = check(fleet);
    assert_eq!(found, None);
}

#[test]
fn three_rules_that_look_right_do_not() {
    // A history that is lost is a fault, and shows at once.
    let lost = Fleet { ticks: 0, most_faults: 1, ..small(Weakness::Resumes) };
    for fleet in [small(Weakness::LentIsForgotten), small(Weakness::SpentWhenTaken), lost] {
        let weakness = fleet.weakness;
        let found = check(fleet).unwrap_or_else(|| panic!("{weakness:?} holds"));
        println!("{weakness:?}: {found}");
    }
}

//! The plan of the house, enforced: which floors the filter, the control plane and the checker have, that every file stands on one, that no import
//! goes up a floor, and that no files import each other in a circle. `docs/ARCHITECTURE.md` shows the same floors.
//!
//! An import is any path of the code that leads to another file: `use`, a path in an expression or a macro, and `mod`, since a parent that
//! declares its children cannot be imported by them without a circle. Test modules are no part of the house.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(clippy::arithmetic_side_effects, missing_docs, reason = "a test")]

mod circles;
mod imports;
mod plan;

use std::collections::BTreeSet;
use std::path::Path;

use circles::circles;
use imports::{House, Import};
use plan::{CHECKER, CONTROL_PLANE, FILTER, Plan};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn house(plan: &Plan) -> House {
    House::read(root().join(plan.folder), plan.crate_name)
}

/// What is wrong with a house, in words.
fn faults(plan: &Plan, house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for file in house.files() {
        if !plan.is_roof(file) && plan.floor_of(file).is_none() {
            faults.push(format!("{file} stands on no floor of the plan"));
        }
    }
    for import in house.imports() {
        if let Some(fault) = arrow(plan, import) {
            faults.push(fault);
        }
    }
    for circle in circles(house.files(), house.imports()) {
        faults.push(format!("a circle: {}", circle.join(" -> ")));
    }
    faults
}

/// Why this import may not be.
fn arrow(plan: &Plan, Import { from, to, name }: &Import) -> Option<String> {
    let (below, above) = (plan.room_of(to), plan.room_of(from));
    let goes_down = plan.floor_of(to).is_some_and(|floor| Some(floor) < plan.floor_of(from));
    let allowed = plan.is_roof(from) || (above.is_some() && above == below) || goes_down;
    let floor = |file: &str| plan.floor_of(file).map_or("no floor", |floor| plan.floors[floor].name);
    (!allowed).then(|| format!("{from} ({}) imports {to} ({}): {name}", floor(from), floor(to)))
}

fn assert_sound(plan: &Plan) {
    let faults = faults(plan, &house(plan));
    assert!(faults.is_empty(), "{}:\n{}", plan.folder, faults.join("\n"));
}

#[test]
fn the_filter_stands_on_its_floors() {
    assert_sound(&FILTER);
}

#[test]
fn the_control_plane_stands_on_its_floors() {
    assert_sound(&CONTROL_PLANE);
}

#[test]
fn the_checker_stands_on_its_floors() {
    assert_sound(&CHECKER);
}

#[test]
fn the_checker_takes_the_parser_of_the_filter_and_asks_nothing_of_the_machine() {
    let house = house(&CHECKER);
    let taken = house.paths_into("flamegate");
    let others: Vec<_> = taken.iter().filter(|path| !path.contains("flamegate::config")).collect();
    assert!(!taken.is_empty() && others.is_empty(), "{others:#?}");
    let machine = ["std::fs", "std::env", "std::net", "std::io", "std::process", "std::thread"];
    let asked: Vec<_> = house
        .paths_into("std")
        .into_iter()
        .filter(|path| machine.iter().any(|name| path.contains(name)))
        .collect();
    assert!(asked.is_empty(), "{asked:#?}");
}

#[test]
fn only_the_command_line_takes_the_checker() {
    let taken = house(&CONTROL_PLANE).paths_into("flamegate_check");
    let others: Vec<_> = taken.iter().filter(|path| !path.starts_with("cli/")).collect();
    assert!(!taken.is_empty() && others.is_empty(), "{others:#?}");
}

#[test]
fn no_floor_is_empty() {
    for plan in [&FILTER, &CONTROL_PLANE, &CHECKER] {
        let house = house(plan);
        let lived_in: BTreeSet<_> = house.files().filter_map(|file| plan.floor_of(file)).collect();
        assert_eq!(lived_in.len(), plan.floors.len(), "{}", plan.folder);
        let rooms: BTreeSet<_> = house.files().filter_map(|file| plan.room_of(file)).collect();
        assert_eq!(rooms.len(), plan.rooms().count(), "{}: a room of the plan is not there", plan.folder);
    }
}

#[test]
fn the_control_plane_takes_the_contract_of_the_filter_and_nothing_else() {
    let house = house(&CONTROL_PLANE);
    let taken = house.paths_into("flamegate");
    let others: Vec<_> = taken.iter().filter(|path| !path.contains("flamegate::contract")).collect();
    assert!(!taken.is_empty() && others.is_empty(), "{others:#?}");
}

#[test]
fn the_document_shows_the_same_floors() {
    let text = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    for plan in [&FILTER, &CONTROL_PLANE, &CHECKER] {
        let drawing = plan.drawing();
        assert!(text.contains(&drawing), "docs/ARCHITECTURE.md must contain\n```text\n{drawing}```");
    }
}

#[test]
fn a_planted_arrow_up_and_a_planted_circle_are_seen() {
    let folder = std::env::temp_dir().join(format!("flamegate-floors-{}", std::process::id()));
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod contract; mod host; mod attic;");
    write("contract.rs", "pub mod key; pub mod page;");
    write(
        "contract/key.rs",
        "use crate::host::{self, Clock}; pub struct Key; fn f() { vec![super::page::Page] }",
    );
    write("contract/page.rs", "pub struct Page; #[cfg(test)] mod tests { use crate::attic::Box; }");
    write(
        "host.rs",
        "use crate::contract::key::Key; pub trait Clock {} mod inner { use super::super::attic::Box; }",
    );
    write("attic.rs", "pub struct Box;");
    let plan = Plan { crate_name: "planted", ..FILTER };
    let seen = faults(&plan, &House::read(folder.clone(), "planted"));
    std::fs::remove_dir_all(&folder).unwrap();
    let expected = [
        "attic.rs stands on no floor of the plan",
        "contract/key.rs (contract) imports host.rs (host): crate::host",
        "contract/key.rs (contract) imports host.rs (host): crate::host::Clock",
        "host.rs (host) imports attic.rs (no floor): super::super::attic::Box",
        "a circle: contract/key.rs -> host.rs",
    ];
    assert_eq!(seen, expected);
}

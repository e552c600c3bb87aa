//! Circles among imports: Tarjan's strongly connected components (SIAM J. Comput. 1972), by two depth-first walks as Kosaraju and
//! Sharir did it, which is enough for some hundred files.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::Import;

/// Groups of files that import each other, each sorted; none when the house has no circle.
pub fn circles<'h>(
    files: impl Iterator<Item = &'h str>,
    imports: impl Iterator<Item = &'h Import>,
) -> Vec<Vec<&'h str>> {
    let (mut forth, mut back) = (BTreeMap::new(), BTreeMap::new());
    for Import { from, to, .. } in imports {
        forth.entry(from.as_str()).or_insert_with(Vec::new).push(to.as_str());
        back.entry(to.as_str()).or_insert_with(Vec::new).push(from.as_str());
    }
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    files.for_each(|file| walk(file, &forth, &mut seen, &mut order));
    let mut seen = BTreeSet::new();
    let mut circles: Vec<_> = order
        .into_iter()
        .rev()
        .map(|file| {
            let mut group = Vec::new();
            walk(file, &back, &mut seen, &mut group);
            group.sort_unstable();
            group
        })
        .filter(|group| group.len() > 1)
        .collect();
    circles.sort();
    circles
}

/// Depth first; a file comes after all that it leads to.
fn walk<'h>(
    file: &'h str,
    arrows: &BTreeMap<&'h str, Vec<&'h str>>,
    seen: &mut BTreeSet<&'h str>,
    order: &mut Vec<&'h str>,
) {
    if seen.insert(file) {
        for next in arrows.get(file).into_iter().flatten() {
            walk(next, arrows, seen, order);
        }
        order.push(file);
    }
}

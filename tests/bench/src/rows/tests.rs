//! The rows: names and bases.

use super::*;

#[test]
fn each_row_has_a_name_of_its_own_and_its_own_base() {
    let states = [Flamegate::Bare, Flamegate::Headers, Flamegate::Default, Flamegate::Shipped];
    let ours: Vec<Series> = states.into_iter().flat_map(|state| flamegate(state, 1)).collect();
    let shipped = WAYS.iter().flat_map(|way| way.shipped.iter().map(|(_, row)| *row));
    let others = [
        EMPTY,
        API_KEY_AUTH,
        SAFE_API_KEY_AUTH,
        LUA,
        SAFE_LUA,
        EXT_AUTHZ[0],
        SAFE_EXT_AUTHZ[1],
        SAFE_HAPROXY,
    ];
    let bases: Vec<Series> = BASELINES.into_iter().chain(WAYS.iter().map(|way| way.none)).collect();
    let all: Vec<Series> =
        ours.iter().copied().chain(shipped).chain(others).chain(bases.iter().copied()).collect();
    let mut names: Vec<_> = all.iter().map(|row| row.id).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len());
    for row in &bases {
        assert!(row.baseline().is_none() && !is_ours(row.id), "{}", row.id);
    }
    for way in &WAYS {
        assert!(way.shipped.iter().all(|(_, row)| row.baseline() == Some(way.none.id) && is_ours(row.id)));
    }
    assert!(ours.iter().all(|row| is_ours(row.id)) && others.iter().all(|row| !is_ours(row.id)));
}

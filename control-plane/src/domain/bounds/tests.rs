//! Which limits a record has, what is within a ceiling, and what is refused.

use crate::contract::{Environment, KeyRecord};
use crate::domain::bounds::*;

fn list(text: &str) -> Vec<Limit> {
    limits::parse_list(text).unwrap()
}

fn bounds(ceiling: &str, workspace_limits: &str) -> Bounds {
    let ceiling = (ceiling != "none").then(|| list(&format!("{CEILING}={ceiling}")).remove(0));
    Bounds { ceiling, workspace_limits: list(workspace_limits), max_active_keys: None }
}

fn composed(own: &str, bounds: &Bounds) -> String {
    let limits = compose(list(own), bounds.ceiling.as_ref(), &bounds.workspace_limits);
    limits.iter().map(limits::to_text).collect::<Vec<_>>().join(",")
}

fn refused(own: &str, bounds: &Bounds) -> String {
    let mut problems = Problems::default();
    bounds.fit(list(own), "limits", &mut problems);
    problems.to_string()
}

#[test]
fn the_ceiling_and_the_workspaces_limits_are_in_every_record() {
    let bounds = bounds("100/60s+20", "shared=5/3600s@workspace");
    for (own, expected) in [
        ("none", "ceiling=100/60s+20,shared=5/3600s@workspace"),
        ("default=50/60s+20", "default=50/60s+20,ceiling=100/60s+20,shared=5/3600s@workspace"),
        ("renamed=50/60s+20", "renamed=50/60s+20,ceiling=100/60s+20,shared=5/3600s@workspace"),
        ("default=101/60s+20", "default=101/60s+20,ceiling=100/60s+20,shared=5/3600s@workspace"),
        ("a=99/1s+9,b=9/60s+9", "a=99/1s+9,b=9/60s+9,ceiling=100/60s+20,shared=5/3600s@workspace"),
        ("ceiling=1/60s+1", "ceiling=100/60s+20,shared=5/3600s@workspace"),
    ] {
        assert_eq!(composed(own, &bounds), expected);
    }
    assert_eq!(composed("a=1/1s", &Bounds::default()), "a=1/1s");
}

#[test]
fn the_largest_numbers_are_compared_without_overflow() {
    let bounds = bounds("1000000/1s+1000000", "none");
    assert_eq!(refused("a=1000000/2678400s+1000000", &bounds), "");
}

#[test]
fn a_record_is_never_one_that_gateways_refuse() {
    let bounds = bounds("1/60s+1", "a=1/1s@workspace,b=1/1s@workspace");
    for own in [
        "none",
        "a=9/1s",
        "a=9/1s,b=9/1s,c=9/1s,d=9/1s",
        "a=9/1s,b=9/1s,c=1/60s+1",
        "a=1/60s+1,b=1/60s+1,c=1/60s+1,d=1/60s+1",
        "ceiling=9/1s,b=9/1s",
        "s=9/1s@workspace,a=2/1s",
    ] {
        let limits = compose(list(own), bounds.ceiling.as_ref(), &bounds.workspace_limits);
        let name = || "x".to_owned();
        let record = KeyRecord { limits, ..KeyRecord::new(name(), name(), Environment::Live) };
        assert_eq!(record.problems(), [], "{own}");
        for text in ["ceiling=1/60s+1", "a=1/1s@workspace", "b=1/1s@workspace"] {
            assert!(composed(own, &bounds).contains(text), "{own}: the operator's limits stay");
        }
    }
}

#[test]
fn of_limits_that_do_not_fit_the_tightest_stay() {
    let shared = bounds("none", "shared=5/3600s@workspace");
    assert_eq!(
        composed("a=9/1s,b=9/1s,c=9/1s,tight=5/3600s", &shared),
        "a=9/1s,b=9/1s,tight=5/3600s,shared=5/3600s@workspace"
    );
    assert_eq!(
        composed("a=9/1s+9,b=9/1s+8,c=8/1s,d=99/60s", &shared),
        "b=9/1s+8,c=8/1s,d=99/60s,shared=5/3600s@workspace"
    );
    // The ceiling takes the place of the loosest of those that are left.
    assert_eq!(
        composed("a=9/1s,b=8/1s,c=7/1s,d=6/1s", &bounds("1/60s+1", "x=1/1s@workspace,y=1/1s@workspace")),
        "d=6/1s,ceiling=1/60s+1,x=1/1s@workspace,y=1/1s@workspace"
    );
}

#[test]
fn what_is_looser_than_the_ceiling_is_refused_and_the_ceiling_named() {
    let bounds = bounds("100/60s+20", "none");
    for own in ["101/60s+20", "1/60s+21", "100/59s+20", "100/60s", "a=1000/1s,b=1000/60s"] {
        let text = refused(own, &bounds);
        assert!(
            text.starts_with(
                "limits: one of them must be within the workspace's ceiling of 100 per 60 seconds, 20 at once"
            ),
            "{text}"
        );
    }
    for own in ["none", "100/60s+20", "200/120s+20", "1/60s+1", "a=9000/1s,b=1/60s+1", "ceiling=100/60s+20"] {
        assert_eq!(refused(own, &bounds), "", "{own}");
    }
}

#[test]
fn a_workspace_limit_with_a_key_is_refused_unless_it_is_the_workspaces() {
    let bounds = bounds("none", "shared=5/3600s@workspace");
    assert_eq!(refused("shared=5/3600s+5@workspace", &bounds), "", "the same numbers, spelled out");
    assert_eq!(
        refused("a=1/1s,shared=50/3600s@workspace", &bounds),
        "limits[1]: the workspace's limit of this name is 5 per 3600 seconds, 5 at once, for all its keys"
    );
    assert!(refused("other=5/3600s@workspace", &bounds).contains("set by an operator"));
    assert!(refused("ceiling=5/3600s", &bounds).starts_with("limits[0].name: 'ceiling' is the name"));
    let mut problems = Problems::default();
    let kept = bounds.fit(list("a=1/1s,shared=5/3600s@workspace"), "limits", &mut problems);
    assert_eq!((kept, problems.is_empty()), (list("a=1/1s"), true), "nothing of it is stored");
}

#[test]
fn a_record_has_room_for_four() {
    let bounds = bounds("1/60s+1", "x=1/1s@workspace,y=1/1s@workspace");
    let text = refused("a=1/60s+1,b=1/1s", &bounds);
    assert!(text.starts_with("limits: at most 1: a key has at most 4 limits"), "{text}");
    assert_eq!(refused("a=1/60s+1", &bounds), "");
    for (one, two) in [("b=1/1s", "b=1/1s,c=1/1s"), ("b=1/60s+1", "b=1/60s+1,c=1/60s+1")] {
        assert!(bounds.has_room_for(&list(one)) && !bounds.has_room_for(&list(two)), "within it or not");
    }
}

#[test]
fn operators_are_told_their_mistakes_too() {
    let mut problems = Problems::default();
    let draft = |text: &str| text.parse::<LimitDraft>().unwrap();
    check_ceiling(draft("mine=0/60s@workspace"), &mut problems);
    check_workspace_limits(&[draft("a=1/1s@key"), draft("b=0/1s"), draft("ceiling=1/1s")], &mut problems);
    check_max_active_keys(Some(-1), &mut problems);
    assert_eq!(
        problems.to_string(),
        "ceiling.name: must be ceiling, or not given; ceiling.scope: must be key, or not given: a ceiling is of each \
         key for itself; ceiling.requests: at least 1; workspace_limits[0].scope: must be workspace, or not given; \
         workspace_limits[2].name: 'ceiling' is the name of the limit that the field ceiling sets; \
         workspace_limits[1].requests: at least 1; max_active_keys: 0 to 1000000000, or null for as many as one likes"
    );
}

//! Text form, bounds, and that every broken rule is reported with its path.

use crate::domain::limits::*;

fn problems_of(drafts: &[LimitDraft]) -> String {
    let mut problems = Problems::default();
    check(drafts, "limits", &mut problems);
    problems.to_string()
}

#[test]
fn the_text_form_round_trips() {
    for text in [
        "default=100/60s+20",
        "shared=5000/3600s@workspace",
        "day=1/86400s",
        "default=100/60s+20^fleet",
        "a=9/1s@workspace^fleet-refuse",
    ] {
        let limits = parse_list(text).unwrap();
        assert_eq!(to_text(&limits[0]), text);
    }
}

#[test]
fn units_and_defaults_of_the_text_form() {
    let limits = parse_list("100/1m, shared=7/2h@workspace").unwrap();
    assert_eq!(
        (limits[0].name.as_str(), limits[0].window_seconds.get(), limits[0].burst),
        ("default", 60, None)
    );
    assert_eq!((limits[1].window_seconds.get(), limits[1].scope), (7_200, Scope::Workspace));
    assert_eq!(parse_list("none").unwrap(), Vec::new());
    assert_eq!(parse_list("100/60s+20").unwrap(), product_default());
}

#[test]
fn nonsense_in_text_form_is_refused_with_a_reason() {
    for text in [
        "",
        "100",
        "x/60s",
        "100/",
        "100/60w",
        "100/60s+x",
        "100/60s@planet",
        "0/60s",
        "100/0s",
        "a b=1/1s",
        "1/1s^",
        "1/1s^planet",
        "1/1s^fleet@key",
    ] {
        assert!(parse_list(text).is_err(), "{text}");
    }
}

#[test]
fn a_fleet_limit_is_not_too_fast_and_not_too_slow() {
    assert_eq!(parse_list("10000/1s^fleet").unwrap()[0].reach, Reach::Fleet);
    for (text, problem) in [
        ("10001/1s^fleet", "limits[0].requests: a fleet limit admits at most 10000 requests a second"),
        ("1/31d+2^fleet", "limits[0].burst: the burst of a fleet limit must refill within 31 days"),
    ] {
        assert_eq!(parse_list(text).unwrap_err(), problem);
    }
    assert!(parse_list("7/31d^fleet,x=1/31d+2").is_ok());
    let draft = |reach: &str, when: &str| LimitDraft {
        reach: Some(reach.to_owned()),
        when_unreachable: Some(when.to_owned()),
        ..parse_list("1/1s").unwrap().first().map(LimitDraft::from).unwrap()
    };
    assert_eq!(
        problems_of(&[draft("gateway", "refuse"), draft("planet", "never")]),
        "limits[0].when_unreachable: only a fleet limit can be out of reach; limits[1].reach: must be gateway or fleet; \
         limits[1].when_unreachable: must be gateway or refuse"
    );
}

#[test]
fn all_problems_of_all_limits_are_reported() {
    let bad =
        LimitDraft { scope: Some("planet".into()), requests: Some(0), burst: Some(-1), ..Default::default() };
    let big = LimitDraft { requests: Some(5_000_000_000), window_seconds: Some(1), ..Default::default() };
    assert_eq!(
        problems_of(&[bad, big]),
        "limits[0].requests: at least 1; limits[0].window_seconds: is required; limits[0].burst: at least 1; \
         limits[0].scope: must be key or workspace; limits[1].requests: too large"
    );
}

#[test]
fn the_records_rules_apply() {
    let limit =
        |requests| LimitDraft { requests: Some(requests), window_seconds: Some(1), ..Default::default() };
    assert_eq!(
        problems_of(&[limit(1_000_001)]),
        "limits[0].requests: at most 1000000; limits[0].burst: at most 1000000"
    );
    assert_eq!(problems_of(&[limit(1), limit(2)]), "limits[1].name: two limits of one scope have this name");
    assert_eq!(problems_of(&vec![limit(1); 5]), "limits: at most 4 limits");
}

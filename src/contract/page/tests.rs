//! An old gateway is never shown what it would let pass: whatever is in a page, each record that it sees is all that the key may do.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn page(reset: bool, more: bool, records: &[Value]) -> Page {
    let mut upserts: Vec<Value> = records.to_vec();
    for (index, upsert) in upserts.iter_mut().enumerate() {
        upsert["hash"] = json!(format!("{index:064x}"));
        upsert["id"] = json!(format!("key_{index}"));
        upsert["workspace"] = json!("ws_1");
        upsert["environment"] = json!("live");
    }
    let page = json!({"epoch": "e", "revision": 7, "tag": "t", "more": more, "reset": reset, "upserts": upserts, "removals": []});
    Page::parse(page.to_string().as_bytes()).unwrap()
}

fn fleet() -> Value {
    json!({"name": "default", "requests": 100, "window_seconds": 60, "reach": "fleet"})
}

/// Each of these makes a key do less than its protocol-1 record says.
fn narrower() -> [Value; 5] {
    [
        json!({"restrict": {"methods": ["GET"]}}),
        json!({"restrict": {}}),
        json!({"plan": "free"}),
        json!({"workspace_plan": "free"}),
        json!({"shadow": true}),
    ]
}

#[test]
fn a_key_that_needs_more_is_gone_for_an_old_gateway() {
    for record in narrower() {
        let page = page(false, false, &[json!({}), record.clone()]);
        let old = page.for_old();
        assert_eq!(old.upserts.len(), 1, "{record}");
        assert_eq!(old.removals, [page.upserts[1].hash], "{record}");
    }
}

#[test]
fn a_gateway_says_what_it_understands_and_an_old_one_says_nothing() {
    let query = |accepts| ChangesQuery { accepts, ..ChangesQuery::default() };
    assert!(!query(Protocol::One).to_path().contains("accepts"));
    assert!(query(Protocol::Two).to_path().ends_with("&accepts=2"));
    for (version, understood) in
        [(0, Protocol::One), (1, Protocol::One), (2, Protocol::Two), (7, Protocol::Two)]
    {
        assert_eq!(Protocol::from_accepts(version), understood);
    }
}

#[test]
fn a_gateway_says_whether_it_is_in_shadow_and_one_of_before_says_nothing() {
    let path = |shadow| ChangesQuery { shadow, ..ChangesQuery::default() }.to_path();
    assert!(!path(None).contains("shadow"));
    assert!(path(Some(true)).ends_with("&shadow=true") && path(Some(false)).ends_with("&shadow=false"));
}

#[test]
fn a_fleet_limit_is_an_old_gateways_own() {
    let page = page(false, false, &[json!({"limits": [fleet()]})]);
    let old = page.for_old();
    let text = serde_json::to_string(&old).unwrap();
    assert!(!text.contains("reach"), "{text}");
    assert_eq!(old.upserts[0].record.limits, page.upserts[0].record.plain().limits);
    assert_ne!(old.upserts[0].record.limits, page.upserts[0].record.limits);
}

#[test]
fn a_page_of_protocol_1_is_one_of_protocol_2() {
    let page = page(true, false, &[json!({}), json!({"limits": [{"requests": 1, "window_seconds": 1}]})]);
    let old = page.for_old();
    let json = serde_json::to_vec(&old).unwrap();
    assert_eq!(Page::parse(&json), Ok(old));
    assert_eq!(Page::parse(&json), Ok(page));
}

#[test]
fn a_page_of_a_reset_may_have_nothing_for_an_old_gateway() {
    let hidden = json!({"plan": "free"});
    assert!(page(true, true, std::slice::from_ref(&hidden)).for_old().upserts.is_empty());
    let last = page(true, false, std::slice::from_ref(&hidden)).for_old();
    assert_eq!((last.upserts.len(), last.removals.len()), (0, 0), "a reset says what is there");
    let some = page(true, true, &[json!({}), hidden]);
    assert_eq!(some.for_old().upserts.len(), 1);
    assert_eq!(some.cursor(), Some(some.upserts[1].hash.0));
}

#[test]
fn bad_records_and_plans_are_refused_with_their_place() {
    let record = |more: Value| {
        let mut upsert =
            json!({"hash": "0".repeat(64), "id": "key_1", "workspace": "ws_1", "environment": "live"});
        upsert.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"epoch": "e", "revision": 7, "more": false, "reset": false, "upserts": [upsert]})
    };
    let plan = |plan: Value| json!({"epoch": "e", "revision": 7, "more": false, "reset": false, "plans": {"free": plan}});
    let fast = json!({"requests": 10_001, "window_seconds": 1, "reach": "fleet"});
    let workspace = json!({"scope": "workspace", "requests": 1, "window_seconds": 1});
    for (page, error) in [
        (record(json!({"plan": "a b"})), "upserts[0].plan: 1 to 64 letters, digits, '_', '-' or '.'"),
        (
            record(json!({"restrict": {"methods": ["get"]}})),
            "upserts[0].restrict.methods[0]: a method in capitals, as GET",
        ),
        (
            record(json!({"restrict": {"paths": ["v1"]}})),
            "upserts[0].restrict.paths[0]: a path with one reading, as /v1/agents, or /v1/agents/* for what is below it: begins with '/', no query, no empty or dot segments, no encoded separators, no other '*'",
        ),
        (
            record(json!({"restrict": {"addresses": ["10.0.0.0/33"]}})),
            "upserts[0].restrict.addresses[0]: an IP address, or a network as 10.0.0.0/8 or 2001:db8::/32 in which the bits behind the length are 0",
        ),
        (
            record(json!({"restrict": {"addresses": vec!["::1"; 33]}})),
            "upserts[0].restrict.addresses: at most 32",
        ),
        (
            record(json!({"limits": [fast]})),
            "upserts[0].limits[0].requests: a fleet limit admits at most 10000 requests a second",
        ),
        (plan(json!({"version": 1, "limits": [fleet(), workspace]})), "plans.free.limits: of two scopes"),
    ] {
        assert_eq!(Page::parse(page.to_string().as_bytes()), Err(error.to_owned()));
    }
    let unknown = record(json!({"restrict": {"hosts": ["a"]}}));
    let error = Page::parse(unknown.to_string().as_bytes()).unwrap_err();
    assert!(
        error.starts_with("not a page: Data error"),
        "a restriction that is not understood is none: {error}"
    );
}

proptest! {
    #[test]
    fn whatever_is_in_a_page_an_old_gateway_sees_only_whole_keys(
        kinds in proptest::collection::vec(0_usize..7, 0..12),
        reset: bool,
        more: bool,
    ) {
        let [methods, empty, plan, workspace_plan, shadow] = narrower();
        let all = [json!({}), json!({"limits": [fleet()]}), methods, empty, plan, workspace_plan, shadow];
        let records: Vec<Value> = kinds.iter().map(|kind| all[*kind].clone()).collect();
        prop_assume!(!(reset && more && records.is_empty()));
        let page = page(reset, more, &records);
        let old = page.for_old();
        let shown: Vec<_> = old.upserts.iter().map(|upsert| upsert.hash).collect();
        let whole = page.upserts.iter().filter(|upsert| upsert.record.needs() == Protocol::One);
        prop_assert_eq!(&shown, &whole.map(|upsert| upsert.hash).collect::<Vec<_>>());
        if !reset {
            prop_assert_eq!(shown.len() + old.removals.len(), page.upserts.len());
        }
        // Whoever sends it goes on behind it.
        prop_assume!(!(reset && more && old.upserts.is_empty()));
        let json = serde_json::to_vec(&old).unwrap();
        prop_assert_eq!(Page::parse(&json), Ok(old));
    }
}

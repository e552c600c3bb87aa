//! What the page says of entries, those of earlier versions among them.

use serde_json::json;

use super::*;

/// The lines of an entry as text; a time as UTC.
fn told(details: Value) -> Vec<String> {
    let entry = Entry {
        seq: 1,
        at: Timestamp::UNIX_EPOCH,
        workspace: None,
        workspace_slug: None,
        actor_kind: String::new(),
        actor_id: None,
        actor: String::new(),
        via: String::new(),
        address: None,
        action: String::new(),
        target_id: None,
        target: "New name".to_owned(),
        details,
    };
    let part = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Time(moment) => moment.text().to_owned(),
    };
    lines(&entry).iter().map(|line| line.0.iter().map(part).collect()).collect()
}

#[test]
fn a_change_is_told_in_the_words_of_the_pages_and_what_stayed_is_not() {
    let details = json!({"key": "sk_live_…a1B2", "environment": "live", "expires_at": "2040-01-01T00:00:00Z",
        "limits": ["default=100/60s+20", "hourly=12000/3600s"], "before": {"expires_at": null, "limits": null}});
    assert_eq!(
        told(details),
        [
            "Key: sk_live_…a1B2",
            "Expires: Never → 1 Jan 2040, 00:00 UTC",
            "Limit: Workspace default → 100 per minute, 20 at once; 12,000 per hour, 12,000 at once",
        ]
    );
    let details = json!({"slug": "demo", "default_limits": ["default=100/60s"], "ceiling": null,
        "workspace_limits": ["shared=10/60s@workspace"], "max_active_keys": 7,
        "before": {"workspace_limits": [], "max_active_keys": null}});
    assert_eq!(
        told(details),
        ["All keys together: No limit → 10 per minute, 10 at once", "Most active keys: any number → 7"]
    );
}

#[test]
fn limits_of_another_name_are_told_by_their_names() {
    let details = json!({"limits": ["b=1/1s"], "before": {"limits": ["a=1/1s"]}});
    assert_eq!(told(details), ["Limit: a=1/1s → b=1/1s"]);
}

#[test]
fn a_rotation_says_how_long_the_old_key_works() {
    let rotated = |seconds: u64| {
        json!({"key": "sk_live_…a1B2", "new_key": "sk_live_…c3D4", "new_id": "key_x", "new_expires_at": null,
            "grace_seconds": seconds})
    };
    for (seconds, words) in [
        (0, "no longer"),
        (3_600, "1 hour more"),
        (86_400, "24 hours more"),
        (604_800, "7 days more"),
        (90, "90 seconds more"),
    ] {
        let words = format!("The old key works for: {words}");
        let expected = ["Key: sk_live_…a1B2", &words, "New key: sk_live_…c3D4", "New id: key_x"];
        assert_eq!(told(rotated(seconds)), expected);
    }
}

#[test]
fn entries_of_every_version_are_read() {
    assert_eq!(told(json!({"before": "Old", "key": "sk_…1"})), ["Key: sk_…1", "Name: Old → New name"]);
    assert_eq!(told(json!({"before": "member", "role": "owner"})), ["Role: member → owner"]);
    assert_eq!(told(json!({"role": "owner", "new": true, "operator": true})), ["Role: owner", "Operator"]);
    assert_eq!(told(json!({"limits": "as they were"})), ["Limit: as they were"]);
    assert_eq!(told(json!({"last_seen": "2040-01-01T00:00:00.5Z"})), ["Last seen: 1 Jan 2040, 00:00 UTC"]);
    let most = told(json!({"expires_at": "9999-12-31T23:59:59Z"}));
    assert_eq!(most, ["Expires: 31 Dec 9999"], "after the last moment that the library has");
    for nothing in [json!({}), json!(null), json!({"operator": false, "limits": null})] {
        assert!(told(nothing).is_empty());
    }
}

//! What operators see: gauges, sync counters, the access log. (`contract.rs` checks the verdict counters.)

use flamegate_e2e::{Plugin, Request, Stack, eventually};
use serde_json::{Value, json};

#[test]
fn gauges_follow_the_table() {
    let mut stack = Stack::start("metrics", &Plugin::singleton(json!({})));
    let gauge = |stack: &Stack, name: &str| stack.envoy.metrics().value(name).unwrap_or(-1.0);
    let key = stack.accepted_key("live");
    stack.accepted_key("live");
    eventually("two keys", || match gauge(&stack, "flamegate_keys") {
        2.0 => Ok(()),
        other => Err(format!("{other}")),
    });
    let revision = gauge(&stack, "flamegate_revision");
    stack.control.revoke(&key.id, "30s");
    eventually("one key", || match gauge(&stack, "flamegate_keys") {
        1.0 => Ok(()),
        other => Err(format!("{other}")),
    });
    eventually("the revision and the pages", || {
        let (now, pages) = (gauge(&stack, "flamegate_revision"), gauge(&stack, "flamegate_sync_pages_total"));
        if now > revision && pages >= 2.0 { Ok(()) } else { Err(format!("{now} {pages}")) }
    });
    assert_eq!(gauge(&stack, "flamegate_limiter_fallback_total"), 0.0);

    stack.control.stop();
    eventually("the table grows old", || {
        let (age, failures) =
            (gauge(&stack, "flamegate_table_age_seconds"), gauge(&stack, "flamegate_sync_failures_total"));
        if age >= 2.0 && failures >= 1.0 { Ok(()) } else { Err(format!("{age} s, {failures} failures")) }
    });
}

#[test]
fn the_access_log_names_verdict_and_key() {
    let stack = Stack::start("access-log", &Plugin::singleton(json!({})));
    let key = stack.accepted_key("test");
    let get = |path: &str| Request::get(path);
    stack.envoy.send(&get("/v1/agents?case=permitted").bearer(&key.key));
    stack.envoy.send(&get("/missing"));
    stack.envoy.send(&get("/unknown").bearer("sk_live_x"));
    stack.envoy.send(&get("/healthz"));
    let line = |path: &'static str, status: u16| {
        eventually("the access log", || {
            let lines = stack.envoy.access_lines();
            lines
                .into_iter()
                .find(|line| line["path"] == path && line["status"] == status)
                .ok_or_else(|| format!("no line for {path}"))
        })
    };
    let permitted = line("/v1/agents", 200);
    assert_eq!(permitted["key_id"], key.id.as_str(), "{permitted}");
    assert_eq!(permitted["workspace_id"], key.workspace.as_str());
    assert_eq!(permitted["environment"], "test");
    assert_eq!(permitted["details"], "via_upstream");
    for (path, status, details) in
        [("/missing", 401, "flamegate_unauthorized"), ("/unknown", 401, "flamegate_invalid_api_key")]
    {
        let denied = line(path, status);
        assert_eq!((&denied["status"], &denied["details"]), (&json!(status), &json!(details)));
        assert_eq!(denied["key_id"], Value::Null);
    }
    assert_eq!(line("/healthz", 200)["bypass"], "path");
}

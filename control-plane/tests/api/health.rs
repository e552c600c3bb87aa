//! `/healthz`, `/readyz`, `/metrics` and `/openapi.json`: open, and true.

use std::collections::HashSet;
use std::time::Duration;

use crate::common::gateway::Gateway;
use crate::common::{Answer, Control};

async fn metrics(control: &Control) -> String {
    control.http.get(control.url("/metrics")).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn status_200_while_it_can_serve() {
    let control = Control::start().await;
    for path in ["/healthz", "/readyz"] {
        let data = Answer::of(control.http.get(control.url(path))).await.expect(200);
        assert_eq!(data["status"], "ok");
    }
}

#[tokio::test]
async fn status_503_when_the_database_is_gone() {
    let control = Control::start().await;
    control.server.app.store.close().await;
    control.clock.advance(Duration::from_secs(2));
    let answer = Answer::of(control.http.get(control.url("/readyz"))).await;
    assert_eq!(answer.headers["retry-after"], "1");
    answer.refused(503, "UNAVAILABLE");
    Answer::of(control.http.get(control.url("/healthz"))).await.expect(200);
    let error = control.get("/v1/api-keys").await.refused(500, "INTERNAL");
    assert_eq!(error["message"], "internal error", "what went wrong inside stays inside");
}

#[tokio::test]
async fn metrics_count_keys_gateways_and_requests_by_route() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    control.create_key_id().await;
    control.revoke(&id, "0").await;
    Gateway::new(&control, "gw").catch_up(&control).await;
    let text = metrics(&control).await;
    for line in [
        "flamegate_control_keys{status=\"active\"} 1",
        "flamegate_control_keys{status=\"revoked\"} 1",
        "flamegate_control_revision 3",
        "flamegate_control_gateways_connected 1",
        "flamegate_control_gateways{state=\"enforcing\"} 1",
        "flamegate_control_gateways{state=\"no_table\"} 0",
        "flamegate_control_gateways{state=\"stale\"} 0",
        "flamegate_control_gateways{state=\"cut_off\"} 0",
        "flamegate_control_other_histories_total 0",
        "flamegate_control_refused_tokens_total{kind=\"sync_missing\"} 0",
        "flamegate_control_gateways_serving_nobody 0",
        "flamegate_control_gateways_in_shadow 0",
        "flamegate_control_polls_held 0",
        "flamegate_control_sync_pages_total{kind=\"reset\"} 1",
        "flamegate_control_http_requests_total{method=\"POST\",route=\"/v1/api-keys/{id}/revoke\",status=\"200\"} 1",
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\n{text}");
    }
    assert!(!text.contains(&id), "no ids in metrics");
}

/// What an alert needs: who is connected and serves nothing, who was there and is not, and who comes without a token.
#[tokio::test]
async fn metrics_tell_gateways_apart_by_what_they_do() {
    let control = Control::with_workspace().await;
    control.create_key_id().await;
    let state = async |state: &str, count: u32| {
        let (text, line) =
            (metrics(&control).await, format!("flamegate_control_gateways{{state=\"{state}\"}} {count}"));
        assert!(text.lines().any(|have| have == line), "{line}\n{text}");
    };
    let mut starting = Gateway::new(&control, "starting");
    starting.page().await.unwrap();
    state("no_table", 1).await;
    let mut stale = Gateway::new(&control, "stale");
    stale.catch_up(&control).await;
    stale.query.stale = true;
    stale.page().await.unwrap();
    state("stale", 1).await;
    let mut gone = Gateway::new(&control, "gone");
    gone.catch_up(&control).await;
    state("enforcing", 1).await;
    for (name, shadow) in [("trying", Some(true)), ("refusing", Some(false)), ("older", None)] {
        let mut gateway = Gateway::new(&control, name);
        gateway.query.shadow = shadow;
        gateway.page().await.unwrap();
    }
    let in_shadow = async |count: u32| {
        let (text, line) = (metrics(&control).await, format!("flamegate_control_gateways_in_shadow {count}"));
        assert!(text.lines().any(|have| have == line), "{line}\n{text}");
    };
    in_shadow(1).await;
    control.clock.advance(Duration::from_secs(120));
    state("cut_off", 2).await;
    state("enforcing", 0).await;
    in_shadow(0).await;
    let request = control.http.get(control.url("/sync/v1/changes?gateway=a"));
    Answer::of(request).await.refused(401, "UNAUTHORIZED");
    let text = metrics(&control).await;
    assert!(text.contains("flamegate_control_refused_tokens_total{kind=\"sync_missing\"} 1"), "{text}");
    assert!(text.contains("flamegate_control_refused_tokens_total{kind=\"sync\"} 0"), "{text}");
}

#[tokio::test]
async fn the_document_has_every_route_under_a_name_of_its_own() {
    let control = Control::start().await;
    let document = Answer::of(control.http.get(control.url("/openapi.json"))).await.body;
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/v1/api-keys",
        "/v1/api-keys/{id}",
        "/v1/api-keys/{id}/revoke",
        "/v1/api-keys/{id}/rotate",
        "/v1/api-keys/import",
        "/v1/api-keys/import-batch",
        "/v1/workspaces",
        "/v1/workspaces/{id}",
        "/v1/gateways",
        "/v1/explain",
        "/v1/database",
        "/sync/v1/changes",
        "/healthz",
        "/readyz",
        "/metrics",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
    let operations = paths.values().flat_map(|item| item.as_object().unwrap().values());
    let names: Vec<_> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "{names:?}");
    let operations = paths.values().flat_map(|item| item.as_object().unwrap().values());
    for response in operations.flat_map(|operation| operation["responses"].as_object().unwrap().values()) {
        assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{response}");
    }
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let references = text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap());
    for name in references {
        assert!(schemas.contains_key(name), "{name} is not defined");
    }
}

//! Whatever the framework refuses by itself comes in our shape too.

use reqwest::Method;
use serde_json::json;

use crate::common::{Answer, Control};

#[tokio::test]
async fn status_404_for_paths_that_are_not_there() {
    let control = Control::start().await;
    for path in ["/nothing", "/v1", "/v1/nothing", "/v1/api-keys/a/b/c", "/sync/v1"] {
        control.get(path).await.refused(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn status_405_for_methods_that_are_not_there() {
    let control = Control::start().await;
    for (method, path) in [
        (Method::DELETE, "/v1/api-keys"),
        (Method::GET, "/v1/api-keys/key_x/revoke"),
        (Method::POST, "/healthz"),
        (Method::PUT, "/sync/v1/changes"),
    ] {
        let token = if path.starts_with("/sync") { crate::common::SYNC } else { crate::common::ADMIN };
        let request = control.http.request(method, control.url(path)).bearer_auth(token);
        Answer::of(request).await.refused(405, "METHOD_NOT_ALLOWED");
    }
}

#[tokio::test]
async fn status_400_for_what_is_not_json() {
    let control = Control::start().await;
    for body in ["{", "{\"name\": sk_live_x}", "{} {}", "\u{0}"] {
        let request =
            control.request(Method::POST, "/v1/workspaces").header("content-type", "application/json");
        let error = Answer::of(request.body(body)).await.refused(400, "BAD_REQUEST");
        assert!(error["message"].as_str().unwrap().starts_with("the body is not JSON (line "), "{error}");
    }
}

#[tokio::test]
async fn status_400_for_queries_that_cannot_be_read() {
    let control = Control::start().await;
    for query in ["stauts=active", "limit=many", "limit=1&limit=2"] {
        control.get(&format!("/v1/api-keys?{query}")).await.refused(400, "BAD_REQUEST");
    }
}

#[tokio::test]
async fn status_400_for_a_path_that_is_not_utf_8() {
    let control = Control::start().await;
    control.get("/v1/api-keys/%ff").await.refused(400, "BAD_REQUEST");
}

#[tokio::test]
async fn status_413_for_long_bodies() {
    let control = Control::start().await;
    let answer = control.post("/v1/workspaces", json!({"name": "n".repeat(70_000)})).await;
    answer.refused(413, "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn status_415_for_other_content_types() {
    let control = Control::start().await;
    let request = control.request(Method::POST, "/v1/workspaces").body("name=Demo");
    Answer::of(request).await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
}

#[tokio::test]
async fn status_422_for_lists_out_of_bounds() {
    let control = Control::start().await;
    for (query, problem) in [
        ("limit=0", "limit: must be 1 to 200"),
        ("limit=201", "limit: must be 1 to 200"),
        ("cursor=x", "cursor: must be a next_cursor of this list"),
        ("status=gone&environment=prod", "environment: must be live or test"),
    ] {
        let problems = control.get(&format!("/v1/api-keys?{query}")).await.problems();
        assert_eq!(problems[0], problem);
    }
}

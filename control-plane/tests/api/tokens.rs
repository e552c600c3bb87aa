//! Every route of the document asks for its own token and takes no other.

use reqwest::Method;

use crate::common::{ADMIN, Answer, Control, SYNC};

/// (method, path, name of the token) of every operation in the OpenAPI document that asks for one.
async fn guarded(control: &Control) -> Vec<(Method, String, String)> {
    let document = control.get("/openapi.json").await.body;
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(security) = operation["security"][0].as_object() else { continue };
            let method = method.to_uppercase().parse().unwrap();
            found.push((method, path.replace(['{', '}'], ""), security.keys().next().unwrap().clone()));
        }
    }
    assert!(found.len() >= 14, "{found:?}");
    found
}

#[tokio::test]
async fn status_401_without_the_right_token() {
    let control = Control::start().await;
    for (method, path, token) in guarded(&control).await {
        let other = if token == "admin" { SYNC } else { ADMIN };
        let right = if token == "admin" { ADMIN } else { SYNC };
        let near = format!("{right}x");
        for header in
            [None, Some(format!("Bearer {other}")), Some(format!("Bearer {near}")), Some(right.to_owned())]
        {
            let mut request = control.http.request(method.clone(), control.url(&path));
            if let Some(value) = &header {
                request = request.header("authorization", value);
            }
            let answer = Answer::of(request).await;
            assert_eq!(
                answer.headers["www-authenticate"], "Bearer realm=\"flamegate-control\"",
                "{method} {path}"
            );
            answer.refused(401, "UNAUTHORIZED");
        }
    }
}

#[tokio::test]
async fn status_401_for_a_token_that_comes_twice() {
    let control = Control::start().await;
    let request =
        control.request(Method::GET, "/v1/api-keys").header("authorization", format!("Bearer {ADMIN}"));
    Answer::of(request).await.refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn the_scheme_is_case_insensitive() {
    let control = Control::start().await;
    let request =
        control.http.get(control.url("/v1/api-keys")).header("authorization", format!("bEARER {ADMIN}"));
    Answer::of(request).await.expect(200);
}

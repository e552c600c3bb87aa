//! What each operation of `/v1` needs. It stands where the operation is declared, as the scope of its security requirement, so the OpenAPI
//! document says it to everybody; this reads it from there. An operation that says nothing is for operators alone.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Operation;

use crate::domain::access::Need;

/// The operations, by path and method.
#[derive(Clone, Default)]
pub(super) struct Needs(Arc<HashMap<String, HashMap<Method, Need>>>);

impl Needs {
    /// Those of a document.
    pub fn of(document: &OpenApi) -> Self {
        let mut needs: HashMap<String, HashMap<Method, Need>> = HashMap::new();
        for (path, item) in &document.paths.paths {
            let operations = [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PATCH, &item.patch),
                (Method::PUT, &item.put),
                (Method::DELETE, &item.delete),
            ];
            for (method, operation) in operations {
                if let Some(need) = operation.as_ref().and_then(said) {
                    needs.entry(path.clone()).or_default().insert(method, need);
                }
            }
        }
        Self(Arc::new(needs))
    }

    /// What a request needs.
    pub fn of_request(&self, request: &Request) -> Need {
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let found = path.and_then(|path| self.0.get(path)?.get(method)).copied();
        found.unwrap_or(Need::Operator)
    }
}

/// The scope of its security requirement, which must be one.
fn said(operation: &Operation) -> Option<Need> {
    // The library keeps the requirement to itself; what it is written as is the document's own form.
    let security = serde_json::to_value(operation.security.as_ref()?).ok()?;
    match security.get(0)?.get("admin")?.as_array()?.as_slice() {
        [one] => Need::named(one.as_str()?),
        _ => None,
    }
}

//! `envoy.service.ratelimit.v3.RateLimitService`: the fields that are read and written, and its one method.

use std::{collections::HashMap, convert::Infallible, sync::Arc, task};

use limitador::{AsyncRateLimiter, limit::Context};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Service as TowerService, http},
    server::{Grpc, NamedService, UnaryService},
};
use tonic_prost::ProstCodec;

/// `RateLimitRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct RateLimitRequest {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(message, repeated, tag = "2")]
    descriptors: Vec<Descriptor>,
    #[prost(uint32, tag = "3")]
    hits_addend: u32,
}

/// `envoy.extensions.common.ratelimit.v3.RateLimitDescriptor`.
#[derive(Clone, PartialEq, prost::Message)]
struct Descriptor {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// `RateLimitResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct RateLimitResponse {
    #[prost(int32, tag = "1")]
    overall_code: i32,
}

const OK: i32 = 1;
const OVER_LIMIT: i32 = 2;

/// The service.
#[derive(Clone)]
pub struct Service(pub Arc<AsyncRateLimiter>);

impl NamedService for Service {
    const NAME: &'static str = "envoy.service.ratelimit.v3.RateLimitService";
}

impl TowerService<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = Method(Arc::clone(&self.0));
        let known = request.uri().path().ends_with("/ShouldRateLimit");
        Box::pin(async move {
            if !known {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            Ok(Grpc::new(ProstCodec::default()).unary(method, request).await)
        })
    }
}

/// `ShouldRateLimit`.
struct Method(Arc<AsyncRateLimiter>);

impl UnaryService<RateLimitRequest> for Method {
    type Response = RateLimitResponse;
    type Future = BoxFuture<Response<RateLimitResponse>, Status>;

    fn call(&mut self, request: Request<RateLimitRequest>) -> Self::Future {
        let limiter = Arc::clone(&self.0);
        Box::pin(async move {
            let RateLimitRequest { domain, descriptors, hits_addend } = request.into_inner();
            let entries = |descriptor: Descriptor| -> HashMap<String, String> {
                descriptor.entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
            };
            let mut context = Context::default();
            context.list_binding("descriptors".to_owned(), descriptors.into_iter().map(entries).collect());
            let (domain, hits) = (domain.into(), u64::from(hits_addend.max(1)));
            let asked = limiter.check_rate_limited_and_update(&domain, &context, hits).await;
            // Envoy's `failure_mode_deny` says what becomes of the request then.
            let seen = asked.map_err(|error| Status::unavailable(error.to_string()))?;
            let overall_code = if seen.limited { OVER_LIMIT } else { OK };
            Ok(Response::new(RateLimitResponse { overall_code }))
        })
    }
}

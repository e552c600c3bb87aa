//! A rate-limit service for Envoy's `ratelimit` filter over the library limitador: what `make bench` compares fleet limits with. It is small
//! and ours; deciding, counting and speaking to Redis are the library's.
//!
//! `flamegate-bench-limits-service PORT redis|cached URL CLASS=REQUESTS/SECONDS…`: a request whose descriptor says `class: CLASS` is limited by its
//! `key`. `redis` is the library's storage that asks Redis for each request, `cached` the one that counts by itself and tells Redis once a second.

mod rls;

use std::{error::Error, net::SocketAddr, process::ExitCode, sync::Arc};

use limitador::{
    AsyncRateLimiter,
    limit::{Expression, Limit, Predicate},
    storage::{
        AsyncCounterStorage,
        redis::{AsyncRedisStorage, CachedRedisStorageBuilder},
    },
};

/// The domain that Envoy names, and the library's namespace.
const DOMAIN: &str = "bench";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match serve(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [port, storage, url, limits @ ..] = arguments else {
        return Err("usage: PORT redis|cached URL CLASS=REQUESTS/SECONDS…".into());
    };
    let address = SocketAddr::from(([127, 0, 0, 1], port.parse::<u16>()?));
    let storage: Box<dyn AsyncCounterStorage> = match storage.as_str() {
        "redis" => Box::new(AsyncRedisStorage::new(url).await?),
        "cached" => Box::new(CachedRedisStorageBuilder::new(url).build().await?),
        other => return Err(format!("no such storage: {other}").into()),
    };
    let limiter = AsyncRateLimiter::new_with_storage(storage);
    for text in limits {
        limiter.add_limit(limit(text)?);
    }
    let service = rls::Service(Arc::new(limiter));
    tonic::transport::Server::builder().add_service(service).serve(address).await?;
    Ok(())
}

/// `CLASS=REQUESTS/SECONDS`.
fn limit(text: &str) -> Result<Limit, Box<dyn Error>> {
    let parts = text.split_once('=').and_then(|(class, rate)| Some((class, rate.split_once('/')?)));
    let (class, (requests, seconds)) = parts.ok_or_else(|| format!("not CLASS=REQUESTS/SECONDS: {text}"))?;
    let condition = Predicate::parse(format!("descriptors[0]['class'] == '{class}'"))?;
    let key = Expression::parse("descriptors[0]['key']")?;
    Ok(Limit::new(DOMAIN, requests.parse()?, seconds.parse()?, [condition], [key]))
}

#[cfg(test)]
mod tests {
    use super::limit;

    #[test]
    fn limits_are_read() {
        let read = limit("c10=10/60").expect("a limit");
        assert_eq!((read.max_value(), read.seconds()), (10, 60));
        assert!(limit("c10=10").is_err() && limit("c10=x/60").is_err());
    }
}

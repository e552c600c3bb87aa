//! The way to the engine: by its address or by its sentinels, plain or by TLS.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo,
    RedisResult, TlsCertificates,
};

use crate::config::limit_store::LimitStore;

/// Gateways wait for a cold limit, and a token is good for a second.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);
const CONNECTS_WITHIN: Duration = Duration::from_secs(1);

/// Asks the sentinels, one after the other, where the engine is.
pub(super) async fn found_by_sentinels(address: &LimitStore, master: &str) -> Result<(String, u16), String> {
    let mut last = "no sentinel".to_owned();
    for (host, port) in address.hosts() {
        let asked = async {
            let mut sentinel = connect(address, host, *port, false).await?;
            let ask = redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master).to_owned();
            ask.query_async::<Option<(String, u16)>>(&mut sentinel).await
        };
        match asked.await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => last = format!("the sentinel {host}:{port} knows no '{master}'"),
            Err(error) => last = format!("the sentinel {host}:{port}: {error}"),
        }
    }
    Err(last)
}

/// Connects to the engine, or to one of its sentinels.
pub(super) async fn connect(
    address: &LimitStore,
    host: &str,
    port: u16,
    is_engine: bool,
) -> RedisResult<MultiplexedConnection> {
    let to = if address.is_tls() {
        ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host.to_owned(), port)
    };
    let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
    let (user, password) =
        if is_engine { (address.user(), address.password()) } else { (None, address.sentinel_password()) };
    if is_engine {
        settings = settings.set_db(address.database());
    }
    if let Some(user) = user {
        settings = settings.set_username(user);
    }
    if let Some(password) = password {
        settings = settings.set_password(password);
    }
    let to = to.into_connection_info()?.set_redis_settings(settings);
    let client = if address.is_tls() {
        Client::build_with_tls(to, certificates(address)?)?
    } else {
        Client::open(to)?
    };
    let times = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECTS_WITHIN))
        .set_response_timeout(Some(ANSWERS_WITHIN));
    client.get_multiplexed_async_connection_with_config(&times).await
}

/// What the files for TLS hold now.
fn certificates(address: &LimitStore) -> RedisResult<TlsCertificates> {
    let pem = address.pem()?;
    let client_tls = pem.own.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
    Ok(TlsCertificates { client_tls, root_cert: pem.ca })
}

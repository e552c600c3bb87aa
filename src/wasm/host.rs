//! The core's traits on the real host.

use std::{cell::Cell, time::Duration};

use crate::contract::session::SESSION_HEADER;
use crate::host::Call;
use crate::host::{
    Callouts, Clock, Expect, HostError, Monotonic, Now, Peer, SharedData, Versioned, WallClock, Write,
};

use crate::worker::internal_redirect::NOTE;

use super::abi;

/// Envoy, as far as the core needs it.
#[derive(Clone, Copy, Debug)]
pub struct Envoy;

thread_local! {
    /// The last reading of the monotonic clock.
    static LAST: Cell<Monotonic> = const { Cell::new(0) };
}

impl Clock for Envoy {
    fn now(&self) -> Now {
        Now { monotonic: self.monotonic(), wall: self.wall() }
    }

    // A filter is not configured on a host without clocks, and Envoy's do not fail later. If one did, time would stand still
    // for limits, and keys that expire would be refused.
    fn monotonic(&self) -> Monotonic {
        let now = abi::monotonic_clock().unwrap_or_else(|_| LAST.get());
        LAST.set(now);
        now
    }

    fn wall(&self) -> WallClock {
        abi::wall_clock().unwrap_or(WallClock::MAX)
    }
}

impl Peer for Envoy {
    /// Attribute `source.address`: the downstream remote address, which the connection manager replaces by the trusted
    /// one of `x-forwarded-for` (`use_remote_address`, `xff_num_trusted_hops`, original IP detection).
    fn client_address(&self) -> Option<Vec<u8>> {
        abi::property("source\0address").ok().flatten()
    }

    /// The note is filter state of the client's request. Envoy counts its own redirects beside it: without that count the
    /// note would be of this pass, by another Flamegate in the chain.
    fn noted_before(&self) -> Option<Vec<u8>> {
        abi::property("filter_state\0num_internal_redirects").ok().flatten()?;
        abi::property(NOTE).ok().flatten()
    }

    /// Attribute `xds.route_metadata`, of which only our part is asked for: a `Struct`, which Envoy serialises as it does header maps, and
    /// nested lists in the same way. What is null cannot be serialised (`tests/e2e/tests/route_settings.rs`).
    fn route_settings<T>(&self, read: impl FnOnce(Option<&[u8]>) -> T) -> Result<T, HostError> {
        abi::with_property("xds\0route_metadata\0filter_metadata\0flamegate", read)
    }
}

impl SharedData for Envoy {
    fn read(&self, key: &str) -> Result<Option<Versioned>, HostError> {
        Ok(abi::shared_data(key)?.map(|(bytes, cas)| Versioned { bytes, cas }))
    }

    fn write(&self, key: &str, bytes: &[u8], expect: Expect) -> Result<Write, HostError> {
        let cas = match expect {
            Expect::Any => 0,
            // The host counts versions up from 1 for the whole process; this one is never reached.
            Expect::Absent => u32::MAX,
            Expect::Version(cas) => cas,
        };
        abi::set_shared_data(key, bytes, cas)
    }

    fn wake(&self, queue: u32) {
        // A hint: ticks find out as well.
        let _ = abi::wake(queue);
    }

    fn listen(&self, name: &str) -> Option<u32> {
        abi::listen(name).ok()
    }
}

impl Callouts for Envoy {
    fn call(&self, call: &Call<'_>) -> Result<u32, HostError> {
        let authorization = format!("Bearer {}", call.token);
        let session = call.session.to_hex();
        let mut headers = vec![
            (":method", if call.body.is_some() { "POST" } else { "GET" }),
            (":path", call.path.as_str()),
            (":authority", call.authority),
            (":scheme", "http"),
            ("accept", "application/json"),
            ("authorization", authorization.as_str()),
            (SESSION_HEADER, session.as_str()),
            ("user-agent", concat!("flamegate/", env!("CARGO_PKG_VERSION"))),
        ];
        if call.body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let timeout = Duration::from_millis(u64::from(call.timeout_ms));
        // The SDK's call, because its dispatcher has to know the number to bring the answer back.
        proxy_wasm::hostcalls::dispatch_http_call(call.cluster, headers, call.body, Vec::new(), timeout)
            .map_err(|status| HostError(status as u32))
    }
}

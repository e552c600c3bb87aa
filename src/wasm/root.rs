//! One root context: a plugin's configuration on one thread. Depending on its configuration it decides requests, keeps the
//! key table, or both.

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::traits::{Context, RootContext};

use crate::config::{Config, Role};
use crate::decision::denial::{Denial, InvalidApiKey};
use crate::decision::restriction::Forbidden;
use crate::host::HostError;
use crate::sync::failure::{Failure, Kind};
use crate::worker::Worker;
use crate::worker::internal_redirect::NOTE;
use crate::worker::streams::Doomed;

use super::abi::{self, Buffer, Map, Span};
use super::host::Envoy;
use super::log_level::follow_log_level;
use super::resume;
use super::state::{SharedState, State};
use super::{stream, vm};

/// A root context of the proxy.
pub struct Root {
    id: u32,
    state: SharedState,
}

/// Longest answer of the control plane that is read, in bytes: far above any page.
const MAX_ANSWER_BYTES: usize = 16 << 20;

impl Root {
    /// A root context that is not configured yet: it refuses every request.
    pub fn new(id: u32) -> Self {
        let state = Rc::new(RefCell::new(State::default()));
        vm::add_root(id, Rc::clone(&state));
        Self { id, state }
    }

    /// What a filter cannot do without: clocks, or keys would never expire; to be told whether a context is there, or streams and
    /// configurations would be taken for gone; and ticks, or it would never hear of a revocation.
    fn obtain_necessities(&self, config: &Config) -> Result<(), (&'static str, HostError)> {
        abi::wall_clock().and(abi::monotonic_clock()).map_err(|error| ("clocks", error))?;
        if config.role == Role::Filter {
            abi::set_effective_context(self.id).map_err(|error| ("other contexts", error))?;
        }
        abi::set_tick_period(config.tick_ms).map_err(|error| ("ticks", error))
    }

    /// Ends streams whose key is gone or may be used for less now, and forgets streams that are over. The answer is a 401 or 403 where no
    /// response has started, and a reset where one has.
    fn end_streams(&self, worker: &mut Worker) {
        worker.forget_closed_streams(abi::has_context);
        let mut failure = None;
        let doomed = worker.streams.take_doomed(|id| {
            may_end(id).unwrap_or_else(|error| {
                failure = Some(error);
                false
            })
        });
        if !doomed.is_empty() {
            for Doomed { id, grpc, forbidden } in doomed {
                let gone = Denial::InvalidApiKey(InvalidApiKey::Unknown);
                // What it was for is not known any more.
                let denial = if forbidden { Denial::Forbidden(Forbidden::Path) } else { gone };
                let reply = worker.replies.to(&denial, grpc);
                let sent = abi::set_effective_context(id).and_then(|()| stream::send(&reply));
                match sent {
                    Ok(()) => worker.counts.increment(crate::decision::metrics::Counter::StreamsEnded),
                    Err(error) => failure = Some(error),
                }
            }
        }
        if let Some(error) = failure {
            log::error!("flamegate: streams whose key is gone cannot be ended: {error}");
        }
        let _ = abi::set_effective_context(self.id);
    }
}

/// Property of a stream that is being ended.
const ENDED: &str = "flamegate.ended";

/// True for a stream that is open and that nobody is ending; it is marked then. It may be over for Envoy while its context is
/// still there, until the event loop turns: nothing may be sent to it any more. Attribute `request.duration` is there from that
/// moment on. And a filter that is twice in a chain has two contexts for one stream, to which one answer may be sent.
fn may_end(id: u32) -> Result<bool, HostError> {
    match abi::set_effective_context(id) {
        Err(abi::BAD_ARGUMENT) => return Ok(false),
        result => result?,
    }
    if abi::property(stream::DURATION)?.is_some() || abi::property(ENDED)?.is_some() {
        return Ok(false);
    }
    abi::set_filter_state(ENDED, b"1")?;
    Ok(true)
}

impl Context for Root {
    fn on_http_call_response(
        &mut self,
        token: u32,
        num_headers: usize,
        body_size: usize,
        _num_trailers: usize,
    ) {
        let Ok(mut state) = self.state.try_borrow_mut() else { return };
        if let Some(driver) = &mut state.driver {
            let answer = read_answer(num_headers, body_size);
            driver.answer(&Envoy, token, answer.as_deref().map_err(Failure::clone));
        }
    }
}

impl RootContext for Root {
    fn on_vm_start(&mut self, _vm_configuration_size: usize) -> bool {
        follow_log_level();
        true
    }

    /// A pure function of the configuration and the environment variables, so that a worker never refuses what Envoy's
    /// validation accepted.
    fn on_configure(&mut self, configuration_size: usize) -> bool {
        let json = abi::buffer(Buffer::PluginConfiguration, configuration_size).unwrap_or_default();
        let config = match Config::parse(&json, |name| std::env::var(name).ok()) {
            Ok(config) => config,
            Err(mistakes) => {
                log::error!("flamegate: {mistakes}");
                return false;
            }
        };
        // It stays unconfigured without them, and refuses everything.
        match self.obtain_necessities(&config) {
            Ok(()) => {
                vm::configured(self.id, &json);
                // Without it a redirected request gets 401, as with the option off.
                if config.filter.internal_redirects
                    && let Err(error) = abi::declare_read_only(NOTE, Span::DownstreamRequest)
                {
                    log::error!("flamegate: internal_redirects cannot work on this host: {error}");
                }
                if let Ok(mut state) = self.state.try_borrow_mut() {
                    state.configure(config);
                }
            }
            Err((missing, error)) => {
                log::error!("flamegate: no {missing}, every request is refused: {error}");
            }
        }
        true
    }

    fn on_queue_ready(&mut self, _queue: u32) {
        let Ok(mut state) = self.state.try_borrow_mut() else { return };
        let state = &mut *state;
        if let Some(driver) = &mut state.driver {
            driver.woken(&Envoy);
        }
        if let Some(worker) = &mut state.worker {
            resume::wake(worker, self.id);
        }
    }

    fn on_tick(&mut self) {
        let Ok(mut state) = self.state.try_borrow_mut() else { return };
        state.tick();
        let Some(worker) = &mut state.worker else { return };
        worker.listen(&Envoy);
        // Together they would be too much for one callback, and while requests wait hardly a stream is open.
        if resume::wake(worker, self.id) == 0 {
            self.end_streams(worker);
        }
    }
}

impl Drop for Root {
    /// A configuration that is replaced gives the lease back and leaves the roster, so that nobody has to wait for it, and hands
    /// on what it counted and the streams that it noted.
    fn drop(&mut self) {
        let heir = vm::remove_root(self.id);
        let Ok(mut state) = self.state.try_borrow_mut() else { return };
        let State { worker, driver, metrics, .. } = &mut *state;
        if let Some(driver) = driver {
            driver.retire(&Envoy);
            metrics.flush(&mut driver.counts);
        }
        if let Some(worker) = worker {
            worker.leave(&Envoy);
            metrics.flush(&mut worker.counts);
            if let Some(heir) = heir
                && let Ok(mut heir) = heir.try_borrow_mut()
                && let Some(heir) = &mut heir.worker
            {
                heir.take_over(std::mem::take(&mut worker.streams));
                heir.held.append(std::mem::take(&mut worker.held));
                heir.waiting.append(&mut worker.waiting);
            }
        }
    }
}

/// The body of a 200, or why there is none. No header at all is how the host says that the call failed.
fn read_answer(num_headers: usize, body_size: usize) -> Result<Vec<u8>, Failure> {
    if num_headers == 0 {
        return Err(Failure::new(Kind::Lost, "no answer: the call was reset or the answer too large"));
    }
    let status = abi::with_header_map(Map::CallResponse, crate::decision::headers::status_of);
    let unread = |error: HostError| Failure::new(Kind::Refused, error.to_string());
    let (status, json) = status.map_err(unread)?.unwrap_or_default();
    if status != b"200" {
        return Err(Failure::status(&status, json));
    }
    if body_size > MAX_ANSWER_BYTES {
        return Err(Failure::new(Kind::Unreadable, format!("answer of more than {MAX_ANSWER_BYTES} bytes")));
    }
    abi::buffer(Buffer::CallResponse, body_size).map_err(unread)
}

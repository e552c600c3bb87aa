//! One request: header bytes to the core, the outcome to the host. Whatever goes wrong here ends in a denial.

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::auth::{Denial, Unavailable};
use crate::filter::{
    BYPASS_STATE, Edits, IDENTITY_HEADERS, IDENTITY_STATE, Outcome, Pass, decide, identity,
    rate_limit_headers,
};
use crate::host::HostError;
use crate::reply::Reply;
use crate::request::{Request, serialize_map};
use crate::worker::Worker;

use super::abi::{self, Map};
use super::host::Envoy;
use super::root::State;

/// The context of one request.
pub struct Stream {
    id: u32,
    state: Rc<RefCell<State>>,
}

impl Stream {
    /// The context of a request that has not been seen yet.
    pub const fn new(id: u32, state: Rc<RefCell<State>>) -> Self {
        Self { id, state }
    }

    /// Decides and carries out; an error is a host call that failed before anything was answered.
    fn handle(&self) -> Result<Action, HostError> {
        let Ok(mut state) = self.state.try_borrow_mut() else { return Err(HostError(0)) };
        let Some(worker) = &mut state.worker else { return Err(HostError(0)) };
        let map = abi::header_map(Map::Request)?;
        let request = Request::from_map(&map).ok_or(HostError(0))?;
        match decide(worker, &Envoy, &request) {
            Outcome::Answer(reply) => {
                send(&reply)?;
                Ok(Action::Pause)
            }
            Outcome::Pass(edits) => {
                self.pass(worker, &edits)?;
                Ok(Action::Continue)
            }
        }
    }

    fn pass(&self, worker: &mut Worker, edits: &Edits<'_>) -> Result<(), HostError> {
        for name in &edits.remove {
            abi::remove_header(Map::Request, name)?;
        }
        let config = worker.config();
        match &edits.pass {
            Pass::Bypass(bypass) => {
                if config.filter_state {
                    abi::set_filter_state(BYPASS_STATE, bypass.as_str())?;
                }
            }
            Pass::Permit(permit) => {
                let values = identity(permit.key());
                if config.identity_headers {
                    for (name, value) in IDENTITY_HEADERS.iter().zip(values) {
                        abi::set_header(Map::Request, name, value)?;
                    }
                }
                if config.filter_state {
                    for (name, value) in IDENTITY_STATE.iter().zip(values) {
                        abi::set_filter_state(name, value)?;
                    }
                }
                worker.streams.opened(self.id, Rc::clone(permit.key()));
            }
        }
        Ok(())
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        self.handle().unwrap_or_else(|error| {
            log::error!("flamegate: request refused: {error}");
            let unavailable = Reply::new(&Denial::Unavailable(Unavailable::NotSynced), "flametalk");
            // Even if the answer cannot be sent, a paused request goes nowhere.
            let _ = send(&unavailable);
            Action::Pause
        })
    }

    fn on_http_response_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        if let Ok(state) = self.state.try_borrow()
            && let Some(worker) = state.worker.as_ref().filter(|worker| worker.config().rate_limit_on_success)
            && let Some(key) = worker.streams.key(self.id)
            && let Some(headers) = rate_limit_headers(worker, key)
        {
            for (name, value) in headers {
                // Information for the client; a response without it is still right.
                let _ = abi::set_header(Map::Response, name, &value);
            }
        }
        Action::Continue
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Ok(mut state) = self.state.try_borrow_mut()
            && let Some(worker) = &mut state.worker
        {
            worker.streams.closed(self.id);
        }
    }
}

/// Answers the current stream.
pub fn send(reply: &Reply) -> Result<(), HostError> {
    let headers = serialize_map(reply.headers.iter().map(|(name, value)| (*name, value.as_str())));
    abi::send_local_response(reply.status, reply.details, reply.body, &headers, reply.grpc_status)
}

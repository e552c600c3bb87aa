//! The callbacks that the host calls, and where each goes: root contexts to the SDK, streams to [`stream`].
//!
//! The fast lane. The post-link step exports each of these as `proxy_on_…` in place of the SDK's callback; what concerns
//! root contexts goes on to the SDK. There is no callback for the creation and the end of a context, for the log, for
//! bodies or for trailers, so Envoy does not enter the VM for them (docs/adr/0015-two-callbacks-per-request.md).

#![expect(unsafe_code, reason = "the host and the SDK call by name")]

use super::{abi, stream, vm};

/// Results of the callback for headers.
const CONTINUE: u32 = 0;
/// Nothing of the request goes on, neither its headers nor a body that comes later. The plain StopIteration (1) holds the
/// headers only until the first byte of the body, where the host is configured with `allow_on_headers_stop_iteration`; Envoy
/// reads the two as the same otherwise, and also after an answer, but not where the answer could not be sent.
const STOP_ALL_ITERATION_AND_WATERMARK: u32 = 4;

unsafe extern "C" {
    // Those of the SDK.
    fn proxy_on_context_create(id: u32, root: u32);
    fn proxy_on_delete(id: u32);
    fn proxy_on_vm_start(root: u32, configuration_size: usize) -> bool;
    fn proxy_on_configure(root: u32, configuration_size: usize) -> bool;
    fn proxy_on_tick(root: u32);
    fn proxy_on_queue_ready(root: u32, queue: u32);
    fn proxy_on_memory_allocate(size: usize) -> *mut u8;
}

/// The host wants memory for what it returns.
#[unsafe(export_name = "flamegate_on_memory_allocate")]
extern "C" fn on_memory_allocate(size: usize) -> *mut u8 {
    abi::take_offer(size).unwrap_or_else(|| unsafe { proxy_on_memory_allocate(size) })
}

/// Tells the SDK of a root context when the host first names it: the creation itself is not announced.
fn meet_root(root: u32) {
    if !vm::is_root(root) {
        unsafe { proxy_on_context_create(root, 0) };
    }
}

/// The VM starts.
#[unsafe(export_name = "flamegate_on_vm_start")]
extern "C" fn on_vm_start(root: u32, configuration_size: usize) -> bool {
    meet_root(root);
    unsafe { proxy_on_vm_start(root, configuration_size) }
}

/// A root context is configured.
#[unsafe(export_name = "flamegate_on_configure")]
extern "C" fn on_configure(root: u32, configuration_size: usize) -> bool {
    meet_root(root);
    unsafe { proxy_on_configure(root, configuration_size) }
}

/// The timer of a root context. The end of another one is not announced either, so it is looked for here; the SDK must not
/// be in the middle of something when it is told.
#[unsafe(export_name = "flamegate_on_tick")]
extern "C" fn on_tick(root: u32) {
    unsafe { proxy_on_tick(root) };
    for gone in vm::missing_roots(|id| id == root || abi::has_context(id)) {
        let _ = abi::set_effective_context(root);
        unsafe { proxy_on_delete(gone) };
    }
    let _ = abi::set_effective_context(root);
}

/// Something is in a shared queue. After a trap it may be one that a root context of the VM before listened to; the SDK must not hear of a
/// context that it does not know. Whatever is in the queue says the same, and nothing more.
#[unsafe(export_name = "flamegate_on_queue_ready")]
extern "C" fn on_queue_ready(root: u32, queue: u32) {
    let mut is_woken = false;
    while abi::take_wake(queue) {
        is_woken = true;
    }
    if is_woken && vm::is_root(root) {
        unsafe { proxy_on_queue_ready(root, queue) };
    }
}

/// A request's headers are there. Gives 0 to go on and 4 to stop.
#[unsafe(export_name = "flamegate_on_request_headers")]
extern "C" fn on_request_headers(id: u32, _num_headers: u32, end_of_stream: u32) -> u32 {
    match stream::on_request_headers(id, end_of_stream == 0) {
        stream::Next::Continue => CONTINUE,
        stream::Next::Stop => STOP_ALL_ITERATION_AND_WATERMARK,
    }
}

/// The headers of a response are there.
#[cfg(feature = "response-headers")]
#[unsafe(export_name = "flamegate_on_response_headers")]
extern "C" fn on_response_headers(id: u32, _num_headers: u32, _end_of_stream: u32) -> u32 {
    stream::on_response_headers(id);
    0
}

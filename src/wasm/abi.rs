//! The host calls that Flamegate makes, with their status checked instead of turned into a panic as in the SDK: header
//! getters of the SDK panic on one non-UTF-8 byte or on a map that is not there, and the request gets 503.
//!
//! Source: proxy-wasm ABI 0.2.1. This is the only file with `unsafe`. Every call passes pointers to memory that lives
//! for the call; every buffer that comes back was allocated by the host through `proxy_on_memory_allocate` of this
//! module, which is the global allocator with alignment 1, and becomes a `Vec` of exactly its size.

#![expect(unsafe_code, reason = "host calls are foreign functions")]

use std::ptr::null_mut;

use crate::host::{HostError, Write};

use super::{stream, vm};

/// Level numbers of the ABI.
pub const LOG_CRITICAL: u32 = 5;

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const CAS_MISMATCH: u32 = 8;

/// Header maps of the ABI.
#[derive(Clone, Copy)]
pub enum Map {
    /// Headers of the request.
    Request = 0,
    /// Headers of the response.
    #[cfg(feature = "response-headers")]
    Response = 2,
    /// Headers of a call's answer.
    CallResponse = 6,
}

/// Buffers of the ABI.
#[derive(Clone, Copy)]
pub enum Buffer {
    /// Body of a call's answer.
    CallResponse = 4,
    /// The plugin configuration.
    PluginConfiguration = 7,
}

/// Metric types of the ABI.
#[derive(Clone, Copy)]
pub enum Metric {
    /// Only grows.
    Counter = 0,
    /// Is set.
    Gauge = 1,
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, text: *const u8, len: usize) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        most: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_len: usize) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_get_property(path: *const u8, path_len: usize, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_len: usize, value: *const u8, value_len: usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
        cas: u32,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_len: usize,
        body: *const u8,
        body_len: usize,
        headers: *const u8,
        headers_len: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

const CLOCK_MONOTONIC: u32 = 1;

/// Writes a line to Envoy's log. A line that cannot be written is lost.
pub fn log(level: u32, text: &str) {
    unsafe { proxy_log(level, text.as_ptr(), text.len()) };
}

/// Envoy's level for the `wasm` logger, from 0 (trace) to 5 (critical).
pub fn log_level() -> Result<u32, HostError> {
    let mut level = 0;
    checked(unsafe { proxy_get_log_level(&raw mut level) })?;
    Ok(level)
}

/// Nanoseconds since the Unix epoch.
pub fn wall_clock() -> u64 {
    let mut time = 0;
    unsafe { proxy_get_current_time_nanoseconds(&raw mut time) };
    time
}

/// Nanoseconds on the clock that all threads of the process share.
pub fn monotonic_clock() -> u64 {
    let mut time = 0;
    unsafe { clock_time_get(CLOCK_MONOTONIC, 1, &raw mut time) };
    time
}

/// Asks for `on_tick` every so many milliseconds, on the current root context.
pub fn set_tick_period(milliseconds: u32) -> Result<(), HostError> {
    checked(unsafe { proxy_set_tick_period_milliseconds(milliseconds) })
}

/// Up to `most` bytes of a buffer.
pub fn buffer(buffer: Buffer, most: usize) -> Result<Vec<u8>, HostError> {
    returned(|data, len| unsafe { proxy_get_buffer_bytes(buffer as u32, 0, most, data, len) })
        .map(Option::unwrap_or_default)
}

/// All headers of a map, serialised.
pub fn header_map(map: Map) -> Result<Vec<u8>, HostError> {
    returned(|data, len| unsafe { proxy_get_header_map_pairs(map as u32, data, len) })
        .map(Option::unwrap_or_default)
}

/// Removes every header of this name.
pub fn remove_header(map: Map, name: &[u8]) -> Result<(), HostError> {
    checked(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// Adds a header. Copies that are there stay, so remove them first where there may be some.
pub fn add_header(map: Map, name: &str, value: &str) -> Result<(), HostError> {
    let status = unsafe {
        proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    };
    checked(status)
}

/// Overwrites a header that is there once. Of several copies Envoy would overwrite the first and keep the others.
pub fn replace_header(map: Map, name: &str, value: &str) -> Result<(), HostError> {
    let status = unsafe {
        proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    };
    checked(status)
}

/// A property; its path's parts are joined by zero bytes.
pub fn property(path: &str) -> Result<Option<Vec<u8>>, HostError> {
    returned(|data, len| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, len) })
}

/// Sets filter state `wasm.<name>` of the current stream.
pub fn set_filter_state(name: &str, value: &str) -> Result<(), HostError> {
    checked(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// Reads shared data.
pub fn shared_data(key: &str) -> Result<Option<(Vec<u8>, u32)>, HostError> {
    let mut cas = 0;
    let read = returned(|data, len| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, len, &raw mut cas)
    });
    Ok(read?.map(|bytes| (bytes, cas)))
}

/// Writes shared data; `cas` 0 overwrites.
pub fn set_shared_data(key: &str, value: &[u8], cas: u32) -> Result<Write, HostError> {
    match unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) } {
        OK => Ok(Write::Stored),
        CAS_MISMATCH => Ok(Write::Conflict),
        status => Err(HostError(status)),
    }
}

/// Answers the current stream. `headers` is a serialised map.
pub fn send_local_response(
    status: u32,
    details: &str,
    body: &str,
    headers: &[u8],
    grpc_status: i32,
) -> Result<(), HostError> {
    let status = unsafe {
        proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    };
    checked(status)
}

/// Makes the next calls of this callback act on another context of this VM.
pub fn set_effective_context(context: u32) -> Result<(), HostError> {
    checked(unsafe { proxy_set_effective_context(context) })
}

/// Defines a metric and returns its number.
pub fn define_metric(kind: Metric, name: &str) -> Result<u32, HostError> {
    let mut id = 0;
    checked(unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds to a counter.
pub fn increment_metric(id: u32, offset: i64) -> Result<(), HostError> {
    checked(unsafe { proxy_increment_metric(id, offset) })
}

/// Sets a gauge.
pub fn record_metric(id: u32, value: u64) -> Result<(), HostError> {
    checked(unsafe { proxy_record_metric(id, value) })
}

const fn checked(status: u32) -> Result<(), HostError> {
    if status == OK { Ok(()) } else { Err(HostError(status)) }
}

/// Runs a call that returns a buffer; `None` when the host has nothing under that name.
fn returned(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Option<Vec<u8>>, HostError> {
    let (mut data, mut len) = (null_mut(), 0);
    match call(&raw mut data, &raw mut len) {
        OK if data.is_null() => Ok(Some(Vec::new())),
        // The host allocated `len` bytes with our allocator and hands them over.
        OK => Ok(Some(unsafe { Vec::from_raw_parts(data, len, len) })),
        NOT_FOUND => Ok(None),
        status => Err(HostError(status)),
    }
}

// The fast lane. The post-link step exports each of these as `proxy_on_…` in place of the SDK's callback; what concerns
// root contexts goes on to the SDK. There is no callback for the log, for bodies or for trailers, so Envoy does not
// enter the VM for them.

unsafe extern "C" {
    fn proxy_on_context_create(id: u32, root: u32);
    fn proxy_on_delete(id: u32);
}

/// A context is made; `root` is 0 for a root context.
#[unsafe(export_name = "flamegate_on_context_create")]
extern "C" fn on_context_create(id: u32, root: u32) {
    if root == 0 {
        unsafe { proxy_on_context_create(id, root) };
    } else {
        vm::add_stream(id, root);
    }
}

/// A request's headers are there. Gives 0 to go on and 1 to stop.
#[unsafe(export_name = "flamegate_on_request_headers")]
extern "C" fn on_request_headers(id: u32, _num_headers: u32, _end_of_stream: u32) -> u32 {
    match stream::on_request_headers(id) {
        stream::Next::Continue => 0,
        stream::Next::Stop => 1,
    }
}

/// The headers of a response are there.
#[cfg(feature = "response-headers")]
#[unsafe(export_name = "flamegate_on_response_headers")]
extern "C" fn on_response_headers(id: u32, _num_headers: u32, _end_of_stream: u32) -> u32 {
    stream::on_response_headers(id);
    0
}

/// A context goes.
#[unsafe(export_name = "flamegate_on_delete")]
extern "C" fn on_delete(id: u32) {
    if vm::is_root(id) {
        unsafe { proxy_on_delete(id) };
    } else {
        stream::on_delete(id);
    }
}

//! The host calls that Flamegate makes, with their status checked instead of turned into a panic as in the SDK: header
//! getters of the SDK panic on one non-UTF-8 byte or on a map that is not there, and the request gets 503.
//!
//! Source: proxy-wasm ABI 0.2.1. This file and the callbacks' (`dispatch`) are the only ones with `unsafe`. Every call passes pointers to memory that lives
//! for the call; every buffer that comes back was allocated by the host through `proxy_on_memory_allocate`
//! (`dispatch`), which is the global allocator with alignment 1, and becomes a `Vec` of exactly its size. (The headers of a request are
//! the exception: see [`with_header_map`].)

#![expect(unsafe_code, reason = "host calls are foreign functions")]

use std::cell::Cell;
use std::ptr::null_mut;
use std::thread::LocalKey;

use crate::host::{HostError, Write};

/// Level numbers of the ABI.
pub const LOG_CRITICAL: u32 = 5;

/// The host will not do that with this.
pub const BAD_ARGUMENT: HostError = HostError(2);

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
    fn proxy_register_shared_queue(name: *const u8, name_len: usize, queue: *mut u32) -> u32;
    fn proxy_enqueue_shared_queue(queue: u32, value: *const u8, value_len: usize) -> u32;
    fn proxy_dequeue_shared_queue(queue: u32, data: *mut *mut u8, len: *mut usize) -> u32;
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
    fn proxy_continue_stream(kind: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_len: usize,
        arguments: *const u8,
        arguments_len: usize,
        results: *mut *mut u8,
        results_len: *mut usize,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

/// Room for the headers of nearly every request, and for what a property says.
const SCRATCH_BYTES: usize = 4096;
const PROPERTY_BYTES: usize = 512;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// For properties that are read while the headers are at hand.
    static PROPERTY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Where the host may put the next thing that it returns, and how much fits.
    static OFFER: Cell<Option<(*mut u8, usize)>> = const { Cell::new(None) };
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
pub fn wall_clock() -> Result<u64, HostError> {
    let mut time = 0;
    checked(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) })?;
    Ok(time)
}

/// Nanoseconds on the clock that all threads of the process share.
pub fn monotonic_clock() -> Result<u64, HostError> {
    let mut time = 0;
    checked(unsafe { clock_time_get(CLOCK_MONOTONIC, 1, &raw mut time) })?;
    Ok(time)
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

/// Calls `read` with all headers of a map, serialised. The host puts them into memory that is used again and again; only a
/// map that is longer than usual gets some of its own.
pub fn with_header_map<T>(map: Map, read: impl FnOnce(&[u8]) -> T) -> Result<T, HostError> {
    let call = |data, len| unsafe { proxy_get_header_map_pairs(map as u32, data, len) };
    with_place(&SCRATCH, SCRATCH_BYTES, call, read)
}

/// Calls `read` with a property, and with nothing where there is none. The host puts it into memory that is used again and again.
pub fn with_property<T>(path: &str, read: impl FnOnce(Option<&[u8]>) -> T) -> Result<T, HostError> {
    let call = |data, len| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, len) };
    let mut read = Some(read);
    let found =
        with_place(&PROPERTY, PROPERTY_BYTES, call, |bytes| read.take().map(|read| read(Some(bytes))));
    match found {
        Err(HostError(NOT_FOUND)) => read.map(|read| read(None)).ok_or(HostError(NOT_FOUND)),
        Ok(found) => found.ok_or(HostError(NOT_FOUND)),
        Err(error) => Err(error),
    }
}

/// Makes a call that returns a buffer, with a place for it that is used again and again.
fn with_place<T>(
    place: &'static LocalKey<Cell<Vec<u8>>>,
    room: usize,
    call: impl FnOnce(*mut *mut u8, *mut usize) -> u32,
    read: impl FnOnce(&[u8]) -> T,
) -> Result<T, HostError> {
    let mut scratch = place.take();
    scratch.reserve(room);
    let offered = scratch.as_mut_ptr();
    OFFER.set(Some((offered, scratch.capacity())));
    let (mut data, mut len) = (null_mut(), 0);
    let status = call(&raw mut data, &raw mut len);
    OFFER.set(None);
    let result = match checked(status) {
        Err(error) => Err(error),
        Ok(()) if data == offered && len <= scratch.capacity() => {
            // The host has written these bytes.
            unsafe { scratch.set_len(len) };
            Ok(read(&scratch))
        }
        Ok(()) if data.is_null() => Ok(read(&[])),
        Ok(()) => Ok(read(&unsafe { Vec::from_raw_parts(data, len, len) })),
    };
    scratch.clear();
    place.set(scratch);
    result
}

/// Removes every header of this name.
pub fn remove_header(map: Map, name: &[u8]) -> Result<(), HostError> {
    checked(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// Makes the host look for the current request's route anew. It does so for any change of a header (seen on Envoy 1.36 to 1.40), also
/// where there is none of the name. The foreign function `clear_route_cache` would not do it for a request that has waited.
pub fn forget_route() -> Result<(), HostError> {
    remove_header(Map::Request, b"x-flametalk-key-id")
}

/// Adds a header. Copies that are there stay, so remove them first where there may be some.
pub fn add_header(map: Map, name: &str, value: &str) -> Result<(), HostError> {
    let status = unsafe {
        proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    };
    checked(status)
}

/// Sets a header: adds it when it is not there, and replaces all copies (`HeaderMapImpl::setCopy`; `tests/e2e/tests/response_limits.rs`).
pub fn replace_header(map: Map, name: &str, value: impl AsRef<[u8]>) -> Result<(), HostError> {
    let value = value.as_ref();
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
pub fn set_filter_state(name: &str, value: &[u8]) -> Result<(), HostError> {
    checked(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// How long a property is there.
#[derive(Clone, Copy)]
pub enum Span {
    /// As long as the stream, one pass through the filters.
    FilterChain = 0,
    /// As long as the client's request, also when Envoy redirects it internally.
    DownstreamRequest = 1,
}

/// Makes a property of the streams of the current root context one that can be set once: Envoy's foreign function
/// `declare_property`, whose argument is a message `DeclarePropertyArguments` with `name` (1), `readonly` (2) and `span` (5).
pub fn declare_read_only(name: &str, span: Span) -> Result<(), HostError> {
    const FUNCTION: &str = "declare_property";
    let len = u8::try_from(name.len()).ok().filter(|len| *len < 0x80).ok_or(BAD_ARGUMENT)?;
    let arguments = [&[0x0a, len], name.as_bytes(), &[0x10, 1, 0x28, span as u8]].concat();
    checked(unsafe {
        proxy_call_foreign_function(
            FUNCTION.as_ptr(),
            FUNCTION.len(),
            arguments.as_ptr(),
            arguments.len(),
            null_mut(),
            null_mut(),
        )
    })
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

/// Makes the current root context the one that is woken by the shared queue of this name; gives the queue.
pub fn listen(name: &str) -> Result<u32, HostError> {
    let mut queue = 0;
    checked(unsafe { proxy_register_shared_queue(name.as_ptr(), name.len(), &raw mut queue) })?;
    Ok(queue)
}

/// Wakes whoever listens to a shared queue.
pub fn wake(queue: u32) -> Result<(), HostError> {
    checked(unsafe { proxy_enqueue_shared_queue(queue, null_mut(), 0) })
}

/// Takes one item out of a shared queue; false when there is none.
pub fn take_wake(queue: u32) -> bool {
    let taken = returned(|data, len| unsafe { proxy_dequeue_shared_queue(queue, data, len) });
    matches!(taken, Ok(Some(_)))
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

/// Lets the current stream's request go on that was stopped; once, and not beside an answer.
pub fn continue_request() -> Result<(), HostError> {
    const REQUEST: u32 = 0;
    checked(unsafe { proxy_continue_stream(REQUEST) })
}

/// Makes the next calls of this callback act on another context of this VM.
pub fn set_effective_context(context: u32) -> Result<(), HostError> {
    checked(unsafe { proxy_set_effective_context(context) })
}

/// True unless the host says that a context is gone; the next calls act on it then.
pub fn has_context(context: u32) -> bool {
    set_effective_context(context) != Err(BAD_ARGUMENT)
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

/// The place that was offered for what the host returns next, if so much fits there.
pub fn take_offer(size: usize) -> Option<*mut u8> {
    OFFER.take().filter(|(_, room)| size <= *room).map(|(place, _)| place)
}

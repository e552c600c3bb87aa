//! A proxy-wasm filter that does nothing, written with the SDK as its documentation shows: what entering the VM costs
//! before any work is done.
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, missing_docs, reason = "the SDK's macro exports functions")]

use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::ContextType,
};

struct Root;
struct Empty;

impl Context for Empty {}
impl HttpContext for Empty {}
impl Context for Root {}

impl RootContext for Root {
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Empty))
    }
}

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

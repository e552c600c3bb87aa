//! What stays, what goes and what is refused, on hand-written modules.

use super::*;

/// A module with the exports that are always needed, and `extra` text at its end.
fn module(imports: &str, extra: &str) -> Vec<u8> {
    let text = format!(
        r#"(module {imports}
          (memory (export "memory") 1)
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "proxy_on_vm_start"))
          (func (export "proxy_on_configure"))
          {extra})"#
    );
    wat::parse_str(text).unwrap()
}

const REQUEST_HEADERS: &str = r#"(func (export "proxy_on_request_headers") (result i32) (i32.const 1))"#;

#[test]
fn removes_callbacks_that_nobody_needs_and_their_code() {
    let body = r#"(func $big (drop (i32.const 77))) (func (export "proxy_on_request_body") (call $big))"#;
    let linked = module("", &format!("{REQUEST_HEADERS} {body}"));
    let (artifact, exports) = trim(&linked, false).unwrap();
    assert!(!exports.iter().any(|name| name == "proxy_on_request_body"));
    let trimmed = Module::from_buffer(&artifact).unwrap();
    assert_eq!(trimmed.funcs.iter().count(), 4, "the removed callback's function is gone too");
}

#[test]
fn own_callback_takes_the_place_of_the_sdk_one() {
    let own = r#"(func (export "flamegate_on_request_headers") (result i32) (i32.const 42))"#;
    let (artifact, exports) = trim(&module("", &format!("{REQUEST_HEADERS} {own}")), false).unwrap();
    assert_eq!(exports.iter().filter(|name| *name == "proxy_on_request_headers").count(), 1);
    assert!(!exports.iter().any(|name| name.starts_with(OWN_PREFIX)));
    let constant_42 = [0x41, 42];
    assert!(artifact.windows(2).any(|bytes| bytes == constant_42), "the hand-written function stayed");
}

#[test]
fn own_callback_needs_no_sdk_one() {
    let own = r#"(func (export "flamegate_on_request_headers"))"#;
    let (_, exports) = trim(&module("", own), false).unwrap();
    assert!(exports.iter().any(|name| name == "proxy_on_request_headers"));
}

#[test]
fn lists_every_import_that_envoy_does_not_provide() {
    let imports = r#"(import "env" "proxy_log" (func)) (import "wasi_snapshot_preview1" "fd_write" (func))
                     (import "env" "abort" (func)) (import "__wbindgen" "describe" (func))"#;
    let error = trim(&module(imports, REQUEST_HEADERS), false).unwrap_err().to_string();
    assert_eq!(error, "Envoy does not provide these imports: env.abort, __wbindgen.describe");
}

#[test]
fn refuses_a_module_that_would_check_nothing() {
    let error = trim(&module("", ""), false).unwrap_err().to_string();
    assert_eq!(error, "the linked module does not export proxy_on_request_headers");
}

#[test]
fn refuses_what_is_no_module() {
    assert!(trim(b"#!/bin/sh", false).is_err());
}

//! An artifact whose VM can be killed from outside: the tests' own change to it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use flamegate_e2e::{Request, process::root};
use walrus::{
    ExportItem, FunctionBuilder, Module, ValType,
    ir::{BinaryOp, UnaryOp},
};

/// From this many headers on the changed module traps.
const DEADLY_HEADERS: i32 = 60;

/// The artifact, with a trap in front of its `proxy_on_request_headers(context, headers, end_of_stream)` and its
/// `proxy_on_http_call_response(context, call, headers, body, trailers)`, which is where the sync reads pages.
pub fn mortal_module(folder: &Path) -> PathBuf {
    let artifact =
        fs::read(root().join("dist/flamegate.wasm")).expect("dist/flamegate.wasm: run `make build`");
    let mut module = Module::from_buffer(&artifact).expect("a module");
    mortal_callback(&mut module, "proxy_on_request_headers", 3, 1, &[ValType::I32]);
    mortal_callback(&mut module, "proxy_on_http_call_response", 5, 2, &[]);
    let path = folder.join("mortal.wasm");
    fs::write(&path, module.emit_wasm()).expect("mortal.wasm");
    path
}

/// Puts a trap in front of a callback: it springs when the argument with the number of headers says too many.
fn mortal_callback(module: &mut Module, name: &str, arguments: usize, headers: usize, results: &[ValType]) {
    let export = module.exports.iter().find(|export| export.name == name).expect("the callback");
    let (id, ExportItem::Function(callback)) = (export.id(), export.item) else { panic!("not a function") };
    let mut wrapper = FunctionBuilder::new(&mut module.types, &vec![ValType::I32; arguments], results);
    let arguments: Vec<_> = (0..arguments).map(|_| module.locals.add(ValType::I32)).collect();
    let mut body = wrapper.func_body();
    body.local_get(arguments[headers])
        .i32_const(DEADLY_HEADERS)
        .binop(BinaryOp::I32LtS)
        .unop(UnaryOp::I32Eqz)
        .if_else(
            None,
            |then| {
                then.unreachable();
            },
            |_| {},
        );
    for argument in &arguments {
        body.local_get(*argument);
    }
    body.call(callback);
    let wrapper = wrapper.finish(arguments, &mut module.funcs);
    module.exports.get_mut(id).item = ExportItem::Function(wrapper);
}

/// A request that the changed module traps on.
pub fn deadly(path: &str) -> Request {
    (0..DEADLY_HEADERS).fold(Request::get(path), |request, n| request.header(&format!("x-{n}"), "x"))
}

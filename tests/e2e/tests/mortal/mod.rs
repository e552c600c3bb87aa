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

/// The artifact, with a trap in front of its `proxy_on_request_headers(context, headers, end_of_stream)`.
pub fn mortal_module(folder: &Path) -> PathBuf {
    let artifact =
        fs::read(root().join("dist/flamegate.wasm")).expect("dist/flamegate.wasm: run `make build`");
    let mut module = Module::from_buffer(&artifact).expect("a module");
    let export =
        module.exports.iter().find(|export| export.name == "proxy_on_request_headers").expect("the callback");
    let (id, ExportItem::Function(callback)) = (export.id(), export.item) else { panic!("not a function") };
    let mut wrapper = FunctionBuilder::new(&mut module.types, &[ValType::I32; 3], &[ValType::I32]);
    let [context, headers, end] = [(); 3].map(|()| module.locals.add(ValType::I32));
    wrapper
        .func_body()
        .local_get(headers)
        .i32_const(DEADLY_HEADERS)
        .binop(BinaryOp::I32LtS)
        .unop(UnaryOp::I32Eqz)
        .if_else(
            None,
            |then| {
                then.unreachable();
            },
            |_| {},
        )
        .local_get(context)
        .local_get(headers)
        .local_get(end)
        .call(callback);
    let wrapper = wrapper.finish(vec![context, headers, end], &mut module.funcs);
    module.exports.get_mut(id).item = ExportItem::Function(wrapper);
    let path = folder.join("mortal.wasm");
    fs::write(&path, module.emit_wasm()).expect("mortal.wasm");
    path
}

/// A request that the changed module traps on.
pub fn deadly(path: &str) -> Request {
    (0..DEADLY_HEADERS).fold(Request::get(path), |request, n| request.header(&format!("x-{n}"), "x"))
}

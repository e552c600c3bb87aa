//! An artifact that is configured so often and no more: the tests' own change to it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use flamegate_e2e::process::root;
use walrus::{
    ExportItem, FunctionBuilder, FunctionId, Module, ValType,
    ir::{BinaryOp, LoadKind, MemArg},
};

/// Addresses that nothing else uses: of a name in shared data, and of what the host answers.
const NAME: i32 = 16;
const NAME_LEN: i32 = 8;
const DATA: i32 = 32;
const LEN: i32 = 36;
const CAS: i32 = 40;

/// The artifact, whose `proxy_on_configure(root, size)` succeeds so many times in a process and fails from then on. Envoy asks a VM
/// that it throws away first, then those of the main thread and of each worker. They count in shared data, by the length of a value.
pub fn faulty_module(folder: &Path, successes: i32) -> PathBuf {
    let artifact =
        fs::read(root().join("dist/flamegate.wasm")).expect("dist/flamegate.wasm: run `make build`");
    let mut module = Module::from_buffer(&artifact).expect("a module");
    let (get, set) =
        (host_call(&module, "proxy_get_shared_data"), host_call(&module, "proxy_set_shared_data"));
    let memory = module.memories.iter().next().expect("a memory").id();
    let export = module.exports.iter().find(|export| export.name == "proxy_on_configure").expect("exported");
    let (id, ExportItem::Function(callback)) = (export.id(), export.item) else { panic!("not a function") };
    let arguments = [ValType::I32; 2].map(|kind| module.locals.add(kind));
    let count = module.locals.add(ValType::I32);
    let mut wrapper = FunctionBuilder::new(&mut module.types, &[ValType::I32; 2], &[ValType::I32]);
    let mut body = wrapper.func_body();
    for number in [NAME, NAME_LEN, DATA, LEN, CAS] {
        body.i32_const(number);
    }
    // Nothing under that name leaves the length at zero.
    body.call(get).drop();
    body.i32_const(LEN)
        .load(memory, LoadKind::I32 { atomic: false }, MemArg { align: 4, offset: 0 })
        .local_set(count);
    for number in [NAME, NAME_LEN, NAME] {
        body.i32_const(number);
    }
    body.local_get(count).i32_const(1).binop(BinaryOp::I32Add).i32_const(0).call(set).drop();
    body.local_get(count).i32_const(successes).binop(BinaryOp::I32LtS).if_else(
        ValType::I32,
        |then| {
            then.local_get(arguments[0]).local_get(arguments[1]).call(callback);
        },
        |otherwise| {
            otherwise.i32_const(0);
        },
    );
    let wrapper = wrapper.finish(arguments.to_vec(), &mut module.funcs);
    module.exports.get_mut(id).item = ExportItem::Function(wrapper);
    let path = folder.join("faulty.wasm");
    fs::write(&path, module.emit_wasm()).expect("faulty.wasm");
    path
}

fn host_call(module: &Module, name: &str) -> FunctionId {
    let import = module.imports.iter().find(|import| import.name == name).expect("imported");
    let walrus::ImportKind::Function(id) = import.kind else { panic!("not a function") };
    id
}

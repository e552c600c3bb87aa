//! The step between linker and Envoy: `flamegate-postlink <linked.wasm> <artifact.wasm> [--keep-names]`.
//!
//! The SDK exports every callback of the ABI, and Envoy enters the VM for each one that is there: once per body
//! chunk, for trailers, for the log. Without the export it does not. So this keeps the callbacks that the filter
//! uses, lets a hand-written `flamegate_on_…` callback take the place of the SDK's `proxy_on_…`, drops the code that
//! only the others needed, and refuses an import that Envoy would refuse at start.

use std::{env, fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use walrus::{Module, ModuleConfig};

/// Exports that stay, beside the callbacks written by hand. Whatever else the linker exported is removed.
const KEPT: &[&str] = &[
    // The module itself: its memory, its start-up code, the ABI it speaks, and where the host puts what it returns.
    "memory",
    "_initialize",
    "_start",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "malloc",
    // The root context: configuration, ticks, the sync's HTTP calls.
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_tick",
    "proxy_on_http_call_response",
    // One request.
    "proxy_on_request_headers",
];

/// Without these Envoy loads the module and the filter does nothing, which would be an open door.
const REQUIRED: &[&str] = &[
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_request_headers",
];

/// A callback that is written by hand, and what the host calls it.
const OWN_PREFIX: &str = "flamegate_on_";
const HOST_PREFIX: &str = "proxy_on_";

/// WASI functions are imported from here; Envoy provides the whole of the first preview, in part as stubs.
const WASI: &str = "wasi_snapshot_preview1";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let (flags, paths): (Vec<&str>, Vec<&str>) =
        args.iter().map(String::as_str).partition(|arg| arg.starts_with("--"));
    let keep_names = flags == ["--keep-names"];
    let [input, output] = paths[..] else { return usage() };
    if !flags.is_empty() && !keep_names {
        return usage();
    }
    match run(Path::new(input), Path::new(output), keep_names) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("flamegate-postlink: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: flamegate-postlink <linked.wasm> <artifact.wasm> [--keep-names]");
    ExitCode::from(2)
}

/// Reads, trims and writes one module; answers with what to print.
fn run(input: &Path, output: &Path, keep_names: bool) -> Result<String> {
    let linked = fs::read(input).with_context(|| format!("cannot read {}", input.display()))?;
    let (artifact, exports) = trim(&linked, keep_names)?;
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    // A running Envoy may read the old file at this moment, so the new one appears in one step.
    let partial = output.with_extension("wasm.partial");
    fs::write(&partial, &artifact).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, output).with_context(|| format!("cannot write {}", output.display()))?;
    let (before, after) = (linked.len(), artifact.len());
    Ok(format!("{}: {after} bytes (linked: {before}), exports: {}", output.display(), exports.join(" ")))
}

/// The module without what Envoy need not call, and the names that it still exports.
fn trim(linked: &[u8], keep_names: bool) -> Result<(Vec<u8>, Vec<String>)> {
    let mut module = ModuleConfig::new()
        .generate_name_section(keep_names)
        .generate_producers_section(false)
        .generate_dwarf(false)
        .parse(linked)
        .context("not a WebAssembly module that can be read")?;
    refuse_unknown_imports(&module)?;
    let own = prefer_own_callbacks(&mut module);
    let kept = |name: &str| KEPT.contains(&name) || own.iter().any(|own| own == name);
    let unused: Vec<_> = module.exports.iter().filter(|e| !kept(&e.name)).map(|e| e.id()).collect();
    for id in unused {
        module.exports.delete(id);
    }
    let names: Vec<String> = module.exports.iter().map(|e| e.name.clone()).collect();
    let missing: Vec<&str> =
        REQUIRED.iter().copied().filter(|name| !names.iter().any(|n| n == name)).collect();
    ensure!(missing.is_empty(), "the linked module does not export {}", missing.join(", "));
    walrus::passes::gc::run(&mut module);
    if !keep_names {
        remove_custom_sections(&mut module);
    }
    Ok((module.emit_wasm(), names))
}

/// Envoy refuses a module that imports what it does not provide; better to hear that here, and all of it.
fn refuse_unknown_imports(module: &Module) -> Result<()> {
    let known = |import: &walrus::Import| match import.module.as_str() {
        "env" => import.name.starts_with("proxy_"),
        other => other == WASI,
    };
    let unknown: Vec<String> =
        module.imports.iter().filter(|i| !known(i)).map(|i| format!("{}.{}", i.module, i.name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    bail!("Envoy does not provide these imports: {}", unknown.join(", "))
}

/// Exports `flamegate_on_X` as `proxy_on_X`, in place of the SDK's, and gives their new names.
fn prefer_own_callbacks(module: &mut Module) -> Vec<String> {
    let own: Vec<(walrus::ExportId, String)> = module
        .exports
        .iter()
        .filter_map(|export| {
            Some((export.id(), format!("{HOST_PREFIX}{}", export.name.strip_prefix(OWN_PREFIX)?)))
        })
        .collect();
    for (id, name) in &own {
        let replaced: Vec<_> = module.exports.iter().filter(|e| e.name == *name).map(|e| e.id()).collect();
        for old in replaced {
            module.exports.delete(old);
        }
        module.exports.get_mut(*id).name.clone_from(name);
    }
    own.into_iter().map(|(_, name)| name).collect()
}

/// Debug and tool sections: Envoy reads none of them.
fn remove_custom_sections(module: &mut Module) {
    let ids: Vec<_> = module.customs.iter().map(|(id, _)| id).collect();
    for id in ids {
        module.customs.delete(id);
    }
}

#[cfg(test)]
mod tests;

//! Reads which file imports which, by `syn`: from `use`, `mod`, paths in code, and paths in the tokens of macros.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;
use syn::{Attribute, ItemMod, ItemUse, Macro, UseTree, Visibility};

/// One file takes a name from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// Paths from the source folder.
    pub from: String,
    pub to: String,
    /// The path as the code writes it.
    pub name: String,
}

/// The files of a crate and their imports; without tests.
pub struct House {
    /// Module path to file.
    modules: BTreeMap<Vec<String>, String>,
    imports: BTreeSet<Import>,
    /// (file, path) of every path that begins with another name than this crate's.
    foreign: BTreeSet<(String, String)>,
}

struct Reader<'h> {
    house: &'h mut House,
    file: String,
    /// Where the code at hand stands, inline modules included.
    module: Vec<String>,
    crate_name: &'h str,
}

impl House {
    /// Reads the sources below a folder.
    pub fn read(folder: PathBuf, crate_name: &str) -> Self {
        let mut house = Self { modules: BTreeMap::new(), imports: BTreeSet::new(), foreign: BTreeSet::new() };
        collect(&folder, &folder, &mut house.modules);
        for (module, file) in house.modules.clone() {
            let text = fs::read_to_string(folder.join(&file)).unwrap();
            let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
            Reader { house: &mut house, file, module, crate_name }.visit_file(&parsed);
        }
        house
    }

    /// All files, as paths from the source folder.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.modules.values().map(String::as_str)
    }

    pub fn imports(&self) -> impl Iterator<Item = &Import> {
        self.imports.iter()
    }

    /// `file: path` of whatever is taken from another crate.
    pub fn paths_into(&self, crate_name: &str) -> Vec<String> {
        let prefix = format!("{crate_name}::");
        let taken = self.foreign.iter().filter(|(_, path)| path.starts_with(&prefix));
        taken.map(|(file, path)| format!("{file}: {path}")).collect()
    }

    /// The file that a path from the crate's root leads to.
    fn target(&self, path: &[String]) -> Option<&str> {
        (0..=path.len()).rev().find_map(|len| self.modules.get(&path[..len])).map(String::as_str)
    }
}

/// `tests.rs` and what stands in `tests/` is not of the house. `main.rs` beside a `lib.rs` is another crate's root and takes no part.
fn collect(root: &Path, folder: &Path, modules: &mut BTreeMap<Vec<String>, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name == "tests" || name == "tests.rs" || name == "main.rs" {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, modules);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let file = path.strip_prefix(root).unwrap();
            let mut module: Vec<String> =
                file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if matches!(module.last().map(String::as_str), Some("lib" | "mod")) {
                module.pop();
            }
            modules.insert(module, file.to_str().unwrap().to_owned());
        }
    }
}

impl Reader<'_> {
    fn take(&mut self, path: &[String]) {
        let name = path.join("::");
        let Some(first) = path.first() else { return };
        let full = match first.as_str() {
            "crate" => path[1..].to_vec(),
            first if first == self.crate_name => path[1..].to_vec(),
            "self" => self.module.iter().chain(&path[1..]).cloned().collect(),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let base = self.module.len().saturating_sub(ups);
                self.module[..base].iter().chain(&path[ups..]).cloned().collect()
            }
            child if self.is_child(child) => self.module.iter().chain(path).cloned().collect(),
            _ => {
                self.house.foreign.insert((self.file.clone(), name));
                return;
            }
        };
        let Some(to) = self.house.target(&full).map(str::to_owned) else { return };
        if to != self.file {
            self.house.imports.insert(Import { from: self.file.clone(), to, name });
        }
    }

    /// True for a module that stands in a file below the one at hand; its name alone begins a path.
    fn is_child(&self, name: &str) -> bool {
        let mut module = self.module.clone();
        module.push(name.to_owned());
        self.house.modules.contains_key(&module)
    }

    fn tree(&mut self, before: &mut Vec<String>, tree: &UseTree) {
        let named = |name: &syn::Ident| name.to_string();
        match tree {
            UseTree::Path(path) => {
                before.push(named(&path.ident));
                self.tree(before, &path.tree);
                before.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
            UseTree::Glob(_) => self.take(before),
            UseTree::Name(syn::UseName { ident }) | UseTree::Rename(syn::UseRename { ident, .. }) => {
                let itself = ident == "self";
                if !itself {
                    before.push(named(ident));
                }
                self.take(before);
                if !itself {
                    before.pop();
                }
            }
        }
    }

    /// Every `a::b::c` among the tokens of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if colons == 2 && !path.is_empty() => path.push(name.to_string()),
                TokenTree::Ident(name) => {
                    self.end(&mut path);
                    path.push(name.to_string());
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => {
                    self.end(&mut path);
                    self.tokens(group.stream());
                }
                _ => self.end(&mut path),
            }
            colons = 0;
        }
        self.end(&mut path);
    }

    fn end(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.take(path);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !attributes(item).iter().any(is_test) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.tree(&mut Vec::new(), &item.tree);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_none() {
            self.take(&["self".to_owned(), item.ident.to_string()]);
            return;
        }
        self.module.push(item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.take(&names);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.visit_path(&called.path);
        self.tokens(called.tokens.clone());
    }

    // `pub(in path)` takes nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

fn attributes(item: &syn::Item) -> &[Attribute] {
    use syn::Item;
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[cfg(test)]` and nothing wider.
fn is_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
}

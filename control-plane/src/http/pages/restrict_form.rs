//! What a key may be used for: as forms ask for it (everything, reading, or what lists name), and as pages show it.

use super::fields::Fields;
use crate::contract::Restrict;
use crate::domain::error::Problems;
use crate::domain::keys::RestrictDraft;
use crate::domain::keys::restrict::{READ_ONLY, is_read_only};

/// What the form says; `None` when it does not ask.
pub(super) fn restrict_of(fields: &Fields, problems: &mut Problems) -> Option<RestrictDraft> {
    let [methods, paths, addresses] = ["methods", "paths", "addresses"].map(|name| entries(fields, name));
    let [methods, paths, addresses] = match fields.text("access") {
        "all" => [const { Vec::new() }; 3],
        "read" => [READ_ONLY.map(str::to_owned).to_vec(), Vec::new(), Vec::new()],
        "some" => [methods, paths, addresses],
        _ => return None,
    };
    if fields.text("access") == "some" && methods.is_empty() && paths.is_empty() && addresses.is_empty() {
        problems.add("restrict.methods", "name a method, a path or an address, or choose everything");
    }
    Some(RestrictDraft { methods: Some(methods), paths: Some(paths), addresses: Some(addresses) })
}

/// Labels and lists of what is restricted; none when nothing is. Methods are short, and stand in one line.
pub(super) fn restriction_lines(restrict: Option<&Restrict>) -> Vec<(&'static str, Vec<String>)> {
    let Some(Restrict { methods, paths, addresses }) = restrict.cloned() else { return Vec::new() };
    let methods = Some(methods.join(", ")).filter(|methods| !methods.is_empty());
    let lists = [
        (if is_read_only(restrict) { "Read only" } else { "Methods" }, methods.into_iter().collect()),
        ("Paths", paths),
        ("Client addresses", addresses),
    ];
    lists.into_iter().filter(|(_, list)| !list.is_empty()).collect()
}

/// The form as it is filled in for what there is.
pub(super) fn filled_in(fields: Fields, restrict: Option<&Restrict>) -> Fields {
    let Restrict { methods, paths, addresses } = restrict.cloned().unwrap_or_default();
    let reads = methods == READ_ONLY && paths.is_empty() && addresses.is_empty();
    let access = match restrict {
        None => "all",
        Some(_) if reads => "read",
        Some(_) => "some",
    };
    fields
        .or_absent("access", access)
        .or_absent("methods", &methods.join(", "))
        .or_absent("paths", &paths.join("\n"))
        .or_absent("addresses", &addresses.join("\n"))
}

/// Entries of a list between commas, blanks and ends of lines, none of which is in one; each once, so that what is told of one by its number is of
/// the same one here. Methods in small letters are meant to be methods.
pub(super) fn entries(fields: &Fields, name: &str) -> Vec<String> {
    let mut kept = Vec::new();
    for entry in fields.text(name).split(|letter: char| letter == ',' || letter.is_whitespace()) {
        let entry = if name == "methods" { entry.to_ascii_uppercase() } else { entry.to_owned() };
        if !entry.is_empty() && !kept.contains(&entry) {
            kept.push(entry);
        }
    }
    kept
}

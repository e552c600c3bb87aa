//! What is wrong with a form, in words beside its fields, and once more above it with links to them.

use super::fields::Fields;
use super::restrict_form::entries;
use crate::domain::credentials::ID_PART;
use crate::domain::error::Problems;

/// What is wrong with one field.
pub(super) struct Mistake {
    /// The field's id on the page; empty when it is about the whole.
    pub field: &'static str,
    /// The field's label.
    pub label: &'static str,
    /// What to do about it.
    pub words: String,
}

/// Everything that is wrong.
#[derive(Default)]
pub(super) struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    /// Of the rules that were broken; of a field the first.
    pub fn new(problems: &Problems) -> Self {
        let mut found = Self::default();
        for (path, message) in problems.iter() {
            let (field, label) = field_of(path);
            if found.of(field).is_none() {
                found.0.push(Mistake { field, label, words: words(field, message) });
            }
        }
        // As the fields stand in the form, whichever rule was checked first.
        found.0.sort_by_key(|mistake| ORDER.iter().position(|field| *field == mistake.field));
        found
    }

    /// The same, and of the lists of what a key may be used for which entries are wrong: the field has many lines, and one mistake.
    pub fn naming(mut self, problems: &Problems, typed: &Fields) -> Self {
        for mistake in &mut self.0 {
            let listed = entries(typed, mistake.field);
            let wrong = problems.iter().filter(|(path, _)| field_of(path).0 == mistake.field);
            let wrong: Vec<_> = wrong
                .filter_map(|(path, _)| path.strip_suffix(']')?.rsplit_once('[')?.1.parse::<usize>().ok())
                .filter_map(|index| listed.get(index).map(|entry| format!("“{entry}”")))
                .collect();
            if !wrong.is_empty() {
                mistake.words = format!("{}: {}", wrong.join(", "), words_of_entries(mistake.field));
            }
        }
        self
    }

    /// A page with two forms has another id for the same field of the other one.
    pub fn rename(&mut self, field: &str, id: &'static str) {
        for mistake in self.0.iter_mut().filter(|mistake| mistake.field == field) {
            mistake.field = id;
        }
    }

    /// What is wrong with a field.
    pub fn of(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|mistake| mistake.field == field).map(|mistake| mistake.words.as_str())
    }

    /// True when nothing is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// ` aria-invalid` and what describes a field; `hint` is the id of its hint, if it has one.
    pub fn attributes(&self, field: &str, hint: &str) -> String {
        let problem = self.of(field).map(|_| format!("{field}-problem"));
        let described: Vec<_> = [Some(hint.to_owned()).filter(|hint| !hint.is_empty()), problem.clone()]
            .into_iter()
            .flatten()
            .collect();
        let mut attributes = String::new();
        if problem.is_some() {
            attributes.push_str(r#" aria-invalid="true""#);
        }
        if !described.is_empty() {
            attributes.push_str(&format!(r#" aria-describedby="{}""#, described.join(" ")));
        }
        attributes
    }
}

/// The fields of all forms, from top to bottom. What is about no field stands above them.
const ORDER: [&str; 23] = [
    "name",
    "environment",
    "expiry",
    "limit",
    "requests",
    "burst",
    "reach",
    "requests_2",
    "burst_2",
    "requests_3",
    "burst_3",
    "requests_4",
    "burst_4",
    "plan",
    "methods",
    "paths",
    "addresses",
    "note",
    "email",
    "role",
    "current",
    "new",
    "code",
];
/// The fields of the first limit of a form and of each further one, and their labels.
const REQUESTS: [(&str, &str); 4] = [
    ("requests", "Requests"),
    ("requests_2", "Requests of the second limit"),
    ("requests_3", "Requests of the third limit"),
    ("requests_4", "Requests of the fourth limit"),
];
const BURSTS: [(&str, &str); 4] = [
    ("burst", "Burst"),
    ("burst_2", "Burst of the second limit"),
    ("burst_3", "Burst of the third limit"),
    ("burst_4", "Burst of the fourth limit"),
];

/// The field that a path of a request stands for, and its label.
fn field_of(path: &str) -> (&'static str, &'static str) {
    match path {
        "name" => ("name", "Name"),
        "note" => ("note", "Note"),
        "environment" => ("environment", "Environment"),
        "expires_at" | "expiry" => ("expiry", "Expires"),
        "current" => ("current", "Current password"),
        "code" => ("code", "Code"),
        "password" => ("new", "New password"),
        "email" => ("email", "E-mail address"),
        "role" => ("role", "Role"),
        path if path.starts_with("restrict.methods") => ("methods", "Methods"),
        path if path.starts_with("restrict.paths") => ("paths", "Paths"),
        path if path.starts_with("restrict.addresses") => ("addresses", "Client addresses"),
        "plan" => ("plan", "Plan"),
        path if path.contains("limits") && path.ends_with(".requests") => of_limit(path, &REQUESTS),
        path if path.contains("limits") && path.ends_with(".burst") => of_limit(path, &BURSTS),
        path if path.ends_with(".reach") || path.ends_with(".when_unreachable") => ("reach", "Counted by"),
        path if path.contains("limits") => ("limit", "Limit"),
        _ => ("", ""),
    }
}

/// What entries of a list have to be, behind those that are not.
fn words_of_entries(field: &str) -> &'static str {
    match field {
        "methods" => "not a method such as GET.",
        "paths" => {
            "a path begins with “/” and has no “?”, “//”, “..” or encoded slash; “*” stands only at its end, behind a “/”."
        }
        _ => {
            "an address is such as 203.0.113.7, a network such as 203.0.113.0/24; behind its length all is 0 (10.0.0.0/8, not 10.0.0.1/8)."
        }
    }
}

/// The field of the limit that a path such as `limits[1].burst` is about.
fn of_limit(path: &str, fields: &[(&'static str, &'static str); 4]) -> (&'static str, &'static str) {
    let number = path.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    let number = number.and_then(|(number, _)| number.parse::<usize>().ok()).unwrap_or_default();
    fields.get(number).copied().unwrap_or(fields[0])
}

fn words(field: &str, message: &str) -> String {
    match (field, message) {
        ("name", ID_PART) => "Use 1 to 64 letters, digits, “_”, “-” or “.”.".to_owned(),
        ("name", message) if message.starts_with("1 to ") => {
            "Enter a name (up to 100 characters).".to_owned()
        }
        ("expiry", "choose a date") => "Choose the last day the key should work.".to_owned(),
        ("code", message) if !message.starts_with("too many") => format!("The code {message}."),
        ("current", "is not your password") => "That is not your current password.".to_owned(),
        ("new", message) => format!("The new password {message}."),
        ("email", "must be an e-mail address") => "Enter an e-mail address.".to_owned(),
        (field, "at least 1" | "is required" | "too large" | "must be a number")
            if field.starts_with("requests") || field.starts_with("burst") =>
        {
            "Enter a number from 1 to 1,000,000.".to_owned()
        }
        (_, message) => {
            let mut letters = message.chars();
            let first: String =
                letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
            let end = if message.ends_with('.') { "" } else { "." };
            format!("{first}{}{end}", letters.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every form of the pages, as its template has it: what can be told beside a field is told above in the same order.
    #[test]
    fn the_order_is_that_of_every_form() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/");
        let read = |name: &str| std::fs::read_to_string(format!("{folder}{name}")).unwrap();
        let mut seen = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let text = read(&name);
            let mut parts = text.split("{% include \"");
            let mut whole = parts.next().unwrap().to_owned();
            for part in parts {
                let (included, rest) = part.split_once("\" %}").unwrap();
                whole.push_str(&read(included));
                whole.push_str(rest);
            }
            for form in whole.split("<form") {
                let fields: Vec<_> = form
                    .split("mistakes.of(\"")
                    .skip(1)
                    .map(|rest| rest.split('"').next().unwrap())
                    .collect();
                let fields = fields.into_iter().map(|field| field.strip_prefix("second-").unwrap_or(field));
                let places: Vec<_> = fields
                    .inspect(|field| seen.push((*field).to_owned()))
                    .map(|field| ORDER.iter().position(|known| *known == field).ok_or(field))
                    .collect();
                assert!(places.is_sorted() && places.iter().all(Result::is_ok), "{name}: {places:?}");
            }
        }
        // The rows of a plan's form have names that are made, and the choice of a plan is a part of its own.
        let is_written = |field: &&&str| {
            !["role", "plan"].contains(*field) && !field.ends_with(|c: char| c.is_ascii_digit())
        };
        for field in ORDER.iter().filter(is_written) {
            assert!(seen.iter().any(|found| found == field), "no form has {field}");
        }
    }

    #[test]
    fn each_field_is_told_once_and_in_words_for_people() {
        let mut problems = Problems::one("limits[0].requests", "at least 1");
        problems.add("name", "1 to 100 characters, no control characters");
        problems.add("limits[0].requests", "too large");
        problems.add("limits[1].burst", "must be a number");
        problems.add("quota", "the workspace may have 1 active keys and has 1");
        let mistakes = Mistakes::new(&problems);
        let told: Vec<_> = mistakes.0.iter().map(|one| (one.field, one.words.as_str())).collect();
        assert_eq!(
            told,
            [
                ("", "The workspace may have 1 active keys and has 1."),
                ("name", "Enter a name (up to 100 characters)."),
                ("requests", "Enter a number from 1 to 1,000,000."),
                ("burst_2", "Enter a number from 1 to 1,000,000."),
            ]
        );
        assert_eq!(
            mistakes.attributes("name", "name-hint"),
            r#" aria-invalid="true" aria-describedby="name-hint name-problem""#
        );
        assert_eq!(mistakes.attributes("burst", ""), "");
    }
}

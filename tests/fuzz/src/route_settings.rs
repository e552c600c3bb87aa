//! What a route's metadata say: any bytes are understood or refused, and what was written is read as it was meant, or closes the route.

use flamegate::config::{handed_over, route_settings};
use flamegate::contract::key::Environment;
use flamegate::decision::route_settings::RouteSettings;
use serde_json::{Map, Value, json};

use crate::input::Input;

const NAMES: [&str; 6] = ["cost", "environments", "costs", "Cost", "", "environment"];
const WORDS: [&str; 6] = ["live", "test", "Live", "", "prod", "live\0\0"];

/// The first byte chooses: bytes as a host would never write them, or metadata that somebody wrote.
pub fn route_settings_read(input: &[u8]) {
    let mut input = Input(input);
    if input.byte() % 2 == 0 {
        let _ = RouteSettings::read(input.0);
        return;
    }
    let mut fields = Map::new();
    for _ in 0..input.byte() % 4 {
        let name = NAMES[usize::from(input.byte()) % NAMES.len()];
        fields.insert(name.to_owned(), value(&mut input, 2));
    }
    let meant = meaning(&fields);
    let metadata = Value::Object(fields);
    let found = route_settings(&metadata).ok();
    assert_eq!(found.is_some(), meant.is_some(), "{metadata}");
    if let (Some(found), Some((cost, live, test))) = (found, meant) {
        assert_eq!(u64::from(found.cost), cost, "{metadata}");
        assert_eq!(
            (found.admits(Environment::Live), found.admits(Environment::Test)),
            (live, test),
            "{metadata}"
        );
    }
    // Whatever is cut off of what the host says is noticed, but for the very last byte, which says nothing.
    if let Some(bytes) = handed_over(&metadata) {
        let cut = usize::from(input.short()) % bytes.len();
        let whole = RouteSettings::read(&bytes).ok();
        let read = RouteSettings::read(&bytes[..cut]);
        assert!(read.is_err() || read.ok() == whole, "{metadata} cut at {cut}");
    }
}

fn value(input: &mut Input<'_>, depth: u8) -> Value {
    match input.byte() % 8 {
        0 => Value::Null,
        1 => json!(input.byte().is_multiple_of(2)),
        2 => json!(input.byte()),
        3 => json!(f64::from(input.short()) / 4.0 - 100.0),
        4 => json!(i64::from(input.short()) * 64),
        5 => json!(WORDS[usize::from(input.byte()) % WORDS.len()]),
        6 if depth > 0 => (0..input.byte() % 4).map(|_| value(input, depth - 1)).collect(),
        7 if depth > 0 => json!({WORDS[usize::from(input.byte()) % WORDS.len()]: value(input, depth - 1)}),
        _ => json!([WORDS[usize::from(input.byte()) % WORDS.len()]]),
    }
}

/// What it means, said once more: cost, live, test; nothing where it means nothing.
fn meaning(fields: &Map<String, Value>) -> Option<(u64, bool, bool)> {
    let mut meant = (1, true, true);
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("cost", Value::Number(number)) => {
                let number = number.as_f64()?;
                let is_whole = number.fract() == 0.0 && (0.0..=1_000_000.0).contains(&number);
                meant.0 = is_whole.then_some(number as u64)?;
            }
            ("environments", Value::Array(list)) => {
                let has = |word: &str| list.iter().any(|one| one == word);
                let all = list.iter().all(|one| one == "live" || one == "test");
                (all && !list.is_empty()).then_some(())?;
                (meant.1, meant.2) = (has("live"), has("test"));
            }
            _ => return None,
        }
    }
    Some(meant)
}

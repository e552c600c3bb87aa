//! Text to trees: YAML of any number of documents, with anchors and merge keys, or JSON. Bounded, so that a file made of nested aliases
//! ends in an error and not in all memory.

use std::collections::{BTreeSet, HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::Number;

use crate::node::{Node, Value};

/// Most nodes of a file, aliases counted with all that they stand for.
const MAX_NODES: usize = 1_000_000;
/// As many bytes of a text that is copied count as a value.
const TEXT_OF_A_VALUE: usize = 64;
/// Deepest nesting.
const MAX_DEPTH: usize = 200;

/// Why a text is no configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct NotRead {
    /// Line, when it is known.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// What a text holds.
#[derive(Debug)]
pub struct Text {
    /// Its documents.
    pub documents: Vec<Node>,
    /// Names of `${…}` in it.
    pub placeholders: Vec<String>,
    /// Fields that stand twice in one object: line and name.
    pub twice: Vec<(usize, String)>,
}

/// Reads a text as JSON or as YAML.
pub fn read(text: &str) -> Result<Text, NotRead> {
    let text = text.trim_start_matches('\u{feff}');
    if let Ok(json) = serde_json::from_str(text) {
        return Ok(Text {
            documents: vec![Node::from_json(&json)],
            placeholders: Vec::new(),
            twice: Vec::new(),
        });
    }
    let (filled, placeholders) = fill(text);
    let mut builder = Builder::default();
    for event in Parser::new_from_str(&filled) {
        let (event, span) =
            event.map_err(|error| NotRead { line: error.marker().line(), what: error.info().to_owned() })?;
        builder.take(event, span.start.line())?;
    }
    Ok(Text { documents: builder.documents, placeholders, twice: builder.twice })
}

/// What stands for a placeholder while the rest is read: a text that is valid wherever a name, a path or a number is.
pub const FILLED: &str = "placeholder_";

/// Puts a plain word in the place of each `${NAME}`.
fn fill(text: &str) -> (String, Vec<String>) {
    let (mut filled, mut names, mut rest) = (String::new(), BTreeSet::new(), text);
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        filled.push_str(before);
        let name: String =
            from.chars().skip(2).take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let end = name.len().saturating_add(2);
        if !name.is_empty() && from.get(end..).is_some_and(|after| after.starts_with('}')) {
            filled.push_str(FILLED);
            filled.push_str(&name);
            names.insert(name);
            rest = from.get(end.saturating_add(1)..).unwrap_or_default();
        } else {
            filled.push_str("${");
            rest = from.get(2..).unwrap_or_default();
        }
    }
    filled.push_str(rest);
    (filled, names.into_iter().collect())
}

/// Makes trees of events.
#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    twice: Vec<(usize, String)>,
}

/// A list or an object that has not ended.
struct Open {
    line: usize,
    anchor: usize,
    is_object: bool,
    /// The name that waits for its value.
    name: Option<String>,
    entries: Vec<(String, Node)>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), NotRead> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let node = Node { line, value: scalar(&text, style) };
                self.put(node, anchor)
            }
            Event::SequenceStart(anchor, _) => self.start(line, anchor, false),
            Event::MappingStart(anchor, _) => self.start(line, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let unknown = || NotRead { line, what: "an alias of an anchor that is not there".to_owned() };
                let node = self.anchors.get(&anchor).ok_or_else(unknown)?;
                if self.open.len().saturating_add(depth(node)) > MAX_DEPTH {
                    return Err(NotRead { line, what: format!("it is nested deeper than {MAX_DEPTH}") });
                }
                self.nodes = self.nodes.saturating_add(size(node));
                self.bounded(line)?;
                let node = self.anchors.get(&anchor).cloned().ok_or_else(unknown)?;
                self.put(node, 0)
            }
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, line: usize, anchor: usize, is_object: bool) -> Result<(), NotRead> {
        if self.open.len() >= MAX_DEPTH {
            return Err(NotRead { line, what: format!("it is nested deeper than {MAX_DEPTH}") });
        }
        self.open.push(Open { line, anchor, is_object, name: None, entries: Vec::new() });
        Ok(())
    }

    fn end(&mut self) -> Result<(), NotRead> {
        let Some(Open { line, anchor, is_object, entries, .. }) = self.open.pop() else { return Ok(()) };
        let value = if is_object {
            Value::Object(self.merged(entries))
        } else {
            Value::List(entries.into_iter().map(|(_, node)| node).collect())
        };
        self.put(Node { line, value }, anchor)
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), NotRead> {
        // What an anchor keeps is a copy, and may have anchors in it that keep copies of parts of it.
        let copy = if anchor > 0 { size(&node) } else { 0 };
        self.nodes = self.nodes.saturating_add(copy).saturating_add(1);
        self.bounded(node.line)?;
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.documents.push(node),
            Some(open) if !open.is_object => open.entries.push((String::new(), node)),
            Some(open) => match open.name.take() {
                Some(name) => open.entries.push((name, node)),
                None => open.name = Some(name_of(&node)),
            },
        }
        Ok(())
    }

    fn bounded(&self, line: usize) -> Result<(), NotRead> {
        if self.nodes > MAX_NODES {
            let what = format!("it has more than {MAX_NODES} values, or aliases that stand for so many");
            return Err(NotRead { line, what });
        }
        Ok(())
    }

    /// Fields with those of `<<` behind them; what stands in the object itself wins.
    fn merged(&mut self, entries: Vec<(String, Node)>) -> Vec<(String, Node)> {
        let (merges, mut fields): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(name, _)| name == "<<");
        let mut seen = BTreeSet::new();
        for (name, node) in &fields {
            if !seen.insert(name.clone()) {
                self.twice.push((node.line, name.clone()));
            }
        }
        for (_, merge) in merges {
            let sources = match merge.value {
                Value::List(items) => items,
                value => vec![Node { line: merge.line, value }],
            };
            for source in sources {
                let Value::Object(more) = source.value else { continue };
                for (name, node) in more {
                    if seen.insert(name.clone()) {
                        fields.push((name, node));
                    }
                }
            }
        }
        fields
    }
}

/// What a copy of it takes, in values; a long text counts as several.
fn size(node: &Node) -> usize {
    let text = |text: &String| text.len() / TEXT_OF_A_VALUE;
    let below: usize = match &node.value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, node)| text(name).saturating_add(size(node))).sum()
        }
        Value::Text(of) => text(of),
        _ => 0,
    };
    below.saturating_add(1)
}

/// How many levels there are below it, and itself.
fn depth(node: &Node) -> usize {
    let deepest = match &node.value {
        Value::List(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.iter().map(|(_, node)| depth(node)).max(),
        _ => return 0,
    };
    deepest.unwrap_or(0).saturating_add(1)
}

fn name_of(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.clone(),
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Flag(true),
        "false" | "False" | "FALSE" => Value::Flag(false),
        text => number(text).map_or_else(|| Value::Text(text.to_owned()), Value::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let begins = text.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !begins {
        return None;
    }
    let whole = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
    whole.ok().or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64))
}

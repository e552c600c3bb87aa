//! A configuration as a tree: of YAML with the line of every node, of JSON without. Fields are found by their name in `snake_case`
//! or in `lowerCamelCase`, since Envoy takes both.

use std::rc::Rc;

use serde_json::{Map, Number, Value as Json};

/// A node and where it began.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Counted from 1; 0 when it is not known.
    pub line: usize,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A number as it is written in JSON.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// An object, in the order of its fields.
    Object(Vec<(String, Node)>),
}

/// A node in its tree: with the path that leads to it.
#[derive(Clone, Debug)]
pub struct At<'a> {
    /// The node.
    pub node: &'a Node,
    /// The last step to it; nothing for the root.
    step: Option<Rc<Step<'a>>>,
}

/// A step from a node to one below it. Whole paths are written when somebody wants to read them: a file may have many long ones.
#[derive(Debug)]
struct Step<'a> {
    before: Option<Rc<Self>>,
    part: Part<'a>,
}

#[derive(Debug)]
enum Part<'a> {
    Field(&'a str),
    Index(usize),
}

/// Longest part of a field's name that a path repeats, in characters.
const MOST_SHOWN: usize = 80;

impl Node {
    /// From JSON, which has no lines.
    pub fn from_json(json: &Json) -> Self {
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Flag(*flag),
            Json::Number(number) => Value::Number(number.clone()),
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(items) => Value::List(items.iter().map(Self::from_json).collect()),
            Json::Object(fields) => {
                let field = |(name, value): (&String, &Json)| (name.clone(), Self::from_json(value));
                Value::Object(fields.iter().map(field).collect())
            }
        };
        Self { line: 0, value }
    }

    /// As JSON, without the lines.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Flag(flag) => Json::Bool(*flag),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Object(fields) => Json::Object(
                fields.iter().map(|(name, node)| (name.clone(), node.to_json())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// The root of a tree.
    pub fn root(&self) -> At<'_> {
        At { node: self, step: None }
    }
}

impl<'a> At<'a> {
    /// A field that is there and not null.
    pub fn get(&self, name: &str) -> Option<At<'a>> {
        let Value::Object(fields) = &self.node.value else { return None };
        let (found, node) = fields.iter().find(|(field, _)| field == name || is_camel_of(field, name))?;
        (node.value != Value::Null).then(|| self.below(Part::Field(found), node))
    }

    /// The field at the end of several names.
    pub fn dig(&self, names: &[&str]) -> Option<At<'a>> {
        names.iter().try_fold(self.clone(), |at, name| at.get(name))
    }

    /// The entries of a list field; none when it is not there. One object counts as a list of one.
    pub fn list(&self, name: &str) -> Vec<At<'a>> {
        self.get(name).map(|at| at.items()).unwrap_or_default()
    }

    /// The entries of this list.
    pub fn items(&self) -> Vec<At<'a>> {
        match &self.node.value {
            Value::List(items) => {
                let item = |(index, node)| self.below(Part::Index(index), node);
                items.iter().enumerate().map(item).collect()
            }
            Value::Object(_) => vec![self.clone()],
            _ => Vec::new(),
        }
    }

    /// The fields of this object.
    pub fn fields(&self) -> Vec<(&'a str, At<'a>)> {
        match &self.node.value {
            Value::Object(fields) => fields
                .iter()
                .map(|(name, node)| (name.as_str(), self.below(Part::Field(name), node)))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// This text.
    pub fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a field; empty when there is none.
    pub fn text_of(&self, name: &str) -> &'a str {
        self.get(name).and_then(|at| at.text()).unwrap_or_default()
    }

    /// True for a field that is true.
    pub fn is(&self, name: &str) -> bool {
        self.get(name).and_then(|at| at.flag()) == Some(true)
    }

    /// True for a field that is false.
    pub fn is_not(&self, name: &str) -> bool {
        self.get(name).and_then(|at| at.flag()) == Some(false)
    }

    /// As Envoy reads it: `yes`, `on` and `y` are true in its YAML, and it takes `"true"` as well.
    fn flag(&self) -> Option<bool> {
        match &self.node.value {
            Value::Flag(flag) => Some(*flag),
            Value::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => Some(true),
                "false" | "no" | "off" | "n" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// The fields of this name, however deep below this node.
    pub fn all_of(&self, name: &str) -> Vec<At<'a>> {
        let here = self.get(name);
        let below = match &self.node.value {
            Value::List(_) => self.items(),
            _ => self.fields().into_iter().map(|(_, at)| at).collect(),
        };
        here.into_iter().chain(below.iter().flat_map(|at| at.all_of(name))).collect()
    }

    /// As `static_resources.listeners[0].name`.
    pub fn path(&self) -> String {
        let steps = std::iter::successors(self.step.as_deref(), |step| step.before.as_deref());
        let mut text = String::new();
        for step in steps.collect::<Vec<_>>().into_iter().rev() {
            match step.part {
                Part::Index(index) => text.push_str(&format!("[{index}]")),
                Part::Field(name) => {
                    text.push_str(if text.is_empty() { "" } else { "." });
                    text.extend(name.chars().take(MOST_SHOWN));
                }
            }
        }
        text
    }

    /// A duration of a field in seconds: `25s`, `0.5s`.
    pub fn seconds(&self, name: &str) -> Option<f64> {
        self.text_of(name).strip_suffix('s')?.trim().parse().ok()
    }

    /// The texts below this node, with their places.
    pub fn texts(&self) -> Vec<(&'a str, At<'a>)> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect(&self, found: &mut Vec<(&'a str, At<'a>)>) {
        match &self.node.value {
            Value::Text(text) => found.push((text, self.clone())),
            Value::List(_) => self.items().iter().for_each(|item| item.collect(found)),
            Value::Object(_) => self.fields().iter().for_each(|(_, field)| field.collect(found)),
            _ => {}
        }
    }

    /// The type of a message and the message: what `Any` and `TypedStruct` say.
    pub fn typed(&self) -> (&'a str, At<'a>) {
        let of = |url: &'a str| url.rsplit('/').next().unwrap_or_default();
        let outer = of(self.text_of("@type"));
        match self.get("value") {
            Some(inner) if outer.ends_with(".TypedStruct") => (of(self.text_of("type_url")), inner),
            _ => (outer, self.clone()),
        }
    }

    fn below(&self, part: Part<'a>, node: &'a Node) -> At<'a> {
        At { node, step: Some(Rc::new(Step { before: self.step.clone(), part })) }
    }
}

fn is_camel_of(camel: &str, snake: &str) -> bool {
    let mut expected = String::with_capacity(snake.len());
    for (index, part) in snake.split('_').enumerate() {
        let mut letters = part.chars();
        match letters.next() {
            Some(first) if index > 0 => {
                expected.push(first.to_ascii_uppercase());
                expected.push_str(letters.as_str());
            }
            _ => expected.push_str(part),
        }
    }
    camel == expected
}

//! YAML as a small tree whose every key and value knows its place, so that an error found late can still point to it.
//!
//! Everything is bounded: the file, the depth, and the nodes after aliases have been followed.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value};

use crate::problem::{Place, Problem};

/// Largest configuration, in bytes.
pub const BYTES_MAX: usize = 4 << 20;
/// Most values of a configuration, aliases followed.
pub const NODES_MAX: usize = 100_000;
/// Deepest nesting.
pub const DEPTH_MAX: usize = 64;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub data: Data,
    /// Where it is written.
    pub place: Place,
    /// True when it was written without quotes, so that its type is read off its text.
    pub plain: bool,
    /// True when it came from a variable whose name tells of a secret.
    pub secret: bool,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// A scalar as it is written; its type is decided when it is used.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in the order of the file; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The name.
    pub name: String,
    /// Where it is written.
    pub place: Place,
}

impl Node {
    /// The value of a key.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|(_, node)| node)
    }
    /// A key and its value.
    pub fn entry(&self, name: &str) -> Option<(&Key, &Self)> {
        self.entries().iter().find(|(key, _)| key.name == name).map(|(key, node)| (key, node))
    }
    /// Keys and values; none for anything but a map.
    pub fn entries(&self) -> &[(Key, Self)] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }
    /// True for `~`, `null` and nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(&self.data, Data::Scalar(text) if self.plain && is_null(text))
    }
    /// What it is, in words.
    pub const fn kind(&self) -> &'static str {
        match self.data {
            Data::Scalar(_) => "a single value",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }
    /// The value as JSON: unquoted scalars by the YAML 1.2 core schema.
    pub fn to_value(&self) -> Value {
        match &self.data {
            Data::Scalar(text) if self.plain => typed(text),
            Data::Scalar(text) => Value::String(text.clone()),
            Data::List(items) => items.iter().map(Self::to_value).collect(),
            Data::Map(entries) => {
                let map: Map<_, _> =
                    entries.iter().map(|(key, node)| (key.name.clone(), node.to_value())).collect();
                Value::Object(map)
            }
        }
    }
    /// Follows a path such as `rules[0].value` or `rules.0.value` as far as it goes.
    pub fn follow(&self, path: &str) -> Found<'_> {
        let mut found = Found { node: self, key: None, rest: String::new() };
        let path = path.replace('[', ".").replace(']', "");
        let mut rest = path.trim_matches('.');
        while !rest.is_empty() {
            let next = match &found.node.data {
                // Keys may contain dots themselves: the longest one that fits.
                Data::Map(entries) => entries
                    .iter()
                    .filter(|(key, _)| {
                        rest.strip_prefix(key.name.as_str())
                            .is_some_and(|tail| tail.is_empty() || tail.starts_with('.'))
                    })
                    .max_by_key(|(key, _)| key.name.len())
                    .map(|(key, node)| (Some(key), node, key.name.len())),
                Data::List(items) => {
                    let digits = rest.find('.').unwrap_or(rest.len());
                    rest[..digits]
                        .parse::<usize>()
                        .ok()
                        .and_then(|at| items.get(at))
                        .map(|node| (None, node, digits))
                }
                Data::Scalar(_) => None,
            };
            let Some((key, node, used)) = next else { break };
            found.node = node;
            found.key = key.or(found.key);
            rest = rest[used..].trim_start_matches('.');
        }
        rest.clone_into(&mut found.rest);
        found
    }
}

/// Where a path led.
#[derive(Debug)]
pub struct Found<'a> {
    /// The last value that exists.
    pub node: &'a Node,
    /// The last key on the way to it.
    pub key: Option<&'a Key>,
    /// The part of the path that does not exist.
    pub rest: String,
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// An unquoted scalar by the YAML 1.2 core schema. Numbers that JSON cannot hold stay text.
fn typed(text: &str) -> Value {
    match text {
        _ if is_null(text) => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let radix = |prefix: &str, radix| {
        let digits = text.strip_prefix(prefix)?;
        // A second sign would be taken by the parser of numbers.
        if digits.starts_with(['+', '-']) { None } else { u64::from_str_radix(digits, radix).ok() }
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Value::Number(number.into());
    }
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        if let Ok(number) = text.parse::<i64>() {
            return Value::Number(number.into());
        }
        if let Ok(number) = text.parse::<u64>() {
            return Value::Number(number.into());
        }
    }
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if numeric && let Some(number) = text.parse::<f64>().ok().and_then(Number::from_f64) {
        return Value::Number(number);
    }
    Value::String(text.to_owned())
}

fn place(span: Span) -> Place {
    let len = if span.start.line() == span.end.line() {
        span.end.col().saturating_sub(span.start.col())
    } else {
        1
    };
    Place { line: span.start.line(), column: span.start.col() + 1, len: len.max(1) }
}

/// What is being built: a list, or a map with the key that waits for its value.
enum Open {
    List(Vec<Node>),
    Map(Vec<(Key, Node)>, Option<Key>),
}

struct Builder {
    open: Vec<(Open, Place, usize)>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
    problems: Vec<Problem>,
    shielded: bool,
}

/// Reads one YAML document. Duplicate keys and foreign tags are all reported; a broken structure ends the reading.
pub fn parse(text: &str) -> Result<Node, Vec<Problem>> {
    if text.len() > BYTES_MAX {
        let message = format!("the file is longer than {} MiB", BYTES_MAX >> 20);
        return Err(vec![Problem::new("too_large", message)]);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let shielded = shield(text);
    let mut builder = Builder {
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
        problems: Vec::new(),
        shielded: shielded.is_some(),
    };
    let mut parser = Parser::new_from_str(shielded.as_deref().unwrap_or(text));
    while let Some(next) = parser.next_event() {
        let step = match next {
            Ok((event, span)) => builder.take(event, place(span)),
            Err(error) => {
                let mark = error.marker();
                let place = Place { line: mark.line(), column: mark.col() + 1, len: 1 };
                Err(syntax(text, place, error.info()))
            }
        };
        if let Err(problem) = step {
            builder.problems.push(problem);
            return Err(builder.problems);
        }
    }
    if !builder.problems.is_empty() {
        return Err(builder.problems);
    }
    builder.root.filter(|root| !root.is_null()).ok_or_else(|| {
        vec![Problem::new("empty", "the configuration is empty").help(
            "leave `-c` out to run with the built-in configuration, or write a section such as `sinks:`",
        )]
    })
}

/// What stands for `{`, `}`, `[`, `]` and `,` inside `${…}` while YAML is read: characters of private use.
const SHIELDS: [(char, char); 5] =
    [('{', '\u{e000}'), ('}', '\u{e001}'), ('[', '\u{e002}'), (']', '\u{e003}'), (',', '\u{e004}')];

/// The text with `${…}` made harmless, character by character, so that variables need no quotes in `{ }` and `[ ]` and
/// every place stays what it was. `None` when there is nothing to do.
fn shield(text: &str) -> Option<String> {
    if !text.contains("${") || text.contains(|c| SHIELDS.iter().any(|(_, shield)| *shield == c)) {
        return None;
    }
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let variable = &rest[at..];
        let line = &variable[..variable.find('\n').unwrap_or(variable.len())];
        // Without an end of its own it is a mistake that the substitution tells of.
        let end =
            line.find(['}', '"', '\'']).filter(|end| line[*end..].starts_with('}')).map_or(0, |end| end + 1);
        let end = end.max("${".len());
        if end == "${".len() {
            out.push_str("${");
            rest = &variable[end..];
            continue;
        }
        out.extend(
            variable[..end].chars().map(|c| {
                SHIELDS.iter().find(|(shielded, _)| *shielded == c).map_or(c, |(_, shield)| *shield)
            }),
        );
        rest = &variable[end..];
    }
    out.push_str(rest);
    Some(out)
}

fn unshield(text: &str) -> String {
    let back = |c| SHIELDS.iter().find(|(_, shield)| *shield == c).map_or(c, |(shielded, _)| *shielded);
    text.chars().map(back).collect()
}

fn syntax(text: &str, place: Place, info: &str) -> Problem {
    let line = text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
    let indent = &line[..line.len() - line.trim_start().len()];
    let problem = Problem::at("yaml", place, format!("not valid YAML: {info}"));
    if let Some(tab) = indent.find('\t') {
        let place = Place { column: tab + 1, len: 1, ..place };
        return Problem::at("yaml", place, "not valid YAML: a tab in the indentation")
            .help("indent with spaces");
    }
    if info.contains("recursion limit") {
        return Problem::at("too_deep", place, format!("nested more than {DEPTH_MAX} deep"));
    }
    if info.contains("tab") {
        return problem.help("indent with spaces");
    }
    problem.help("a list item is `- name: {setting: value}`; texts with `: `, ` #`, `{` or `*` need quotes")
}

impl Builder {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Problem> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let mut plain = style == ScalarStyle::Plain;
                if let Some(tag) = tag {
                    match scalar_tag(&tag) {
                        Some(is_plain) => plain = is_plain,
                        None => self.problems.push(foreign(&tag, place)),
                    }
                }
                let text = if self.shielded { unshield(&text) } else { text.into_owned() };
                let data = Data::Scalar(text);
                self.add(Node { data, place, plain, secret: false }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", place);
                self.begin(Open::List(Vec::new()), place, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", place);
                self.begin(Open::Map(Vec::new(), None), place, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(Problem::at("yaml", place, "an alias inside the value that it stands for")
                        .help("write the value out"));
                };
                let node = node.clone();
                self.nodes += count(&node);
                self.add(node, 0)
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(Problem::at("yaml", place, "a second document")
                    .help("a configuration is one document; remove the `---` and what follows it"))
            }
            _ => Ok(()),
        }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, expected: &str, place: Place) {
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == expected)
        {
            self.problems.push(foreign(tag, place));
        }
    }

    fn begin(&mut self, open: Open, place: Place, anchor: usize) -> Result<(), Problem> {
        if self.open.len() >= DEPTH_MAX {
            return Err(Problem::at("too_deep", place, format!("nested more than {DEPTH_MAX} deep")));
        }
        self.open.push((open, place, anchor));
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some((open, place, anchor)) = self.open.pop() else { return Ok(()) };
        let data = match open {
            Open::List(items) => Data::List(items),
            Open::Map(entries, _) => Data::Map(self.merged(entries)),
        };
        self.add(Node { data, place, plain: false, secret: false }, anchor)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let message = format!("more than {NODES_MAX} values, aliases followed");
            return Err(Problem::at("too_large", node.place, message));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
            // The anchor's own copy counts, so that anchors within anchors cannot grow without bound.
            self.nodes += count(&node);
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some((Open::List(items), ..)) => items.push(node),
            Some((Open::Map(_, waiting @ None), ..)) => {
                let Data::Scalar(name) = node.data else {
                    return Err(Problem::at("yaml", node.place, format!("{} as a key", node.kind()))
                        .help("keys are single words"));
                };
                *waiting = Some(Key { name, place: node.place });
            }
            Some((Open::Map(entries, waiting), ..)) => {
                if let Some(key) = waiting.take() {
                    let known = entries.iter().find(|(known, _)| known.name == key.name);
                    if let Some((first, _)) = known.filter(|_| key.name != "<<") {
                        let problem =
                            Problem::at("duplicate_key", key.place, format!("'{}' is set twice", key.name))
                                .help(format!(
                                    "it is set in line {} already; keep one of them",
                                    first.place.line
                                ));
                        self.problems.push(problem);
                    } else {
                        entries.push((key, node));
                    }
                }
            }
        }
        Ok(())
    }

    /// Follows merge keys: `<<: *defaults` adds what the map does not set itself.
    fn merged(&mut self, entries: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
        if entries.iter().all(|(key, _)| key.name != "<<") {
            return entries;
        }
        let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key.name == "<<");
        for (key, node) in merges {
            let maps = match node.data {
                Data::List(items) => items,
                Data::Map(_) | Data::Scalar(_) => vec![node],
            };
            for map in maps {
                let Data::Map(more) = map.data else {
                    self.problems.push(Problem::at(
                        "yaml",
                        key.place,
                        "'<<' takes a map, an alias of one, or a list of those",
                    ));
                    continue;
                };
                for (name, value) in more {
                    if own.iter().all(|(known, _)| known.name != name.name) {
                        own.push((name, value));
                    }
                }
            }
        }
        own
    }
}

/// The values of a node; trees are at most [`DEPTH_MAX`] deep.
fn count(node: &Node) -> usize {
    1 + match &node.data {
        Data::Scalar(_) => 0,
        Data::List(items) => items.iter().map(count).sum(),
        Data::Map(entries) => entries.iter().map(|(_, node)| count(node)).sum(),
    }
}

/// For a core tag: whether the scalar's type is read off its text. `None` for tags that are not YAML's own.
fn scalar_tag(tag: &Tag) -> Option<bool> {
    if tag.handle.is_empty() && tag.suffix == "!" {
        return Some(false);
    }
    if !tag.is_yaml_core_schema() {
        return None;
    }
    match tag.suffix.as_str() {
        "str" => Some(false),
        "int" | "float" | "bool" | "null" => Some(true),
        _ => None,
    }
}

fn foreign(tag: &Tag, place: Place) -> Problem {
    let name = format!("{}{}", tag.handle, tag.suffix);
    Problem::at("yaml", place, format!("the tag '{name}' means nothing here"))
        .help("remove it; files and variables are written as `token_file: PATH` and `${NAME}`")
}

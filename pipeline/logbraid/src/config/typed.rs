//! From the tree to typed settings: every mistake is found, and each points to its key or value.

use logbraid_core::component::ConfigError;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::node::{Data, Key, Node};
use super::secrets;
use crate::problem::{Problem, choices};

/// Most mistakes looked for in one component.
const MISTAKES_MAX: usize = 32;

/// Builds from `node` with `build`. A mistake that names a setting is noted, the setting is taken out, and the rest is
/// tried again, so that one reading finds them all. `None` when there was any.
pub(super) fn read<T>(
    node: &Node,
    subject: &str,
    problems: &mut Vec<Problem>,
    build: &mut dyn FnMut(&Value) -> Result<T, ConfigError>,
) -> Option<T> {
    let mut value = node.to_value();
    let mut removed: Vec<String> = Vec::new();
    for _ in 0..MISTAKES_MAX {
        match build(&value) {
            Ok(built) => return removed.is_empty().then_some(built),
            Err(error) => {
                // What is missing only because it was wrong has been told already.
                let missing = quoted_after(&error.message, "missing field ");
                if let Some(name) = missing
                    && removed.iter().any(|path| path == &join(&error.path, name))
                {
                    return None;
                }
                problems.push(explain(node, subject, &error));
                match remove(&mut value, &error) {
                    Some(path) => removed.push(path),
                    None => return None,
                }
            }
        }
    }
    None
}

/// Reads typed settings from `node`, without more checks than their type has.
pub(super) fn settings<T: DeserializeOwned>(
    node: &Node,
    subject: &str,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    read(node, subject, problems, &mut |value| logbraid_core::component::settings(value))
}

/// A list item that names a component: `- name: {…}`, `- name:` or `- name`.
pub(super) fn component(item: &Node, what: &str, problems: &mut Vec<Problem>) -> Option<(Key, Node)> {
    match &item.data {
        Data::Scalar(name) if !item.is_null() => {
            let settings = Node { data: Data::Map(Vec::new()), ..item.clone() };
            Some((Key { name: name.clone(), place: item.place }, settings))
        }
        Data::Map(entries) => match entries.as_slice() {
            [(key, node)] => Some((key.clone(), node.clone())),
            [(key, node), (next, _), ..] => {
                let message = format!("one {what} with {} names", entries.len());
                let help = if node.is_null() {
                    format!("indent '{}' and what follows further than '{}'", next.name, key.name)
                } else {
                    format!("each {what} is a list item of its own: `- {}: …`", next.name)
                };
                problems.push(Problem::at("component", next.place, message).help(help));
                None
            }
            [] => {
                problems.push(Problem::at("component", item.place, format!("nameless {what}")));
                None
            }
        },
        Data::Scalar(_) | Data::List(_) => {
            problems.push(
                Problem::at("component", item.place, format!("nameless {what}"))
                    .help("write `- name: {setting: value}`"),
            );
            None
        }
    }
}

/// An error of a component, in the user's words and place.
pub(super) fn explain(node: &Node, subject: &str, error: &ConfigError) -> Problem {
    let found = node.follow(&error.path);
    let setting = tidy(&error.path);
    let message = error.message.as_str();
    let secret = found.node.secret
        || secrets::is_secret_name(&setting)
        || found.key.is_some_and(|key| secrets::is_secret_name(&key.name));
    let value_place = found.node.place;
    let prefix = |text: String| if subject.is_empty() { text } else { format!("{subject}: {text}") };
    let named = |text: String| if setting.is_empty() { text } else { format!("'{setting}' {text}") };

    let mut problem = if let Some(name) = quoted_after(message, "unknown field ") {
        let parent =
            if found.key.is_some_and(|key| key.name == name) { parent(&error.path) } else { &error.path };
        let place = node.follow(parent).node.entry(name).map_or(value_place, |(key, _)| key.place);
        let names = ticked(message.split_once(", expected").map_or("", |(_, names)| names));
        let help = match names.as_slice() {
            [] => format!("it has no settings; remove '{name}'"),
            names => choices(name, "its settings are", names.iter().copied()),
        };
        Problem::at("unknown_key", place, prefix(format!("'{name}' is not a setting"))).help(help)
    } else if let Some(name) = quoted_after(message, "missing field ") {
        let place = found.key.map_or(value_place, |key| key.place);
        let name = join(&setting, name);
        Problem::at("missing_key", place, prefix(format!("'{name}' is missing")))
            .help(format!("add `{name}: …`"))
    } else if let Some(name) = quoted_after(message, "unknown variant ") {
        let names = ticked(message.split_once(", expected").map_or("", |(_, names)| names));
        let text = if secret { "not one of its values".to_owned() } else { format!("cannot be '{name}'") };
        Problem::at("value", value_place, prefix(named(text))).help(choices(
            name,
            "it can be",
            names.iter().copied(),
        ))
    } else if let Some((what, expected)) = type_error(message) {
        let expected = expectation(expected);
        let text =
            if secret { format!("must be {expected}") } else { format!("must be {expected}, found {what}") };
        let scalar = matches!(found.node.data, Data::Scalar(_));
        let help = (expected == "a text" && scalar).then(|| "put it in quotes".to_owned());
        let text = match (setting.is_empty(), subject.contains(' ')) {
            (true, true) => format!("{subject} {text}"),
            (true, false) => format!("'{subject}' {text}"),
            (false, _) => prefix(named(text)),
        };
        Problem::at("type", value_place, text).maybe_help(help)
    } else {
        let (text, help) = match (message.split_once("; "), &error.help) {
            (Some((text, help)), None) => (text, Some(help.to_owned())),
            _ => (message, error.help.clone()),
        };
        let text =
            if secret && text.contains('`') { "is not accepted".to_owned() } else { text.replace('`', "'") };
        let last = setting.rsplit('.').next().unwrap_or_default();
        let names_itself =
            text.starts_with(&format!("'{setting}'")) || text.starts_with(&format!("'{last}' "));
        let text = if setting.is_empty() || names_itself { text } else { format!("'{setting}': {text}") };
        // A setting that is not written down cannot be pointed to: its component is.
        let place =
            if found.rest.is_empty() { value_place } else { found.key.map_or(value_place, |key| key.place) };
        Problem::at("value", place, prefix(text)).maybe_help(help)
    };
    problem.secret = secret;
    problem
}

/// `rules[0].value` as people write it; the root is the empty path.
fn tidy(path: &str) -> String {
    path.trim_matches('.').replace(".?", "")
}

fn join(path: &str, name: &str) -> String {
    let path = tidy(path);
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
}

/// The name in backticks right after `start`.
fn quoted_after<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message.strip_prefix(start)?.strip_prefix('`')?.split_once('`').map(|(name, _)| name)
}

/// Every name in backticks.
fn ticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// What was found and what was expected, of serde's `invalid type: …, expected …`.
fn type_error(message: &str) -> Option<(String, &str)> {
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    let (what, expected) = rest.rsplit_once(", expected ")?;
    let what = match what {
        "null" => "nothing".to_owned(),
        "map" => "a map".to_owned(),
        "sequence" => "a list".to_owned(),
        _ => {
            let value = what
                .trim_start_matches("string ")
                .trim_start_matches("integer ")
                .trim_start_matches("floating point ")
                .trim_start_matches("boolean ");
            format!("'{}'", value.trim_matches(['"', '`']))
        }
    };
    Some((what, expected))
}

fn expectation(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a string" | "a borrowed string" | "str" | "path string" => "a text",
        "a sequence" => "a list",
        "a map" => "a map",
        _ if expected.starts_with("struct ") => "a map of settings",
        _ => expected,
    }
}

/// Takes the setting at fault out of `value`; the path that was removed, or `None` when none can be.
fn remove(value: &mut Value, error: &ConfigError) -> Option<String> {
    if error.message.starts_with("missing field") {
        return None;
    }
    let mut path = tidy(&error.path);
    if let Some(name) = quoted_after(&error.message, "unknown field ")
        && path.rsplit('.').next() != Some(name)
    {
        path = join(&path, name);
    }
    // A list keeps its items, so that the places of the others stay right: the whole list goes.
    loop {
        match path.rfind(['.', '[']) {
            Some(at) if path[at..].starts_with('[') || path[at + 1..].parse::<usize>().is_ok() => {
                path.truncate(at);
            }
            _ => break,
        }
    }
    if path.is_empty() {
        return None;
    }
    let flat = path.replace('[', ".").replace(']', "");
    let (parents, last) = flat.rsplit_once('.').unwrap_or(("", &flat));
    let mut at = &mut *value;
    for part in parents.split('.').filter(|part| !part.is_empty()) {
        at = match at {
            Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?)?,
            Value::Object(map) => map.get_mut(part)?,
            _ => return None,
        };
    }
    at.as_object_mut()?.shift_remove(last)?;
    Some(path)
}

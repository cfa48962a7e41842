//! The questions as tools: names, descriptions and schemas, all from the registry of questions.

use logbraid_query::{QUESTIONS, QuestionSpec};
use serde_json::{Map, Value, json};

use crate::ask::commands::summary;
use crate::ask::door::Door;
use crate::ask::list::examples;

/// A question and its name as a tool.
#[derive(Clone)]
pub(super) struct Spec {
    /// The question's name with underscores, which every client accepts.
    pub(super) name: String,
    pub(super) question: &'static QuestionSpec,
}

/// Every tool.
pub(super) fn all() -> Vec<Spec> {
    let spec = |question: &'static QuestionSpec| Spec { name: name_of(question.name), question };
    QUESTIONS.iter().map(spec).collect()
}

/// The tool called `name`, however its words are joined.
pub(super) fn find(name: &str) -> Option<Spec> {
    let name = name_of(name.trim());
    all().into_iter().find(|spec| spec.name == name)
}

fn name_of(question: &str) -> String {
    question.replace([' ', '-'], "_")
}

/// The property that names inputs, where they are not fixed.
pub(super) const INPUTS: &str = "inputs";

impl Spec {
    /// As clients see it. With `inputs`, each call says what to read.
    pub(super) fn tool(&self, inputs: bool) -> Value {
        let (about, _) = summary(self.question.docs);
        let example = examples(self.question.docs).into_iter().next();
        let about = match example {
            Some(example) => format!("{about} As a command: `{example}`"),
            None => about,
        };
        json!({
            "name": self.name,
            "description": about,
            "inputSchema": self.schema(inputs),
            "annotations": {
                "readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": false,
            },
        })
    }

    /// True when the question itself has the option `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        let schema = (self.question.request_schema)();
        schema.get("properties").is_some_and(|all| all.get(name).is_some())
    }

    fn schema(&self, inputs: bool) -> Value {
        let mut schema = object((self.question.request_schema)());
        let mut of_all = object(logbraid_core::schema_of::<Door>());
        for name in ["$defs", "properties"] {
            let Some(Value::Object(theirs)) = of_all.remove(name) else { continue };
            let ours = schema.entry(name).or_insert_with(|| json!({}));
            for (key, value) in theirs {
                if let Some(ours) = ours.as_object_mut() {
                    // The question's own options come first.
                    ours.entry(key).or_insert(value);
                }
            }
        }
        if inputs {
            let about = "What to read: paths, globs or folders.";
            let property = json!({ "type": "array", "items": { "type": "string" }, "minItems": 1, "description": about });
            if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
                properties.insert(INPUTS.to_owned(), property);
            }
            let required = schema.entry("required").or_insert_with(|| json!([]));
            if let Some(required) = required.as_array_mut() {
                required.push(json!(INPUTS));
            }
        }
        if schema.get("$defs").and_then(Value::as_object).is_some_and(Map::is_empty) {
            schema.remove("$defs");
        }
        for name in ["$schema", "title", "description"] {
            schema.remove(name);
        }
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
        let mut schema = Value::Object(schema);
        brief(&mut schema);
        schema
    }
}

fn object(schema: schemars::Schema) -> Map<String, Value> {
    match schema.to_value() {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Leaves out what a client pays for and does not need: null defaults, formats of numbers.
fn brief(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("default").is_some_and(|default| default.is_null() || *default == json!([])) {
                map.remove("default");
            }
            if map.get("format").is_some_and(|format| {
                format.as_str().is_some_and(|name| name.starts_with("uint") || name.starts_with("int"))
            }) {
                map.remove("format");
            }
            map.values_mut().for_each(brief);
        }
        Value::Array(items) => items.iter_mut().for_each(brief),
        _ => {}
    }
}

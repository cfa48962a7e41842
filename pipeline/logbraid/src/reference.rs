//! The generated reference: a page for each operator and sink, the command line, and the schemas of configurations and
//! records. A test fails when a file in `configs/reference/` is stale.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::CommandFactory;
use logbraid_core::{Finding, Reject};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::cli::args::Cli;
use crate::config;
use crate::registry::Registry;
use crate::test_cases::TestCase;
use logbraid_parse::Settings;

/// Every file of the reference, by name.
pub fn files(registry: &Registry) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for spec in registry.operators {
        files.insert(format!("{}.md", spec.name), page("operator", spec.name, spec.docs, (spec.schema)()));
    }
    for spec in registry.sinks {
        files.insert(format!("{}.md", spec.name), page("sink", spec.name, spec.docs, (spec.schema)()));
    }
    for spec in logbraid_query::QUESTIONS {
        files.insert(format!("question-{}.md", spec.name.replace(' ', "-")), question(spec));
    }
    files.insert("questions.json".to_owned(), questions());
    files.insert("config.schema.json".to_owned(), document(&config_schema(registry)));
    files.insert("records.schema.json".to_owned(), document(&records_schema()));
    files.insert("cli.md".to_owned(), command_line());
    files
}

fn document(value: &Value) -> String {
    format!("{value:#}\n")
}

const GENERATED: &str =
    "<!-- generated from the source; `LOGBRAID_UPDATE=1 cargo test -p logbraid` writes it anew -->\n\n";

/// The manual of a component, and a table of its settings.
fn page(what: &str, name: &str, docs: &str, schema: Schema) -> String {
    let mut out = GENERATED.to_owned();
    if docs.is_empty() {
        let _ = writeln!(out, "# {name}\n");
    } else {
        let _ = writeln!(out, "{}\n", docs.trim());
    }
    let schema = schema.to_value();
    let definitions = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    let rows = settings("", &schema, &definitions, 0);
    let _ = writeln!(out, "## Settings of the {what} `{name}`\n");
    if rows.is_empty() {
        out.push_str("None.\n");
    } else {
        out.push_str("| setting | type | default | meaning |\n|---|---|---|---|\n");
        for row in rows {
            let _ = writeln!(out, "| `{}` | {} | {} | {} |", row.name, row.kind, row.default, row.meaning);
        }
    }
    out
}

/// The manual of a question, its options as the command line shows them, and its answer.
fn question(spec: &logbraid_query::QuestionSpec) -> String {
    let mut out = format!("{GENERATED}# {}\n\n{}\n", spec.name, spec.docs.trim());
    let help = crate::ask::page(spec).term_width(100).render_long_help().to_string();
    // The manual stands above.
    let options = help.find("Usage:").and_then(|at| help.get(at..)).unwrap_or(&help);
    let _ = writeln!(out, "\n## Options\n\n```text\n{}\n```", trimmed(options));
    let path = spec.name.replace(' ', "/");
    let _ = writeln!(
        out,
        "\nOf a running logbraid: `GET /query/{path}?…` with the options as parameters, or `POST /query/{path}` with them \
         as JSON (`-` in names becomes `_`)."
    );
    let schema = (spec.answer_schema)().to_value();
    let definitions = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    out.push_str("\n## Answer\n\n| key | type | meaning |\n|---|---|---|\n");
    for row in settings("", &schema, &definitions, LAYERS_MAX - 2) {
        let _ = writeln!(out, "| `{}` | {} | {} |", row.name, row.kind, row.meaning);
    }
    out
}

/// Every question with its schemas, for programs.
fn questions() -> String {
    let described = |spec: &logbraid_query::QuestionSpec| {
        json!({
            "name": spec.name,
            "summary": crate::ask::summary(spec.docs).0,
            "path": format!("/query/{}", spec.name.replace(' ', "/")),
            "examples": crate::ask::examples(spec.docs),
            "request": (spec.request_schema)(),
            "answer": (spec.answer_schema)(),
        })
    };
    document(&json!({
        "questions": logbraid_query::QUESTIONS.iter().map(described).collect::<Vec<_>>(),
        "options_of_all": logbraid_core::schema_of::<crate::ask::Door>(),
        "exit_status": {
            "0": "found", "1": "nothing found", "2": "a mistake of the caller", "3": "a failure of logbraid",
        },
    }))
}

struct Setting {
    name: String,
    kind: String,
    default: String,
    meaning: String,
}

/// Deepest layer of settings within settings that is listed.
const LAYERS_MAX: usize = 4;

fn settings(prefix: &str, schema: &Value, definitions: &Map<String, Value>, layer: usize) -> Vec<Setting> {
    let mut rows = Vec::new();
    if layer >= LAYERS_MAX {
        return rows;
    }
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let target = resolved(property, definitions);
        let text = |value: &Value| value.get("description").and_then(Value::as_str).map(flat);
        let mut meaning = text(property).or_else(|| text(target)).unwrap_or_default();
        let names = values(target);
        if !names.is_empty() {
            let _ = write!(meaning, " One of {}.", names.join(", "));
        }
        let default = match property.get("default") {
            Some(Value::Null) | None if required.contains(&name.as_str()) => "required".to_owned(),
            Some(Value::Null) | None => "none".to_owned(),
            Some(Value::String(text)) => format!("`{text}`"),
            Some(other) => format!("`{other}`"),
        };
        let name = format!("{prefix}{name}");
        rows.push(Setting {
            name: name.clone(),
            kind: kind(property, definitions),
            default,
            meaning: escape(&meaning),
        });
        let item = target.get("items").map(|items| resolved(items, definitions));
        match item {
            Some(item) => rows.extend(settings(&format!("{name}[]."), item, definitions, layer + 1)),
            None => rows.extend(settings(&format!("{name}."), target, definitions, layer + 1)),
        }
    }
    rows
}

/// Follows a reference, or the one alternative that is not `null`.
fn resolved<'a>(schema: &'a Value, definitions: &'a Map<String, Value>) -> &'a Value {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
        return definitions.get(name).unwrap_or(schema);
    }
    let some = |list: &'a Value| {
        let list = list.as_array()?;
        let mut other = list.iter().filter(|schema| schema.get("type").is_none_or(|kind| kind != "null"));
        other.next().filter(|_| other.next().is_none())
    };
    match schema.get("anyOf").and_then(some) {
        Some(inner) => resolved(inner, definitions),
        None => schema,
    }
}

/// The names that a setting can have, where it is a choice.
fn values(schema: &Value) -> Vec<String> {
    let strings = |list: &Value| {
        list.as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|name| format!("`{name}`"))
            .collect()
    };
    if let Some(list) = schema.get("enum") {
        return strings(list);
    }
    let constants = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    constants.filter_map(|one| one.get("const")?.as_str()).map(|name| format!("`{name}`")).collect()
}

fn kind(schema: &Value, definitions: &Map<String, Value>) -> String {
    let target = resolved(schema, definitions);
    if !values(target).is_empty() {
        return "choice".to_owned();
    }
    let named = |name: &str| match name {
        "string" => "text".to_owned(),
        "integer" => "whole number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => match target.get("items") {
            Some(items) => format!("list of {}", kind(items, definitions)),
            None => "list".to_owned(),
        },
        "object" => "map".to_owned(),
        other => other.to_owned(),
    };
    let path = schema.get("$ref").and_then(Value::as_str).unwrap_or_default();
    match path.rsplit('/').next() {
        Some("Span") => return "span of time".to_owned(),
        Some("ByteSize") => return "size".to_owned(),
        _ => {}
    }
    match target.get("type") {
        Some(Value::String(name)) => named(name),
        Some(Value::Array(names)) => {
            let names: Vec<String> =
                names.iter().filter_map(Value::as_str).filter(|name| *name != "null").map(named).collect();
            names.join(" or ")
        }
        _ => "any".to_owned(),
    }
}

fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text for a cell of a Markdown table.
fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The schema of `T` with its definitions moved to `definitions`.
fn part<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

/// The settings of a component, its own definitions inlined under its name.
fn component(name: &str, schema: Schema, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = schema.to_value();
    if let Some(map) = schema.as_object_mut() {
        map.remove("$schema");
        map.remove("title");
        if let Some(Value::Object(inner)) = map.remove("$defs") {
            // Two components may have types of one name.
            for (inner_name, mut inner) in inner {
                rename(&mut inner, name);
                definitions.insert(format!("{name}.{inner_name}"), inner);
            }
        }
    }
    rename(&mut schema, name);
    schema
}

fn rename(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(path)) = map.get_mut("$ref")
                && let Some(target) = path.strip_prefix("#/$defs/")
            {
                *path = format!("#/$defs/{name}.{target}");
            }
            map.values_mut().for_each(|value| rename(value, name));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, name)),
        _ => {}
    }
}

/// A list of components: `- name: {…}` or `- name`.
fn components(items: Vec<(&str, Value)>) -> Value {
    let names: Vec<&str> = items.iter().map(|(name, _)| *name).collect();
    let mut choices: Vec<Value> = items
        .into_iter()
        .map(|(name, schema)| {
            json!({
                "type": "object", "required": [name], "additionalProperties": false,
                "properties": { name: { "anyOf": [schema, { "type": "null" }] } },
            })
        })
        .collect();
    choices.push(json!({ "enum": names }));
    json!({ "type": "array", "items": { "oneOf": choices } })
}

/// The JSON Schema of configurations.
pub fn config_schema(registry: &Registry) -> Value {
    let mut generator = SchemaGenerator::default();
    let time = part::<config::TimeConfig>(&mut generator);
    let findings = part::<config::FindingsConfig>(&mut generator);
    let admin = part::<config::AdminConfig>(&mut generator);
    let parse = part::<Settings>(&mut generator);
    let wal = part::<config::WalConfig>(&mut generator);
    let tests = part::<Vec<TestCase>>(&mut generator);
    let mut definitions = generator.take_definitions(true);
    let sources = config::SOURCES
        .iter()
        .map(|spec| (spec.name, component(spec.name, (spec.schema)(), &mut definitions)))
        .collect();
    let operators = registry
        .operators
        .iter()
        .map(|spec| (spec.name, component(spec.name, (spec.schema)(), &mut definitions)))
        .collect();
    let sinks = registry
        .sinks
        .iter()
        .map(|spec| (spec.name, component(spec.name, (spec.schema)(), &mut definitions)))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "logbraid configuration",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "sources": components(sources), "parse": parse, "time": time, "operators": components(operators),
            "sinks": components(sinks), "findings": findings, "admin": admin,
            "checkpoint": { "type": "string", "description": "where positions are kept" },
            "wal": wal, "tests": tests,
        },
        "$defs": definitions,
    })
}

/// The JSON Schema of records.
pub fn records_schema() -> Value {
    let mut generator = SchemaGenerator::default();
    let finding = part::<Finding>(&mut generator);
    let reject = part::<Reject>(&mut generator);
    let source = part::<logbraid_core::SourceRef>(&mut generator);
    let error_flow = part::<logbraid_core::flow::ErrorFlow>(&mut generator);
    let bottleneck = part::<logbraid_core::tree::Bottleneck>(&mut generator);
    let key = part::<logbraid_core::Key>(&mut generator);
    let id = part::<logbraid_core::Id>(&mut generator);
    let level = part::<logbraid_core::Level>(&mut generator);
    let levels = part::<logbraid_core::LevelCounts>(&mut generator);
    let outcome = part::<logbraid_core::Outcome>(&mut generator);
    let closed_by = part::<logbraid_core::ClosedBy>(&mut generator);
    let format = part::<logbraid_core::Format>(&mut generator);
    let time_from = part::<logbraid_core::TimeFrom>(&mut generator);
    let kind = part::<logbraid_core::tree::NodeKind>(&mut generator);
    let sample = part::<logbraid_core::Sample>(&mut generator);
    let template = part::<logbraid_core::TemplateCount>(&mut generator);
    let sampled = part::<logbraid_core::Sampled>(&mut generator);
    let mut definitions = generator.take_definitions(true);
    let time = json!({ "type": "string", "format": "date-time" });
    let text = json!({ "type": "string" });
    let count = json!({ "type": "integer", "minimum": 0 });
    let number = json!({ "type": "number" });
    let texts = json!({ "type": "array", "items": text });
    let flags = json!({ "type": "array", "items": {
        "enum": ["multiline", "truncated", "invalid_utf8", "late", "no_timestamp", "attributed", "new_template"] } });
    let confidence = json!({ "type": "number", "minimum": 0, "maximum": 1 });
    let entry = json!({
        "type": "object", "required": ["type", "id", "timestamp", "timestamp_from", "message", "format", "source"],
        "properties": {
            "type": { "const": "entry" }, "id": id, "timestamp": time, "timestamp_from": time_from, "level": level,
            "message": text, "service": text, "host": text, "thread_id": text, "correlation_id": text,
            "trace_id": text, "span_id": text, "parent_span_id": text, "fields": { "type": "object" },
            "format": format, "template": id, "source": source, "flags": flags, "confidence": confidence,
        },
    });
    let event = json!({
        "type": "object", "required": ["timestamp", "relative_ms", "message"],
        "properties": {
            "timestamp": time, "relative_ms": number, "service": text, "thread_id": text, "span_id": text,
            "level": level, "message": text, "timestamp_from": time_from, "flags": flags, "confidence": confidence,
            "source": source,
        },
    });
    let node = json!({
        "type": "object", "required": ["id", "kind", "start", "end", "duration_ms", "self_ms", "entries", "errors", "children"],
        "properties": {
            "id": text, "kind": kind, "name": text, "service": text, "start": time, "end": time,
            "duration_ms": number, "self_ms": number, "entries": count, "errors": count, "levels": levels,
            "confidence": confidence, "evidence": texts,
            "children": { "type": "array", "items": { "$ref": "#/$defs/Node" } },
            "hidden": { "type": "integer", "description": "children that are too deep to be written out" },
        },
    });
    let hierarchy = json!({
        "type": "object",
        "properties": {
            "roots": { "type": "array", "items": { "$ref": "#/$defs/Node" } }, "nodes": count, "depth": count,
            "methods": { "type": "object", "additionalProperties": count }, "critical_path": texts,
            "bottleneck": bottleneck, "concurrency_max": count, "missing_parents": count, "cycles_cut": texts,
        },
    });
    let timeline = json!({
        "type": "object",
        "required": ["type", "id", "revision", "key", "ids", "start", "end", "duration_ms", "outcome", "services", "entries", "omitted", "levels", "events"],
        "properties": {
            "type": { "const": "timeline" }, "id": id, "revision": count, "key": key,
            "ids": { "type": "object", "additionalProperties": texts }, "start": time, "end": time,
            "duration_ms": number, "closed_by": closed_by, "outcome": outcome, "services": texts, "entries": count,
            "omitted": count, "levels": levels,
            "events": { "type": "array", "items": { "$ref": "#/$defs/TimelineEvent" } },
            "parent_key": key, "child_keys": { "type": "array", "items": key },
            "hierarchy": { "$ref": "#/$defs/Hierarchy" }, "error_flow": error_flow,
            "sampled": sampled,
        },
    });
    let stats = json!({
        "type": "object", "required": ["type"], "properties": { "type": { "const": "stats" } },
        "additionalProperties": count,
    });
    for (name, schema) in [
        ("Entry", entry),
        ("TimelineEvent", event),
        ("Node", node),
        ("Hierarchy", hierarchy),
        ("Timeline", timeline),
        ("Stats", stats),
    ] {
        definitions.insert(name.to_owned(), schema);
    }
    let reference = |name: &str| json!({ "$ref": format!("#/$defs/{name}") });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "logbraid records",
        "description": "one of these on each line of the output",
        "oneOf": [reference("Entry"), reference("Timeline"), finding, sample, template, reject, reference("Stats")],
        "$defs": definitions,
    })
}

/// The command line's help, command by command; questions have pages of their own.
fn command_line() -> String {
    let mut out = format!("{GENERATED}# Command line\n");
    let mut cli = Cli::command().term_width(100);
    cli.build();
    let long = cli.render_long_help();
    let _ = writeln!(out, "\n```text\n{}\n```", trimmed(&long.to_string()));
    out.push_str("\n## Questions\n\nOf files, of stdin, and of a running logbraid (`http://HOST:PORT`).\n\n");
    for spec in logbraid_query::QUESTIONS {
        let page = spec.name.replace(' ', "-");
        let about = crate::ask::page(spec).get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(out, "- [`{}`](question-{page}.md): {about}", spec.name);
    }
    for sub in cli.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
        let help = sub.clone().term_width(100).render_long_help();
        let _ =
            writeln!(out, "\n## logbraid {}\n\n```text\n{}\n```", sub.get_name(), trimmed(&help.to_string()));
    }
    out
}

fn trimmed(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

//! Fields on demand: everything in a record that its entry does not carry by name.

use std::sync::{Mutex, PoisonError};

use logbraid_core::{FieldReader, Fields, Format};
use serde_json::{Map, Number, Value};

use crate::draft::{Draft, Piece};
use crate::keys::{Entry, NESTED, Slot, Style, Table};
use crate::parser::Engine;
use crate::settings::Compiled;
use crate::{clf, json, logfmt, syslog, wrap};

/// Records within records are opened this many times.
const WRAPS_MAX: u8 = 4;

/// Reads fields of records that were parsed with the same settings.
#[derive(Debug)]
pub(crate) struct Reader {
    // A std mutex: held for one record, on the way to a sink or an answer, never on the hot path.
    engine: Mutex<Engine>,
}

impl Reader {
    pub(crate) fn new(settings: &Compiled) -> Self {
        Self { engine: Mutex::new(Engine::new(settings, &Fields::default())) }
    }
}

impl FieldReader for Reader {
    fn fields(&self, format: Format, raw: &str) -> Map<String, Value> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        engine.tail.text.clear();
        if format == Format::Custom {
            return custom(&engine, raw);
        }
        record(&mut engine, raw, 0)
    }
}

fn custom(engine: &Engine, raw: &str) -> Map<String, Value> {
    let first = raw.lines().next().unwrap_or(raw);
    let mut fields = Map::new();
    for pattern in &engine.settings.patterns {
        let Some(captures) = pattern.regex.captures(raw).or_else(|| pattern.regex.captures(first)) else {
            continue;
        };
        for (number, name) in &pattern.others {
            if let Some(group) = captures.get(*number) {
                fields.insert(name.clone(), typed(group.as_str()));
            }
        }
        break;
    }
    fields
}

fn record(engine: &mut Engine, raw: &str, wraps: u8) -> Map<String, Value> {
    let line = raw.trim();
    if wraps > WRAPS_MAX {
        return Map::new();
    }
    if line.starts_with('{') {
        let fields = object(engine, line, wraps);
        if let Some(fields) = fields.or_else(|| object(engine, line.lines().next().unwrap_or(line), wraps)) {
            return fields;
        }
    }
    let first = line.lines().next().unwrap_or(line);
    if let Some(wrapped) = wrap::split_cri(first) {
        let mut fields = record(engine, wrapped.content, wraps + 1);
        let name = if wrapped.stderr { "stderr" } else { "stdout" };
        fields.entry("stream").or_insert_with(|| name.into());
        return fields;
    }
    if let Some((_, inside)) = first.strip_prefix("[pod/").and_then(|rest| rest.split_once("] ")) {
        return record(engine, inside, wraps + 1);
    }
    if let Some((name, inside)) = first.split_once("| ")
        && name.ends_with(' ')
        && !name.trim_end().contains(' ')
    {
        return record(engine, inside, wraps + 1);
    }
    if let Some(access) = clf::split(first) {
        return web(&access);
    }
    if let Some((head, _)) = syslog::split(first, engine) {
        let mut fields = record(engine, head.message, wraps + 1);
        if let Some(facility) = head.facility {
            fields.entry("facility").or_insert_with(|| facility.into());
        }
        if !matches!(head.msgid, "" | "-") {
            fields.entry("msgid").or_insert_with(|| head.msgid.into());
        }
        structured(head.data, &mut fields);
        return fields;
    }
    pairs(engine, line)
}

/// Structured data as one object per element.
fn structured(data: &str, fields: &mut Map<String, Value>) {
    let mut rest = data;
    while let Some(element) = rest.strip_prefix('[') {
        let name_len = element.find([' ', ']']).unwrap_or(element.len());
        let (name, after) = element.split_at(name_len);
        // The element ends at the first bracket outside of quotes.
        let mut quoted = false;
        let mut escaped = false;
        let end = after
            .char_indices()
            .find(|(_, c)| {
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '"' => quoted = !quoted,
                    ']' if !quoted => return true,
                    _ => {}
                }
                false
            })
            .map_or(after.len(), |(at, _)| at);
        let inside = after.get(..end).unwrap_or_default();
        let values: Map<String, Value> = syslog::parameters(inside)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), logfmt::unescape(value).into_owned().into()))
            .collect();
        fields.insert(name.to_owned(), Value::Object(values));
        rest = after.get(end + 1..).unwrap_or_default();
    }
}

fn web(access: &clf::Access<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: &str| {
        if value != "-" && !value.is_empty() {
            fields.insert(name.to_owned(), value.into());
        }
    };
    put("remote_addr", access.remote);
    put("ident", access.ident);
    put("user", access.user);
    put("request", access.request);
    let mut request = access.request.split(' ');
    if let (Some(method), Some(path), protocol) = (request.next(), request.next(), request.next()) {
        put("method", method);
        put("path", path);
        put("protocol", protocol.unwrap_or_default());
    }
    put("referer", access.referer.unwrap_or_default());
    put("user_agent", access.agent.unwrap_or_default());
    fields.insert("status".to_owned(), typed(access.status));
    fields.insert("size".to_owned(), typed(access.size));
    for pair in logfmt::Pairs::new(access.rest) {
        fields.insert(pair.key.to_owned(), typed(pair.value));
    }
    fields
}

/// A text as the value that it spells. Numbers that JSON cannot hold stay texts.
fn typed(text: &str) -> Value {
    match text {
        "true" | "True" | "TRUE" => return true.into(),
        "false" | "False" | "FALSE" => return false.into(),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return text.into();
    }
    if let Ok(number) = text.parse::<i64>() {
        // `007` is an id.
        let padded = text.trim_start_matches('-').len() > 1 && text.trim_start_matches('-').starts_with('0');
        return if padded { text.into() } else { number.into() };
    }
    text.parse::<f64>().ok().and_then(Number::from_f64).map_or_else(|| text.into(), Value::Number)
}

/// True for what entries carry by name.
fn is_carried(slot: Slot, style: Style) -> bool {
    let named = matches!(
        slot,
        Slot::Time
            | Slot::Level
            | Slot::Message
            | Slot::Thread
            | Slot::Correlation
            | Slot::Trace
            | Slot::Span
            | Slot::ParentSpan
            | Slot::Service
            | Slot::Host
    );
    // Those are carried shortened.
    named && !matches!(style, Style::Pod | Style::LastPart | Style::Unit)
}

fn pairs(engine: &mut Engine, line: &str) -> Map<String, Value> {
    let mut draft = Draft::default();
    let piece = Piece { text: line, at: 0 };
    let covered = logfmt::read(engine, &mut draft, piece, 1);
    let mut fields = Map::new();
    if covered {
        for pair in logfmt::Pairs::new(line) {
            let carried = engine.table.get(pair.key).is_some_and(|entry| {
                let rank = if entry.slot == Slot::Message { 10 } else { entry.rank };
                is_carried(entry.slot, entry.style)
                    && draft.ranks[entry.slot as usize] == rank
                    && entry.slot != Slot::Message
                    || entry.slot == Slot::Message && &*entry.name == message_key(engine, line)
            });
            if !carried {
                let value = logfmt::unescape(pair.value);
                fields.insert(pair.key.to_owned(), if pair.quoted { value.into() } else { typed(&value) });
            }
        }
        return fields;
    }
    // Pairs behind a head or within a message.
    let first = line.lines().next().unwrap_or(line);
    let start = first
        .match_indices('=')
        .next()
        .and_then(|(at, _)| first.get(..at)?.rfind([' ', '\t']))
        .map_or(0, |blank| blank + 1);
    let rest = first.get(start..).unwrap_or_default();
    let check = logfmt::Pairs::new(rest);
    let mut found = Vec::new();
    let mut check = check;
    for pair in check.by_ref() {
        found.push(pair);
    }
    if check.is_broken() || found.is_empty() {
        return fields;
    }
    for pair in found {
        let carried = engine.table.get(pair.key).is_some_and(|entry| is_carried(entry.slot, entry.style));
        if !carried {
            let value = logfmt::unescape(pair.value);
            fields.insert(pair.key.to_owned(), if pair.quoted { value.into() } else { typed(&value) });
        }
    }
    fields
}

/// The key that gave the message: the best of those present.
fn message_key<'a>(engine: &Engine, line: &'a str) -> &'a str {
    logfmt::Pairs::new(line)
        .filter_map(|pair| {
            let entry = engine.table.get(pair.key)?;
            (entry.slot == Slot::Message).then_some((entry.rank, pair.key))
        })
        .min_by_key(|(rank, _)| *rank)
        .map_or("", |(_, key)| key)
}

fn object(engine: &mut Engine, line: &str, wraps: u8) -> Option<Map<String, Value>> {
    let mut map: Map<String, Value> = match serde_json::from_str(line) {
        Ok(map) => map,
        Err(_) => serde_json::from_str(&json::mend(line, false)?).ok()?,
    };
    let mut draft = Draft::default();
    let mut walk = json::Walk {
        table: &engine.table,
        draft: &mut draft,
        tail: &mut engine.tail,
        day: &mut engine.day,
        context: &engine.context,
        path: &mut engine.path,
        line: Piece { text: line, at: 0 },
    };
    if !json::read(&mut walk) {
        return Some(map);
    }
    let mut message = None;
    strip(&mut map, &engine.table, &draft, None, 0, &mut message);
    // The record that the message carries has fields of its own; they count more.
    if let Some(message) = message
        && (draft.message_style == Style::Wrapped || message.starts_with('{'))
    {
        for (name, value) in record(engine, &message, wraps + 1) {
            map.insert(name, value);
        }
    }
    Some(map)
}

/// Takes out what the entry carries by name, at every depth that the parser looks into.
fn strip(
    map: &mut Map<String, Value>,
    table: &Table,
    draft: &Draft,
    inside: Option<&Entry>,
    penalty: u8,
    message: &mut Option<String>,
) {
    map.retain(|key, value| {
        let dotted =
            inside.filter(|entry| entry.prefix).and_then(|entry| table.get(&format!("{}.{key}", entry.name)));
        let penalty = if dotted.is_some() { 0 } else { penalty };
        let flat = || inside.is_none_or(|entry| entry.transparent).then(|| table.get(key)).flatten();
        let Some(entry) = dotted.or_else(flat) else { return true };
        match value {
            Value::Object(inner) if entry.transparent || entry.prefix => {
                let before = inner.len();
                let penalty = if entry.transparent { NESTED } else { penalty };
                strip(inner, table, draft, Some(entry), penalty, message);
                before == 0 || !inner.is_empty()
            }
            Value::String(_) | Value::Number(_) => {
                let won = draft.ranks[entry.slot as usize] == entry.rank.saturating_add(penalty);
                if !(won && is_carried(entry.slot, entry.style)) {
                    return true;
                }
                if entry.slot == Slot::Message {
                    let Value::String(text) = value else { return true };
                    *message = Some(std::mem::take(text));
                }
                false
            }
            _ => true,
        }
    });
}

//! A group as `correlate` would have filled it, from entries of the index.

use std::sync::Arc;

use hashbrown::HashMap;
use logbraid_core::{ClosedBy, FieldId, Group, Key, KeyKind, Phase, Row, Source, Text};
use logbraid_index::{Column, EntryRef, Texts};

use super::gather::is_attributed;
use crate::IdKind;

/// Fields that the operators after `correlate` look at.
const FIELDS: [FieldId; 5] = [
    FieldId::PARENT_REQUEST,
    FieldId::CHILD_REQUEST,
    FieldId::OPERATION,
    FieldId::LOGGER,
    FieldId::EXCEPTION,
];

/// The group of `entries`, which are sorted, and how many of their messages cannot be read any more.
pub(super) fn group<'v>(texts: &mut Texts<'v>, entries: &[EntryRef<'v>]) -> (Group, u64) {
    let mut filler =
        Filler { text: String::new(), known: HashMap::new(), rows: Vec::new(), extras: Vec::new() };
    let mut sources: Vec<Arc<Source>> = Vec::new();
    let mut group = Group { phase: Phase::Closed(ClosedBy::EndOfInput), ..Group::default() };
    let mut unreadable = 0;
    for entry in entries {
        let source = entry.source().map_or(u16::MAX, |source| source_index(&mut sources, source));
        let message = texts.message(*entry);
        unreadable += u64::from(message.is_err());
        filler.push(*entry, source, message.unwrap_or_default());
        group.levels.add(entry.level());
    }
    let Filler { text, rows, extras, .. } = filler;
    group.text = text.into();
    group.rows = rows.into();
    group.extras = extras.into();
    group.sources = sources;
    (group, unreadable)
}

fn source_index(sources: &mut Vec<Arc<Source>>, source: &Arc<Source>) -> u16 {
    let known = sources.iter().rposition(|known| Arc::ptr_eq(known, source) || known.name == source.name);
    let at = known.unwrap_or_else(|| {
        sources.push(Arc::clone(source));
        sources.len() - 1
    });
    u16::try_from(at).unwrap_or(u16::MAX)
}

struct Filler<'v> {
    text: String,
    /// Texts of columns that are there already: few different ones serve many entries.
    known: HashMap<&'v str, Text>,
    rows: Vec<Row>,
    extras: Vec<(FieldId, Text)>,
}

impl<'v> Filler<'v> {
    fn add(&mut self, part: &str) -> Text {
        let (Ok(start), Ok(len)) = (u32::try_from(self.text.len()), u32::try_from(part.len())) else {
            return Text::NONE;
        };
        if start.checked_add(len).is_none_or(|end| end == u32::MAX) {
            return Text::NONE;
        }
        self.text.push_str(part);
        Text { start, len }
    }
    fn name(&mut self, name: Option<&'v str>) -> Text {
        let Some(name) = name else { return Text::NONE };
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        let text = self.add(name);
        self.known.insert(name, text);
        text
    }
    fn push(&mut self, entry: EntryRef<'v>, source: u16, message: &str) {
        // The request of an attributed entry is not its own word.
        let own = |id: Option<&'v str>| id.filter(|_| !is_attributed(entry));
        let extras_start = u32::try_from(self.extras.len()).unwrap_or(u32::MAX);
        for field in FIELDS {
            for value in entry.all(Column::Field(field)) {
                let text = self.name(Some(value));
                self.extras.push((field, text));
            }
        }
        let extras_len = self.extras.len().saturating_sub(extras_start as usize);
        let row = Row {
            time: entry.time(),
            offset: entry.offset(),
            template: entry.template(),
            line: entry.line(),
            duration_ms: entry.duration_ms().unwrap_or(f64::NAN),
            raw: Text::NONE,
            message: self.add(message),
            service: self.name(entry.service()),
            host: self.name(entry.host()),
            thread: self.name(entry.thread()),
            correlation: self.name(own(entry.correlation())),
            trace: self.name(own(entry.trace())),
            span: self.name(entry.span()),
            parent_span: self.name(entry.parent_span()),
            extras_start,
            extras_len: u16::try_from(extras_len).unwrap_or(u16::MAX),
            source,
            flags: entry.flags(),
            level: entry.level(),
            format: entry.format(),
            time_from: entry.time_from(),
            confidence: entry.confidence(),
        };
        self.rows.push(row);
    }
}

/// Names the group as `correlate` does: its key, ids, related requests and its own id.
pub(super) fn name(group: &mut Group, kind: IdKind, id: &str) {
    let rows = group.rows.share();
    let mut noted = Group::default();
    for kind in [KeyKind::Correlation, KeyKind::Trace, KeyKind::Thread] {
        let mut last = "";
        for row in rows.iter() {
            if let Some(value) = group.key_of(row, kind)
                && value != last
            {
                last = value;
                noted.note_id(kind.name(), value);
            }
        }
    }
    let (mut parents, mut children) = (Vec::new(), Vec::new());
    for row in rows.iter() {
        for (field, text) in group.extras_of(row) {
            let related = match *field {
                FieldId::PARENT_REQUEST => &mut parents,
                FieldId::CHILD_REQUEST => &mut children,
                _ => continue,
            };
            let Some(value) = group.get(*text) else { continue };
            let key = Key { kind: KeyKind::Correlation.name().to_owned(), value: value.to_owned() };
            if related.len() < Group::IDS_MAX && !related.contains(&key) {
                related.push(key);
            }
        }
    }
    let first = |kind: KeyKind| {
        let value = rows.iter().find_map(|row| group.key_of(row, kind))?;
        Some(Key { kind: kind.name().to_owned(), value: value.to_owned() })
    };
    let stated = || Key { kind: kind.name().to_owned(), value: id.to_owned() };
    let key = if kind == IdKind::Thread {
        stated()
    } else {
        first(KeyKind::Correlation).or_else(|| first(KeyKind::Trace)).unwrap_or_else(stated)
    };
    let scope = match rows.first() {
        Some(row) if kind == IdKind::Thread => match (group.host(row), group.service(row)) {
            (None, None) => group.source(row).map(|source| source.name.clone()).unwrap_or_default(),
            (host, service) => format!("{}/{}", host.unwrap_or_default(), service.unwrap_or_default()),
        },
        _ => String::new(),
    };
    group.id = Group::id_of(&key, &scope, group.start());
    group.due = group.end();
    group.hold = group.start();
    group.key = key;
    group.ids = noted.ids;
    group.parents = parents;
    group.children = children;
}

/// Takes the parent from the entries of a span.
pub(super) fn forget_parent(group: &mut Group, span: &str) {
    let text = group.text.share();
    for row in group.rows.to_mut() {
        if row.span.get(&text) == Some(span) {
            row.parent_span = Text::NONE;
        }
    }
}

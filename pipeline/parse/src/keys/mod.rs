//! Which keys mean what: one table for JSON, logfmt and structured data, looked up once per key.
//!
//! When several keys of one meaning are present, the one listed first wins, wherever it stands in the line.

mod names;

use logbraid_core::{FieldId, Fields};

/// What a key means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Slot {
    Time,
    Level,
    Message,
    Thread,
    Correlation,
    Trace,
    Span,
    ParentSpan,
    Service,
    Host,
    Duration,
    Operation,
    Logger,
    Exception,
    ParentRequest,
    ChildRequest,
    /// `traceparent`: trace and span in one value.
    Traceparent,
    /// B3 in one header.
    B3,
    /// AWS X-Ray.
    XRay,
    /// Which of a container's two streams a line was written to.
    Stream,
    /// Seconds and nanoseconds apart.
    InstantSecond,
    InstantNano,
    /// A name that means the service or the operation, by the company it keeps.
    Name,
    /// Nothing of the parser's own: a container, or a field that an operator asked for.
    Other,
}

pub(crate) const SLOTS: usize = Slot::Other as usize + 1;

/// How a value of a key is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Style {
    #[default]
    Plain,
    /// Python's numbers for levels.
    Python,
    /// OpenTelemetry's numbers for levels.
    Otel,
    /// A pod's name: its generated suffix is left out for the service.
    Pod,
    /// Only the text after the last slash.
    LastPart,
    /// A unit's name, without `.service`.
    Unit,
    Nanos,
    Micros,
    Millis,
    Seconds,
    /// A line as a container wrote it.
    Wrapped,
    /// A template; its rendered form counts more.
    Template,
}

/// What the table says of one key.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: Box<str>,
    pub(crate) slot: Slot,
    /// 0 is best; unique among the keys of one slot at one depth.
    pub(crate) rank: u8,
    pub(crate) style: Style,
    /// An object under this key is looked into: keys below it mean what they mean at the top.
    pub(crate) transparent: bool,
    /// An object under this key is looked into for dotted names that begin with it.
    pub(crate) prefix: bool,
    /// The field that an operator asked for by this name.
    pub(crate) extra: Option<FieldId>,
}

/// Keys by name.
#[derive(Debug)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    /// Open addressing.
    slots: Vec<Place>,
    mask: usize,
}

/// A place in the table: a key's print, and the entry's number plus one; 0 is empty.
#[derive(Clone, Copy, Default, Debug)]
struct Place {
    print: Print,
    number: u16,
}

/// The first and the last bytes of a key, and its length: all of it, up to 16 bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Print {
    first: u64,
    last: u64,
    len: u32,
}

/// Added to the rank of keys inside transparent containers: the top of the object counts more.
pub(crate) const NESTED: u8 = 100;

impl Table {
    /// The parser's own keys, and those that operators asked for.
    pub(crate) fn new(fields: &Fields) -> Self {
        let mut table = Self { entries: Vec::with_capacity(1500), slots: Vec::new(), mask: 0 };
        table.grow(1 << 14);
        let mut ranks = [0_u8; SLOTS];
        for (slot, style, names) in names::KEYS {
            for words in names.split(';') {
                let rank = ranks[*slot as usize];
                ranks[*slot as usize] = rank.saturating_add(1);
                for name in spellings(words.trim()) {
                    table.add(&name, |entry| {
                        if entry.slot == Slot::Other {
                            (entry.slot, entry.style, entry.rank) = (*slot, *style, rank);
                        }
                    });
                }
            }
        }
        for name in names::TRANSPARENT.split(';') {
            table.add(name.trim(), |entry| entry.transparent = true);
        }
        for (at, name) in fields.names().iter().enumerate() {
            let id = FieldId(u16::try_from(at).unwrap_or(u16::MAX));
            if id > FieldId::EXCEPTION {
                table.add(name, |entry| entry.extra = Some(id));
            }
        }
        // Every beginning of a dotted name is an object worth looking into.
        let dotted: Vec<Box<str>> = table
            .entries
            .iter()
            .filter(|entry| entry.name.contains('.'))
            .map(|entry| entry.name.clone())
            .collect();
        for name in dotted {
            for (dot, _) in name.match_indices('.') {
                if dot > 0 {
                    table.add(&name[..dot], |entry| entry.prefix = true);
                }
            }
        }
        table
    }

    fn grow(&mut self, size: usize) {
        self.slots = vec![Place::default(); size];
        self.mask = size - 1;
    }

    fn add(&mut self, name: &str, change: impl FnOnce(&mut Entry)) {
        let print = Print::of(name.as_bytes());
        let mut at = print.hash() & self.mask;
        while self.slots[at].number != 0 {
            let place = self.slots[at];
            if let Some(entry) = self.entries.get_mut(place.number as usize - 1)
                && &*entry.name == name
            {
                return change(entry);
            }
            at = (at + 1) & self.mask;
        }
        // Half full at most, so that a search always ends; more names than this cannot be configured in earnest.
        let Ok(number) = u16::try_from(self.entries.len() + 1) else { return };
        if self.entries.len() * 2 >= self.slots.len() {
            return;
        }
        let mut entry = Entry {
            name: name.into(),
            slot: Slot::Other,
            rank: 0,
            style: Style::Plain,
            transparent: false,
            prefix: false,
            extra: None,
        };
        change(&mut entry);
        self.entries.push(entry);
        self.slots[at] = Place { print, number };
    }

    /// What `key` means; `None` when it means nothing to anybody.
    #[inline]
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        let print = Print::of(key.as_bytes());
        let mut at = print.hash() & self.mask;
        loop {
            let place = self.slots.get(at)?;
            if place.number == 0 {
                return None;
            }
            if place.print == print {
                let entry = self.entries.get(place.number as usize - 1)?;
                if key.len() <= 16 || &*entry.name == key {
                    return Some(entry);
                }
            }
            at = (at + 1) & self.mask;
        }
    }
}

impl Print {
    #[inline]
    fn of(key: &[u8]) -> Self {
        let (first, last) = if let (Some(first), Some(last)) = (key.first_chunk::<8>(), key.last_chunk::<8>())
        {
            (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
        } else if let (Some(first), Some(last)) = (key.first_chunk::<4>(), key.last_chunk::<4>()) {
            (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
        } else {
            let byte = |at: usize| key.get(at).copied().map_or(0, u64::from);
            (byte(0) | byte(1) << 8 | byte(2) << 16, 0)
        };
        // A key of 4 GiB and more is no key that anybody knows.
        Self { first, last, len: u32::try_from(key.len()).unwrap_or(u32::MAX) }
    }
    #[inline]
    fn hash(self) -> usize {
        const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = (self.first ^ self.last.rotate_left(29) ^ u64::from(self.len)).wrapping_mul(MIX);
        (mixed >> 40) as usize
    }
}

/// `trace id` gives `trace_id`, `traceId`, `TraceId`, `traceID`, `trace-id`, `trace.id`, `traceid`, `TRACE_ID`, `Trace-Id`.
fn spellings(words: &str) -> Vec<String> {
    let special = words.contains(|c: char| !c.is_ascii_lowercase() && c != ' ' && !c.is_ascii_digit());
    if special {
        return vec![words.to_owned()];
    }
    let parts: Vec<&str> = words.split(' ').collect();
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    let capitals: Vec<String> = parts.iter().map(|word| capital(word)).collect();
    let camel = parts[0].to_owned() + &capitals[1..].concat();
    let mut names = vec![
        parts.join("_"),
        camel.clone(),
        capitals.concat(),
        parts.join("-"),
        parts.join("."),
        parts.concat(),
        parts.join("_").to_ascii_uppercase(),
        capitals.join("-"),
        "_".to_owned() + &parts.join("_"),
    ];
    for name in [camel, capitals.concat()] {
        if let Some(stem) = name.strip_suffix("Id") {
            names.push(format!("{stem}ID"));
        }
    }
    // `X-B3-TraceId` keeps its last words together.
    if let ["x", "b3", rest @ ..] = parts.as_slice() {
        names.push(format!("X-B3-{}", rest.iter().map(|word| capital(word)).collect::<String>()));
        names.push(format!("x-b3-{}", rest.concat()));
    }
    names
}

//! A row while it is being found out, and the texts that are decoded for it.

use logbraid_core::{EventTime, FieldId, Flags, Format, Level, Row, Text};

use crate::ids;
use crate::keys::{SLOTS, Slot, Style};
use crate::level;
use crate::time::{self, Found};

/// A piece of text and where it stands in the batch's final buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: u32,
}

impl<'a> Piece<'a> {
    /// The range of `part`, which must lie within this piece, in the final buffer.
    #[inline]
    pub(crate) fn range(self, part: &str) -> Text {
        let offset = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        if offset.saturating_add(part.len()) > self.text.len() {
            return Text::NONE;
        }
        // A piece lies within a buffer of less than 4 GiB.
        let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Text { start: self.at + narrow(offset), len: narrow(part.len()) }
    }
    /// A part of this piece as a piece.
    pub(crate) fn part(self, part: &'a str) -> Self {
        Self { text: part, at: self.range(part).start }
    }
}

/// Texts that are not in the bytes as read: decoded escapes, numbers as text. Appended to the buffer at the end.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    pub(crate) text: String,
    /// The length of the buffer that it will be appended to.
    pub(crate) base: u32,
}

impl Tail {
    /// Appends `text`; absent when the buffer would pass 4 GiB.
    pub(crate) fn push(&mut self, text: &str) -> Text {
        let start = self.base as usize + self.text.len();
        match (u32::try_from(start), u32::try_from(start + text.len())) {
            (Ok(start), Ok(end)) if end < u32::MAX => {
                self.text.push_str(text);
                Text { start, len: end - start }
            }
            _ => Text::NONE,
        }
    }
    /// A text that was pushed before.
    pub(crate) fn get(&self, text: Text) -> Option<&str> {
        let start = text.start.checked_sub(self.base)? as usize;
        self.text.get(start..start + text.len as usize)
    }
}

/// Rank of what was found in the text of a message, below every key.
pub(crate) const FROM_TEXT: u8 = 240;

/// A row and how good the sources of its values are.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) row: Row,
    pub(crate) ranks: [u8; SLOTS],
    /// Operation, logger, exception, parent and child request.
    pub(crate) named: [Text; 5],
    /// Fields that operators asked for.
    pub(crate) extras: Vec<(FieldId, Text)>,
    pub(crate) name: Text,
    pub(crate) level_is_number: bool,
    pub(crate) message_style: Style,
    pub(crate) second: Option<i64>,
    pub(crate) nano: i64,
    /// The span of a `traceparent`: the caller's, when the record has a span of its own.
    pub(crate) caller: Text,
    /// The line is not in the forced format.
    pub(crate) rejected: bool,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            row: Row::default(),
            ranks: [u8::MAX; SLOTS],
            named: [Text::NONE; 5],
            extras: Vec::new(),
            name: Text::NONE,
            level_is_number: false,
            message_style: Style::Plain,
            second: None,
            nano: 0,
            caller: Text::NONE,
            rejected: false,
        }
    }
}

impl Draft {
    pub(crate) fn clear(&mut self) {
        let mut extras = std::mem::take(&mut self.extras);
        extras.clear();
        *self = Self { extras, ..Self::default() };
    }

    /// True when a value of `slot` with `rank` counts more than the one held. Of equal keys the last counts, as in any
    /// JSON parser; of equal names in a text the first.
    #[inline]
    pub(crate) fn wants(&self, slot: Slot, rank: u8) -> bool {
        let held = self.ranks[slot as usize];
        rank < held || (rank == held && rank < FROM_TEXT)
    }
    #[inline]
    fn won(&mut self, slot: Slot, rank: u8) {
        self.ranks[slot as usize] = rank;
    }

    pub(crate) fn set_time(&mut self, found: Found, rank: u8) {
        if self.wants(Slot::Time, rank) {
            self.won(Slot::Time, rank);
            self.row.time = EventTime::from_nanos(found.nanos);
            self.row.flags.clear(DATES);
            self.row.flags.set(found.flags);
        }
    }
    /// Takes back a time that turned out to be none of the record's.
    pub(crate) fn forget_time(&mut self) {
        self.row.time = EventTime::MIN;
        self.ranks[Slot::Time as usize] = u8::MAX;
        self.row.flags.clear(DATES);
    }
    pub(crate) fn set_level(&mut self, level: Level, rank: u8) {
        if self.wants(Slot::Level, rank) {
            self.won(Slot::Level, rank);
            self.row.level = Some(level);
        }
    }

    /// The place that `slot` fills, for those that hold a text.
    #[inline]
    fn place(&mut self, slot: Slot) -> Option<&mut Text> {
        let row = &mut self.row;
        Some(match slot {
            Slot::Message => &mut row.message,
            Slot::Thread => &mut row.thread,
            Slot::Correlation => &mut row.correlation,
            Slot::Trace => &mut row.trace,
            Slot::Span => &mut row.span,
            Slot::ParentSpan => &mut row.parent_span,
            Slot::Service => &mut row.service,
            Slot::Host => &mut row.host,
            Slot::Operation => &mut self.named[0],
            Slot::Logger => &mut self.named[1],
            Slot::Exception => &mut self.named[2],
            Slot::ParentRequest => &mut self.named[3],
            Slot::ChildRequest => &mut self.named[4],
            Slot::Name => &mut self.name,
            _ => return None,
        })
    }

    /// The text of `slot`; absent for slots that hold none.
    pub(crate) fn text_of(&mut self, slot: Slot) -> Text {
        self.place(slot).map_or(Text::NONE, |text| *text)
    }

    /// Sets the text of `slot`, if `rank` counts at least as much as what is there.
    #[inline]
    pub(crate) fn set(&mut self, slot: Slot, rank: u8, text: Text) {
        if text.is_some()
            && self.wants(slot, rank)
            && let Some(place) = self.place(slot)
        {
            *place = text;
            self.won(slot, rank);
        }
    }

    /// Takes the text of a key: `text` is its value, and `at` where the value stands in the buffer.
    pub(crate) fn take(
        &mut self,
        slot: Slot,
        style: Style,
        rank: u8,
        value: Piece<'_>,
        day: &mut time::DayCache,
        context: &time::Context,
    ) {
        let text = value.text;
        match slot {
            Slot::Time => {
                if !self.wants(slot, rank) {
                    return;
                }
                let found = day
                    .rfc3339(text)
                    .map(|nanos| Found { nanos, end: text.len(), flags: Flags::default(), epoch: false })
                    .or_else(|| time::whole(text, context));
                if let Some(found) = found {
                    self.set_time(found, rank);
                }
            }
            Slot::Level => {
                let found = level::level_of(trimmed(text)).or_else(|| {
                    let number: u64 = text.trim().parse().ok()?;
                    level_by(style, number)
                });
                if let Some(level) = found {
                    self.set_level(level, rank);
                }
            }
            Slot::Message => {
                if self.wants(slot, rank) {
                    self.set(slot, rank, value.range(text));
                    self.message_style = style;
                }
            }
            Slot::Duration => {
                if let Some(millis) = millis_of(text, style) {
                    self.set_duration(millis, rank);
                }
            }
            Slot::Traceparent => ids::traceparent(self, value),
            Slot::B3 => ids::b3(self, value),
            Slot::XRay => ids::xray(self, value),
            Slot::Stream => {
                if text == "stderr" {
                    self.row.flags.set(Flags::STDERR);
                }
                self.ranks[Slot::Stream as usize] = rank;
            }
            Slot::InstantSecond => self.second = text.parse().ok(),
            Slot::InstantNano | Slot::Other => {}
            _ => {
                let mut part = trimmed(text);
                if ids::is_absent(part) || part.len() > ID_BYTES_MAX {
                    return;
                }
                // Routers write how long the service took as `service=18ms`.
                if slot == Slot::Service && part.ends_with("ms") && millis_of(part, Style::Plain).is_some() {
                    return;
                }
                match style {
                    Style::LastPart => part = part.rsplit('/').next().unwrap_or(part),
                    Style::Unit => part = part.strip_suffix(".service").unwrap_or(part),
                    Style::Pod => {
                        self.set(Slot::Host, 60, value.range(part));
                        part = crate::service::without_suffix(part);
                    }
                    _ => {}
                }
                if matches!(slot, Slot::Trace | Slot::Span | Slot::ParentSpan) && ids::is_zero(part) {
                    return;
                }
                self.set(slot, rank, value.range(part));
            }
        }
    }

    pub(crate) fn set_duration(&mut self, millis: f64, rank: u8) {
        if millis.is_finite() && millis >= 0.0 && self.wants(Slot::Duration, rank) {
            self.won(Slot::Duration, rank);
            self.row.duration_ms = millis;
        }
    }

    /// Takes what `inner`, a record within this one, says for itself; what it does not say stays.
    pub(crate) fn merge(&mut self, inner: &mut Self) {
        if inner.row.time.is_known() {
            self.row.time = inner.row.time;
            self.ranks[Slot::Time as usize] = inner.ranks[Slot::Time as usize];
        }
        self.row.flags.set(inner.row.flags);
        if inner.row.level.is_some() {
            self.row.level = inner.row.level;
        }
        if !inner.row.duration_ms.is_nan() {
            self.row.duration_ms = inner.row.duration_ms;
        }
        for (mine, theirs) in self.row.texts_mut().into_iter().zip(inner.row.texts_mut()) {
            if theirs.is_some() {
                *mine = *theirs;
            }
        }
        for (mine, theirs) in self.named.iter_mut().zip(inner.named) {
            if theirs.is_some() {
                *mine = theirs;
            }
        }
        for (id, text) in inner.extras.drain(..) {
            self.extras.retain(|(known, _)| *known != id);
            self.extras.push((id, text));
        }
        self.row.format = inner.row.format;
    }

    /// Notes a field that an operator asked for; of equal names the last counts.
    pub(crate) fn extra(&mut self, id: FieldId, text: Text) {
        if text.is_none() || self.extras.len() >= EXTRAS_MAX {
            return;
        }
        self.extras.retain(|(known, _)| *known != id);
        self.extras.push((id, text));
    }

    /// Settles what depends on several keys at once.
    pub(crate) fn settle(&mut self) {
        if let Some(second) = self.second
            && !self.row.time.is_known()
            && let Some(nanos) =
                second.checked_mul(time::SECOND).and_then(|nanos| nanos.checked_add(self.nano))
        {
            self.row.time = EventTime::from_nanos(nanos);
        }
        if self.name.is_some() {
            // Bunyan and pino write a number for the level, and the program's name as `name`.
            if self.level_is_number && self.row.service.is_none() {
                self.row.service = self.name;
            } else if self.named[0].is_none() {
                self.named[0] = self.name;
            }
        }
        if self.caller.is_some() {
            if self.row.span.is_none() {
                self.row.span = self.caller;
            } else if self.row.parent_span.is_none() {
                self.row.parent_span = self.caller;
            }
        }
    }

    /// Understood as `format`.
    pub(crate) fn format(&mut self, format: Format) {
        self.row.format = format;
    }
}

/// [`str::trim`], quick where there is nothing to trim.
#[inline]
fn trimmed(text: &str) -> &str {
    let visible = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    let bytes = text.as_bytes();
    if visible(bytes.first()) && visible(bytes.last()) { text } else { text.trim() }
}

/// What a date may show of how its source writes dates.
const DATES: Flags = {
    let mut flags = Flags::NO_YEAR;
    flags.set(Flags::AMBIGUOUS_DATE);
    flags.set(Flags::DAY_FIRST);
    flags.set(Flags::MONTH_FIRST);
    flags
};
/// Longer texts are not ids or names, but payload under an unlucky key.
const ID_BYTES_MAX: usize = 512;
/// Most extra fields of one record.
const EXTRAS_MAX: usize = 256;

pub(crate) fn level_by(style: Style, number: u64) -> Option<Level> {
    match style {
        Style::Otel => level::otel(number),
        Style::Python => level::python(number),
        _ => level::level_number(number),
    }
}

/// A duration in milliseconds: a number with a unit, or a bare one in the unit that its key implies.
pub(crate) fn millis_of(text: &str, style: Style) -> Option<f64> {
    let text = text.trim();
    let split =
        text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    // `1e3` and the like are numbers as a whole.
    if unit.starts_with(['e', 'E'])
        && let Ok(value) = text.parse::<f64>()
    {
        return Some(scaled(value, style));
    }
    let value: f64 = number.parse().ok()?;
    Some(match unit.trim() {
        "" => scaled(value, style),
        "ms" | "msec" | "millis" | "milliseconds" => value,
        "s" | "sec" | "secs" | "seconds" => value * 1e3,
        "us" | "µs" | "μs" | "micros" => value / 1e3,
        "ns" | "nanos" => value / 1e6,
        "m" | "min" => value * 60e3,
        "h" => value * 3_600e3,
        rest => {
            // Go writes `1m2.5s` and `1h2m3s`.
            let (head, tail) = rest.split_at_checked(1)?;
            let scale = match head {
                "h" => 3_600e3,
                "m" => 60e3,
                _ => return None,
            };
            tail.starts_with(|c: char| c.is_ascii_digit()).then_some(())?;
            value * scale + millis_of(tail, Style::Millis)?
        }
    })
}

pub(crate) fn scaled(value: f64, style: Style) -> f64 {
    match style {
        Style::Nanos => value / 1e6,
        Style::Micros => value / 1e3,
        Style::Seconds => value * 1e3,
        _ => value,
    }
}

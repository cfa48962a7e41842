//! One parsed record: ranges into a text, a time, a level.

use serde::Serialize;

use super::{FieldId, Flags, Text};
use crate::id::Id;
use crate::level::Level;
use crate::time::EventTime;

/// How a line was understood.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A JSON object.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// RFC 5424, RFC 3164 or BSD syslog.
    Syslog,
    /// Common or combined log format.
    Clf,
    /// Kubernetes klog, `I0115 10:00:00.000000 1 file.go:1] …`.
    Klog,
    /// A user format: a regex with named groups.
    Custom,
    /// Anything else.
    #[default]
    Text,
}

impl Format {
    /// The format's name as records carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Logfmt => "logfmt",
            Self::Syslog => "syslog",
            Self::Clf => "clf",
            Self::Klog => "klog",
            Self::Custom => "custom",
            Self::Text => "text",
        }
    }
}

/// Where an event's time came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimeFrom {
    /// The record itself.
    #[default]
    Event,
    /// The record before it in its partition.
    Carried,
    /// The moment of reading, or the transport's own timestamp.
    Ingest,
}

/// One parsed record: ranges into the text that holds it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// When it happened; [`EventTime::MIN`] until the assembler has carried a time to it.
    pub time: EventTime,
    /// The byte (files, pipes) or offset (Kafka) where the record begins.
    pub offset: u64,
    /// Its 1-based line, 0 where lines are not counted.
    pub line: u64,
    /// A duration that the record states, in milliseconds; NaN when it states none.
    pub duration_ms: f64,
    /// The whole record as it came, without its terminator.
    pub raw: Text,
    /// The message.
    pub message: Text,
    /// The service that wrote it.
    pub service: Text,
    /// The host it came from.
    pub host: Text,
    /// The thread, process or goroutine.
    pub thread: Text,
    /// The correlation or request id.
    pub correlation: Text,
    /// The trace id.
    pub trace: Text,
    /// The span id.
    pub span: Text,
    /// The parent span's id.
    pub parent_span: Text,
    /// The id of its message's template, once `templates` has seen it.
    pub template: Id,
    /// First of its fields in the batch's or group's list of extra fields.
    pub extras_start: u32,
    /// How many extra fields it has.
    pub extras_len: u16,
    /// Which of a group's sources it came from; 0 in a batch.
    pub source: u16,
    /// Marks.
    pub flags: Flags,
    /// Its level, if it has one.
    pub level: Option<Level>,
    /// How it was understood.
    pub format: Format,
    /// Where its time came from.
    pub time_from: TimeFrom,
    /// How sure its request is, in percent; 100 unless attributed.
    pub confidence: u8,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            time: EventTime::MIN,
            offset: 0,
            line: 0,
            duration_ms: f64::NAN,
            raw: Text::NONE,
            message: Text::NONE,
            service: Text::NONE,
            host: Text::NONE,
            thread: Text::NONE,
            correlation: Text::NONE,
            trace: Text::NONE,
            span: Text::NONE,
            parent_span: Text::NONE,
            template: Id::default(),
            extras_start: 0,
            extras_len: 0,
            source: 0,
            flags: Flags::default(),
            level: None,
            format: Format::Text,
            time_from: TimeFrom::Event,
            confidence: 100,
        }
    }
}

impl Row {
    /// Every range of the row but `raw`, for moving it to another buffer.
    #[inline]
    pub fn texts_mut(&mut self) -> [&mut Text; 8] {
        [
            &mut self.message,
            &mut self.service,
            &mut self.host,
            &mut self.thread,
            &mut self.correlation,
            &mut self.trace,
            &mut self.span,
            &mut self.parent_span,
        ]
    }
    /// Every range of the row but `raw`, in the order of [`Self::texts_mut`].
    #[inline]
    pub const fn texts(&self) -> [Text; 8] {
        [
            self.message,
            self.service,
            self.host,
            self.thread,
            self.correlation,
            self.trace,
            self.span,
            self.parent_span,
        ]
    }
    /// Copies the row's texts from `from` to the end of `to` and points the row there; the raw line is left behind unless
    /// `keep_raw`, and then texts that are parts of it point into it. A text that `last`, a row whose texts are in `to`,
    /// has as well is not copied: entries of one request share most of their names. Returns false, with `to` unchanged,
    /// when `to` would pass 4 GiB.
    pub fn move_text(
        &mut self,
        from: &str,
        to: &mut String,
        last: Option<[Text; 8]>,
        keep_raw: bool,
        extras: &mut [(FieldId, Text)],
    ) -> bool {
        let raw = if keep_raw { self.raw } else { Text::NONE };
        self.raw = Text::NONE;
        let loose: usize = extras.iter().map(|(_, text)| text.len as usize).sum();
        let needed: usize =
            self.texts().iter().map(|text| text.len as usize).sum::<usize>() + loose + raw.len as usize;
        if to.len().saturating_add(needed) >= u32::MAX as usize {
            return false;
        }
        let append = |text: &mut Text, to: &mut String| {
            let start = u32::try_from(to.len()).unwrap_or(u32::MAX);
            to.push_str(text.get(from).unwrap_or_default());
            text.start = start;
        };
        if raw.is_some() {
            self.raw = raw;
            append(&mut self.raw, to);
        }
        let kept = self.raw;
        let place = |text: &mut Text, to: &mut String| {
            if raw.is_some() && raw.contains(*text) {
                text.start = text.start - raw.start + kept.start;
            } else {
                append(text, to);
            }
        };
        for (text, last) in self.texts_mut().into_iter().zip(last.unwrap_or_default()) {
            if text.is_none() {
                continue;
            }
            if last.is_some() && last.len == text.len && same(last.get(to), text.get(from)) {
                text.start = last.start;
            } else {
                place(text, to);
            }
        }
        for (_, text) in extras {
            if text.is_some() {
                place(text, to);
            }
        }
        true
    }
}

/// True for equal texts. Names are short, and comparing two words is faster than a call.
#[inline]
fn same(a: Option<&str>, b: Option<&str>) -> bool {
    let (Some(a), Some(b)) = (a.map(str::as_bytes), b.map(str::as_bytes)) else { return a == b };
    if a.len() != b.len() {
        return false;
    }
    match (a.first_chunk::<8>(), b.first_chunk::<8>(), a.last_chunk::<8>(), b.last_chunk::<8>()) {
        // The two words overlap, or touch, and leave nothing out.
        (Some(a_head), Some(b_head), Some(a_tail), Some(b_tail)) if a.len() <= 16 => {
            a_head == b_head && a_tail == b_tail
        }
        _ => a == b,
    }
}

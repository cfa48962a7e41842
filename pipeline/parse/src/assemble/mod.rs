//! Puts the rows of one partition in order: carries times to records without one, settles dates that could be read
//! two ways, and joins the lines of one record.
//!
//! ```text
//!  row ──► its own record, held until the next row decides ──► Event
//!   └────► continues a record that is still held: joined to it
//! ```
//! A record that may be followed by a stack trace is held a little longer, so that traces of several threads that
//! were written through one another stay apart. What is held never depends on how the stream was cut into batches.

mod finish;
mod held;

use std::collections::VecDeque;
use std::sync::Arc;

use logbraid_core::{Batch, Event, EventTime, Fields, Flags, Format, Row, Span, TimeFrom};

use crate::draft::{Draft, Piece};
use crate::parser::{Engine, narrow};
use crate::settings::Compiled;
use crate::shape;
use crate::time::DayOrder;
use crate::wrap;
use held::{Held, Join, Trace, message_of, original, same_lane};

/// Most records that wait for the rest of a trace.
const HELD_MAX: usize = 64;
/// Most records without a time, at the beginning of a source, that wait for the first one with a time to date them.
const LEAD_MAX: usize = 64;
/// How far event time moves on before a record stops waiting for the rest of its trace.
const HOLD: Span = Span::from_millis(1000);

/// Orders, dates and joins the rows of one partition. Batches must come in the order of the source.
#[derive(Debug)]
pub struct Assembler {
    engine: Engine,
    carried: EventTime,
    order: DayOrder,
    held: VecDeque<Held>,
    /// Batches before the first record with a time.
    lead: Vec<Batch>,
    /// True once the beginning is dated, or given up on.
    led: bool,
    end: (u64, u64),
    joined_lines: u64,
    blank: u64,
}

impl Assembler {
    /// An assembler for one partition; `carried` is the time before its first record, [`EventTime::MIN`] for none.
    pub fn new(settings: &Compiled, carried: EventTime) -> Self {
        Self {
            engine: Engine::new(settings, &Fields::default()),
            carried,
            order: DayOrder::Unknown,
            held: VecDeque::new(),
            lead: Vec::new(),
            led: carried.is_known(),
            end: (0, 0),
            joined_lines: 0,
            blank: 0,
        }
    }

    /// Also extracts `fields` from records that a container runtime had cut into parts.
    pub fn with_fields(mut self, settings: &Compiled, fields: &Fields) -> Self {
        self.engine = Engine::new(settings, fields);
        self
    }

    /// Lines that were joined to another record.
    pub const fn joined_lines(&self) -> u64 {
        self.joined_lines
    }
    /// Blank lines.
    pub const fn blank_lines(&self) -> u64 {
        self.blank
    }

    /// Where a restart may begin: the offset and line of the first record not yet released, and the time carried there.
    pub fn mark(&self) -> (u64, u64, EventTime) {
        if let Some(batch) = self.lead.iter().find(|batch| !batch.rows.is_empty()) {
            let line = batch.rows.first().map_or(0, |first| first.line);
            return (batch.position_of(0), line, EventTime::MIN);
        }
        match self.held.front() {
            Some(held) => (held.batch.position_of(held.row), held.row().line, held.before),
            None => (self.end.0, self.end.1, self.carried),
        }
    }

    /// Takes the next batch; releases the records that it completes.
    pub fn push(&mut self, mut batch: Batch, out: &mut Vec<Event>) {
        if !self.led && batch.rows.is_empty() {
            // Blank lines alone are not worth keeping.
            self.blank += u64::from(batch.blank);
            match self.lead.last_mut() {
                Some(last) => (last.end_offset, last.end_line) = (batch.end_offset, batch.end_line),
                None => self.end = (batch.end_offset, batch.end_line),
            }
            return;
        }
        if batch.origins.iter().any(|origin| origin.handed_over) && !self.led {
            // Each brings its own time, wherever that came from.
            self.lead(out);
        }
        if !self.led {
            // A banner or an unfinished line before the first record with a time: the moment of reading would date it
            // after all that follows.
            let waiting: usize = self.lead.iter().map(|batch| batch.rows.len()).sum();
            let dated = batch.rows.iter().position(|row| row.time_from == TimeFrom::Event);
            let undated = dated.unwrap_or(batch.rows.len());
            if dated.is_none() && waiting + undated < LEAD_MAX {
                self.lead.push(batch);
                return;
            }
            if let Some(at) = dated
                && waiting + undated < LEAD_MAX
            {
                let time = batch.rows[at].time;
                let earlier = self.lead.iter_mut().flat_map(|batch| &mut batch.rows);
                for row in earlier.chain(&mut batch.rows[..at]) {
                    row.time = time;
                    row.time_from = TimeFrom::Carried;
                }
            }
            self.lead(out);
        }
        self.take(batch, out);
    }

    /// Lets the beginning of the source through.
    fn lead(&mut self, out: &mut Vec<Event>) {
        self.led = true;
        for batch in std::mem::take(&mut self.lead) {
            self.take(batch, out);
        }
    }

    fn take(&mut self, mut batch: Batch, out: &mut Vec<Event>) {
        self.blank += u64::from(batch.blank);
        self.end = (batch.end_offset, batch.end_line);
        let first_before = self.carried;
        let marks = self.date(&mut batch);
        let count = batch.rows.len();
        if count == 0 {
            return;
        }
        let multiline = self.engine.settings.multiline;
        let mut special = Flags::PARTIAL;
        if multiline {
            special = special | Flags::CONTINUATION | Flags::HEADED_CONTINUATION | Flags::TRACE_HEAD;
        }
        let batch = Arc::new(batch);
        let before = |at: usize| match at.checked_sub(1).map(|at| &batch.rows[at]) {
            Some(row) if row.time_from != TimeFrom::Ingest => row.time,
            Some(_) => EventTime::MIN,
            None => first_before,
        };
        let waiting = self.held.iter().any(Held::waits);
        if !waiting && !marks.any(special) {
            // Nothing to join: only the last row waits for the next one.
            self.release_all(out);
            let ready = if multiline { count - 1 } else { count };
            out.reserve(ready);
            out.extend((0..ready).map(|at| Event::new(Arc::clone(&batch), narrow(at))));
            if multiline {
                self.hold(&batch, count - 1, before(count - 1), Trace::None);
            }
            return;
        }
        for at in 0..count {
            self.row(&batch, at, before(at));
            self.release(out);
        }
    }

    /// Releases everything: the input has ended, or nothing came for a while.
    pub fn flush(&mut self, out: &mut Vec<Event>) {
        if !self.lead.is_empty() {
            self.lead(out);
        }
        self.release_all(out);
    }

    /// Carries times and settles dates; returns the marks of all rows together.
    fn date(&mut self, batch: &mut Batch) -> Flags {
        let mut marks = Flags::default();
        for at in 0..batch.rows.len() {
            if batch.origins.get(at).is_some_and(|origin| origin.handed_over) {
                // Dated and joined by the stage that read it first.
                continue;
            }
            let row = &mut batch.rows[at];
            marks.set(row.flags);
            if row.time_from != TimeFrom::Event {
                if self.carried.is_known() {
                    row.time = self.carried;
                    row.time_from = TimeFrom::Carried;
                }
                continue;
            }
            if row.flags.any(Flags::DAY_FIRST) {
                self.order = DayOrder::DayFirst;
            } else if row.flags.any(Flags::MONTH_FIRST) {
                self.order = DayOrder::MonthFirst;
            } else if row.flags.any(Flags::AMBIGUOUS_DATE) && self.order != DayOrder::Unknown {
                let time = self.read_again(batch, at);
                batch.rows[at].time = time;
            }
            self.carried = batch.rows[at].time;
        }
        marks
    }

    /// The time of a row whose date the source's other dates have settled.
    fn read_again(&mut self, batch: &Batch, at: usize) -> EventTime {
        let row = &batch.rows[at];
        let raw = row.raw.get(&batch.text).unwrap_or_default();
        self.engine.begin(&batch.source, row.time);
        self.engine.context.order = self.order;
        let mut draft = Draft::default();
        self.engine.tail.text.clear();
        self.engine.record(&mut draft, Piece { text: raw, at: 0 });
        if draft.row.time.is_known() { draft.row.time } else { row.time }
    }

    fn hold(&mut self, batch: &Arc<Batch>, at: usize, before: EventTime, trace: Trace) {
        let newest = batch.rows[at].time;
        let batch = Arc::clone(batch);
        self.held.push_back(Held { batch, row: narrow(at), before, join: None, trace, done: false, newest });
    }

    fn row(&mut self, batch: &Arc<Batch>, at: usize, before: EventTime) {
        let row = &batch.rows[at];
        let raw = row.raw.get(&batch.text).unwrap_or_default();
        if self.part(batch, row, raw) {
            return;
        }
        if row.flags.has(Flags::PARTIAL) {
            self.hold(batch, at, before, Trace::Parts);
            self.start_parts(row.message.get(&batch.text).unwrap_or_default());
            return;
        }
        if self.engine.settings.multiline && self.joins(batch, row, raw) {
            self.joined_lines += 1;
            return;
        }
        for held in &mut self.held {
            held.done |= held.trace != Trace::Parts && same_lane(held, batch, row, true);
        }
        let message = row.message.get(&batch.text).unwrap_or_default();
        let head = row.flags.any(Flags::TRACE_HEAD) && self.engine.settings.multiline;
        self.hold(batch, at, before, if head { Trace::of(message) } else { Trace::None });
    }

    /// Joins a row to the record that it continues, if one is held.
    fn joins(&mut self, batch: &Batch, row: &Row, raw: &str) -> bool {
        let headed = row.flags.has(Flags::HEADED_CONTINUATION);
        if !headed && row.flags.has(Flags::FRESH) {
            return false;
        }
        let bare = row.flags.has(Flags::CONTINUATION);
        let message = row.message.get(&batch.text).unwrap_or_default();
        let headless = row.time_from != TimeFrom::Event && row.format == Format::Text;
        // Wrapped lines have a time of their own, and the line inside has none.
        let inside = if bare { raw } else { message };
        let frame = shape::is_frame(inside.trim_start());
        let mut found = None;
        for (at, held) in self.held.iter().enumerate().rev() {
            if held.trace == Trace::Parts || held.done || !same_lane(held, batch, row, headed) {
                continue;
            }
            if headed || bare {
                if !frame || held.trace != Trace::None {
                    found = Some(at);
                    break;
                }
                // A frame belongs to a record that failed, if one is near; else to the last one.
                found = found.or(Some(at));
                continue;
            }
            let follows = match held.trace {
                Trace::Python => shape::ends_traceback(message),
                Trace::Go => headless && (message.ends_with(')') || message.starts_with("exit status")),
                Trace::Rust => headless,
                Trace::None | Trace::Some | Trace::Parts => false,
            };
            if follows && row.level.is_none_or(|_| headless) {
                found = Some(at);
            }
            break;
        }
        let Some(at) = found else { return false };
        let (lines_max, bytes_max) = (self.engine.settings.lines_max, self.engine.settings.line_bytes_max);
        let Some(held) = self.held.get_mut(at) else { return false };
        if row.time_from == TimeFrom::Event && row.time.since(held.newest) > HOLD {
            return false;
        }
        // An uncaught exception is no part of what was logged in peace before.
        if message.starts_with(shape::TRACEBACK)
            && held.row().level.is_some_and(|level| level < logbraid_core::Level::Warn)
        {
            return false;
        }
        let head = *held.row();
        let line = message_of(row, batch, raw, headed || row.time_from == TimeFrom::Event);
        if held.join.is_none() {
            let raw = held.text(head.raw).unwrap_or_default().to_owned();
            let start = head.message.start.wrapping_sub(head.raw.start) as usize;
            let tail = raw.get(start..).unwrap_or_default();
            let runs_on = head.message.is_some()
                && head.raw.contains(head.message)
                && tail.get(head.message.len as usize..).is_some_and(|rest| rest.trim().is_empty())
                && head.format != Format::Json;
            let message =
                if runs_on { Ok(start) } else { Err(held.text(head.message).unwrap_or_default().to_owned()) };
            let bytes = original(&held.batch, &head).map(<[u8]>::to_vec);
            let join = Join { raw, bytes, message, lines: 1, parts: None, flags: Flags::default() };
            held.join = Some(Box::new(join));
        }
        let Some(join) = held.join.as_mut() else { return false };
        if join.lines >= lines_max || join.raw.len() + raw.len() + 1 > bytes_max {
            held.done = true;
            return false;
        }
        if line.len() < raw.len()
            && let Ok(start) = join.message
        {
            join.message = Err(join.raw.get(start..).unwrap_or_default().to_owned());
        }
        join.add(batch, row, raw);
        if let Err(message) = &mut join.message {
            message.push('\n');
            message.push_str(line);
        }
        join.lines += 1;
        join.flags.set(Flags::MULTILINE);
        if row.flags.has(Flags::INVALID_UTF8) {
            join.flags.set(Flags::INVALID_UTF8);
        }
        if row.time_from == TimeFrom::Event {
            held.newest = held.newest.max(row.time);
        }
        held.trace = match (held.trace, frame || headed) {
            (Trace::Python, _) if line.trim_start().len() == line.len() && !frame => Trace::Some,
            (Trace::Rust, _) => Trace::Some,
            (trace @ (Trace::Python | Trace::Go), _) if !line.contains(shape::TRACEBACK) => trace,
            (trace, true) => match Trace::of(line.trim_start()) {
                Trace::Some if trace != Trace::None => trace,
                other => other,
            },
            (trace, false) => trace,
        };
        true
    }

    /// Takes a row that is a further part of a line that a runtime cut.
    fn part(&mut self, batch: &Batch, row: &Row, raw: &str) -> bool {
        let bit = row.flags.has(Flags::STDERR);
        let Some(at) = self.held.iter().rposition(|held| {
            held.trace == Trace::Parts && !held.done && held.row().flags.has(Flags::STDERR) == bit
        }) else {
            return false;
        };
        let content = if row.flags.has(Flags::PARTIAL) {
            row.message.get(&batch.text).map(str::to_owned)
        } else {
            wrap::content(raw)
        };
        let bytes_max = self.engine.settings.line_bytes_max;
        let Some(held) = self.held.get_mut(at) else { return false };
        let Some(content) = content else {
            held.done = true;
            return false;
        };
        let ends = !row.flags.has(Flags::PARTIAL);
        if let Some(join) = held.join.as_mut() {
            join.add(batch, row, raw);
            let parts = join.parts.get_or_insert_default();
            if parts.len() + content.len() <= bytes_max {
                parts.push_str(&content);
            } else {
                let room = content.floor_char_boundary(bytes_max.saturating_sub(parts.len()));
                parts.push_str(content.get(..room).unwrap_or_default());
                join.flags.set(Flags::TRUNCATED);
            }
            if join.raw.len() > bytes_max.saturating_mul(2) {
                join.raw.truncate(join.raw.floor_char_boundary(bytes_max.saturating_mul(2)));
                join.bytes = None;
                join.flags.set(Flags::TRUNCATED);
            }
        }
        held.done |= ends;
        self.joined_lines += 1;
        true
    }

    fn start_parts(&mut self, content: &str) {
        if let Some(held) = self.held.back_mut() {
            let raw = held.text(held.row().raw).unwrap_or_default().to_owned();
            let bytes = original(&held.batch, held.row()).map(<[u8]>::to_vec);
            held.join = Some(Box::new(Join {
                raw,
                bytes,
                message: Ok(0),
                lines: 1,
                parts: Some(content.to_owned()),
                flags: Flags::default(),
            }));
        }
    }

    /// Releases from the front what nothing can be joined to any more.
    fn release(&mut self, out: &mut Vec<Event>) {
        while self.held.len() > 1 {
            let newest = self.held.back().map_or(EventTime::MIN, |held| held.newest);
            let full = self.held.len() > HELD_MAX;
            let Some(front) = self.held.front() else { return };
            if front.waits() && !full && newest.since(front.newest) <= HOLD {
                return;
            }
            if let Some(held) = self.held.pop_front() {
                self.emit(held, out);
            }
        }
    }

    fn release_all(&mut self, out: &mut Vec<Event>) {
        while let Some(held) = self.held.pop_front() {
            self.emit(held, out);
        }
    }

    fn emit(&mut self, held: Held, out: &mut Vec<Event>) {
        let Some(join) = held.join else {
            out.push(Event::new(held.batch, held.row));
            return;
        };
        if join.lines == 1 && join.parts.is_none() {
            out.push(Event::new(held.batch, held.row));
            return;
        }
        let batch = self.joined(&held.batch, held.row, *join);
        out.push(Event::new(Arc::new(batch), 0));
    }
}

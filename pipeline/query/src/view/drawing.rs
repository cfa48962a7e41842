//! Draws entries one after the other, so that their columns line up; the same for a window and for a stream.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::text::{Style, clock, escaped, pad};
use crate::{Canvas, Entry};

/// Widest columns of places and services.
const PLACE_WIDTH_MAX: usize = 24;
const SERVICE_WIDTH_MAX: usize = 20;
/// Lines that a message may take; the others are counted.
const LINES_MAX: usize = 60;
/// Characters of a field's value.
const VALUE_CHARS_MAX: usize = 200;

/// How entries are drawn.
#[derive(Debug, Default)]
pub struct Drawing {
    plain: bool,
    place_width: usize,
    service_width: usize,
    day: Option<String>,
}

impl Drawing {
    /// With `plain`, without what stands below messages.
    pub fn new(plain: bool) -> Self {
        Self { plain, ..Self::default() }
    }

    /// Makes room for the columns of `entry`.
    pub fn fit(&mut self, entry: &Entry) {
        let service = entry.service.as_deref().map_or(0, |name| escaped(name, true).width());
        self.service_width = self.service_width.max(service.min(SERVICE_WIDTH_MAX));
        self.place_width = self.place_width.max(place(entry).width().min(PLACE_WIDTH_MAX));
    }

    /// Draws an entry; one that is only a neighbour is dimmed.
    pub fn entry(&mut self, entry: &Entry, is_context: bool, canvas: &mut Canvas) {
        self.fit(entry);
        if let Some(time) = entry.timestamp {
            let day = time.to_string().get(..10).unwrap_or_default().to_owned();
            if self.day.as_ref() != Some(&day) {
                canvas.line(&format!("── {day} UTC ──"), Style::dim);
                self.day = Some(day);
            }
        }
        let level = entry.level;
        let paint = |style: Style, text: &str| {
            if is_context { style.dim(text) } else { style.level(level, text) }
        };
        let mut head = format!("{} ", pad(&place(entry), self.place_width));
        let time = entry.timestamp.map_or_else(|| "--:--:--.---".to_owned(), clock);
        let _ = write!(head, "{time} {:<5} ", level.map_or("", logbraid_core::Level::name));
        if self.service_width > 0 {
            let service = escaped(entry.service.as_deref().unwrap_or("-"), true);
            let _ = write!(head, "{} ", pad(&service, self.service_width));
        }
        let indent = head.width().min(canvas.width / 2);
        if let Some(thread) = &entry.thread_id {
            let _ = write!(head, "[{}] ", escaped(thread, true));
        }
        if let Some(request) = &entry.correlation_id {
            let mark = if entry.flags.contains(&"attributed") { "~" } else { "" };
            let _ = write!(head, "[{mark}{}] ", escaped(request, true));
        }
        let mut lines = entry.message.lines();
        let first = format!("{head}{}", escaped(lines.next().unwrap_or_default(), true));
        let mut drawn = 0;
        let mut left_out = 0;
        let mut draw = |text: &str, canvas: &mut Canvas| {
            for part in wrapped(text, canvas.width, indent) {
                if drawn < LINES_MAX {
                    canvas.line(&part, paint);
                } else {
                    left_out += 1;
                }
                drawn += 1;
            }
        };
        draw(&first, canvas);
        for line in lines {
            draw(&format!("{:indent$}{}", "", escaped(line, true)), canvas);
        }
        if left_out > 0 {
            canvas.line(&format!("{:indent$}… {left_out} more lines", ""), Style::dim);
        }
        if !self.plain && !is_context {
            let below = below(entry);
            if !below.is_empty() {
                for part in wrapped(&format!("{:indent$}{below}", ""), canvas.width, indent) {
                    canvas.line(&part, Style::dim);
                }
            }
        }
    }
}

/// `name:line`, with the last part of the input's name.
fn place(entry: &Entry) -> String {
    let Some(source) = &entry.source else { return String::new() };
    let name = source.input.rsplit('/').next().unwrap_or_default();
    let name = escaped(name, true);
    match (source.line, source.partition, source.offset) {
        (_, Some(partition), Some(offset)) => format!("{name}/{partition}@{offset}"),
        (0, ..) => name.into_owned(),
        (line, ..) => format!("{name}:{line}"),
    }
}

/// Trace, span and other fields.
fn below(entry: &Entry) -> String {
    let mut text = String::new();
    let ids = [("trace", &entry.trace_id), ("span", &entry.span_id), ("parent", &entry.parent_span_id)];
    for (name, id) in ids {
        if let Some(id) = id {
            let _ = write!(text, "{name}={} ", escaped(id, true));
        }
    }
    for (name, value) in &entry.fields {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let shown = crate::count::shortened(&shown, VALUE_CHARS_MAX);
        let _ = write!(text, "{}={} ", escaped(name, true), escaped(&shown, true));
    }
    text.trim_end().to_owned()
}

/// `text` in lines of at most `width` columns, those after the first indented; cut at blanks where there are some.
fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let width = width.max(indent + 10);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for c in text.chars() {
        let columns = c.width().unwrap_or(0);
        if used + columns > width {
            // A blank in the last third of the line is where it breaks.
            let blank = line
                .rfind(' ')
                .filter(|at| *at > indent && line.get(..*at).unwrap_or("").width() * 3 > width * 2);
            let rest = blank.map_or_else(String::new, |at| line.split_off(at).trim_start().to_owned());
            lines.push(std::mem::take(&mut line));
            line = format!("{:indent$}{rest}", "");
            used = line.width();
        }
        line.push(c);
        used += columns;
    }
    lines.push(line);
    lines
}

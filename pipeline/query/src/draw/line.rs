//! A line of coloured parts.

use unicode_width::UnicodeWidthStr;

use crate::Canvas;
use crate::text::{Style, fit, pad};

/// What a part of a line is about, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// The text as it is.
    Plain,
    /// What failed.
    Error,
    /// What took long.
    Slow,
    /// What determines the length.
    Critical,
    /// Other bars.
    Bar,
    /// Lines and numbers beside the matter.
    Dim,
}

/// A line in the making. Every part is harmless text.
#[derive(Debug, Default)]
pub(super) struct Line {
    parts: Vec<(Paint, String)>,
}

impl Line {
    pub(super) fn add(&mut self, paint: Paint, text: impl Into<String>) {
        self.parts.push((paint, text.into()));
    }
    /// Adds `text`, cut or filled to `width` columns.
    pub(super) fn column(&mut self, paint: Paint, text: &str, width: usize) {
        self.add(paint, pad(text, width));
    }
    /// Adds `text` at the right of `width` columns; it is never cut.
    pub(super) fn right(&mut self, paint: Paint, text: &str, width: usize) {
        let blank = width.saturating_sub(text.width());
        self.add(paint, format!("{}{text}", " ".repeat(blank)));
    }
    /// Its columns.
    pub(super) fn width(&self) -> usize {
        self.parts.iter().map(|(_, text)| text.width()).sum()
    }
    /// Draws it, without blanks at its end.
    pub(super) fn draw(mut self, canvas: &mut Canvas) {
        while let Some((_, text)) = self.parts.last_mut() {
            let kept = text.trim_end().len();
            text.truncate(kept);
            if kept > 0 {
                break;
            }
            self.parts.pop();
        }
        let style = canvas.style();
        for (paint, text) in &self.parts {
            canvas.text.push_str(&painted(style, *paint, text));
        }
        canvas.text.push('\n');
    }
}

fn painted(style: Style, paint: Paint, text: &str) -> String {
    match paint {
        Paint::Plain => text.to_owned(),
        Paint::Error => style.error(text),
        Paint::Slow => style.warn(text),
        Paint::Critical => style.bold(text),
        Paint::Bar => style.note(text),
        Paint::Dim => style.dim(text),
    }
}

/// A name and its marks in `room` columns: the name is cut, the marks are not.
pub(super) fn named(name: &str, marks: &str, room: usize) -> String {
    let left = room.saturating_sub(marks.width());
    format!("{}{marks}", fit(name, left))
}

/// Milliseconds as columns of `width`, which stand for `total_ms`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) total_ms: f64,
    pub(super) width: usize,
}

impl Axis {
    /// The column of a moment, `0..width`.
    pub(super) fn column(self, ms: f64) -> usize {
        if self.total_ms <= 0.0 || self.width == 0 {
            return 0;
        }
        let share = (ms / self.total_ms).clamp(0.0, 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a width is not negative, and widths are small"
        )]
        let column = (share * self.width as f64).floor() as usize;
        column.min(self.width - 1)
    }
    /// The columns from `start` to `end`, at least one.
    pub(super) fn range(self, start: f64, end: f64) -> (usize, usize) {
        let from = self.column(start);
        if self.total_ms <= 0.0 || self.width == 0 {
            return (0, self.width.min(1));
        }
        let share = (end / self.total_ms).clamp(0.0, 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a width is not negative, and widths are small"
        )]
        let to = (share * self.width as f64).round() as usize;
        (from, to.clamp(from + 1, self.width))
    }
    /// Times under their columns: as many of the quarters as there is room for.
    pub(super) fn ticks(self) -> String {
        let mut line = String::new();
        let steps = if self.width >= 60 {
            4
        } else if self.width >= 30 {
            2
        } else {
            1
        };
        for step in 0..=steps {
            let share = f64::from(step) / f64::from(steps);
            let text = crate::text::duration(share * self.total_ms);
            let at = self.width * usize::try_from(step).unwrap_or(0) / usize::try_from(steps).unwrap_or(1);
            let at = if step == steps { self.width.saturating_sub(text.len()) } else { at };
            let used = line.width();
            if step > 0 && at <= used {
                continue;
            }
            line.extend(std::iter::repeat_n(' ', at.saturating_sub(used)));
            line.push_str(&text);
        }
        line
    }
}

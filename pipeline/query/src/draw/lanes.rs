//! Lanes: one line for each service or thread, with a mark where it wrote something.

use logbraid_core::Level;
use unicode_width::UnicodeWidthStr;

use super::WIDTH_MIN;
use super::line::{Axis, Line, Paint};
use crate::Canvas;
use crate::text::{Style, escaped, fit, grouped};

/// One line.
pub(crate) struct Lane {
    /// What it is called.
    pub(crate) name: String,
    /// What happened in it, in the order of time.
    pub(crate) moments: Vec<Moment>,
}

/// An entry.
pub(crate) struct Moment {
    /// Milliseconds from the beginning.
    pub(crate) ms: f64,
    pub(crate) level: Option<Level>,
}

/// Draws lanes of `total_ms`.
pub(crate) fn lanes(lanes: &[Lane], total_ms: f64, canvas: &mut Canvas) {
    let width = canvas.width.max(WIDTH_MIN);
    let names: Vec<String> = lanes.iter().map(|lane| escaped(&lane.name, true).into_owned()).collect();
    let counts: Vec<String> = lanes.iter().map(|lane| grouped(lane.moments.len() as u64)).collect();
    let widest = names.iter().map(|name| name.width()).max().unwrap_or(0).clamp(6, width / 3);
    let digits = counts.iter().map(String::len).max().unwrap_or(1);
    let axis = Axis { total_ms, width: width.saturating_sub(widest + digits + 4).max(8) };
    let mut head = Line::default();
    head.column(Paint::Dim, "", widest + 2);
    head.add(Paint::Dim, axis.ticks());
    head.draw(canvas);
    for ((lane, name), count) in lanes.iter().zip(&names).zip(&counts) {
        let mut cells: Vec<(Option<Level>, u32)> = vec![(None, 0); axis.width];
        for moment in &lane.moments {
            let cell = &mut cells[axis.column(moment.ms)];
            cell.0 = cell.0.max(moment.level);
            cell.1 += 1;
        }
        let mut line = Line::default();
        line.column(Paint::Plain, &fit(name, widest), widest);
        line.add(Paint::Dim, " ▏");
        for (level, many) in cells {
            let (paint, mark) = match (many, level) {
                (0, _) => (Paint::Plain, ' '),
                (_, Some(Level::Error | Level::Fatal)) => (Paint::Error, '✗'),
                (_, Some(Level::Warn)) => (Paint::Slow, '!'),
                (1, _) => (Paint::Bar, '·'),
                (2..=3, _) => (Paint::Bar, '•'),
                _ => (Paint::Bar, '●'),
            };
            line.add(paint, mark.to_string());
        }
        line.add(Paint::Dim, "▕");
        line.right(Paint::Plain, count, digits + 1);
        line.draw(canvas);
    }
    let legend = "· one entry   • a few   ● many   ! warning   ✗ error";
    canvas.line(legend, Style::dim);
}

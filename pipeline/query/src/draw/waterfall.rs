//! The waterfall: a node a line, its bar where its time was.

use unicode_width::UnicodeWidthStr;

use super::line::{Axis, Line, Paint, named};
use super::{Picture, lead, legend, marks};
use crate::Canvas;
use crate::text::duration;

pub(super) fn draw(picture: &Picture, width: usize, canvas: &mut Canvas) {
    let durations: Vec<String> = picture.items.iter().map(|item| duration(item.duration_ms)).collect();
    let longest = durations.iter().map(|text| text.width()).max().unwrap_or(0).max(4);
    let widest = picture
        .items
        .iter()
        .map(|item| lead(item, width / 5).width() + item.label.width() + marks(item).width());
    let names = widest.max().unwrap_or(0).clamp(8, (width * 2 / 5).max(16));
    // A blank and a border on both sides of the bars.
    let bars = width.saturating_sub(names + longest + 4).max(8);
    let axis = Axis { total_ms: picture.total_ms, width: bars };
    let mut head = Line::default();
    head.column(Paint::Dim, "", names + 2);
    head.add(Paint::Dim, axis.ticks());
    head.draw(canvas);
    for (item, duration) in picture.items.iter().zip(&durations) {
        let mut line = Line::default();
        let lead = lead(item, names / 2);
        let left = names.saturating_sub(lead.width());
        line.add(Paint::Dim, lead);
        let paint = if item.errors > 0 { Paint::Error } else { Paint::Plain };
        line.column(paint, &named(&item.label, &marks(item), left), left);
        line.add(Paint::Dim, " ▏");
        let (from, to) = axis.range(item.start, item.end);
        line.add(Paint::Plain, " ".repeat(from));
        let paint = if item.errors > 0 {
            Paint::Error
        } else if item.bottleneck {
            Paint::Slow
        } else if item.critical {
            Paint::Critical
        } else {
            Paint::Bar
        };
        let bar = match (item.end > item.start, item.critical) {
            (false, _) => "╵",
            (true, true) => "█",
            (true, false) => "▒",
        };
        line.add(paint, bar.repeat(to - from));
        line.add(Paint::Plain, " ".repeat(bars - to));
        line.add(Paint::Dim, "▕");
        line.right(Paint::Plain, duration, longest + 1);
        line.draw(canvas);
    }
    legend(picture, "█ determines the length", canvas);
}

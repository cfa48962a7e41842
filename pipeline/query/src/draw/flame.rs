//! The flame graph: boxes on an axis of time, each under its parent; what overlaps stands in lanes.

use unicode_width::UnicodeWidthStr;

use super::line::{Axis, Line, Paint};
use super::{BOTTLENECK, ERROR, Item, Picture, legend};
use crate::Canvas;
use crate::text::{Style, duration, fit};

/// Rows of one layer; what needs more is counted.
const LANES_MAX: usize = 24;

struct Placed {
    item: usize,
    from: usize,
    to: usize,
    /// Items of one column that stand here together.
    more: usize,
    errors: u64,
}

pub(super) fn draw(picture: &Picture, width: usize, canvas: &mut Canvas) {
    let axis = Axis { total_ms: picture.total_ms, width };
    let mut head = Line::default();
    head.add(Paint::Dim, axis.ticks());
    head.draw(canvas);
    // Layers hold lanes, lanes hold boxes from left to right.
    let mut layers: Vec<Vec<Vec<Placed>>> = Vec::new();
    let mut crowded = 0_u64;
    let mut folded = 0_u64;
    let mut order: Vec<usize> = (0..picture.items.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&picture.items[*a], &picture.items[*b]);
        a.depth.cmp(&b.depth).then(a.start.total_cmp(&b.start)).then(b.end.total_cmp(&a.end))
    });
    for at in order {
        let item = &picture.items[at];
        if layers.len() <= item.depth {
            layers.resize_with(item.depth + 1, Vec::new);
        }
        let (from, to) = axis.range(item.start, item.end);
        let lanes = &mut layers[item.depth];
        // What is narrower than a column is one mark with what else is there.
        if to - from == 1
            && let Some(same) = lanes
                .iter_mut()
                .filter_map(|lane| lane.last_mut())
                .find(|last| last.from == from && last.to == to)
        {
            same.more += 1;
            same.errors += item.errors;
            folded += 1;
            continue;
        }
        let free = lanes.iter().position(|lane| lane.last().is_none_or(|last| last.to <= from));
        let lane = match free {
            Some(lane) => lane,
            None if lanes.len() < LANES_MAX => {
                lanes.push(Vec::new());
                lanes.len() - 1
            }
            None => {
                crowded += 1;
                continue;
            }
        };
        lanes[lane].push(Placed { item: at, from, to, more: 0, errors: item.errors });
    }
    for lane in layers.iter().flatten() {
        let mut line = Line::default();
        for placed in lane {
            let item = &picture.items[placed.item];
            let gap = placed.from.saturating_sub(line.width());
            line.add(Paint::Plain, " ".repeat(gap));
            let width = placed.to - placed.from;
            let (paint, text) = match (placed.more, placed.errors) {
                (0, _) => (paint(item), boxed(item, width)),
                (_, 0) => (Paint::Bar, "‖".to_owned()),
                _ => (Paint::Error, ERROR.to_string()),
            };
            line.add(paint, text);
        }
        line.draw(canvas);
    }
    if folded > 0 {
        let text = format!("‖ several too short to be told apart ({folded} more)");
        canvas.line(&text, Style::dim);
    }
    if crowded > 0 {
        let text = format!("{crowded} more at the same times");
        canvas.line(&text, Style::dim);
    }
    legend(picture, "[=] determines the length", canvas);
}

fn paint(item: &Item) -> Paint {
    if item.errors > 0 {
        Paint::Error
    } else if item.bottleneck {
        Paint::Slow
    } else if item.critical {
        Paint::Critical
    } else {
        Paint::Bar
    }
}

/// A box of exactly `width` columns. A duration stands in it whole or not at all.
fn boxed(item: &Item, width: usize) -> String {
    let fill = if item.critical { '=' } else { '-' };
    match width {
        0 => return String::new(),
        1 => return if item.errors > 0 { ERROR } else { '|' }.to_string(),
        2 => return "[]".to_owned(),
        _ => {}
    }
    let inside = width - 2;
    let mut marks = String::new();
    if item.errors > 0 {
        marks.push(ERROR);
    }
    if item.bottleneck {
        marks.push(BOTTLENECK);
    }
    let time = duration(item.duration_ms);
    let mut tail = String::new();
    if !marks.is_empty() && marks.width() < inside {
        tail = format!(" {marks}");
    }
    // At least a little of the name beside the time.
    if tail.width() + time.width() + 5 <= inside {
        tail.push(' ');
        tail.push_str(&time);
    }
    let name = fit(&item.label, inside - tail.width());
    let mut text = format!("{name}{tail}");
    let blank = inside.saturating_sub(text.width());
    if blank > 1 {
        text.push(' ');
        text.extend(std::iter::repeat_n(fill, blank - 1));
    } else {
        text.extend(std::iter::repeat_n(' ', blank));
    }
    format!("[{text}]")
}

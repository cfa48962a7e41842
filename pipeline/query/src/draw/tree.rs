//! The tree: a node a line, its numbers at the right.

use unicode_width::UnicodeWidthStr;

use super::line::{Line, Paint, named};
use super::{Item, Picture, lead, legend, marks};
use crate::Canvas;
use crate::text::{duration, grouped};

/// Columns of numbers: their heading, and what they say of an item.
type Column = (&'static str, fn(&Item, f64) -> String);

const COLUMNS: [Column; 4] = [
    ("total", |item, _| duration(item.duration_ms)),
    ("self", |item, _| duration(item.self_ms)),
    ("share", |item, total| {
        if total > 0.0 { format!("{:.0}%", (100.0 * item.self_ms / total).min(100.0)) } else { String::new() }
    }),
    ("entries", |item, _| grouped(item.entries)),
];

pub(super) fn draw(picture: &Picture, width: usize, canvas: &mut Canvas) {
    let columns = match width {
        0..60 => &COLUMNS[..1],
        60..80 => &COLUMNS[..2],
        _ => &COLUMNS[..],
    };
    let cells: Vec<Vec<String>> = picture
        .items
        .iter()
        .map(|item| columns.iter().map(|(_, text)| text(item, picture.total_ms)).collect())
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, (name, _))| {
            let widest = cells.iter().map(|row| row[at].width()).max().unwrap_or(0);
            2 + widest.max(name.len())
        })
        .collect();
    let room = width.saturating_sub(widths.iter().sum::<usize>() + 2);
    // No wider than what is in it, so that numbers stand near their names.
    let widest = picture
        .items
        .iter()
        .map(|item| lead(item, room / 2).width() + item.label.width() + marks(item).width());
    let room = room.min(widest.max().unwrap_or(0));
    let mut head = Line::default();
    head.column(Paint::Dim, "", room + 2);
    for ((name, _), width) in columns.iter().zip(&widths) {
        head.right(Paint::Dim, name, *width);
    }
    head.draw(canvas);
    for (item, cells) in picture.items.iter().zip(&cells) {
        let mut line = Line::default();
        line.add(Paint::Critical, if item.critical && picture.items.len() > 1 { "▸ " } else { "  " });
        let lead = lead(item, room / 2);
        let left = room.saturating_sub(lead.width());
        line.add(Paint::Dim, lead);
        let paint = if item.errors > 0 {
            Paint::Error
        } else if item.bottleneck {
            Paint::Slow
        } else {
            Paint::Plain
        };
        line.column(paint, &named(&item.label, &marks(item), left), left);
        for (at, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let paint = match at {
                0 => Paint::Plain,
                1 | 2 if item.bottleneck => Paint::Slow,
                _ => Paint::Dim,
            };
            line.right(paint, cell, *width);
        }
        line.draw(canvas);
    }
    legend(picture, "▸ determines the length", canvas);
}

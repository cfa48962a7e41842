//! Markdown tables and figures for people.

use std::fmt::Write;

/// A table that grows row by row.
#[derive(Debug)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|&cell| cell.to_owned()).collect(), rows: Vec::new() }
    }
    /// Adds a row; it should have as many cells as the head.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
    /// The table as Markdown: the first column to the left, figures to the right.
    pub fn markdown(&self) -> String {
        let widths: Vec<usize> = (0..self.head.len())
            .map(|at| {
                let cells = std::iter::once(&self.head).chain(&self.rows).filter_map(|row| row.get(at));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
            })
            .collect();
        let mut out = String::new();
        let line = |out: &mut String, cells: &[String]| {
            for (at, width) in widths.iter().enumerate() {
                let cell = cells.get(at).map_or("", String::as_str);
                // Writing to a string does not fail.
                let _ =
                    if at == 0 { write!(out, "| {cell:<width$} ") } else { write!(out, "| {cell:>width$} ") };
            }
            out.push_str("|\n");
        };
        line(&mut out, &self.head);
        for (at, width) in widths.iter().enumerate() {
            let _ = if at == 0 {
                write!(out, "|{:-<width$}", "", width = width + 2)
            } else {
                write!(out, "|{:-<width$}:", "", width = width + 1)
            };
        }
        out.push_str("|\n");
        for row in &self.rows {
            line(&mut out, row);
        }
        out
    }
}

/// Lines per second in millions.
pub fn million_per_s(lines: u64, seconds: f64) -> String {
    format!("{:.2}", lines as f64 / seconds / 1e6)
}

/// Megabytes (10⁶) per second.
pub fn mb_per_s(bytes: u64, seconds: f64) -> String {
    format!("{:.0}", bytes as f64 / seconds / 1e6)
}

/// Nanoseconds per line.
pub fn ns_per_line(lines: u64, seconds: f64) -> String {
    format!("{:.0}", seconds * 1e9 / lines as f64)
}

/// Mebibytes.
pub fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / (1024.0 * 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["what", "M lines/s"]);
        table.row(["bare".to_owned(), million_per_s(1_000_000, 0.5)]);
        assert_eq!(table.markdown(), "| what | M lines/s |\n|------|----------:|\n| bare |      2.00 |\n");
    }
}

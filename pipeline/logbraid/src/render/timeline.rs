//! A request: a header, the tree of its work beside bars of time, its notable entries, and its root cause.

use std::fmt::Write as _;

use logbraid_core::tree::{Hierarchy, Node, NodeKind};
use logbraid_core::{Group, Level, Outcome, Row};
use unicode_width::UnicodeWidthStr;

use super::View;
use super::text::{clock, counted, duration, escaped, fit, pad};

/// Most nodes that are drawn.
const NODES_MAX: usize = 40;
/// Most entries that are shown.
const ENTRIES_MAX: usize = 12;
/// Deepest indentation of the tree; deeper nodes stand at this depth.
const INDENT_MAX: usize = 12;

pub(super) fn draw(view: &View, group: &Group) -> String {
    let mut out = String::new();
    header(view, group, &mut out);
    if let Some(tree) = group.hierarchy.as_ref().filter(|tree| tree.nodes.len() > 1) {
        draw_tree(view, tree, &mut out);
    }
    entries(view, group, &mut out);
    if let Some(cause) = root_cause(group) {
        let line = fit(&cause, view.width.saturating_mul(3).saturating_sub(2)).into_owned();
        wrap(&line, view.width - 2, |line| {
            let _ = writeln!(out, "  {}", view.style.error(line));
        });
    }
    out
}

fn header(view: &View, group: &Group, out: &mut String) {
    let outcome = group.outcome();
    let (mark, name) = match outcome {
        Outcome::Ok => ("✓", "ok"),
        Outcome::Error => ("✗", "error"),
        Outcome::Incomplete => ("?", "incomplete"),
    };
    let services: Vec<&str> = group.services().into_iter().filter(|service| !service.is_empty()).collect();
    let errors = group.levels.errors();
    let mut parts = vec![name.to_owned(), duration(group.duration().millis())];
    let mut entries = counted(group.entries(), "entry", "entries");
    if errors > 0 {
        let _ = write!(entries, " ({})", counted(errors, "error", "errors"));
    }
    parts.push(entries);
    if group.revision > 0 {
        parts.push(format!("revision {}", group.revision));
    }
    let start = group.start();
    if start.is_known() {
        parts.push(start.to_string());
    }
    if !services.is_empty() {
        parts.push(escaped(&services.join(", "), true).into_owned());
    }
    let key = escaped(&group.key.value, true);
    let key = fit(&key, view.width / 2);
    let rest = format!("  {}", parts.join(" · "));
    let rest = fit(&rest, view.width.saturating_sub(key.width() + 2)).into_owned();
    let mark = match outcome {
        Outcome::Ok => view.style.good(mark),
        Outcome::Error => view.style.error(mark),
        Outcome::Incomplete => view.style.warn(mark),
    };
    let _ = writeln!(out, "{mark} {}{rest}", view.style.bold(&key));
}

/// What a node is called: its service, and its operation, else its thread or span.
fn label(node: &Node) -> String {
    let name = match (&node.name, node.kind) {
        (Some(name), _) => name.as_str(),
        (None, NodeKind::Correlation) => "",
        (None, NodeKind::Span | NodeKind::Thread) => node.id.as_str(),
    };
    let label = match (node.service.as_deref(), name) {
        (Some(service), "") => service.to_owned(),
        (Some(service), name) if name == service => service.to_owned(),
        (Some(service), name) => format!("{service} {name}"),
        (None, "") => node.id.clone(),
        (None, name) => name.to_owned(),
    };
    escaped(&label, true).into_owned()
}

fn draw_tree(view: &View, tree: &Hierarchy, out: &mut String) {
    let start = tree.nodes.iter().map(|node| node.start).min();
    let end = tree.nodes.iter().map(|node| node.end).max();
    let (Some(start), Some(end)) = (start, end) else { return };
    let whole_ms = end.since(start).millis();
    // Two spaces, the label, the duration in eight columns, the bar.
    let names = (view.width * 9 / 20).clamp(16, 60);
    let bars = view.width.saturating_sub(names + 13);
    let mut stack: Vec<(usize, String, bool)> = Vec::new();
    for (at, root) in tree.roots.iter().enumerate().rev() {
        stack.push((*root, String::new(), at + 1 == tree.roots.len()));
    }
    let mut drawn = 0;
    while let Some((at, prefix, last)) = stack.pop() {
        let Some(node) = tree.nodes.get(at) else { continue };
        if drawn == NODES_MAX {
            let _ = writeln!(out, "  {}", view.style.dim(&format!("… {} more", tree.nodes.len() - drawn)));
            break;
        }
        drawn += 1;
        let branch = match (node.parent, last) {
            (None, _) => "",
            (Some(_), true) => "└─ ",
            (Some(_), false) => "├─ ",
        };
        let failed = if node.errors > 0 { " ✗" } else { "" };
        let room = names.saturating_sub(prefix.width() + branch.width() + failed.width());
        let name = format!("{prefix}{branch}{}{failed}", fit(&label(node), room));
        let name = pad(&name, names);
        let name = if node.errors > 0 { view.style.level(Some(Level::Error), &name) } else { name };
        let offset_ms = node.start.since(start).millis();
        let bar = bar(offset_ms, node.end.since(node.start).millis(), whole_ms, bars);
        let bar =
            if node.errors > 0 { view.style.level(Some(Level::Error), &bar) } else { view.style.note(&bar) };
        let _ = writeln!(out, "  {name} {:>8}  {bar}", duration(node.duration_ms));
        let deeper = prefix.width() / 3 < INDENT_MAX;
        let inner = match (node.parent, last) {
            (None, _) => String::new(),
            _ if !deeper => prefix.clone(),
            (Some(_), true) => format!("{prefix}   "),
            (Some(_), false) => format!("{prefix}│  "),
        };
        for (at, child) in node.children.iter().enumerate().rev() {
            stack.push((*child, inner.clone(), at + 1 == node.children.len()));
        }
    }
}

/// A bar of `width` columns that stand for `whole_ms`: at least one column is filled.
fn bar(offset_ms: f64, length_ms: f64, whole_ms: f64, width: usize) -> String {
    if width == 0 {
        return String::new();
    }
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and the width")]
    let column = |ms: f64| {
        let share = if whole_ms > 0.0 { (ms / whole_ms).clamp(0.0, 1.0) } else { 0.0 };
        (share * width as f64).round() as usize
    };
    let from = column(offset_ms).min(width - 1);
    let to = column(offset_ms + length_ms).clamp(from + 1, width);
    let full = if whole_ms > 0.0 { "█" } else { "▏" };
    format!("{}{}", " ".repeat(from), full.repeat(to - from))
}

/// The first, the last, and the entries at ERROR and above, then WARN, as many as there is room for, in order.
fn entries(view: &View, group: &Group, out: &mut String) {
    let rows = &group.rows;
    let mut shown: Vec<usize> = Vec::new();
    let severe = |wanted: fn(Level) -> bool| {
        rows.iter().enumerate().filter(move |(_, row)| row.level.is_some_and(wanted)).map(|(at, _)| at)
    };
    let ends = [0, rows.len().saturating_sub(1)].into_iter().filter(|at| *at < rows.len());
    let all: Box<dyn Iterator<Item = usize>> =
        if rows.len() <= ENTRIES_MAX / 2 { Box::new(0..rows.len()) } else { Box::new(std::iter::empty()) };
    for at in ends.chain(severe(Level::is_error)).chain(severe(|level| level == Level::Warn)).chain(all) {
        if shown.len() < ENTRIES_MAX && !shown.contains(&at) {
            shown.push(at);
        }
    }
    shown.sort_unstable();
    let service =
        shown.iter().filter_map(|at| group.service(rows.get(*at)?)).map(|s| escaped(s, true).width()).max();
    let service = service.unwrap_or(0).min(16);
    for at in &shown {
        if let Some(row) = rows.get(*at) {
            entry(view, group, row, service, out);
        }
    }
    let more = group.entries().saturating_sub(shown.len() as u64);
    if more > 0 {
        let _ = writeln!(out, "  {}", view.style.dim(&format!("… {} more", super::text::grouped(more))));
    }
}

fn entry(view: &View, group: &Group, row: &Row, service_width: usize, out: &mut String) {
    let since = format!("+{}", duration(row.time.since(group.start()).millis().max(0.0)));
    let mut line = format!("{} {since:>8} {:<5} ", clock(row.time), row.level.map_or("", Level::name));
    if service_width > 0 {
        let service = escaped(group.service(row).unwrap_or_default(), true);
        let _ = write!(line, "{} ", pad(&service, service_width));
    }
    if Group::is_attributed(row) {
        line.push('~');
    }
    // Of a joined record, the first line says what happened.
    let message = group.message(row);
    let first = message.lines().next().unwrap_or_default();
    line.push_str(&escaped(first, true));
    let lines = message.lines().count();
    let more = if lines > 1 { format!(" (+{} lines)", lines - 1) } else { String::new() };
    let line = format!("{}{more}", fit(&line, view.width.saturating_sub(2 + more.width())));
    let _ = writeln!(out, "  {}", view.style.level(row.level, &line));
}

/// The root cause in one sentence, for requests that failed.
pub(crate) fn root_cause(group: &Group) -> Option<String> {
    let flow = group.error_flow.as_ref()?;
    let cause = flow.root_causes.first()?;
    let who = cause.service.as_deref().unwrap_or(&cause.node);
    let said = cause.message.lines().next().unwrap_or_default();
    let mut text = format!(
        "root cause: {} said “{}” at {}",
        escaped(who, true),
        fit(&escaped(said, true), 160),
        clock(cause.timestamp)
    );
    let chain =
        flow.chains.iter().find(|chain| chain.root_cause == cause.node).or_else(|| flow.chains.first());
    let mut way: Vec<&str> = Vec::new();
    for service in chain.map(|chain| chain.services.as_slice()).unwrap_or_default() {
        if service != who && way.last() != Some(&service.as_str()) {
            way.push(service);
        }
    }
    if !way.is_empty() {
        let _ = write!(text, "; it spread to {}", escaped(&way.join(" → "), true));
    }
    let others = flow.root_causes.len() - 1;
    if others > 0 {
        let _ = write!(text, " (and {})", counted(others as u64, "more cause", "more causes"));
    }
    Some(text)
}

/// Breaks `text` at spaces into lines of at most `width` columns.
pub(super) fn wrap(text: &str, width: usize, mut line: impl FnMut(&str)) {
    let mut current = String::new();
    for word in text.split(' ') {
        if !current.is_empty() && current.width() + 1 + word.width() > width {
            line(&current);
            current.clear();
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(&fit(word, width));
    }
    line(&current);
}

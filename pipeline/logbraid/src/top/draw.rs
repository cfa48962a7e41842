//! The screen as cells.

use logbraid_query::text::{duration, grouped};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Borders, Cell, Paragraph, Row, Sparkline, Table, TableState};

use super::screen::{Detail, Finding, Pane, Screen};

const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

fn severity(name: &str) -> Style {
    match name {
        "critical" | "error" => Style::new().fg(Color::Red),
        "high" => Style::new().fg(Color::LightRed),
        "medium" | "incomplete" => Style::new().fg(Color::Yellow),
        "low" | "open" => Style::new().fg(Color::LightBlue),
        "ok" => Style::new().fg(Color::Green),
        _ => DIM,
    }
}

/// Draws everything, and takes note of the size.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &mut Screen) {
    let area = frame.area();
    screen.size = (usize::from(area.width), usize::from(area.height));
    let [top, middle, foot] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(0), Constraint::Length(1)]).areas(area);
    head(frame, top, screen);
    if let Some(detail) = &screen.detail {
        request(frame, middle, detail);
    } else {
        let [upper, lower] =
            Layout::vertical([Constraint::Percentage(45), Constraint::Percentage(55)]).areas(middle);
        let [left, right] =
            Layout::horizontal([Constraint::Percentage(58), Constraint::Percentage(42)]).areas(upper);
        findings(frame, left, screen);
        services(frame, right, screen);
        let [left, right] =
            Layout::horizontal([Constraint::Percentage(58), Constraint::Percentage(42)]).areas(lower);
        requests(frame, left, screen);
        flows(frame, right, screen);
    }
    let keys = if screen.detail.is_some() {
        " ↑ ↓ PgUp PgDn scroll   Esc back   q quit"
    } else {
        " Tab list   ↑ ↓ move   Enter timeline   s order   q quit"
    };
    let foot_text = if screen.notice.is_empty() {
        Line::styled(keys, DIM)
    } else {
        Line::styled(format!(" {}", screen.notice), Style::new().fg(Color::Yellow))
    };
    frame.render_widget(foot_text, foot);
}

fn head(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let head = &screen.head;
    let [left, right] = Layout::horizontal([Constraint::Min(0), Constraint::Length(30)]).areas(area);
    let rate = screen.rates.last().copied().unwrap_or(0);
    let figure = |name: &'static str, value: String| {
        [Span::styled(value, BOLD), Span::styled(format!(" {name}   "), DIM)]
    };
    let mut figures = vec![Span::raw(" ")];
    figures.extend(figure("entries/s", grouped(rate)));
    figures.extend(figure("read", grouped(head.read)));
    figures.extend(figure("open", grouped(head.open)));
    figures.extend(figure("lag", duration(head.lag_ms as f64)));
    if let Some(window) = head.window {
        figures.extend(figure("in the window", grouped(window)));
    }
    if head.rejected > 0 {
        figures.push(Span::styled(format!("{} rejected", grouped(head.rejected)), severity("medium")));
    }
    let title = vec![Span::styled(" logbraid", BOLD), Span::styled(format!("  {}", screen.place), DIM)];
    let second = if head.trouble.is_empty() {
        Line::from(figures)
    } else {
        Line::styled(format!(" {}", head.trouble), severity("critical"))
    };
    frame.render_widget(Paragraph::new(vec![Line::from(title), second]), left);
    let width = usize::from(right.width);
    let from = screen.rates.len().saturating_sub(width);
    let rates: Vec<Option<u64>> = std::iter::repeat_n(None, width.saturating_sub(screen.rates.len()))
        .chain(screen.rates[from..].iter().copied().map(Some))
        .collect();
    frame.render_widget(Sparkline::default().data(rates).style(Style::new().fg(Color::LightBlue)), right);
}

fn pane<'a>(screen: &Screen, pane: Pane, title: String) -> Block<'a> {
    let focused = screen.pane == pane;
    let border = if focused { Style::new().fg(Color::LightBlue) } else { DIM };
    let title_style = if focused { BOLD } else { Style::new() };
    Block::new()
        .borders(Borders::ALL)
        .border_type(BorderType::Rounded)
        .border_style(border)
        .title(Span::styled(format!(" {title} "), title_style))
}

fn table(
    frame: &mut Frame<'_>,
    area: Rect,
    screen: &Screen,
    which: Pane,
    title: String,
    (rows, widths): (Vec<Row<'_>>, Vec<Constraint>),
    nothing: &'static str,
) {
    let block = pane(screen, which, title);
    if rows.is_empty() {
        return frame
            .render_widget(Paragraph::new(Line::styled(format!(" {nothing}"), DIM)).block(block), area);
    }
    let focused = screen.pane == which;
    let chosen = if focused { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
    let table = Table::new(rows, widths).block(block).column_spacing(1).row_highlight_style(chosen);
    let mut state = TableState::new().with_selected(Some(screen.at[which as usize]));
    frame.render_stateful_widget(table, area, &mut state);
}

/// `09:31:03.928` of a time.
fn clock(time: &str) -> String {
    time.get(11..).unwrap_or_default().trim_end_matches('Z').chars().take(12).collect()
}

fn right(text: String) -> Cell<'static> {
    Cell::new(Line::from(text).right_aligned())
}

fn times(finding: &Finding) -> String {
    if finding.occurrences > 1 { format!("{}×", grouped(finding.occurrences)) } else { String::new() }
}

fn findings(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let rows = screen.findings.iter().map(|finding| {
        Row::new(vec![
            Cell::new(Span::styled(finding.severity.clone(), severity(&finding.severity))),
            Cell::new(Span::styled(clock(&finding.at), DIM)),
            right(times(finding)),
            Cell::new(finding.title.clone()),
        ])
    });
    let widths =
        vec![Constraint::Length(8), Constraint::Length(12), Constraint::Length(5), Constraint::Min(10)];
    let title = format!("Findings {}", screen.findings.len());
    let nothing = "nothing worth a look so far";
    table(frame, area, screen, Pane::Findings, title, (rows.collect(), widths), nothing);
}

fn services(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let rows = screen.services.iter().map(|service| {
        let share = service.errors as f64 / service.entries.max(1) as f64 * 100.0;
        let bad = if service.errors > 0 { severity("critical") } else { DIM };
        Row::new(vec![
            Cell::new(service.name.clone()),
            right(format!("{:.0}/s", service.per_second)),
            right(grouped(service.entries)),
            Cell::new(Line::styled(format!("{} err", grouped(service.errors)), bad).right_aligned()),
            Cell::new(Line::styled(format!("{share:.1} %"), bad).right_aligned()),
        ])
    });
    let widths = vec![
        Constraint::Min(8),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(7),
    ];
    let title = format!("Services {}", screen.services.len());
    table(
        frame,
        area,
        screen,
        Pane::Services,
        title,
        (rows.collect(), widths),
        "no window that could be asked",
    );
}

fn requests(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let longest = screen.requests.iter().map(|request| request.duration_ms).fold(1.0, f64::max);
    let rows = screen.requests.iter().map(|request| {
        let cells = (request.duration_ms / longest).sqrt() * 8.0;
        let bar: String =
            (1..=8).take_while(|cell| f64::from(*cell) <= cells.round().max(1.0)).map(|_| '█').collect();
        let errors = if request.errors > 0 { format!("{} err", request.errors) } else { String::new() };
        Row::new(vec![
            Cell::new(Span::styled(request.outcome.clone(), severity(&request.outcome))),
            Cell::new(Span::styled(clock(&request.start), DIM)),
            Cell::new(logbraid_query::text::escaped(&request.id, true).into_owned()),
            right(duration(request.duration_ms)),
            Cell::new(Span::styled(bar, severity(&request.outcome))),
            right(grouped(request.entries)),
            Cell::new(Span::styled(errors, severity("critical"))),
            Cell::new(Span::styled(request.services.clone(), DIM)),
        ])
    });
    let widths = vec![
        Constraint::Length(10),
        Constraint::Length(12),
        Constraint::Length(16),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(5),
        Constraint::Length(6),
        Constraint::Min(0),
    ];
    let title = format!("Requests {}, {}", screen.requests.len(), screen.order.name());
    table(frame, area, screen, Pane::Requests, title, (rows.collect(), widths), "none");
}

fn flows(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let rows = screen.flows().map(|finding| {
        let mut spans = Vec::new();
        for (place, service) in finding.chain.iter().enumerate() {
            if place > 0 {
                spans.push(Span::styled(" → ", DIM));
            }
            let style = if place == 0 { severity("critical") } else { Style::new() };
            spans.push(Span::styled(service.clone(), style));
        }
        Row::new(vec![right(times(finding)), Cell::new(Line::from(spans))])
    });
    let widths = vec![Constraint::Length(5), Constraint::Min(10)];
    let title = format!("Error flows {}", screen.len(Pane::Flows));
    table(frame, area, screen, Pane::Flows, title, (rows.collect(), widths), "no error has spread");
}

fn request(frame: &mut Frame<'_>, area: Rect, detail: &Detail) {
    let block = Block::new()
        .borders(Borders::TOP)
        .border_style(Style::new().fg(Color::LightBlue))
        .title(Span::styled(format!(" {} ", logbraid_query::text::escaped(&detail.id, true)), BOLD));
    if detail.lines.is_empty() {
        return frame.render_widget(Paragraph::new(Line::styled(" asking…", DIM)).block(block), area);
    }
    let lines = detail.lines.iter().skip(detail.top).take(usize::from(area.height));
    let lines: Vec<Line<'_>> = lines.map(|line| Line::styled(line.as_str(), line_style(line))).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// Drawings come without colours; errors and warnings get theirs again.
fn line_style(line: &str) -> Style {
    let has = |word: &str| line.split([' ', '│', '├', '└']).any(|part| part == word);
    if has("ERROR") || has("FATAL") || has("✗") {
        severity("critical")
    } else if has("WARN") {
        severity("medium")
    } else if has("DEBUG") || has("TRACE") {
        DIM
    } else {
        Style::new()
    }
}

//! What the screen knows, and what keys do to it. Nothing here draws or waits.

use std::collections::HashMap;

use logbraid_core::EventTime;
use logbraid_query::text::escaped;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;

use super::feed::{Asked, Figures, Told};

/// Requests that are kept, the newest.
const REQUESTS_MAX: usize = 5000;
/// Findings that are kept.
const FINDINGS_MAX: usize = 1000;
/// Seconds of the rate that are kept.
const RATES_MAX: usize = 120;

/// The lists, in the order of Tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    Findings,
    Services,
    Requests,
    Flows,
}

impl Pane {
    pub(super) const ALL: [Self; 4] = [Self::Findings, Self::Services, Self::Requests, Self::Flows];

    fn step(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|pane| *pane == self).unwrap_or(0);
        Self::ALL[(at + by) % Self::ALL.len()]
    }
}

/// The order of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Slowest,
    Newest,
    Failed,
    Open,
}

impl Order {
    const ALL: [Self; 4] = [Self::Slowest, Self::Newest, Self::Failed, Self::Open];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Slowest => "slowest first",
            Self::Newest => "newest first",
            Self::Failed => "failed",
            Self::Open => "open",
        }
    }
    fn next(self) -> Self {
        let at = Self::ALL.iter().position(|order| *order == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

/// A service in the window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) entries: u64,
    pub(super) errors: u64,
    pub(super) per_second: f64,
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) id: String,
    /// `ok`, `error`, `incomplete` or `open`.
    pub(super) outcome: String,
    pub(super) start: String,
    pub(super) duration_ms: f64,
    pub(super) services: String,
    pub(super) entries: u64,
    pub(super) errors: u64,
    /// When it was told; later ones are newer.
    told: u64,
}

/// Something worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: String,
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) at: String,
    pub(super) occurrences: u64,
    /// The request it was found in.
    pub(super) request: Option<String>,
    /// The services that an error went through, the cause first.
    pub(super) chain: Vec<String>,
}

impl Finding {
    /// 0 for the gravest.
    fn rank(&self) -> usize {
        let ranks = ["critical", "high", "medium", "low", "info"];
        ranks.iter().position(|rank| *rank == self.severity).unwrap_or(ranks.len())
    }
}

/// A request, drawn, and how far it is scrolled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Detail {
    pub(super) id: String,
    pub(super) lines: Vec<String>,
    pub(super) top: usize,
}

/// The head of the screen.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Head {
    pub(super) read: u64,
    pub(super) open: u64,
    pub(super) lag_ms: i64,
    pub(super) rejected: u64,
    pub(super) window: Option<u64>,
    pub(super) trouble: String,
}

/// What a key asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Nothing,
    Quit,
    Ask(Asked),
}

/// Everything that is drawn.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) place: String,
    pub(super) head: Head,
    pub(super) rates: Vec<u64>,
    pub(super) services: Vec<Service>,
    pub(super) findings: Vec<Finding>,
    pub(super) requests: Vec<Request>,
    pub(super) pane: Pane,
    pub(super) order: Order,
    pub(super) at: [usize; 4],
    pub(super) detail: Option<Detail>,
    pub(super) notice: String,
    /// Columns and rows of the terminal, as it was drawn last.
    pub(super) size: (usize, usize),
    known_requests: HashMap<String, Request>,
    known_findings: HashMap<String, Finding>,
    uptime_ms: Option<f64>,
    told: u64,
}

impl Screen {
    pub(super) fn new(place: String) -> Self {
        Self {
            place: if place.is_empty() { "stdin".to_owned() } else { place },
            head: Head::default(),
            rates: Vec::new(),
            services: Vec::new(),
            findings: Vec::new(),
            requests: Vec::new(),
            pane: Pane::Findings,
            order: Order::Slowest,
            at: [0; 4],
            detail: None,
            notice: String::new(),
            size: (80, 24),
            known_requests: HashMap::new(),
            known_findings: HashMap::new(),
            uptime_ms: None,
            told: 0,
        }
    }

    /// Takes what the feed tells.
    pub(super) fn take(&mut self, told: Told) {
        match told {
            Told::Notice(text) => self.notice = harmless(&text),
            Told::Request { id, text } => {
                if let Some(detail) = self.detail.as_mut().filter(|detail| detail.id == id) {
                    detail.lines = text.lines().map(harmless).collect();
                }
            }
            Told::Figures(figures) => {
                self.notice.clear();
                self.figures(&figures);
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "no rate is near the end of the range")]
    fn figures(&mut self, figures: &Figures) {
        let run = &figures.run["figures"];
        let number = |name: &str| run[name].as_u64().unwrap_or(0);
        let troubles = figures.run["troubles"].as_object();
        let troubles = troubles.into_iter().flatten().map(|(place, why)| format!("{place}: {}", text(why)));
        let uptime_ms = figures.run["uptime_ms"].as_f64().unwrap_or(0.0);
        let seconds =
            self.uptime_ms.map(|before| (uptime_ms - before) / 1000.0).filter(|seconds| *seconds > 0.0);
        let read = number("in_events_total");
        if let Some(seconds) = seconds {
            self.rates.push(per_second(read, self.head.read, seconds).round() as u64);
            let surplus = self.rates.len().saturating_sub(RATES_MAX);
            self.rates.drain(..surplus);
        }
        self.uptime_ms = Some(uptime_ms);
        self.head = Head {
            read,
            open: number("correlate_open_groups"),
            lag_ms: run["watermark_lag_ms"].as_i64().unwrap_or(0).max(0),
            rejected: number("rejected_total"),
            window: run["index_entries"].as_u64(),
            trouble: harmless(&troubles.collect::<Vec<_>>().join(" · ")),
        };
        self.services(figures, seconds);
        self.board(&figures.board);
        self.list(&figures.open);
        for pane in Pane::ALL {
            let last = self.len(pane).saturating_sub(1);
            let at = &mut self.at[pane as usize];
            *at = (*at).min(last);
        }
    }

    fn services(&mut self, figures: &Figures, seconds: Option<f64>) {
        let errors: HashMap<&str, u64> = figures.triage["services"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|service| Some((service["service"].as_str()?, service["errors"].as_u64()?)))
            .collect();
        let before: HashMap<String, u64> =
            self.services.drain(..).map(|service| (service.name, service.entries)).collect();
        let counts = figures.stats["by_service"]["values"].as_object();
        for (name, entries) in counts.into_iter().flatten() {
            let entries = entries.as_u64().unwrap_or(0);
            let name_shown = harmless(name);
            let rate = match (seconds, before.get(&name_shown)) {
                (Some(seconds), Some(before)) => per_second(entries, *before, seconds),
                _ => 0.0,
            };
            let errors = errors.get(name.as_str()).copied().unwrap_or(0);
            self.services.push(Service { name: name_shown, entries, errors, per_second: rate });
        }
        self.services.sort_by(|a, b| {
            b.errors.cmp(&a.errors).then(b.entries.cmp(&a.entries)).then(a.name.cmp(&b.name))
        });
    }

    fn board(&mut self, board: &Value) {
        for finding in board["findings"].as_array().into_iter().flatten() {
            let strings = |value: &Value| -> Vec<String> {
                value.as_array().into_iter().flatten().map(|item| harmless(&text(item))).collect()
            };
            let shown = Finding {
                severity: text(&finding["severity"]),
                kind: text(&finding["kind"]).replace('_', " "),
                title: harmless(&text(&finding["title"])),
                at: text(&finding["at"]),
                occurrences: finding["occurrences"].as_u64().unwrap_or(1),
                request: finding["key"]["value"].as_str().map(str::to_owned),
                chain: strings(&finding["data"]["chain"]),
            };
            self.known_findings.insert(text(&finding["id"]), shown);
        }
        for request in board["requests"].as_array().into_iter().flatten() {
            self.told += 1;
            let levels = &request["levels"];
            let errors = ["ERROR", "FATAL"].iter().filter_map(|level| levels[*level].as_u64()).sum();
            let services: Vec<String> = request["services"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|name| harmless(&text(name)))
                .collect();
            let shown = Request {
                id: text(&request["key"]["value"]),
                outcome: text(&request["outcome"]),
                start: text(&request["start"]),
                duration_ms: request["duration_ms"].as_f64().unwrap_or(0.0),
                services: services.join(" "),
                entries: request["entries"].as_u64().unwrap_or(0),
                errors,
                told: self.told,
            };
            self.known_requests.insert(shown.id.clone(), shown);
        }
        if self.known_requests.len() > REQUESTS_MAX {
            let oldest = self.told.saturating_sub(REQUESTS_MAX as u64);
            self.known_requests.retain(|_, request| request.told > oldest);
        }
        self.findings = self.known_findings.values().cloned().collect();
        self.findings
            .sort_by(|a, b| a.rank().cmp(&b.rank()).then(b.at.cmp(&a.at)).then(a.title.cmp(&b.title)));
        if self.known_findings.len() > FINDINGS_MAX {
            self.findings.truncate(FINDINGS_MAX);
            let last = self.findings.last().map(Finding::rank).unwrap_or_default();
            self.known_findings.retain(|_, finding| finding.rank() <= last);
        }
    }

    /// Lists requests in the chosen order; `open` holds those of the last minute.
    fn list(&mut self, open: &Value) {
        let rows = open["results"].as_array().into_iter().flatten();
        let open = rows.filter_map(|row| {
            let id = row["id"].as_str()?;
            if self.known_requests.contains_key(id) {
                return None;
            }
            let (start, last) = (text(&row["start"]), text(&row["last"]));
            let moment = |text: &str| logbraid_query::moment("start", text, EventTime::MIN).ok();
            let duration =
                moment(&start).zip(moment(&last)).map_or(0.0, |(start, last)| last.since(start).millis());
            Some(Request {
                id: id.to_owned(),
                outcome: "open".to_owned(),
                start,
                duration_ms: duration,
                services: harmless(&text(&row["services"]).replace(',', " ")),
                entries: row["entries"].as_u64().unwrap_or(0),
                errors: row["errors"].as_u64().unwrap_or(0),
                told: self.told + 1,
            })
        });
        let open: Vec<Request> = open.collect();
        let closed = self.known_requests.values();
        let mut list: Vec<Request> = match self.order {
            Order::Open => open,
            Order::Failed => closed.filter(|request| request.outcome == "error").cloned().collect(),
            Order::Slowest | Order::Newest => closed.cloned().chain(open).collect(),
        };
        match self.order {
            Order::Slowest => {
                list.sort_by(|a, b| b.duration_ms.total_cmp(&a.duration_ms).then(a.id.cmp(&b.id)));
            }
            _ => list.sort_by(|a, b| b.start.cmp(&a.start).then(a.id.cmp(&b.id))),
        }
        self.requests = list;
    }

    /// Findings that have a chain.
    pub(super) fn flows(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.chain.len() > 1)
    }

    /// How long a list is.
    pub(super) fn len(&self, pane: Pane) -> usize {
        match pane {
            Pane::Findings => self.findings.len(),
            Pane::Services => self.services.len(),
            Pane::Requests => self.requests.len(),
            Pane::Flows => self.flows().count(),
        }
    }

    /// The request that is chosen.
    fn chosen(&self) -> Option<String> {
        let at = self.at[self.pane as usize];
        match self.pane {
            Pane::Findings => self.findings.get(at)?.request.clone(),
            Pane::Flows => self.flows().nth(at)?.request.clone(),
            Pane::Requests => self.requests.get(at).map(|request| request.id.clone()),
            Pane::Services => None,
        }
    }

    /// Does what a key asks for.
    pub(super) fn key(&mut self, key: KeyEvent) -> Outcome {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Outcome::Quit } else { Outcome::Nothing };
        }
        let page = self.size.1.saturating_sub(4).max(1);
        if let Some(detail) = &mut self.detail {
            let last = detail.lines.len().saturating_sub(page);
            match key.code {
                KeyCode::Char('q') => return Outcome::Quit,
                KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => self.detail = None,
                KeyCode::Down | KeyCode::Char('j') => detail.top = (detail.top + 1).min(last),
                KeyCode::Up | KeyCode::Char('k') => detail.top = detail.top.saturating_sub(1),
                KeyCode::PageDown | KeyCode::Char(' ') => detail.top = (detail.top + page).min(last),
                KeyCode::PageUp => detail.top = detail.top.saturating_sub(page),
                KeyCode::Home => detail.top = 0,
                KeyCode::End => detail.top = last,
                _ => {}
            }
            return Outcome::Nothing;
        }
        let last = self.len(self.pane).saturating_sub(1);
        let at = &mut self.at[self.pane as usize];
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Outcome::Quit,
            KeyCode::Tab | KeyCode::Right => self.pane = self.pane.step(1),
            KeyCode::BackTab | KeyCode::Left => self.pane = self.pane.step(Pane::ALL.len() - 1),
            KeyCode::Down | KeyCode::Char('j') => *at = (*at + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => *at = at.saturating_sub(1),
            KeyCode::PageDown => *at = (*at + page).min(last),
            KeyCode::PageUp => *at = at.saturating_sub(page),
            KeyCode::Home => *at = 0,
            KeyCode::End => *at = last,
            KeyCode::Char('s') => {
                self.order = self.order.next();
                self.pane = Pane::Requests;
                self.at[Pane::Requests as usize] = 0;
                // Open ones come with the next figures.
                self.list(&Value::Null);
            }
            KeyCode::Enter => {
                if let Some(id) = self.chosen() {
                    self.detail = Some(Detail { id: id.clone(), ..Detail::default() });
                    return Outcome::Ask(Asked { id, width: self.size.0 });
                }
            }
            _ => {}
        }
        Outcome::Nothing
    }
}

fn per_second(now: u64, before: u64, seconds: f64) -> f64 {
    now.saturating_sub(before) as f64 / seconds
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A text that does nothing to a terminal.
fn harmless(text: &str) -> String {
    escaped(text, true).into_owned()
}

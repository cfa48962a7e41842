//! What a scenario brought, as it is kept and shown.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::case::{Call, Case};
use crate::bench::table::Table;
use crate::report::machine::Machine;
use crate::report::stats::{Confidence, Summary, ms, times};

/// A run of all scenarios.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Scenarios {
    /// Where and when.
    pub machine: Machine,
    /// Counted rounds, the discarded one not among them.
    pub rounds: u32,
    /// Counted rounds of whole processes.
    pub cold_rounds: u32,
    /// Seconds after which a call was ended.
    pub patience_s: u64,
    /// Why the batch tool was left out.
    pub skipped: Option<String>,
    /// A row for each scenario at each scale.
    pub rows: Vec<Row>,
}

/// A scenario at a scale.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Row {
    /// The article's number.
    pub number: u8,
    /// The suite.
    pub suite: String,
    /// The scenario.
    pub name: String,
    /// Parameter and scale.
    pub param: String,
    /// Entries in each file.
    pub entries: u64,
    /// Milliseconds of our answer from a held window.
    pub ours: Option<Summary>,
    /// Milliseconds of theirs from a cached index.
    pub theirs: Option<Summary>,
    /// Milliseconds of our process.
    pub ours_cold: Option<Summary>,
    /// Milliseconds of theirs.
    pub theirs_cold: Option<Summary>,
    /// What could not be measured, and why.
    pub notes: Vec<String>,
    /// Where our answer is not the right one.
    pub ours_wrong: Vec<String>,
    /// Where theirs is not.
    pub theirs_wrong: Vec<String>,
    /// What was compared.
    pub compared: Vec<String>,
}

/// How two sides compare, when both were measured: theirs to ours, and how sure that is.
pub fn ratio(ours: Option<&Summary>, theirs: Option<&Summary>) -> Option<(f64, Confidence)> {
    let (ours, theirs) = (ours?, theirs?);
    Some((theirs.median / ours.median, Confidence::of(ours, theirs)))
}

impl Row {
    /// A row of `case` with nothing in it.
    pub fn new(case: &Case) -> Self {
        Self {
            number: case.number,
            suite: case.suite.to_owned(),
            name: case.name.to_owned(),
            param: case.param.clone(),
            entries: case.entries,
            ..Self::default()
        }
    }
    /// Scenario and scale in one.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.param)
    }
    /// True when both sides did the same, so that their times may be compared.
    pub fn is_alike(&self) -> bool {
        !self.notes.iter().any(|note| note.starts_with("not the same work"))
    }
    /// Theirs to ours, warm.
    pub fn warm(&self) -> Option<(f64, Confidence)> {
        ratio(self.ours.as_ref(), self.theirs.as_ref()).filter(|_| self.is_alike())
    }
    /// Theirs to ours, as processes.
    pub fn cold(&self) -> Option<(f64, Confidence)> {
        ratio(self.ours_cold.as_ref(), self.theirs_cold.as_ref())
    }
}

/// Where `said` is not what is `right`.
pub fn differences(said: &Map<String, Value>, right: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, right) in right {
        let Some(said) = said.get(name) else { continue };
        if said == right {
            continue;
        }
        let (Some(said), Some(right)) = (said.as_array(), right.as_array()) else {
            found.push(format!("{name} {said}, not {right}"));
            continue;
        };
        let sorted = |list: &[Value]| {
            let mut numbers: Vec<u64> = list.iter().filter_map(Value::as_u64).collect();
            numbers.sort_unstable();
            numbers
        };
        let (mine, theirs) = (sorted(said), sorted(right));
        if mine == theirs {
            found.push(format!("{name}: the same, in another order"));
        } else {
            let shared = mine.iter().filter(|line| theirs.binary_search(line).is_ok()).count();
            found.push(format!("{name}: {shared} of {} are those that come first in time", right.len()));
        }
    }
    found
}

/// Why the batch tool's answer is known to differ; defects that were found by experiment, not by this run.
pub const fn known(call: Call) -> Option<&'static str> {
    match call {
        Call::Search { form, .. } if matches!(form.as_bytes(), b"summary" | b"count") => {
            Some("it counts the page instead of the matches")
        }
        Call::Search { .. } => Some("its order is not that of time"),
        Call::HierarchyOfThread => Some(
            "by definition: it takes in the spans that the thread started elsewhere, the question does not",
        ),
        Call::Sample(_) => Some("it samples the first 500 entries only, and says the population is the file"),
        Call::ErrorFlow => Some("nodes that are both a root and a child are counted twice"),
        _ => None,
    }
}

fn median(summary: Option<&Summary>) -> String {
    summary.map_or_else(|| "–".to_owned(), |summary| ms(summary.median))
}

fn compared(of: Option<(f64, Confidence)>) -> String {
    of.map_or_else(|| "–".to_owned(), |(ratio, confidence)| format!("{} {}", times(ratio), confidence.name()))
}

impl Scenarios {
    /// The part of the page.
    pub fn markdown(&self) -> String {
        let mut out = String::from("## The article's nineteen scenarios\n\n");
        out.push_str(&self.machine.markdown());
        out.push_str(&format!(
            "\nBeside `logler==1.3.2` in one run, in turns; one round discarded, {} counted ({} for whole processes; 3 of \
             calls that take the batch tool over 3 s, 1 of its processes over 10 s). Medians in milliseconds. *Warm*: \
             our library answers from a held window and writes the answer as JSON; the batch tool answers from its \
             cached index into Python objects. *Cold*: a process that starts, reads, answers, prints and ends; for the \
             batch tool one that imports it and makes the one call. **Definitive**: the distributions do not overlap; \
             probable: their middle halves do not; noise: they do.\n\n",
            self.rounds, self.cold_rounds
        ));
        if let Some(why) = &self.skipped {
            out.push_str(&format!("The batch tool was **left out**: {why}.\n\n"));
        }
        let mut table = Table::new(&[
            "scenario",
            "at",
            "ours, warm",
            "theirs, warm",
            "theirs / ours",
            "ours, cold",
            "theirs, cold",
            "theirs / ours, cold",
        ]);
        for row in &self.rows {
            table.row([
                format!("{} {}", row.number, row.name),
                row.param.clone(),
                median(row.ours.as_ref()),
                median(row.theirs.as_ref()),
                compared(row.warm()),
                median(row.ours_cold.as_ref()),
                median(row.theirs_cold.as_ref()),
                compared(row.cold()),
            ]);
        }
        out.push_str(&table.markdown());
        self.targets(&mut out);
        self.answers(&mut out);
        self.distributions(&mut out);
        out
    }

    /// What was promised, and where it is missed.
    fn targets(&self, out: &mut String) {
        let warm: Vec<(&Row, f64)> = self.rows.iter().filter_map(|row| Some((row, row.warm()?.0))).collect();
        let cold: Vec<(&Row, f64)> = self.rows.iter().filter_map(|row| Some((row, row.cold()?.0))).collect();
        if !warm.is_empty() || !cold.is_empty() {
            out.push_str("\n### Targets\n\n");
        }
        let mut say = |what: &str, rows: Vec<(&Row, f64)>, least: f64| {
            if rows.is_empty() {
                return;
            }
            let missed: Vec<String> = rows
                .iter()
                .filter(|(_, ratio)| *ratio < least)
                .map(|(row, ratio)| format!("{} ({})", row.title(), times(*ratio)))
                .collect();
            out.push_str(&format!(
                "- {what}: {} of {} reach {least:.0}×",
                rows.len() - missed.len(),
                rows.len()
            ));
            if !missed.is_empty() {
                out.push_str(&format!("; missed by {}", missed.join(", ")));
            }
            out.push_str(".\n");
        };
        say("Warm", warm, 10.0);
        let at = |low: u64, high: u64| {
            cold.iter().copied().filter(|(row, _)| (low..high).contains(&row.entries)).collect()
        };
        say("As a process at 50 K entries", at(50_000, 100_000), 20.0);
        say("As a process at 1 M entries", at(1_000_000, u64::MAX), 50.0);
    }

    fn answers(&self, out: &mut String) {
        let checked = self.rows.iter().filter(|row| !row.compared.is_empty()).count();
        let wrong = self.rows.iter().filter(|row| !row.ours_wrong.is_empty()).count();
        out.push_str(&format!(
            "\n### Answers\n\nCompared before anything was timed, with a count made by neither: {checked} of {} rows. \
             Ours differ in {wrong}.\n\n",
            self.rows.len()
        ));
        let mut table = Table::new(&["scenario", "at", "what differs from an independent count"]);
        for row in &self.rows {
            for (who, said) in
                [("ours", &row.ours_wrong), ("batch tool", &row.theirs_wrong), ("note", &row.notes)]
            {
                if !said.is_empty() {
                    table.row([
                        format!("{} {}", row.number, row.name),
                        row.param.clone(),
                        format!("{who}: {}", said.join("; ")),
                    ]);
                }
            }
        }
        out.push_str(&table.markdown());
    }

    fn distributions(&self, out: &mut String) {
        out.push_str("\n<details><summary>Every distribution</summary>\n\n");
        let mut table = Table::new(&["what", "n", "min", "median", "p95", "p99", "stddev", "CoV"]);
        for row in &self.rows {
            let sides = [
                ("ours", &row.ours),
                ("theirs", &row.theirs),
                ("ours, cold", &row.ours_cold),
                ("theirs, cold", &row.theirs_cold),
            ];
            for (who, of) in sides {
                let Some(of) = of else { continue };
                table.row([
                    format!("{}: {who}", row.title()),
                    of.values.len().to_string(),
                    ms(of.min),
                    ms(of.median),
                    ms(of.p95),
                    ms(of.p99),
                    ms(of.stddev),
                    format!("{:.0} %", of.cov * 100.0),
                ]);
            }
        }
        out.push_str(&table.markdown());
        out.push_str("\n</details>\n");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_wrong_count_and_a_wrong_order_are_told() {
        let right = of(&json!({"matches": 5, "lines": [1, 2, 3]}));
        assert_eq!(differences(&of(&json!({"matches": 5, "lines": [1, 2, 3]})), &right), [""; 0]);
        assert_eq!(
            differences(&of(&json!({"matches": 4, "lines": [3, 2, 1]})), &right),
            ["matches 4, not 5", "lines: the same, in another order"]
        );
        assert_eq!(
            differences(&of(&json!({"lines": [7, 2, 3]})), &right),
            ["lines: 2 of 3 are those that come first in time"]
        );
    }
}

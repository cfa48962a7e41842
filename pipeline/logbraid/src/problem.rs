//! What is wrong with what the user gave us: what, where, and how to mend it.
//!
//! ```text
//! error: config.yaml:12:9: operator 'correlate': 'gap' must be longer than zero
//!    |
//! 12 |     gap: 0s
//!    |          ^^
//!   help: try `30s`
//! ```

use std::fmt::{self, Write as _};

use serde_json::{Value, json};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::render::text::Style;

/// A place in a text: 1-based line and column, both in characters, and how many characters it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The line, from 1; 0 for "nowhere in particular".
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The length on that line, in characters.
    pub len: usize,
}

/// One thing that the caller must mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A stable word for programs, such as `unknown_key`.
    pub code: &'static str,
    /// The file, as the user named it.
    pub file: Option<Box<str>>,
    /// Where in the file.
    pub place: Option<Place>,
    /// What is wrong: lower case, no full stop, names in single quotes.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// True when the line must not be shown, because it holds a secret.
    pub secret: bool,
}

impl Problem {
    /// A problem that belongs to no file.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, file: None, place: None, message: message.into(), help: None, secret: false }
    }
    /// A problem at a place; the file is added by whoever knows its name.
    pub fn at(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self { place: Some(place), ..Self::new(code, message) }
    }
    /// What the command line says of words that it cannot take: its first paragraph on one line, its own tip or else
    /// where to read on.
    pub fn of_usage(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let message = one_line(text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: "));
        let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: ").map(str::to_owned));
        let usage = text.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or("logbraid");
        let command: Vec<&str> =
            usage.split_whitespace().take_while(|word| !word.starts_with(['-', '[', '<'])).skip(1).collect();
        let command = command.iter().fold("logbraid".to_owned(), |line, word| line + " " + word);
        Self::new("usage", message).help(tip.unwrap_or_else(|| format!("see `{command} --help`")))
    }
    /// Adds a proposal.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    /// Adds a proposal, if there is one.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
    /// Names the file.
    #[must_use]
    pub fn in_file(mut self, file: &str) -> Self {
        self.file = Some(file.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
            if let Some(place) = self.place {
                write!(f, "{}:{}:", place.line, place.column)?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong, in the order of the file. Never empty when returned as an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    /// The problems.
    pub list: Vec<Problem>,
    /// The text that the places point into.
    pub text: Option<String>,
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { list: vec![problem], text: None }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(false, Style::PLAIN))
    }
}

impl std::error::Error for Problems {}

impl Problems {
    /// The problems for people: a line each, with a help line, and with the place in the file when `excerpts`.
    pub fn to_text(&self, excerpts: bool, style: Style) -> String {
        let mut out = String::new();
        for problem in &self.list {
            let line = problem.to_string();
            let _ = writeln!(out, "{} {}", style.error("error:"), crate::render::text::escaped(&line, true));
            if excerpts && !problem.secret {
                self.excerpt(problem, style, &mut out);
            }
            if let Some(help) = &problem.help {
                let help = crate::render::text::escaped(help, true);
                let _ = writeln!(out, "  {} {help}", style.note("help:"));
            }
        }
        out
    }

    fn excerpt(&self, problem: &Problem, style: Style, out: &mut String) {
        let (Some(text), Some(place)) = (&self.text, problem.place) else { return };
        let Some(line) = place.line.checked_sub(1).and_then(|at| text.lines().nth(at)) else { return };
        // Long lines are not helped by showing all of them.
        if line.chars().count() > 160 {
            return;
        }
        let shown = crate::render::text::escaped(line, true);
        let before: String = line.chars().take(place.column.saturating_sub(1)).collect();
        let pad = crate::render::text::escaped(&before, true).width();
        let covered = line.chars().skip(place.column.saturating_sub(1)).take(place.len.max(1));
        let carets = covered.map(|c| c.width().unwrap_or(1)).sum::<usize>().max(1);
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        let _ = writeln!(out, "{margin} |");
        let _ = writeln!(out, "{} | {shown}", style.dim(&number));
        let _ = writeln!(out, "{margin} | {}{}", " ".repeat(pad), style.error(&"^".repeat(carets)));
    }

    /// The problems for programs, as one document.
    pub fn to_json(&self) -> Value {
        let one = |problem: &Problem| {
            let mut document = json!({ "code": problem.code, "message": problem.to_string() });
            if let Some(help) = &problem.help {
                document["help"] = json!(help);
            }
            document
        };
        let mut document = json!({ "type": "error" });
        if let (Some(first), Some(all)) = (self.list.first().map(one), document.as_object_mut()) {
            all.extend(first.as_object().cloned().unwrap_or_default());
        }
        if self.list.len() > 1 {
            document["errors"] = self.list.iter().map(one).collect();
        }
        document
    }
}

/// The name among `names` that `typed` most likely meant; `None` when nothing is near.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '.', ' '], "_");
    let typed = plain(typed);
    let score = |name: &str| {
        let name = plain(name);
        let whole = strsim::damerau_levenshtein(&typed, &name);
        // Half of a short name wrong is another name; beginnings (`max` for `max_span`) count as near.
        let near = whole <= 1 + name.chars().count().min(typed.chars().count()) / 3;
        let begins = typed.chars().count() >= 3 && (name.starts_with(&typed) || typed.starts_with(&name));
        (near || begins).then_some((whole, name.len()))
    };
    names.into_iter().filter_map(|name| score(name).map(|score| (score, name))).min().map(|(_, name)| name)
}

/// The help for a name that does not exist: the nearest one, and all of them.
pub fn choices<'a>(typed: &str, what: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let all: Vec<String> = names.clone().into_iter().map(|name| format!("`{name}`")).collect();
    let all = all.join(", ");
    match nearest(typed, names) {
        Some(name) => format!("did you mean `{name}`? {what}: {all}"),
        None => format!("{what}: {all}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_missing_are_named_and_the_help_is_the_commands_own() {
        let refused = crate::cli::program().try_get_matches_from(["logbraid", "export", "req-1"]);
        let problem = Problem::of_usage(&refused.unwrap_err());
        assert_eq!(problem.message, "the following required arguments were not provided: --as <FORM>");
        assert_eq!(problem.help.as_deref(), Some("see `logbraid export --help`"));

        let refused = crate::cli::program().try_get_matches_from(["logbraid", "search", "--levle", "error"]);
        let problem = Problem::of_usage(&refused.unwrap_err());
        assert_eq!(problem.message, "unexpected argument '--levle' found");
        assert!(problem.help.is_some_and(|help| help.contains("--level")));
    }

    #[test]
    fn the_nearest_name_is_proposed_and_far_ones_are_not() {
        let names = ["gap", "max_span", "max_entries", "keys"];
        assert_eq!(nearest("gpa", names), Some("gap"));
        assert_eq!(nearest("maxSpan", names), Some("max_span"));
        assert_eq!(nearest("max-entries", names), Some("max_entries"));
        assert_eq!(nearest("key", names), Some("keys"));
        assert_eq!(nearest("banana", names), None);
        assert_eq!(nearest("", names), None);
    }

    #[test]
    fn an_excerpt_points_at_the_place_and_executes_nothing() {
        let place = Place { line: 2, column: 8, len: 2 };
        let problem =
            Problem::at("value", place, "'gap' must be longer than zero").in_file("c.yaml").help("try");
        let text = Some("a:\n  gap: 0s # \u{1b}[31m\n".to_owned());
        let shown = Problems { list: vec![problem], text }.to_text(true, Style::PLAIN);
        let expected = "error: c.yaml:2:8: 'gap' must be longer than zero\n  |\n2 |   gap: 0s # ␛[31m\n  |        ^^\n  help: try\n";
        assert_eq!(shown, expected);
    }
}

//! `compare`: what is different between two requests, threads or traces.

mod side;
#[cfg(test)]
mod tests;
mod trees;

use clap::Args;
use logbraid_core::record::Millis;
use logbraid_core::template::{mask, template_id};
use logbraid_operators::hierarchy::Linking;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::side::{Failure, Side};
pub use self::trees::{Change, Trees};
use crate::count::{InOrder, is_zero, shortened};
use crate::draw::paragraph;
use crate::request::{Of, Request};
use crate::text::{Style, duration, pad};
use crate::{Canvas, IdKind, Question, QuestionError, Reply, Window};

/// Which two.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
pub struct Compare {
    /// One request, by any of its ids, or a thread.
    #[arg(value_name = "ID1")]
    pub id1: String,
    /// The other one.
    #[arg(value_name = "ID2")]
    pub id2: String,
    /// What kind of ids they are, where they could be several.
    #[arg(long = "type", value_name = "KIND")]
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<IdKind>,
}

/// What is different.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Answer {
    /// Both sides.
    pub comparison: Sides,
    /// What is different between them.
    pub differences: Vec<Difference>,
    /// Kinds of messages that only the first has, as patterns, in the order of their first.
    pub only_in_1: Vec<String>,
    /// Kinds of messages that only the second has.
    pub only_in_2: Vec<String>,
    /// How many more entries of each level the second has.
    pub level_changes: InOrder<i64>,
    /// What is different between their trees; none unless both were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hierarchy: Option<Trees>,
    /// In a sentence.
    pub summary: String,
    /// What to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recommendation: Option<String>,
    /// Entries whose text cannot be read any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
    /// True when not everything was looked at or is shown.
    pub truncated: bool,
}

/// Both sides.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Sides {
    /// The first.
    pub request1: Side,
    /// The second.
    pub request2: Side,
}

/// A difference.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Difference {
    /// `found`, `outcome`, `duration`, `entry_count`, `error_count`, `services` or `divergence`.
    pub r#type: &'static str,
    /// In words.
    pub description: String,
    /// The values of both sides; for a divergence, the step from which on they differ.
    pub detail: Value,
}

/// A difference in length that is worth a word, in milliseconds.
const DURATION_MIN_MS: f64 = 100.0;
/// Kinds of messages that are listed.
const PATTERNS_MAX: usize = 10;
/// Characters of each that are shown.
const PATTERN_CHARS: usize = 200;

impl Question for Compare {
    const NAME: &'static str = "compare";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Answer;

    fn ask(&self, window: &Window) -> Result<Reply<Answer>, QuestionError> {
        let linking = Linking::default();
        let find = |id: &str| {
            let found = Request::find(window, &Of { id: id.to_owned(), kind: self.kind })?;
            Some(found.with_tree(id, &linking))
        };
        let (first, second) = (find(&self.id1), find(&self.id2));
        let request1 = Side::of(&self.id1, first.as_ref());
        let request2 = Side::of(&self.id2, second.as_ref());
        let both = first.as_ref().zip(second.as_ref());
        let (only_in_1, cut1) = only_in(first.as_ref(), second.as_ref());
        let (only_in_2, cut2) = only_in(second.as_ref(), first.as_ref());
        let differences = differences(&request1, &request2);
        let sides = [first.as_ref(), second.as_ref()];
        let found = sides.iter().all(Option::is_some);
        let is_cut = sides.iter().flatten().any(|side| side.is_cut());
        let answer = Answer {
            level_changes: level_changes(&request1, &request2),
            summary: summary(&request1, &request2, &differences),
            recommendation: recommendation(&request1, &request2),
            hierarchy: both.and_then(|(first, second)| Trees::of(first, second)),
            unreadable: sides.iter().flatten().map(|side| side.unreadable).sum(),
            truncated: cut1 || cut2 || is_cut || request1.truncated || request2.truncated,
            comparison: Sides { request1, request2 },
            differences,
            only_in_1,
            only_in_2,
        };
        Ok(Reply::when(found, answer))
    }

    fn draw(&self, answer: &Answer, canvas: &mut Canvas) -> bool {
        let Sides { request1, request2 } = &answer.comparison;
        let room = (canvas.width.saturating_sub(14) / 2).max(12);
        let row = |canvas: &mut Canvas, name: &str, a: &str, b: &str| {
            let differs = a != b;
            let text = format!("{name:<12}{} {b}", pad(&crate::text::escaped(a, true), room));
            canvas.line(&text, |style, text| if differs { style.warn(text) } else { text.to_owned() });
        };
        row(canvas, "", &request1.id, &request2.id);
        row(canvas, "outcome", request1.outcome, request2.outcome);
        let time = |side: &Side| side.duration_ms.map_or_else(|| "-".to_owned(), |ms| duration(ms.0));
        row(canvas, "duration", &time(request1), &time(request2));
        row(canvas, "entries", &request1.entry_count.to_string(), &request2.entry_count.to_string());
        row(canvas, "errors", &request1.error_count.to_string(), &request2.error_count.to_string());
        if request1.services.is_empty() && request2.services.is_empty() {
            // Nobody named any.
        } else if request1.services == request2.services {
            paragraph(&format!("services    {}", request1.services.join(" → ")), canvas, |_, text| {
                text.to_owned()
            });
        } else {
            row(canvas, "services", &request1.services.join(" → "), &request2.services.join(" → "));
        }
        paragraph(&answer.summary, canvas, Style::bold);
        for (mark, patterns) in [('-', &answer.only_in_1), ('+', &answer.only_in_2)] {
            for pattern in patterns {
                canvas.line(&format!("{mark} {pattern}"), |style, text| {
                    if mark == '-' { style.error(text) } else { style.good(text) }
                });
            }
        }
        if let Some(trees) = &answer.hierarchy {
            trees.draw(canvas);
        }
        if let Some(text) = &answer.recommendation {
            paragraph(text, canvas, Style::note);
        }
        true
    }
}

fn difference(r#type: &'static str, description: String, a: Value, b: Value) -> Difference {
    Difference { r#type, description, detail: json!({ "request1": a, "request2": b }) }
}

fn differences(a: &Side, b: &Side) -> Vec<Difference> {
    let mut found = Vec::new();
    if a.found != b.found {
        let missing = if a.found { &b.id } else { &a.id };
        let text = format!("no entry carries `{missing}`");
        found.push(difference("found", text, json!(a.found), json!(b.found)));
        return found;
    }
    if a.outcome != b.outcome {
        let text = format!("`{}` ended as {}, `{}` as {}", a.id, a.outcome, b.id, b.outcome);
        found.push(difference("outcome", text, json!(a.outcome), json!(b.outcome)));
    }
    if let (Some(Millis(one)), Some(Millis(other))) = (a.duration_ms, b.duration_ms)
        && (one - other).abs() > DURATION_MIN_MS
    {
        let (slow, by) = if one > other { (&a.id, one - other) } else { (&b.id, other - one) };
        let text = format!("`{slow}` took {} longer", duration(by));
        found.push(difference("duration", text, json!(Millis(one)), json!(Millis(other))));
    }
    for (name, one, other, what) in [
        ("entry_count", a.entry_count, b.entry_count, "entries"),
        ("error_count", a.error_count, b.error_count, "errors"),
    ] {
        if one != other {
            let text = format!("`{}` has {one} {what}, `{}` has {other}", a.id, b.id);
            found.push(difference(name, text, json!(one), json!(other)));
        }
    }
    if a.services != b.services {
        let text = format!("{} against {}", a.services.join(" → "), b.services.join(" → "));
        found.push(difference("services", text, json!(a.services), json!(b.services)));
    }
    let steps = a.patterns.len().max(b.patterns.len());
    if let Some(at) = (0..steps).find(|at| a.patterns.get(*at) != b.patterns.get(*at)) {
        let step = |side: &Side| side.steps.get(at).cloned();
        found.push(Difference {
            r#type: "divergence",
            description: format!("they differ from step {} on", at + 1),
            detail: json!({ "step": at + 1, "request1": step(a), "request2": step(b) }),
        });
    }
    found
}

/// Kinds of messages of `one` that `other` has not, and whether some are left out.
fn only_in(one: Option<&Request<'_>>, other: Option<&Request<'_>>) -> (Vec<String>, bool) {
    let Some(one) = one else { return (Vec::new(), false) };
    let kinds = |side: &Request<'_>| -> Vec<String> {
        side.group.rows.iter().map(|row| side::unnamed(&side.group, row)).collect()
    };
    let mut known: hashbrown::HashSet<logbraid_core::Id> =
        other.into_iter().flat_map(kinds).map(|message| template_id(&message)).collect();
    let mut patterns = Vec::new();
    for message in kinds(one) {
        if known.insert(template_id(&message)) {
            if patterns.len() >= PATTERNS_MAX {
                return (patterns, true);
            }
            patterns.push(shortened(&mask(&message), PATTERN_CHARS));
        }
    }
    (patterns, false)
}

fn level_changes(a: &Side, b: &Side) -> InOrder<i64> {
    let count = |side: &Side, level| i64::try_from(side.levels.of(level)).unwrap_or(i64::MAX);
    let changes = logbraid_core::Level::ALL
        .into_iter()
        .map(|level| (level.name().to_owned(), count(b, level) - count(a, level)));
    InOrder(changes.filter(|(_, change)| *change != 0).collect())
}

fn summary(a: &Side, b: &Side, differences: &[Difference]) -> String {
    match (a.found, b.found) {
        (false, false) => format!("no entry carries `{}` or `{}`", a.id, b.id),
        _ if differences.is_empty() => format!("`{}` and `{}` went the same way", a.id, b.id),
        _ => {
            let parts: Vec<&str> =
                differences.iter().map(|difference| difference.description.as_str()).collect();
            parts.join("; ")
        }
    }
}

fn recommendation(a: &Side, b: &Side) -> Option<String> {
    let failed = match (a.outcome, b.outcome) {
        ("error", "success") => a,
        ("success", "error") => b,
        _ => return None,
    };
    let first = failed.errors.first()?;
    let place = first.service.as_deref().map_or_else(String::new, |service| format!(" of `{service}`"));
    Some(format!("look at the first error of `{}`: `{}`{place}", failed.id, first.message))
}

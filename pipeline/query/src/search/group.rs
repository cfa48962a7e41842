//! Counts of what was found: by level, thread, service, input, and by whatever is asked for.

use logbraid_index::{Column, EntryRef, Filter, Texts};
use serde_json::{Map, Value};

use super::Aggregations;
use crate::count::{ByLevel, InOrder, KindSummary, Kinds, Tally};
use crate::exclude::Matching;
use crate::{Entry, QuestionError, Window};

/// Entries that a summary shows.
const SAMPLES: usize = 5;

/// What entries are counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    Level,
    Column(Column),
    Template,
    Input,
    /// A dotted path into an entry's fields.
    Field(String),
}

/// For `skip_serializing_if`.
pub(super) fn is_empty<T>(values: &InOrder<T>) -> bool {
    values.0.is_empty()
}

/// Reads the names of `--group-by`.
pub(super) fn by(names: &[String]) -> Result<Vec<(String, By)>, QuestionError> {
    names.iter().map(|name| Ok((name.clone(), one(name)?))).collect()
}

fn one(name: &str) -> Result<By, QuestionError> {
    Ok(match name {
        "level" => By::Level,
        "template" => By::Template,
        "input" | "file" => By::Input,
        "thread" => By::Column(Column::Thread),
        "correlation" => By::Column(Column::Correlation),
        "trace" => By::Column(Column::Trace),
        "span" => By::Column(Column::Span),
        _ => match Column::ALL.into_iter().find(|column| column.name() == name) {
            Some(column) => By::Column(column),
            None => match name.strip_prefix("fields.") {
                Some(path) if !path.is_empty() => By::Field(path.to_owned()),
                _ => {
                    let columns: Vec<&str> = Column::ALL.iter().map(|column| column.name()).collect();
                    return Err(QuestionError::new(
                        "usage",
                        format!("`--group-by`: entries have no `{name}`"),
                    )
                    .help(format!(
                        "there are level, {}, template, input, and fields such as `fields.{name}`",
                        columns.join(", ")
                    )));
                }
            },
        },
    })
}

/// Counts the entries that match: `entries` where they are known, else what columns let through.
pub(super) fn aggregate<'v>(
    window: &'v Window,
    matching: &Matching,
    entries: Option<&[EntryRef<'v>]>,
    groups: &[(String, By)],
    top: usize,
) -> Aggregations {
    let view = window.view();
    let mut left_out = Vec::new();
    let mut listed = |name: &str, counts: Vec<(&str, u64)>, others: u64| {
        let (shown, more) = if top == 0 { (counts.len(), 0) } else { (top, others) };
        let hidden: u64 = counts.iter().skip(shown).map(|(_, count)| count).sum::<u64>() + more;
        if hidden > 0 {
            left_out.push((name.to_owned(), hidden));
        }
        InOrder(counts.into_iter().take(shown).map(|(name, count)| (name.to_owned(), count)).collect())
    };
    let (by_level, inputs) = match entries {
        Some(entries) => passed(entries.iter().copied()),
        None if matching.filter == Filter::default() => {
            let (known, unknown) = view.levels();
            (ByLevel::new(known, unknown), passed(view.scan_stored(&matching.filter)).1)
        }
        None => passed(view.scan_stored(&matching.filter)),
    };
    let by_input = listed("by_input", inputs.sorted(), inputs.others());
    let mut by_column = |name: &str, column: Column| {
        if let Some(entries) = entries {
            let mut tally = Tally::default();
            for value in entries.iter().filter_map(|entry| entry.get(column)) {
                tally.add(value);
            }
            return listed(name, tally.sorted(), tally.others());
        }
        let ids = view.ids(column, &matching.filter);
        listed(name, ids.into_iter().map(|id| (id.value, id.count)).collect(), 0)
    };
    let by_thread = by_column("by_thread", Column::Thread);
    let by_service = by_column("by_service", Column::Service);
    let mut texts = Texts::new();
    let grouped = groups.iter().map(|(name, by)| {
        let mut tally = Tally::default();
        for entry in entries.unwrap_or_default() {
            add(&mut tally, &mut texts, *entry, by);
        }
        (name.clone(), listed(name, tally.sorted(), tally.others()))
    });
    let groups = InOrder(grouped.collect());
    Aggregations { by_level, by_thread, by_service, by_input, groups, not_listed: InOrder(left_out) }
}

/// Entries by level and by input, in one pass.
fn passed<'v>(entries: impl Iterator<Item = EntryRef<'v>>) -> (ByLevel, Tally) {
    let mut levels = ByLevel::default();
    let mut inputs = Tally::default();
    // Neighbours come from one input.
    let (mut input, mut count) = ("", 0);
    for entry in entries {
        levels.add(entry.level());
        if !std::ptr::eq(entry.input(), input) {
            if count > 0 {
                inputs.add_many(input, count);
            }
            (input, count) = (entry.input(), 0);
        }
        count += 1;
    }
    if count > 0 {
        inputs.add_many(input, count);
    }
    (levels, inputs)
}

fn add<'v>(tally: &mut Tally, texts: &mut Texts<'v>, entry: EntryRef<'v>, by: &By) {
    match by {
        By::Level => tally.add(entry.level().map_or("UNKNOWN", logbraid_core::Level::name)),
        By::Column(column) => entry.all(*column).for_each(|value| tally.add(value)),
        By::Template => tally.add(&entry.template().to_string()),
        By::Input => tally.add(entry.input()),
        By::Field(path) => match texts.fields(entry).ok().as_ref().and_then(|fields| at(fields, path)) {
            Some(Value::String(text)) => tally.add(text),
            Some(Value::Null) | None => {}
            Some(other) => tally.add(&other.to_string()),
        },
    }
}

/// The value at a dotted path; a key that holds dots itself is found, too.
pub(crate) fn at<'a>(fields: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = fields.get(path) {
        return Some(value);
    }
    path.match_indices('.')
        .find_map(|(dot, _)| at(fields.get(path.get(..dot)?)?.as_object()?, path.get(dot + 1..)?))
}

/// How many kinds of messages there are, the most frequent ones, and a few entries: the first, the last, the first
/// error, and some at even steps between.
pub(super) fn summed_up(found: &[EntryRef<'_>], top: usize) -> (u64, Vec<KindSummary>, Vec<Entry>) {
    let mut sorted = found.to_vec();
    sorted.sort_unstable();
    let mut kinds = Kinds::new();
    for entry in &sorted {
        kinds.add(*entry);
    }
    let mut texts = Texts::new();
    let most = if top == 0 { usize::MAX } else { top };
    let shown = kinds.sorted().into_iter().take(most).map(|kind| kind.summary(&mut texts)).collect();
    let last = sorted.len().saturating_sub(1);
    let is_error = |entry: &EntryRef<'_>| entry.level().is_some_and(logbraid_core::Level::is_error);
    let mut places = vec![0, last];
    places.extend(sorted.iter().position(is_error));
    places.extend((1..SAMPLES - 1).map(|step| last * step / (SAMPLES - 1)));
    let mut chosen: Vec<usize> = Vec::new();
    for place in places {
        if !chosen.contains(&place) && chosen.len() < SAMPLES && place < sorted.len() {
            chosen.push(place);
        }
    }
    chosen.sort_unstable();
    let sample = chosen.into_iter().filter_map(|at| Entry::read(&mut texts, *sorted.get(at)?, false).ok());
    (kinds.len() as u64, shown, sample.collect())
}

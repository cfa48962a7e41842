//! Formats of the user's own: a regex with named groups.

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use globset::{Glob, GlobSet, GlobSetBuilder};
use logbraid_core::component::ConfigError;
use logbraid_core::{Flags, Format};

use crate::draft::{Draft, Piece};
use crate::keys::{Slot, Style};
use crate::parser::Engine;
use crate::settings::Custom;
use crate::time::{Context, Found, SECOND, Zone};
use crate::{ids, shape};

/// A user format, compiled.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) name: String,
    pub(crate) regex: regex::Regex,
    files: GlobSet,
    everywhere: bool,
    time: Option<Vec<Item<'static>>>,
    groups: Vec<(usize, Slot, u8)>,
    /// Groups that no entry carries by name.
    pub(crate) others: Vec<(usize, String)>,
}

const GROUPS: [(&str, Slot); 17] = [
    ("timestamp", Slot::Time),
    ("time", Slot::Time),
    ("level", Slot::Level),
    ("severity", Slot::Level),
    ("message", Slot::Message),
    ("msg", Slot::Message),
    ("thread", Slot::Thread),
    ("thread_id", Slot::Thread),
    ("correlation_id", Slot::Correlation),
    ("request_id", Slot::Correlation),
    ("trace_id", Slot::Trace),
    ("span_id", Slot::Span),
    ("parent_span_id", Slot::ParentSpan),
    ("service", Slot::Service),
    ("service_name", Slot::Service),
    ("host", Slot::Host),
    ("hostname", Slot::Host),
];

impl Pattern {
    pub(crate) fn new(name: &str, custom: &Custom) -> Result<Self, ConfigError> {
        let at = |field: &str| format!("custom.{name}.{field}");
        let regex = regex::RegexBuilder::new(&custom.regex).size_limit(4 << 20).build().map_err(|error| {
            // The last line of a regex error says what is wrong; those before it draw where.
            let text = error.to_string();
            let what = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            ConfigError::new(&at("regex"), format!("`regex` is not a regular expression: {what}"))
        })?;
        let (mut groups, mut others) = (Vec::new(), Vec::new());
        for (number, group) in regex.capture_names().enumerate() {
            let Some(group) = group else { continue };
            match GROUPS.iter().position(|(known, _)| *known == group) {
                Some(rank) => groups.push((number, GROUPS[rank].1, u8::try_from(rank).unwrap_or(u8::MAX))),
                None => others.push((number, group.to_owned())),
            }
        }
        if groups.is_empty() && others.is_empty() {
            return Err(ConfigError::new(&at("regex"), "`regex` has no named group")
                .help("name what you want to keep, as in `(?P<message>.*)`"));
        }
        let time = match &custom.timestamp_format {
            None => None,
            Some(format) => {
                let items = StrftimeItems::new(format).parse_to_owned().map_err(|_| {
                    ConfigError::new(
                        &at("timestamp_format"),
                        format!("`timestamp_format`: `{format}` is not a strftime format"),
                    )
                    .help("write it like `%Y-%m-%d %H:%M:%S%.f`")
                })?;
                if !groups.iter().any(|(_, slot, _)| *slot == Slot::Time) {
                    return Err(ConfigError::new(
                        &at("timestamp_format"),
                        "`timestamp_format` needs a group `timestamp` in `regex`",
                    )
                    .help("name it, as in `(?P<timestamp>\\S+ \\S+)`"));
                }
                Some(items)
            }
        };
        let mut files = GlobSetBuilder::new();
        for (number, glob) in custom.file_patterns.iter().enumerate() {
            let glob = Glob::new(glob).map_err(|error| {
                ConfigError::new(
                    &at(&format!("file_patterns.{number}")),
                    format!("`{glob}` is not a glob: {}", error.kind()),
                )
            })?;
            files.add(glob);
        }
        let files =
            files.build().map_err(|error| ConfigError::new(&at("file_patterns"), error.to_string()))?;
        let everywhere = custom.file_patterns.is_empty();
        Ok(Self { name: name.to_owned(), regex, files, everywhere, time, groups, others })
    }

    /// True when the format is meant for inputs called `name`.
    pub(crate) fn is_for(&self, name: &str) -> bool {
        self.everywhere || self.files.is_match(name.rsplit('/').next().unwrap_or(name))
    }
}

/// A time written in the user's own layout.
fn read_time(items: &[Item<'_>], text: &str, context: &Context) -> Option<Found> {
    let attempt = |year: Option<i64>| {
        let mut parsed = Parsed::new();
        parse(&mut parsed, text, items.iter()).ok()?;
        if let Some(year) = year {
            parsed.set_year(year).ok()?;
        }
        if let Ok(at) = parsed.to_datetime() {
            return Some((at.timestamp(), at.timestamp_subsec_nanos()));
        }
        let date = parsed.to_naive_date().ok()?;
        let clock = parsed.to_naive_time().unwrap_or_default();
        let local = date.and_time(clock).and_utc();
        let seconds = match parsed.offset() {
            Some(offset) => Zone::Fixed(offset).to_utc(local.timestamp()),
            None => context.zone.to_utc(local.timestamp()),
        };
        Some((seconds, local.timestamp_subsec_nanos()))
    };
    let (found, flags) = if let Some(found) = attempt(None) {
        (found, Flags::default())
    } else {
        let limit = context.ingest.saturating_add(86_400 * SECOND).div_euclid(SECOND);
        let guess = 1970 + context.ingest.div_euclid(SECOND * 86_400) / 365;
        let found =
            (-9..=1).rev().filter_map(|back| attempt(Some(guess + back))).find(|(at, _)| *at <= limit)?;
        (found, Flags::NO_YEAR)
    };
    let nanos = found.0.checked_mul(SECOND)?.checked_add(i64::from(found.1))?;
    Some(Found { nanos, end: text.len(), flags, epoch: false })
}

pub(crate) fn read(engine: &mut Engine, draft: &mut Draft, piece: Piece<'_>, pattern: &Pattern) -> bool {
    let Some(captures) = pattern.regex.captures(piece.text) else { return false };
    for (number, slot, rank) in &pattern.groups {
        let Some(group) = captures.get(*number) else { continue };
        let value = piece.part(group.as_str());
        if let (Slot::Time, Some(items)) = (slot, &pattern.time)
            && let Some(found) = read_time(items, value.text, &engine.context)
        {
            draft.set_time(found, *rank);
            continue;
        }
        draft.take(*slot, Style::Plain, *rank, value, &mut engine.day, &engine.context);
    }
    for (number, name) in &pattern.others {
        let (Some(group), Some(entry)) = (captures.get(*number), engine.table.get(name)) else { continue };
        let value = piece.part(group.as_str());
        let (slot, style, rank, extra) =
            (entry.slot, entry.style, entry.rank.saturating_add(50), entry.extra);
        draft.take(slot, style, rank, value, &mut engine.day, &engine.context);
        if let Some(id) = extra {
            draft.extra(id, value.range(value.text));
        }
    }
    draft.format(Format::Custom);
    if draft.row.message.is_none() {
        draft.row.message = piece.range(piece.text);
    }
    ids::in_text(draft, piece);
    draft.row.flags.set(shape::of_message(piece.text, draft.row.level));
    true
}

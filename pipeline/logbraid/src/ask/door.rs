//! What every question takes, through whichever door it comes: the range of time, and how much is said.

use logbraid_core::reading::Misread;
use logbraid_core::{ByteSize, EventTime, Span};
use logbraid_query::Window;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cli::times;
use crate::problem::Problem;

/// Options of every question.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Door {
    /// Only entries at this moment or later: RFC 3339, `2024-01-15 10:00` (UTC), or `-30m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
    /// Only entries before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<String>,
    /// Only the last span, such as `30m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<Span>,
    /// At most so many bytes, such as `4KiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_bytes: Option<ByteSize>,
    /// Leaves out what is rarely needed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) compact: bool,
    /// Of the items of lists, only these fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<String>,
}

/// Names of these options in JSON.
pub(crate) const NAMES: [&str; 6] = ["after", "before", "last", "max_bytes", "compact", "fields"];

impl Door {
    /// Takes these options out of a request's `map`; those in `own` are the question's.
    pub(crate) fn take(map: &mut Map<String, Value>, own: &dyn Fn(&str) -> bool) -> Result<Self, Problem> {
        let mut mine = Map::new();
        for name in NAMES.into_iter().filter(|name| !own(name)) {
            if let Some(value) = map.shift_remove(name) {
                mine.insert(name.to_owned(), value);
            }
        }
        logbraid_core::reading::read(&Value::Object(mine)).map_err(|Misread { path, message }| {
            Problem::new("usage", format!("'{path}': {message}").replace('`', "'"))
        })
    }

    /// Finds mistakes that need no window, before any time goes into reading.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        self.range(EventTime::from_nanos(0)).map(drop)
    }

    /// The range of event time, with spans counted back from `now`.
    fn range(&self, now: EventTime) -> Result<(EventTime, EventTime), Problem> {
        let moment = |name: &str, text: &Option<String>| {
            text.as_ref().map(|text| times::moment(name, text, now)).transpose()
        };
        let after = moment("--after", &self.after)?;
        let before = moment("--before", &self.before)?;
        if after.is_some() && self.last.is_some() {
            return Err(Problem::new("usage", "'--after' and '--last' both say where the range begins")
                .help("leave one of them out"));
        }
        if let Some(last) = self.last
            && last <= Span::ZERO
        {
            return Err(Problem::new("usage", "'--last' must be longer than zero").help("try `30m`"));
        }
        if let (Some(after), Some(before)) = (after, before)
            && after >= before
        {
            return Err(Problem::new("usage", "'--after' is not earlier than '--before'").help("swap them"));
        }
        let from = after.or_else(|| self.last.map(|last| now - last));
        Ok((from.unwrap_or(EventTime::MIN), before.unwrap_or(EventTime::MAX)))
    }

    /// The window, cut to the range.
    pub(crate) fn cut(&self, window: Window) -> Result<Window, Problem> {
        let (from, to) = self.range(window.now())?;
        Ok(window.between(from, to))
    }
}

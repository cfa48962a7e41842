//! Which conditions of a query the index decides, and how they reach the scan.
//!
//! A plan is a text, such as `timestamp>= level=`: one word for each value that SQLite hands to the scan, in order. The
//! text is what `EXPLAIN QUERY PLAN` shows. Conditions only narrow the scan; SQLite tests them again, except where the
//! value was known beforehand and the index decides exactly what SQLite would.

use logbraid_core::{EventTime, Id, Level};
use logbraid_index::{Filter, LevelSet, Term};
use rusqlite::types::ValueRef;
use rusqlite::vtab::IndexConstraintOp;

use super::columns::{Declared, Field, MOMENT, SEVERITY};
use super::moment;

/// How a column is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    Equal,
    OneOf,
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Is {
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::OneOf => " in",
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        }
    }
    /// The comparison that the index can make for `column`, compared as `collation` says.
    pub(super) fn of(column: &Declared, operator: &IndexConstraintOp, collation: &str) -> Option<Self> {
        let ordered = matches!(column.field, Field::Timestamp | Field::TimeNs | Field::TimeMs | Field::Level);
        let is = match operator {
            IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ => Self::Equal,
            IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GT if ordered => Self::Above,
            IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GE if ordered => Self::AtLeast,
            IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LT if ordered => Self::Below,
            IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LE if ordered => Self::AtMost,
            _ => return None,
        };
        let expected = match column.field {
            Field::Timestamp => MOMENT,
            Field::Level => SEVERITY,
            Field::TimeNs | Field::TimeMs | Field::Text(_) | Field::Input | Field::Template => "BINARY",
            _ => return None,
        };
        collation.eq_ignore_ascii_case(expected).then_some(is)
    }
}

/// A value that the index can compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// A stretch of time: from the first moment on, before the second.
    Moment(EventTime, EventTime),
    Level(Level),
    Text(String),
    Template(Id),
}

impl Known {
    /// What `value` means when it is compared with `column`; `None` when only SQLite can say.
    pub(super) fn of(column: &Declared, value: ValueRef<'_>) -> Option<Self> {
        let text = || match value {
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        };
        match column.field {
            Field::Timestamp => {
                let at = moment::parse(text()?)?;
                Some(Self::Moment(at, after(at, 1)))
            }
            Field::TimeNs => {
                let at = EventTime::from_nanos(integer(value)?);
                at.is_known().then(|| Self::Moment(at, after(at, 1)))
            }
            Field::TimeMs => {
                let millis = integer(value)?;
                // Beyond these, milliseconds have no nanoseconds.
                let known = (-9_000_000_000_000..9_000_000_000_000).contains(&millis);
                let at = EventTime::from_millis(millis);
                known.then(|| Self::Moment(at, after(at, 1_000_000)))
            }
            Field::Level => Some(Self::Level(logbraid_parse::level_of(text()?)?)),
            Field::Text(_) | Field::Input => match value {
                ValueRef::Integer(number) => Some(Self::Text(number.to_string())),
                _ => Some(Self::Text(text()?.to_owned())),
            },
            Field::Template => {
                let text = text()?;
                let id = u64::from_str_radix(text, 16).ok()?;
                (Id(id).to_string() == text).then_some(Self::Template(Id(id)))
            }
            _ => None,
        }
    }
}

const fn integer(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Integer(number) => Some(number),
        _ => None,
    }
}

const fn after(time: EventTime, nanos: i64) -> EventTime {
    EventTime::from_nanos(time.nanos().saturating_add(nanos))
}

/// What a scan is narrowed to; conditions are added one by one.
#[derive(Debug)]
pub(super) struct Narrowed {
    from: EventTime,
    to: EventTime,
    levels: LevelSet,
    inputs: Option<Vec<String>>,
    templates: Option<Vec<Id>>,
    clauses: Vec<Vec<Term>>,
    nothing: bool,
}

impl Narrowed {
    /// To a range of time.
    pub(super) const fn to(from: EventTime, to: EventTime) -> Self {
        Self {
            from,
            to,
            levels: LevelSet::ALL,
            inputs: None,
            templates: None,
            clauses: Vec::new(),
            nothing: false,
        }
    }

    /// Nothing meets the conditions, as where a column must be equal to NULL.
    pub(super) const fn rule_out_all(&mut self) {
        self.nothing = true;
    }

    /// Narrows to entries whose `column` is to one of `values` as `is` says.
    pub(super) fn by(&mut self, column: &Declared, is: Is, values: &[Known]) {
        match column.field {
            Field::Timestamp | Field::TimeNs | Field::TimeMs => {
                let moments = values.iter().filter_map(|value| match value {
                    Known::Moment(from, to) => Some((*from, *to)),
                    _ => None,
                });
                let first = moments.clone().map(|(from, _)| from).min();
                let last = moments.map(|(_, to)| to).max();
                let (Some(first), Some(last)) = (first, last) else { return self.rule_out_all() };
                // Entries without a time are NULL, which no comparison holds for.
                let (from, to) = match is {
                    Is::Equal | Is::OneOf => (first, last),
                    Is::AtLeast => (first, EventTime::MAX),
                    Is::Above => (last, EventTime::MAX),
                    Is::Below => (after(EventTime::MIN, 1), first),
                    Is::AtMost => (after(EventTime::MIN, 1), last),
                };
                self.from = self.from.max(from);
                self.to = self.to.min(to);
            }
            Field::Level => {
                let holds = |level: Level| {
                    values.iter().any(|value| {
                        let Known::Level(with) = value else { return false };
                        match is {
                            Is::Equal | Is::OneOf => level == *with,
                            Is::Above => level > *with,
                            Is::AtLeast => level >= *with,
                            Is::Below => level < *with,
                            Is::AtMost => level <= *with,
                        }
                    })
                };
                let before = self.levels;
                let levels = Level::ALL.into_iter();
                self.levels = levels.filter(|level| before.has(Some(*level)) && holds(*level)).collect();
            }
            Field::Text(text) => {
                self.clauses.push(texts(values).map(|value| Term::new(text, value)).collect());
            }
            Field::Input => {
                let before = self.inputs.take();
                let kept = texts(values).filter(|name| {
                    before.as_ref().is_none_or(|before| before.iter().any(|before| before == name))
                });
                self.inputs = Some(kept.map(str::to_owned).collect());
            }
            Field::Template => {
                let ids = values.iter().filter_map(|value| match value {
                    Known::Template(id) => Some(*id),
                    _ => None,
                });
                let before = self.templates.take();
                let kept = ids.filter(|id| before.as_ref().is_none_or(|before| before.contains(id)));
                self.templates = Some(kept.collect());
            }
            _ => {}
        }
    }

    /// The filter; none when no entry meets the conditions.
    pub(super) fn filter(self) -> Option<Filter> {
        let empty = |list: Option<usize>| list == Some(0);
        if self.nothing
            || self.from >= self.to && self.to != EventTime::MAX
            || self.levels == LevelSet::EMPTY
            || empty(self.inputs.as_ref().map(Vec::len))
            || empty(self.templates.as_ref().map(Vec::len))
        {
            return None;
        }
        let mut filter = Filter::default().from(self.from).before(self.to).levels(self.levels);
        for clause in self.clauses {
            filter = filter.any_of(clause);
        }
        if let Some(inputs) = self.inputs {
            filter = filter.inputs(inputs);
        }
        if let Some(templates) = self.templates {
            filter = filter.templates(templates);
        }
        Some(filter)
    }
}

fn texts(values: &[Known]) -> impl Iterator<Item = &str> {
    values.iter().filter_map(|value| match value {
        Known::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

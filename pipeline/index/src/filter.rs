//! What a scan looks for. Everything here is decided on columns, without a look at any text.

use logbraid_core::{EventTime, Flags, Id, Level};

use crate::block::Block;
use crate::column::Column;
use crate::dict::hash_of;

/// A set of levels; "without a level" is one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LevelSet(u8);

impl LevelSet {
    /// All levels, and entries without one.
    pub const ALL: Self = Self(0x7f);
    /// No entry at all.
    pub const EMPTY: Self = Self(0);
    /// Entries without a level.
    pub const UNKNOWN: Self = Self(1);

    /// Only `level`.
    pub const fn of(level: Level) -> Self {
        Self(2 << level as u8)
    }
    /// `level` and all above it.
    pub const fn at_least(level: Level) -> Self {
        Self(Self::ALL.0 & !((2 << level as u8) - 1))
    }
    /// This set and `other`.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// True when entries of `level` are in it.
    pub const fn has(self, level: Option<Level>) -> bool {
        match level {
            None => self.0 & 1 != 0,
            Some(level) => self.0 & (2 << level as u8) != 0,
        }
    }
    pub(crate) const fn has_code(self, code: u64) -> bool {
        code < 7 && self.0 >> code & 1 != 0
    }
}

impl FromIterator<Level> for LevelSet {
    fn from_iter<I: IntoIterator<Item = Level>>(levels: I) -> Self {
        levels.into_iter().fold(Self::EMPTY, |set, level| set.or(Self::of(level)))
    }
}

/// A column and the value that it must have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Term {
    pub(crate) column: Column,
    pub(crate) value: String,
    pub(crate) hash: u64,
}

impl Term {
    /// Entries whose `column` is exactly `value`.
    pub fn new(column: Column, value: impl Into<String>) -> Self {
        let value = value.into();
        Self { column, hash: hash_of(&value), value }
    }
    /// Entries that carry `value` as a thread, correlation id, trace id, span or parent span.
    pub fn any_id(value: &str) -> Vec<Self> {
        [Column::Correlation, Column::Trace, Column::Span, Column::ParentSpan, Column::Thread]
            .map(|column| Self::new(column, value))
            .into()
    }
}

/// Which entries a scan gives. The default gives all.
///
/// ```
/// use logbraid_core::Level;
/// use logbraid_index::{Column, Filter, LevelSet, Term};
/// let filter = Filter::default()
///     .levels(LevelSet::at_least(Level::Warn))
///     .is(Column::Service, "api")
///     .any_of([Term::new(Column::Correlation, "req-1"), Term::new(Column::Trace, "4bf9")]);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    pub(crate) from: EventTime,
    pub(crate) to: EventTime,
    pub(crate) levels: LevelSet,
    pub(crate) flags: Flags,
    /// Each clause must hold; a clause holds when one of its terms does.
    pub(crate) clauses: Vec<Vec<Term>>,
    pub(crate) templates: Option<Vec<Id>>,
    pub(crate) inputs: Option<Vec<String>>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            from: EventTime::MIN,
            to: EventTime::MAX,
            levels: LevelSet::ALL,
            flags: Flags::default(),
            clauses: Vec::new(),
            templates: None,
            inputs: None,
        }
    }
}

impl Filter {
    /// Only entries at `from` or later.
    #[must_use]
    pub const fn from(mut self, from: EventTime) -> Self {
        self.from = from;
        self
    }
    /// Only entries before `to`; [`EventTime::MAX`] is no bound.
    #[must_use]
    pub const fn before(mut self, to: EventTime) -> Self {
        self.to = to;
        self
    }
    /// Only entries of these levels.
    #[must_use]
    pub const fn levels(mut self, levels: LevelSet) -> Self {
        self.levels = levels;
        self
    }
    /// Only entries with all of these marks.
    #[must_use]
    pub const fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }
    /// Only entries whose `column` is exactly `value`.
    #[must_use]
    pub fn is(self, column: Column, value: &str) -> Self {
        self.any_of([Term::new(column, value)])
    }
    /// Only entries for which one of `terms` holds. Several calls must all hold; no terms at all hold for no entry.
    #[must_use]
    pub fn any_of(mut self, terms: impl IntoIterator<Item = Term>) -> Self {
        self.clauses.push(terms.into_iter().collect());
        self
    }
    /// Only entries of these templates.
    #[must_use]
    pub fn templates(mut self, ids: impl IntoIterator<Item = Id>) -> Self {
        self.templates = Some(ids.into_iter().collect());
        self
    }
    /// Only entries of the inputs with these names.
    #[must_use]
    pub fn inputs(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.inputs = Some(names.into_iter().collect());
        self
    }
    pub(crate) fn in_time(&self, block: &Block) -> bool {
        block.last() >= self.from && (block.first() < self.to || self.to == EventTime::MAX)
    }
}

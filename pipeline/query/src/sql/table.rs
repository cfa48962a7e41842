//! The virtual table `logs` over a snapshot of the index. SQLite asks for rows and columns; texts are read only when
//! their column is asked for.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_int};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use logbraid_core::EventTime;
use logbraid_index::{EntryRef, Scan, TextError, Texts, View};
use rusqlite::types::{Null, ValueRef};
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConfig, VTabConnection, VTabCursor,
    sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error, Result};

use super::columns::{self, Field};
use super::plan::{Is, Known, Narrowed};

/// What the table shows, shared with the connection.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) view: Arc<View>,
    pub(super) from: EventTime,
    pub(super) to: EventTime,
    /// Entries whose text could not be read when it was asked for.
    pub(super) unreadable: Arc<AtomicU64>,
}

/// Makes `logs` known to a connection.
pub(super) fn register(connection: &Connection, shown: Shown) -> Result<()> {
    const MODULE: Module<'_, Logs> = Module::eponymous_only_module();
    connection.create_module(c"logs", &MODULE, Some(shown))
}

/// The table.
#[repr(C)]
struct Logs {
    /// SQLite's own part; it must come first.
    base: sqlite3_vtab,
    shown: Shown,
}

/// One walk through the table.
#[repr(C)]
struct Walk<'t> {
    /// SQLite's own part; it must come first.
    base: sqlite3_vtab_cursor,
    shown: &'t Shown,
    scan: Option<Scan<'t>>,
    entry: Option<EntryRef<'t>>,
    texts: RefCell<Texts<'t>>,
    /// True when a text of this entry could not be read, which is counted once.
    lost: Cell<bool>,
}

const _: () = assert!(std::mem::offset_of!(Logs, base) == 0 && std::mem::offset_of!(Walk<'_>, base) == 0);

/// In `idxNum`: the scan runs from the newest entry to the oldest.
const BACK: c_int = 1;

#[expect(
    unsafe_code,
    reason = "the trait asks for a layout, which is asserted above: SQLite's part comes first"
)]
// SAFETY: `Logs` is `repr(C)` and begins with `sqlite3_vtab`.
unsafe impl<'t> VTab<'t> for Logs {
    type Aux = Shown;
    type Cursor = Walk<'t>;

    fn connect(
        db: &mut VTabConnection,
        aux: Option<&Shown>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _args: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        db.config(VTabConfig::Innocuous)?;
        let shown = aux.ok_or_else(|| Error::ModuleError("`logs` has nothing to show".to_owned()))?.clone();
        let declaration = CString::new(columns::declaration())?;
        Ok((Cow::Owned(declaration), Self { base: sqlite3_vtab::default(), shown }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        let mut plan = String::new();
        let mut rows = self.shown.view.entries() as f64;
        let mut arguments = 0;
        let conditions: Vec<(usize, c_int, IndexConstraintOp)> = info
            .constraints()
            .enumerate()
            .filter(|(_, condition)| condition.is_usable())
            .map(|(at, condition)| (at, condition.column(), condition.operator()))
            .collect();
        for (at, number, operator) in conditions {
            let Some(column) = columns::at(number) else { continue };
            let Some(mut is) = Is::of(column, &operator, info.collation(at)?) else { continue };
            if is == Is::Equal && info.is_in_constraint(at)? {
                info.set_in_constraint(at, true)?;
                is = Is::OneOf;
            }
            let literal = info.rhs_value(at)?.map(|value| Known::of(column, value));
            if literal == Some(None) && is != Is::OneOf {
                continue;
            }
            arguments += 1;
            let mut usage = info.constraint_usage(at);
            usage.set_argv_index(arguments);
            usage.set_omit(is != Is::OneOf && matches!(literal, Some(Some(_))));
            plan.push_str(if plan.is_empty() { "" } else { "," });
            plan.push_str(column.name);
            plan.push_str(is.sign());
            rows *= match (is, column.field) {
                (Is::Equal | Is::OneOf, Field::Level | Field::Input) => 0.3,
                (Is::Equal | Is::OneOf, _) => 0.01,
                _ => 0.5,
            };
        }
        let by_time = {
            let mut terms = info.order_bys();
            let first = terms.next().map(|term| (term.column(), term.is_order_by_desc()));
            let alone = terms.next().is_none();
            first.filter(|(number, _)| {
                let field = columns::at(*number).map(|column| column.field);
                alone && matches!(field, Some(Field::Timestamp | Field::TimeNs | Field::TimeMs))
            })
        };
        if let Some((_, descending)) = by_time {
            info.set_order_by_consumed(true);
            info.set_idx_num(if descending { BACK } else { 0 });
        }
        info.set_idx_str(&plan);
        info.set_estimated_cost(rows + 100.0);
        #[expect(clippy::cast_possible_truncation, reason = "an estimate")]
        info.set_estimated_rows(rows.max(1.0) as i64);
        Ok(true)
    }

    fn open(&'t mut self) -> Result<Walk<'t>> {
        Ok(Walk {
            base: sqlite3_vtab_cursor::default(),
            shown: &self.shown,
            scan: None,
            entry: None,
            texts: RefCell::default(),
            lost: Cell::new(false),
        })
    }
}

impl Walk<'_> {
    /// The scan that a plan and its values ask for; none when no row can meet them.
    fn narrowed(&self, plan: &str, values: &Filters<'_>) -> Result<Option<logbraid_index::Filter>> {
        let mut narrowed = Narrowed::to(self.shown.from, self.shown.to);
        for (at, word) in plan.split(',').filter(|word| !word.is_empty()).enumerate() {
            let Some((column, is)) = read(word) else {
                return Err(Error::ModuleError(format!("`logs` has no plan `{word}`")));
            };
            let mut known = Vec::new();
            let mut unknown = false;
            let mut add = |value: ValueRef<'_>| match (value, Known::of(column, value)) {
                // Nothing is equal to NULL, greater or less.
                (ValueRef::Null, _) => {}
                (_, Some(value)) => known.push(value),
                (_, None) => unknown = true,
            };
            if is == Is::OneOf {
                let mut list = values.in_values(at)?;
                while let Some(value) = next(&mut list)? {
                    add(value);
                }
            } else if let Some(value) = values.iter().nth(at) {
                add(value);
            }
            if unknown {
                // Only SQLite can tell what this compares equal to.
            } else if known.is_empty() {
                narrowed.rule_out_all();
            } else {
                narrowed.by(column, is, &known);
            }
        }
        Ok(narrowed.filter())
    }

    fn text<T>(&self, result: Result<T, TextError>) -> Option<T> {
        if result.is_err() && !self.lost.replace(true) {
            self.shown.unreadable.fetch_add(1, Ordering::Relaxed);
        }
        result.ok()
    }
}

fn next<'a>(list: &mut rusqlite::vtab::InValues<'a>) -> Result<Option<ValueRef<'a>>> {
    rusqlite::fallible_iterator::FallibleIterator::next(list)
}

/// A word of a plan: its column and comparison.
fn read(word: &str) -> Option<(&'static columns::Declared, Is)> {
    let all = [Is::OneOf, Is::AtLeast, Is::AtMost, Is::Above, Is::Below, Is::Equal];
    let (name, is) = all.iter().find_map(|is| Some((word.strip_suffix(is.sign())?, *is)))?;
    columns::COLUMNS.iter().find(|column| column.name == name).map(|column| (column, is))
}

#[expect(
    unsafe_code,
    reason = "the trait asks for a layout, which is asserted above: SQLite's part comes first"
)]
// SAFETY: `Walk` is `repr(C)` and begins with `sqlite3_vtab_cursor`.
unsafe impl VTabCursor for Walk<'_> {
    fn filter(&mut self, order: c_int, plan: Option<&str>, values: &Filters<'_>) -> Result<()> {
        let filter = self.narrowed(plan.unwrap_or_default(), values)?;
        let view = &self.shown.view;
        self.scan =
            filter.map(|filter| if order & BACK != 0 { view.scan_back(&filter) } else { view.scan(&filter) });
        self.next()
    }

    fn next(&mut self) -> Result<()> {
        self.lost.set(false);
        self.entry = self.scan.as_mut().and_then(Iterator::next);
        Ok(())
    }

    fn eof(&self) -> bool {
        self.entry.is_none()
    }

    fn column(&self, to: &mut Context, number: c_int) -> Result<()> {
        let (Some(entry), Some(column)) = (self.entry, columns::at(number)) else {
            return to.set_result(Null);
        };
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut texts = self.texts.borrow_mut();
        match column.field {
            Field::Id => {
                let id = self.text(texts.id(entry)).map(|id| id.to_string());
                to.set_result(id)
            }
            Field::Timestamp => {
                let time = entry.time();
                to.set_result(time.is_known().then(|| time.write_rfc3339(&mut [0; 30]).to_owned()))
            }
            Field::TimeNs => to.set_result(entry.time().is_known().then(|| entry.time().nanos())),
            Field::TimeMs => {
                to.set_result(entry.time().is_known().then(|| entry.time().nanos().div_euclid(1_000_000)))
            }
            Field::TimestampFrom => to.set_result(match entry.time_from() {
                logbraid_core::TimeFrom::Event => "event",
                logbraid_core::TimeFrom::Carried => "carried",
                logbraid_core::TimeFrom::Ingest => "ingest",
            }),
            Field::Level => to.set_result(entry.level().map(logbraid_core::Level::name)),
            Field::Message => to.set_result(self.text(texts.message(entry))),
            Field::Text(column) => to.set_result(entry.get(column)),
            Field::Fields => {
                let fields = self.text(texts.fields(entry));
                to.set_result(fields.map(|fields| serde_json::Value::Object(fields).to_string()))
            }
            Field::DurationMs => to.set_result(entry.duration_ms()),
            Field::Format => to.set_result(entry.format().name()),
            Field::Template => to.set_result(entry.template().to_string()),
            Field::Input => to.set_result(entry.input()),
            Field::Line => to.set_result((entry.line() > 0).then(|| signed(entry.line()))),
            Field::Byte | Field::Topic | Field::Partition | Field::Offset => {
                let place = entry.source_ref();
                let place = place.as_ref();
                match column.field {
                    Field::Byte => to.set_result(place.and_then(|place| place.byte).map(signed)),
                    Field::Topic => to.set_result(place.and_then(|place| place.topic.as_deref())),
                    Field::Partition => to.set_result(place.and_then(|place| place.partition)),
                    _ => to.set_result(place.and_then(|place| place.offset).map(signed)),
                }
            }
            Field::Flags => {
                let names: Vec<&str> = entry.flags().names().collect();
                to.set_result((!names.is_empty()).then(|| names.join(",")))
            }
            Field::Confidence => to.set_result(entry.confidence()),
            Field::Raw => to.set_result(self.text(texts.raw(entry))),
        }
    }

    /// The same entry has the same number in every walk: SQLite unites walks by it.
    fn rowid(&self) -> Result<i64> {
        let Some(entry) = self.entry else { return Ok(0) };
        let partition = entry.source().map_or(0, |source| u64::from(source.partition.0));
        // 17 TB a partition, and half a million of them.
        let number = (partition << 44) ^ (entry.offset() & ((1 << 44) - 1));
        Ok(number.cast_signed() & i64::MAX)
    }
}

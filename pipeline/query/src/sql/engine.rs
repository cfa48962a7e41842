//! Runs one statement in a database of its own, in memory, that holds nothing but the table `logs`.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use rusqlite::functions::FunctionFlags;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result};
use serde_json::{Map, Value};

use super::columns::{MOMENT, SEVERITY};
use super::faults::{Denied, fault, statement};
use super::{Rows, Sql, moment, table};
use crate::{QuestionError, TextMatch, Window};

/// Most bytes of rows that an answer shows.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Most bytes of one value, however it is computed.
const VALUE_BYTES_MAX: i32 = 16 << 20;
/// How deep expressions may be nested.
const DEPTH_MAX: i32 = 200;
/// How often steps are counted.
const STEPS_EACH: u64 = 1000;

pub(super) fn run(asked: &Sql, window: &Window) -> std::result::Result<Rows, QuestionError> {
    let sql = statement(&asked.query)?;
    let steps = Arc::new(AtomicU64::new(0));
    let denied = Denied::default();
    let unreadable = Arc::new(AtomicU64::new(0));
    let shown = table::Shown {
        view: window.shared(),
        from: window.from(),
        to: window.to(),
        unreadable: Arc::clone(&unreadable),
    };
    let opened = open(shown, window, asked.max_steps, &steps, &denied);
    let connection = opened.map_err(|error| fault(&error, sql, asked.max_steps, None))?;
    let mut rows = Rows {
        query: asked.query.clone(),
        files: window.view().inputs().into_iter().map(str::to_owned).collect(),
        total_entries: window.view().count(&window.filter()),
        columns: Vec::new(),
        row_count: 0,
        total_rows: None,
        truncated: false,
        unreadable: 0,
        results: Vec::new(),
    };
    let told = |error: &Error| {
        let what = denied.lock().unwrap_or_else(PoisonError::into_inner).take();
        fault(error, sql, asked.max_steps, what)
    };
    match collect(&connection, sql, asked.limit, &mut rows) {
        Ok(()) => {}
        // Everything that is shown is there; only the count of the rest is not.
        Err(error) if rows.truncated && is_stopped(&error) => {}
        Err(error) => return Err(told(&error)),
    }
    rows.unreadable = unreadable.load(Ordering::Relaxed);
    Ok(rows)
}

fn is_stopped(error: &Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted)
}

fn open(
    shown: table::Shown,
    window: &Window,
    steps_max: u64,
    steps: &Arc<AtomicU64>,
    denied: &Denied,
) -> Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    // What is sorted stays in memory up to this many KiB, then goes to a nameless file.
    connection.execute_batch("PRAGMA cache_size = -65536")?;
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, DEPTH_MAX),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
    ] {
        connection.set_limit(limit, value)?;
    }
    connection.create_collation(MOMENT, moment::compare)?;
    connection.create_collation(SEVERITY, moment::compare_levels)?;
    let pure = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("regexp", 2, pure, |call| {
        let pattern = call.get_or_create_aux(0, |pattern| {
            TextMatch::new(pattern.as_str()?, false, false, false)
                .map_err(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>)
        })?;
        Ok(match call.get_raw(1) {
            ValueRef::Text(text) => Some(std::str::from_utf8(text).is_ok_and(|text| pattern.is_match(text))),
            _ => None,
        })
    })?;
    let now = window.now().is_known().then(|| window.now().to_string());
    connection.create_scalar_function("now", 0, pure, move |_| Ok(now.clone()))?;
    table::register(&connection, shown)?;
    let counted = Arc::clone(steps);
    connection.progress_handler(
        i32::try_from(STEPS_EACH).unwrap_or(1000),
        Some(move || counted.fetch_add(STEPS_EACH, Ordering::Relaxed) + STEPS_EACH > steps_max),
    )?;
    let denied = Arc::clone(denied);
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        let allowed = match context.action {
            AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
            AuthAction::Function { function_name } => {
                !["load_extension", "fts3_tokenizer"].contains(&function_name)
            }
            AuthAction::Pragma { pragma_name, .. } => ["table_info", "table_xinfo"].contains(&pragma_name),
            _ => false,
        };
        if allowed {
            return Authorization::Allow;
        }
        let what = format!("{:?}", context.action);
        denied.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
        Authorization::Deny
    }))?;
    Ok(connection)
}

fn collect(connection: &Connection, sql: &str, limit: usize, rows: &mut Rows) -> Result<()> {
    let mut statement = connection.prepare(sql)?;
    for name in statement.column_names() {
        let mut unique = name.to_owned();
        let mut number = 2;
        while rows.columns.contains(&unique) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        rows.columns.push(unique);
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    let mut bytes = 0;
    let mut found = statement.query([])?;
    let mut total = 0;
    while let Some(row) = found.next()? {
        total += 1;
        if rows.truncated {
            continue;
        }
        let mut object = Map::new();
        for (at, column) in rows.columns.iter().enumerate() {
            let value = shown(row.get_ref(at)?);
            bytes += column.len() + value.as_str().map_or(8, str::len);
            object.insert(column.clone(), value);
        }
        if rows.results.len() >= limit || bytes > ANSWER_BYTES_MAX {
            rows.truncated = true;
            continue;
        }
        rows.results.push(object);
        rows.row_count += 1;
    }
    rows.total_rows = Some(total);
    Ok(())
}

/// A value as JSON shows it.
fn shown(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => match serde_json::Number::from_f64(number) {
            Some(number) => Value::Number(number),
            None => if number > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        },
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => {
            let mut literal = "x'".to_owned();
            for byte in bytes {
                let _infallible = write!(literal, "{byte:02x}");
            }
            literal.push('\'');
            literal.into()
        }
    }
}

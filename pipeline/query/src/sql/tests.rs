use serde_json::{Value, json};

use super::*;
use crate::testing::{answer, asked, at, window, window_of};

/// Five entries of two services in two files, at the start of 2024-01-15T10:00Z.
fn shop() -> Window {
    window_of(&[
        (
            "api=api.log",
            r#"
            {"ts":"2024-01-15T10:00:00Z","level":"info","msg":"GET /cart","request_id":"req-1","thread":"w-1","status":200}
            {"ts":"2024-01-15T10:00:00.500Z","level":"error","msg":"charge failed","request_id":"req-1","thread":"w-1","status":502}
            {"ts":"2024-01-15T10:00:02Z","level":"warn","msg":"retrying","request_id":"req-2","thread":"w-2","status":200}
            "#,
        ),
        (
            "db=db.log",
            r#"
            {"ts":"2024-01-15T10:00:00.250Z","level":"debug","msg":"select 1","request_id":"req-1","status":0}
            {"ts":"2024-01-15T10:00:03Z","msg":"no level","request_id":"req-2"}
            "#,
        ),
    ])
}

fn sql(query: &str) -> Sql {
    asked(json!({ "query": query }))
}

/// The rows of a query, values separated by blanks, or the error and its help.
fn rows(query: &str) -> String {
    rows_of(&shop(), &sql(query))
}

fn rows_of(window: &Window, sql: &Sql) -> String {
    let answer = answer(sql, window);
    if let Some(message) = answer.get("message") {
        return format!("{} ({})", text(message), text(&answer["help"]));
    }
    let rows = answer["results"].as_array().unwrap();
    let line = |row: &Value| row.as_object().unwrap().values().map(text).collect::<Vec<_>>().join(" ");
    rows.iter().map(line).collect::<Vec<_>>().join(" | ")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What the index decides, and whether it gives the order.
fn plan(query: &str) -> String {
    rows(&format!("EXPLAIN QUERY PLAN {query}"))
        .split(" | ")
        .map(|step| step.split_whitespace().skip(3).collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(" | ")
}

#[test]
fn every_field_of_an_entry_is_a_column() {
    let first = answer(&sql("SELECT * FROM logs LIMIT 1"), &shop());
    let raw = r#"{"ts":"2024-01-15T10:00:00Z","level":"info","msg":"GET /cart","request_id":"req-1","thread":"w-1","status":200}"#;
    assert_eq!(
        first["results"],
        json!([{
            "id": "0a4e0f2274c0c9d2",
            "timestamp": "2024-01-15T10:00:00Z",
            "time_ms": 1_705_312_800_000_i64,
            "time_ns": 1_705_312_800_000_000_000_i64,
            "timestamp_from": "event",
            "level": "INFO",
            "message": "GET /cart",
            "service": "api",
            "host": null,
            "thread_id": "w-1",
            "correlation_id": "req-1",
            "trace_id": null,
            "span_id": null,
            "parent_span_id": null,
            "fields": "{\"status\":200}",
            "duration_ms": null,
            "format": "json",
            "template": "f58e1bc11f41de00",
            "input": "api.log",
            "line": 1,
            "byte": 0,
            "topic": null,
            "partition": null,
            "offset": null,
            "flags": null,
            "confidence": 100,
            "raw": raw,
        }])
    );
    assert_eq!(
        json!([first["files"], first["total_entries"], first["row_count"], first["columns"][0]]),
        json!([["api.log", "db.log"], 5, 1, "id"])
    );
}

#[test]
fn entries_come_in_the_order_of_time() {
    assert_eq!(
        rows("SELECT time_ms % 10000, service FROM logs"),
        "0 api | 250 db | 500 api | 2000 api | 3000 db"
    );
}

#[test]
fn moments_are_compared_as_moments_however_they_are_written() {
    // As text, `…00.500Z` stands before `…00Z`.
    assert_eq!(rows("SELECT message FROM logs WHERE timestamp > '2024-01-15T10:00:00Z' LIMIT 1"), "select 1");
    assert_eq!(rows("SELECT count(*) FROM logs WHERE timestamp = '2024-01-15 10:00'"), "1");
    assert_eq!(rows("SELECT count(*) FROM logs WHERE timestamp = '2024-01-15T11:00:00.500+01:00'"), "1");
    assert_eq!(
        rows(
            "SELECT count(*) FROM logs WHERE timestamp BETWEEN '2024-01-15T10:00:00.250Z' AND '2024-01-15 10:00:02'"
        ),
        "3"
    );
    assert_eq!(rows("SELECT max(timestamp) FROM logs"), "2024-01-15T10:00:03Z");
    // Where SQLite decides and not the index, it is the same.
    assert_eq!(rows("SELECT count(*) FROM logs WHERE NOT timestamp <= '2024-01-15T10:00:00Z'"), "4");
    assert_eq!(
        rows("SELECT count(*) FROM logs WHERE timestamp < '2024-01-15T10:00:00.1Z' OR level = 'warn'"),
        "2"
    );
}

#[test]
fn levels_are_compared_by_severity() {
    assert_eq!(rows("SELECT level FROM logs WHERE level >= 'warning'"), "ERROR | WARN");
    assert_eq!(rows("SELECT level FROM logs WHERE level < 'INFO'"), "DEBUG");
    assert_eq!(rows("SELECT max(level), min(level) FROM logs"), "ERROR DEBUG");
    assert_eq!(rows("SELECT level FROM logs ORDER BY level DESC"), "ERROR | WARN | INFO | DEBUG | null");
    assert_eq!(rows("SELECT count(*) FROM logs WHERE level IS NULL"), "1");
    assert_eq!(rows("SELECT count(*) FROM logs WHERE level <> 'ERROR'"), "3");
}

#[test]
fn the_index_decides_times_levels_ids_services_and_inputs() {
    assert_eq!(plan("SELECT * FROM logs WHERE level >= 'WARN'"), "SCAN logs VIRTUAL TABLE INDEX 0:level>=");
    assert_eq!(
        plan("SELECT * FROM logs WHERE timestamp BETWEEN '2024-01-15' AND '2024-01-16' AND service = 'api'"),
        "SCAN logs VIRTUAL TABLE INDEX 0:service=,timestamp>=,timestamp<="
    );
    assert_eq!(
        plan("SELECT * FROM logs WHERE correlation_id IN ('req-1', 'req-2') AND input = 'api.log'"),
        "SCAN logs VIRTUAL TABLE INDEX 0:correlation_id in,input="
    );
    assert_eq!(plan("SELECT * FROM logs WHERE time_ms > 5"), "SCAN logs VIRTUAL TABLE INDEX 0:time_ms>");
    // A comparison that is not the column's own is SQLite's alone.
    assert_eq!(
        plan("SELECT * FROM logs WHERE service = 'API' COLLATE NOCASE"),
        "SCAN logs VIRTUAL TABLE INDEX 0:"
    );
    assert_eq!(plan("SELECT * FROM logs WHERE message = 'x'"), "SCAN logs VIRTUAL TABLE INDEX 0:");
}

#[test]
fn order_by_time_is_not_sorted_again() {
    assert_eq!(plan("SELECT * FROM logs ORDER BY timestamp"), "SCAN logs VIRTUAL TABLE INDEX 0:");
    assert_eq!(plan("SELECT * FROM logs ORDER BY time_ns DESC LIMIT 1"), "SCAN logs VIRTUAL TABLE INDEX 1:");
    assert_eq!(rows("SELECT message FROM logs ORDER BY timestamp DESC LIMIT 2"), "no level | retrying");
    assert!(plan("SELECT * FROM logs ORDER BY level").contains("TEMP B-TREE"));
}

#[test]
fn what_the_index_decides_is_what_sqlite_would_decide() {
    // The index does not see a column behind a `+`.
    let conditions = [
        "timestamp >= '2024-01-15T10:00:00.25Z'",
        "timestamp > '2024-01-15T10:00:00.25Z'",
        "timestamp < '2024-01-15T10:00:00.25Z'",
        "timestamp <= '2024-01-15T10:00:00.25Z'",
        "timestamp < 'soon'",
        "timestamp > 'soon'",
        "timestamp > NULL",
        "timestamp IN ('2024-01-15T10:00:00Z', '2024-01-15T10:00:03Z', NULL)",
        "time_ms = 1705312800250",
        "time_ms > 1705312800250",
        "time_ms <= 1705312800250.5",
        "time_ns >= 1705312800250000000",
        "time_ns < 9223372036854775807",
        "time_ns > -9223372036854775808",
        "time_ms < 9223372036854775807",
        "level = 'ERROR'",
        "level = 'nonsense'",
        "level < 'nonsense'",
        "level > 'INFO'",
        "level IN ('INFO', 'warn', 'nonsense')",
        "service = 'db'",
        "service = 7",
        "service = NULL",
        "service IN ('db', 'api')",
        "service IN (SELECT NULL)",
        "input = 'api.log' AND input IN ('api.log', 'db.log')",
        "file = 'db.log'",
        "template = 'none'",
        "template IN (SELECT template FROM logs WHERE level = 'ERROR')",
        "correlation_id = 'req-1' AND level >= 'INFO' AND timestamp > '2024-01-15'",
        "correlation_id = (SELECT correlation_id FROM logs WHERE level = 'WARN')",
        "span_id = ''",
        "partition = 0",
        "level >= 'WARN' OR service = 'db'",
    ];
    for condition in conditions {
        let word = |word: &str| {
            let column = columns::COLUMNS.iter().any(|column| column.name == word.trim_end());
            if column { format!("+{word}") } else { word.to_owned() }
        };
        let hidden: String = condition.split_inclusive(' ').map(word).collect();
        let select = "SELECT time_ms % 10000 FROM logs WHERE";
        let (ours, theirs) = (rows(&format!("{select} {condition}")), rows(&format!("{select} {hidden}")));
        assert_eq!(ours, theirs, "{condition}");
        assert!(!ours.contains("error"), "{ours}");
    }
}

#[test]
fn window_functions_common_table_expressions_and_json_work() {
    assert_eq!(
        rows(
            "SELECT message, time_ms - lag(time_ms) OVER (PARTITION BY correlation_id ORDER BY timestamp) AS gap \
             FROM logs WHERE correlation_id = 'req-1'"
        ),
        "GET /cart null | select 1 250 | charge failed 250"
    );
    assert_eq!(
        rows(
            "WITH bad AS (SELECT DISTINCT correlation_id AS id FROM logs WHERE level = 'ERROR') \
              SELECT count(*) FROM logs JOIN bad ON logs.correlation_id = bad.id"
        ),
        "3"
    );
    assert_eq!(
        rows(
            "SELECT fields->>'$.status' AS status, count(*) FROM logs GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 2"
        ),
        "200 2 | null 1"
    );
    assert_eq!(rows("SELECT message FROM logs WHERE message REGEXP '^(GET|retry)'"), "GET /cart | retrying");
    assert_eq!(rows("SELECT key, value FROM logs, json_each(fields) WHERE level = 'ERROR'"), "status 502");
}

#[test]
fn joins_look_ids_up_in_the_index() {
    let join = "SELECT b.message FROM logs a JOIN logs b ON a.correlation_id = b.correlation_id WHERE a.level = 'WARN'";
    assert!(plan(join).contains("correlation_id="), "{}", plan(join));
    assert_eq!(rows(join), "retrying | no level");
}

#[test]
fn nothing_but_reading_is_allowed() {
    for query in [
        "DELETE FROM logs",
        "INSERT INTO logs(message) VALUES ('x')",
        "CREATE TABLE t(a)",
        "CREATE TEMP VIEW v AS SELECT 1",
        "ATTACH 'x.db' AS x",
        "VACUUM INTO 'x.db'",
        "PRAGMA journal_mode = wal",
        "PRAGMA temp_store_directory = '/tmp'",
        "BEGIN",
        "SELECT load_extension('x')",
        "CREATE VIRTUAL TABLE t USING fts5(x)",
        "SELECT * FROM pragma_database_list",
    ] {
        let told = rows(query);
        assert!(told.contains("not allowed") || told.contains("may not be modified"), "{query}: {told}");
    }
    assert_eq!(rows("PRAGMA table_info(logs)").matches(" | ").count() + 1, columns::names().count());
}

#[test]
fn mistakes_tell_the_place_and_the_way_out() {
    assert_eq!(rows("SELECT servce FROM logs"), "no such column: servce, at 1:8 (did you mean `service`?)");
    assert!(rows("SELECT status FROM logs").contains("`fields->>'$.status'`"));
    assert!(rows("SELECT *\nFROM log").starts_with("no such table: log (the entries are the table `logs`"));
    assert!(rows("SELECT *\nFORM logs").starts_with("near `FORM`: syntax error, at 2:1 ("));
    assert!(rows("SELECT count( FROM logs").contains("syntax error, at 1:15"));
    assert!(rows("SELECT (1").starts_with("the statement is incomplete"));
    assert!(rows("").starts_with("the statement is empty"));
    assert!(rows(" -- nothing\n;").starts_with("the statement is empty"));
    assert_eq!(rows("SELECT ';' AS a; -- done\n ;"), ";");
    assert!(rows("SELECT 1; SELECT 2").starts_with("a second statement begins at 1:11"));
    assert!(rows("SELECT message REGEXP '(' FROM logs").contains("`(` is not a regular expression"));
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(rows(&deep).starts_with("Recursion limit"), "{}", rows(&deep));
    assert!(rows(&format!("SELECT 1{}", ";SELECT 1".repeat(6000))).starts_with("a second statement"));
}

#[test]
fn a_runaway_query_is_stopped() {
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let asked: Sql = asked(json!({"query": endless, "max_steps": 100_000}));
    assert_eq!(
        rows_of(&shop(), &asked),
        "the query was stopped after 100000 steps (narrow it, as with `WHERE timestamp >= …`, or raise `--max-steps`)"
    );
}

#[test]
fn rows_that_are_not_shown_are_counted() {
    let asked: Sql = asked(json!({"query": "SELECT message FROM logs", "limit": 2}));
    let answer = answer(&asked, &shop());
    assert_eq!(
        json!([answer["row_count"], answer["total_rows"], answer["truncated"], answer["results"]]),
        json!([2, 5, true, [{"message": "GET /cart"}, {"message": "select 1"}]])
    );
}

#[test]
fn rows_of_an_endless_query_are_shown_without_a_total() {
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let asked: Sql = asked(json!({"query": endless, "limit": 3, "max_steps": 100_000}));
    let answer = answer(&asked, &shop());
    assert_eq!(
        json!([answer["row_count"], answer.get("total_rows"), answer["truncated"]]),
        json!([3, null, true])
    );
}

#[test]
fn an_answer_has_at_most_16_mib_of_rows() {
    let wide = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) \
                SELECT hex(zeroblob(500000)) AS x FROM n";
    let answer = answer(&sql(wide), &shop());
    assert_eq!(
        json!([answer["row_count"], answer["total_rows"], answer["truncated"]]),
        json!([16, 40, true])
    );
    assert!(rows("SELECT hex(zeroblob(100000000))").contains("too big"));
}

#[test]
fn columns_of_the_same_name_are_kept_apart() {
    let answer = answer(&sql("SELECT level, level, 1 AS level FROM logs LIMIT 1"), &shop());
    assert_eq!(answer["columns"], json!(["level", "level_2", "level_3"]));
    assert_eq!(answer["results"], json!([{"level": "INFO", "level_2": "INFO", "level_3": 1}]));
}

#[test]
fn every_kind_of_value_is_json() {
    assert_eq!(
        rows("SELECT 1, 1.5, 'a', x'00ff', NULL, 9e999, -9e999"),
        "1 1.5 a x'00ff' null Infinity -Infinity"
    );
}

#[test]
fn the_window_bounds_the_table() {
    let cut = shop().between(at("2024-01-15T10:00:00.5Z"), at("2024-01-15T10:00:03Z"));
    assert_eq!(rows_of(&cut, &sql("SELECT message FROM logs")), "charge failed | retrying");
    let wider = "SELECT count(*) FROM logs WHERE timestamp > '2000-01-01' AND timestamp < '2100-01-01'";
    assert_eq!(rows_of(&cut, &sql(wider)), "2");
    assert_eq!(answer(&sql("SELECT 1 FROM logs"), &cut)["total_entries"], json!(2));
}

#[test]
fn now_is_the_newest_entry_of_files() {
    assert_eq!(rows("SELECT now()"), "2024-01-15T10:00:03Z");
    assert_eq!(rows("SELECT count(*) FROM logs WHERE time_ms >= unixepoch(now(), '-1 second') * 1000"), "2");
}

#[test]
fn texts_are_read_only_for_columns_that_are_asked_for() {
    let window = window("2024-01-15T10:00:00Z INFO one\n2024-01-15T10:00:01Z INFO two\n");
    assert_eq!(rows_of(&window, &sql("SELECT count(*) FROM logs")), "2");
    assert_eq!(rows_of(&window, &sql("SELECT count(message) FROM logs")), "2");
}

#[test]
fn no_row_means_nothing_found() {
    assert!(!sql("SELECT 1 FROM logs WHERE level = 'FATAL'").ask(&shop()).unwrap().found);
    assert!(sql("SELECT count(*) FROM logs WHERE level = 'FATAL'").ask(&shop()).unwrap().found);
    assert_eq!(rows_of(&window(""), &sql("SELECT count(*) FROM logs")), "0");
}

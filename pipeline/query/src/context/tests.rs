use serde_json::{Value, json};

use super::Context;
use crate::testing::{answer, asked, window, window_of};

const LOG: &str = "\
2024-01-15T10:00:00Z INFO one
2024-01-15T10:00:01Z ERROR two
  at some.place
  at another.place
2024-01-15T10:00:02Z INFO five
";

fn shown(answer: &Value) -> String {
    let line = |entry: &Value| entry["source"]["line"].to_string();
    let list = |key: &str| answer[key].as_array().unwrap().iter().map(line).collect::<Vec<_>>().join(",");
    let target = answer.get("target").map_or("-".to_owned(), line);
    format!("{} [{target}] {}", list("context_before"), list("context_after"))
}

#[test]
fn a_line_is_shown_with_its_neighbours() {
    let ask = |line: u64| {
        shown(&answer(&asked::<Context>(json!({ "file": "app.log", "line": line })), &window(LOG)))
    };
    assert_eq!(ask(2), "1 [2] 5");
    assert_eq!(ask(1), " [1] 2,5");
    assert_eq!(ask(4), "1 [2] 5", "a line within a record finds the record");
    assert_eq!(ask(99), "1,2,5 [-] ", "a line that is missing is no failure");
}

#[test]
fn the_line_may_stand_behind_the_file_and_counts_are_asked_for() {
    let ask = |options: Value| shown(&answer(&asked::<Context>(options), &window(LOG)));
    assert_eq!(ask(json!({ "file": "app.log:2", "context": 0 })), " [2] ");
    assert_eq!(ask(json!({ "file": "app.log:2", "before_context": 1, "after_context": 0 })), "1 [2] ");
}

#[test]
fn an_input_is_found_by_the_end_of_its_path_if_there_is_one_only() {
    let window = window_of(&[("/x/a/app.log", LOG), ("/x/b/app.log", LOG), ("/x/b/db.log", LOG)]);
    let ask = |file: &str| answer(&asked::<Context>(json!({ "file": file, "line": 1 })), &window);
    assert_eq!(ask("db.log")["file"], "/x/b/db.log");
    assert_eq!(ask("b/app.log")["file"], "/x/b/app.log");
    assert_eq!(ask("app.log")["message"], "`app.log` is the end of several inputs");
    assert_eq!(ask("no.log")["message"], "there is no input `no.log`");
    let without = answer(&asked::<Context>(json!({ "file": "db.log" })), &window);
    assert_eq!(without["message"], "`context` needs a line of `db.log`");
}

use std::sync::Arc;

use logbraid_parse::{Custom, Customs};
use serde_json::json;

use super::list::List;
use super::test::Test;
use super::validate::Validate;
use crate::testing::{answer, asked, window};
use crate::{Formats, Question, Window};

const LOG: &str = "2024-01-15T10:00:00Z INFO one\n2024-01-15T10:00:01Z nothing\n";

fn with_formats(window: Window) -> Window {
    let custom = Custom {
        regex: r"(?<timestamp>\S+) (?<level>[A-Z]+) (?<message>.*)".to_owned(),
        timestamp_format: None,
        file_patterns: vec!["*.log".to_owned()],
    };
    let formats =
        Formats { file: Some("p.yaml".to_owned()), custom: Customs(vec![("mine".to_owned(), custom)]) };
    window.with_formats(Arc::new(formats))
}

#[test]
fn a_regex_is_tested_line_by_line_from_the_beginning() {
    let test = |options| answer(&asked::<Test>(options), &with_formats(window(LOG)));
    let mine = test(json!({ "name": "mine" }));
    assert_eq!((&mine["format_source"], &mine["match_rate_percent"]), (&json!("user_config"), &json!(50.0)));
    let groups = json!({ "timestamp": "2024-01-15T10:00:00Z", "level": "INFO", "message": "one" });
    assert_eq!(mine["results"][0]["groups"], groups);
    assert_eq!(mine["results"][1]["matched"], false);
    assert_eq!(test(json!({ "regex": "(?<a>one)" }))["matched_lines"], 0, "it stands at the end");
    assert_eq!(test(json!({ "name": "text", "limit": 1 }))["matched_lines"], 2);
    assert_eq!(test(json!({ "name": "text", "limit": 1 }))["truncated"], true);
}

#[test]
fn mistakes_in_formats_are_told_and_end_with_an_error() {
    let test = |options| answer(&asked::<Test>(options), &window(LOG))["message"].clone();
    assert_eq!(test(json!({})), "`format test` needs `--regex` or `--name`");
    assert_eq!(test(json!({ "regex": "one" })), "`one` has no named group");
    assert_eq!(test(json!({ "regex": "(" })), "`(` is not a regular expression: unclosed group");
    assert_eq!(test(json!({ "name": "mine" })), "there is no format `mine`");
}

#[test]
fn formats_are_listed_and_checked() {
    let window = with_formats(window(""));
    let list = answer(&asked::<List>(json!({})), &window);
    assert_eq!(list["user_formats"]["mine"]["named_groups"], json!(["timestamp", "level", "message"]));
    assert!(list["builtin_formats"]["syslog"].as_str().unwrap().contains("5424"));
    let valid = answer(&asked::<Validate>(json!({})), &window);
    assert_eq!((&valid["valid"], &valid["format_count"]), (&json!(true), &json!(1)));
    let advice = answer(&asked::<Validate>(json!({ "regex": "(?<x>a)" })), &window);
    assert_eq!(advice["issues"].as_array().unwrap().len(), 3);
    assert_eq!(answer(&asked::<Validate>(json!({ "regex": "a" })), &window)["code"], "regex");
}

#[test]
fn without_formats_there_is_nothing_found() {
    let window = window("");
    assert!(!asked::<List>(json!({ "no_builtin": true })).ask(&window).unwrap().found);
    assert!(!asked::<Validate>(json!({})).ask(&window).unwrap().found);
}

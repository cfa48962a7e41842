use std::sync::Arc;

use logbraid_parse::{Custom, Customs};
use serde_json::{Value, json};

use super::Detect;
use crate::Formats;
use crate::testing::{answer, asked, lines, window_of};

#[test]
fn every_input_has_a_format_and_plain_text_is_one() {
    let window = window_of(&[
        ("a.log", "{\"ts\":\"2024-01-15T10:00:00Z\",\"msg\":\"x\",\"user\":7}\n"),
        ("b.log", "2024-01-15 10:00:00 INFO [w-1] plain words\n2024-01-15 10:00:01 INFO more words\n"),
    ]);
    let found = answer(&asked::<Detect>(json!({})), &window);
    insta::assert_json_snapshot!(found);
}

#[test]
fn the_sample_has_a_size() {
    let log = lines(80, |n| format!("2024-01-15 10:00:00 INFO n{n}"));
    let size = |options: Value| {
        answer(&asked::<Detect>(options), &window_of(&[("a.log", &log)]))["files"]["a.log"]["sample_size"]
            .clone()
    };
    assert_eq!((size(json!({})), size(json!({ "sample": 7 }))), (json!(50), json!(7)));
    assert_eq!(answer(&asked::<Detect>(json!({ "sample": 0 })), &window_of(&[]))["code"], "usage");
}

#[test]
fn no_input_is_nothing_found() {
    let formats = Formats {
        file: None,
        custom: Customs(vec![(
            "mine".to_owned(),
            Custom {
                regex: "^(?<message>.*)$".to_owned(),
                timestamp_format: None,
                file_patterns: Vec::new(),
            },
        )]),
    };
    let window = window_of(&[]).with_formats(Arc::new(formats));
    assert_eq!(answer(&asked::<Detect>(json!({})), &window), json!({ "files": {} }));
}

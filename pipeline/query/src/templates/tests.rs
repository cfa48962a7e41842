use serde_json::{Value, json};

use super::Templates;
use crate::testing::{answer, asked, window};

fn templates(log: &str, options: Value) -> Value {
    answer(&asked::<Templates>(options), &window(log))
}

const LOG: &str = "
    2024-01-15T10:00:00Z INFO [w-1] GET /api/users took=5ms
    2024-01-15T10:00:01Z INFO [w-2] GET /api/orders took=7ms
    2024-01-15T10:00:02Z WARN [w-1] cache miss
    2024-01-15T10:00:03Z INFO [w-1] pool closed
    2024-01-15T10:00:04Z ERROR [w-1] GET /api/users took=30s
";

#[test]
fn templates_keep_their_words_and_count_every_message() {
    let found = templates(LOG, json!({}));
    assert_eq!(found["total_lines"], 5);
    assert_eq!(found["unique_templates"], 3);
    assert_eq!(found["coverage"], 1.0);
    assert_eq!(found["truncated"], false);
    let first = &found["templates"][0];
    assert_eq!(first["template"], "GET <*> took=<*>");
    assert_eq!(first["count"], 3);
    assert_eq!(first["percentage"], 60.0);
    assert_eq!(first["levels"], json!({"INFO": 2, "ERROR": 1}));
    assert_eq!(first["variable_positions"], json!([1, 2]));
    assert_eq!(first["first_seen"], "2024-01-15T10:00:00Z");
    assert_eq!(first["last_seen"], "2024-01-15T10:00:04Z");
    assert_eq!(first["examples"].as_array().map(Vec::len), Some(3));
}

#[test]
fn messages_of_two_words_do_not_collapse() {
    let found = templates(LOG, json!({"level": ["INFO", "WARN"]}));
    let all: Vec<&str> =
        found["templates"].as_array().into_iter().flatten().filter_map(|t| t["template"].as_str()).collect();
    assert!(all.contains(&"cache miss") && all.contains(&"pool closed"), "{all:?}");
}

#[test]
fn a_limit_hides_templates_but_drops_no_message() {
    let found = templates(LOG, json!({"max_clusters": 1}));
    assert_eq!(found["total_lines"], 5);
    assert_eq!(found["unique_templates"], 3);
    assert_eq!(found["coverage"], 0.6);
    assert_eq!(found["truncated"], true);
}

#[test]
fn the_rarest_can_come_first() {
    let found = templates(LOG, json!({"rare": true}));
    assert_eq!(found["templates"][0]["count"], 1);
    assert_eq!(found["templates"][2]["count"], 3);
}

use super::compiled;
use logbraid_parse::{Settings, detect};

fn error(settings: serde_json::Value) -> (String, String) {
    let error = serde_json::from_value::<Settings>(settings).unwrap().compile().unwrap_err();
    (error.path, error.message)
}

#[test]
fn a_wrong_setting_is_named_and_explained() {
    let paths: Vec<String> = [
        serde_json::json!({ "formats": "jsom" }),
        serde_json::json!({ "zone": "Mars/Olympus" }),
        serde_json::json!({ "max_line": "1B" }),
        serde_json::json!({ "max_multiline_lines": 0 }),
        serde_json::json!({ "custom": { "x": { "regex": "(" } } }),
        serde_json::json!({ "custom": { "x": { "regex": "no groups" } } }),
        serde_json::json!({ "custom": { "x": { "regex": "(?P<timestamp>.)", "timestamp_format": "%Q" } } }),
        serde_json::json!({ "custom": { "x": { "regex": "(?P<message>.)", "file_patterns": ["a["] } } }),
        serde_json::json!({ "custom": { "json": { "regex": "(?P<message>.)" } } }),
    ]
    .into_iter()
    .map(|settings| error(settings).0)
    .collect();
    assert_eq!(
        paths,
        [
            "formats",
            "zone",
            "max_line",
            "max_multiline_lines",
            "custom.x.regex",
            "custom.x.regex",
            "custom.x.timestamp_format",
            "custom.x.file_patterns.0",
            "custom.json"
        ]
    );
    assert!(serde_json::from_value::<Settings>(serde_json::json!({ "formatz": "auto" })).is_err());
}

#[test]
fn the_zone_of_naive_times_can_be_set() {
    for (zone, expected) in [
        ("Europe/Berlin", "2024-07-15T08:00:00Z"),
        ("+05:30", "2024-07-15T04:30:00Z"),
        ("UTC", "2024-07-15T10:00:00Z"),
    ] {
        let settings = compiled(serde_json::json!({ "zone": zone }));
        let events = super::events_with(&settings, b"2024-07-15 10:00:00 x\n");
        assert_eq!(events[0].time().to_string(), expected, "{zone}");
    }
    // Clocks skip an hour on this night, and repeat one on the other.
    let settings = compiled(serde_json::json!({ "zone": "Europe/Berlin" }));
    let events = super::events_with(&settings, b"2024-03-31 02:30:00 x\n2024-10-27 02:30:00 x\n");
    assert_eq!(events[0].time().to_string(), "2024-03-31T01:30:00Z");
    assert_eq!(events[1].time().to_string(), "2024-10-27T00:30:00Z");
}

#[test]
fn a_user_format_is_used_where_its_files_match() {
    let settings = compiled(serde_json::json!({
        "custom": { "mine": { "regex": "^(?P<service>\\w+)!(?P<message>.*)$", "file_patterns": ["mine*.log"] } }
    }));
    let service = |name: &str| {
        let batch = super::batch_of(&settings, name, b"api!hello\n", 0, 1);
        batch.rows[0].service.get(&batch.text).map(str::to_owned)
    };
    assert_eq!(service("/var/log/mine-1.log").as_deref(), Some("api"));
    assert_eq!(service("/var/log/other.log"), None);
}

#[test]
fn detection_says_how_sure_it_is_and_knows_plain_text() {
    let found = detect(b"# comment\nplain words\nmore words\n");
    assert_eq!((found.format.as_str(), found.sample_size), ("text", 2));
    let found = detect(b"{\"a\":1}\n{\"a\":2}\n\nlevel=info msg=x\n{\"a\":3}\n");
    assert_eq!((found.format.as_str(), found.match_rate, found.mixed), ("json", 0.75, false));
    assert_eq!(found.alternatives[0].format, "logfmt");
    assert_eq!(detect(b"\n\n").format, "unknown");
}

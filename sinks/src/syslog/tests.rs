//! Settings and messages; the wire is tested through the program.

use serde_json::{Value, json};

use super::*;
use crate::tests::{build, finding, stats};

fn message(settings: Value, record: &Record) -> (String, bool) {
    let config: Config = serde_json::from_value(settings).unwrap();
    let writer = Writer::new(&config, &config.check().unwrap());
    let message = writer.message(record, &|| EventTime::from_nanos(1_999));
    (String::from_utf8(message.bytes).unwrap(), message.cut)
}

#[test]
fn wrong_settings_are_named_with_a_proposal() {
    let fault = |settings: Value| {
        let Err(error) = build("syslog", settings) else { return "no error".to_owned() };
        format!("{}: {error}; {}", error.path, error.help.clone().unwrap_or_default())
    };
    assert_eq!(fault(json!({ "unix": "/dev/log" })), "no error");
    for (settings, said) in [
        (json!({}), "does not say where messages go; write one of `tcp"),
        (json!({ "tcp": "h:1", "udp": "h:1" }), "goes to one place"),
        (json!({ "udp": "h:0" }), "udp: "),
        (json!({ "unix": "" }), "unix: "),
        (json!({ "udp": "h:1", "tls": {} }), "tls: "),
        (json!({ "udp": "h:1", "message": "64KiB" }), "message: "),
        (json!({ "unix": "/x", "message": "129KiB" }), "message: "),
        (json!({ "tcp": "h:1", "message": "10B" }), "message: "),
        (json!({ "tcp": "h:1", "app_name": "a b" }), "app_name: "),
        (json!({ "tcp": "h:1", "facility": "kern" }), "facility: "),
    ] {
        assert!(fault(settings.clone()).contains(said), "{settings}: {}", fault(settings.clone()));
    }
}

#[test]
fn a_message_has_a_header_of_rfc_5424_and_the_record() {
    let record = finding("line\nend ä");
    let host = net::own_name();
    let (text, cut) = message(json!({ "unix": "/x" }), &record);
    let head = format!("<131>1 2024-01-15T10:00:00.120Z {host} logbraid - finding - ");
    let json = text.strip_prefix(&head).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(serde_json::from_str::<Value>(json).unwrap()["title"], "line\nend ä");
    assert!(!cut);
    let (text, _) = message(json!({ "tcp": "h:1", "format": "text", "facility": "user" }), &record);
    let (length, rest) = text.split_once(' ').unwrap();
    assert_eq!(length.parse(), Ok(rest.len()));
    assert!(
        rest.starts_with("<11>1 ") && rest.ends_with(" - finding - high error_flow: line end ä"),
        "{rest}"
    );
    let (text, _) = message(json!({ "tcp": "h:1", "format": "cee", "framing": "newline" }), &stats());
    assert!(text.starts_with("<134>1 1970-01-01T00:00:00.000001Z "), "microseconds: {text}");
    assert!(text.ends_with("}\n") && text.contains(" - stats - @cee: {\"type\":\"stats\""), "{text}");
}

#[test]
fn a_record_that_is_too_long_stays_json() {
    for length in [400, 1000, 5000] {
        let (text, cut) =
            message(json!({ "unix": "/x", "message": "600B" }), &finding(&"ä".repeat(length / 2)));
        let record: Value = serde_json::from_str(text.split_once(" - finding - ").unwrap().1).unwrap();
        assert!(text.len() <= 600 && cut, "{text}");
        assert_eq!((&record["type"], &record["cut"]), (&json!("finding"), &json!(true)));
    }
    let text = json!({ "unix": "/x", "message": "600B", "format": "text" });
    let (text, cut) = message(text, &finding(&"ä".repeat(1000)));
    assert!(cut && (599..=600).contains(&text.len()), "{}", text.len());
}

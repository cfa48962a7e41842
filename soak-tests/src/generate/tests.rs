use super::*;
use serde_json::Value;

fn lines(workload: Workload, layout: Layout) -> Vec<String> {
    let text = String::from_utf8(workload.bytes(layout)).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn parsed(workload: Workload) -> Vec<Value> {
    lines(workload, Layout::Json).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn equal_seeds_give_equal_bytes() {
    let workload = Workload { entries: 2000, spans: true, ..Workload::default() };
    assert_eq!(workload.bytes(Layout::Json), workload.bytes(Layout::Json));
    assert_ne!(workload.bytes(Layout::Json), Workload { seed: 43, ..workload }.bytes(Layout::Json));
}

#[test]
fn the_distributions_are_those_described() {
    let entries = parsed(Workload { entries: 50_000, order: Order::Article, ..Workload::default() });
    let share =
        |level: &str| entries.iter().filter(|e| e["level"] == level).count() as f64 / entries.len() as f64;
    for (level, want) in [("ERROR", 0.1), ("INFO", 0.6), ("WARN", 0.2), ("DEBUG", 0.1)] {
        assert!((share(level) - want).abs() < 0.01, "{level}: {}", share(level));
    }
    let status = entries.iter().filter(|e| e["level"] != "ERROR" && !e["fields"]["status_code"].is_null());
    assert!((status.count() as f64 / 45_000.0 - 0.3).abs() < 0.02);
    assert_eq!(entries[21]["correlation_id"], "req-000001");
    assert_eq!(entries[21]["trace_id"], "trace-0001");
    let timeouts = entries
        .iter()
        .filter(|e| e["level"] == "ERROR" && e["message"].as_str().unwrap().starts_with("Timeout"))
        .count();
    assert!((400..600).contains(&timeouts), "about one in a hundred: {timeouts}");
}

#[test]
fn a_plain_line_has_about_234_bytes_and_its_keys_in_order() {
    let workload = Workload { entries: 10_000, order: Order::Article, ..Workload::default() };
    let mean = workload.bytes(Layout::Json).len() as f64 / 10_000.0;
    assert!((225.0..245.0).contains(&mean), "{mean}");
    let spans = Workload { spans: true, ..workload }.bytes(Layout::Json).len() as f64 / 10_000.0;
    assert!((270.0..295.0).contains(&spans), "{spans}");
    let entry = &parsed(Workload { spans: true, ..workload })[7];
    let keys: Vec<&str> = entry.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys[..8],
        ["timestamp", "level", "message", "thread_id", "correlation_id", "trace_id", "fields", "span_id"]
    );
}

#[test]
fn stream_times_are_out_of_order_by_less_than_the_jitter() {
    let workload = Workload { entries: 20_000, jitter_us: 1_000_000, ..Workload::default() };
    let mut entries = Entries::new(workload, None);
    let (mut newest, mut behind) = (0, 0);
    while let Some(entry) = entries.draw() {
        newest = newest.max(entry.time_us);
        behind = behind.max(newest - entry.time_us);
    }
    assert!(behind > 0, "some are out of order");
    assert!(behind <= 1_000_000, "{behind} µs");
}

#[test]
fn article_times_are_far_out_of_order() {
    let mut entries =
        Entries::new(Workload { entries: 50_000, order: Order::Article, ..Workload::default() }, None);
    let (mut newest, mut behind) = (0, 0);
    while let Some(entry) = entries.draw() {
        newest = newest.max(entry.time_us);
        behind = behind.max(newest - entry.time_us);
    }
    assert!(behind > 100_000_000, "{behind} µs");
}

#[test]
fn requests_take_turns_and_each_has_its_entries() {
    let workload = Workload { entries: 100_000, open: 100, request_entries: 10, ..Workload::default() };
    let mut counts = std::collections::BTreeMap::new();
    for i in 0..workload.entries {
        *counts.entry(workload.request(i)).or_insert(0) += 1;
    }
    let full = counts.values().filter(|count| **count == 10).count();
    assert!(counts.values().all(|count| *count <= 10));
    assert!(full >= counts.len() - 200, "only the first and the last of a slot are cut: {full}");
}

#[test]
fn every_layout_has_one_line_per_entry_with_its_ids() {
    for layout in Layout::ALL {
        let lines = lines(Workload { entries: 500, ..Workload::default() }, layout);
        assert_eq!(lines.len(), 500, "{}", layout.name());
        assert!(lines[3].contains("req-000003"), "{}", lines[3]);
        assert!(lines[3].contains("worker-0"), "{}", lines[3]);
    }
}

#[test]
fn services_share_one_request() {
    let workload = Workload { entries: 200, order: Order::Article, ..Workload::default() };
    let mut out = Vec::new();
    workload.write_service(1, Layout::Json, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["service"], "auth-service");
    assert_eq!(first["timestamp"], "2025-01-15T10:00:00.050000Z");
    assert!(
        text.lines().all(|line| line.contains("\"req-000042\"") && line.contains("auth-service-worker-"))
    );
}

use std::sync::Arc;

use insta::assert_snapshot;
use logbraid_core::flow::{ErrorFlow, FlowChain, RootCause};
use logbraid_core::tree::{Hierarchy, Node, NodeKind};
use logbraid_core::{
    Batch, ClosedBy, Event, EventTime, Evidence, Finding, FindingKind, Group, Id, Key, Level, LevelCounts,
    PartitionId, Phase, Record, Row, Severity, Source, SourceRef, Text,
};
use unicode_width::UnicodeWidthStr;

use super::text::Style;
use super::*;

const START_MS: i64 = 1_705_312_800_000;

fn at(ms: i64) -> EventTime {
    EventTime::from_millis(START_MS + ms)
}

/// Entries as `(milliseconds, level, service, message)`.
fn batch(entries: &[(i64, Level, &str, &str)]) -> Vec<Event> {
    let mut batch = Batch::new(Arc::new(Source::lines("app.log", PartitionId(0))));
    let put = |batch: &mut Batch, text: &str| {
        if text.is_empty() {
            return Text::NONE;
        }
        let start = u32::try_from(batch.text.len()).unwrap();
        batch.text.push_str(text);
        Text { start, len: u32::try_from(text.len()).unwrap() }
    };
    for (line, (ms, level, service, message)) in entries.iter().enumerate() {
        let service = put(&mut batch, service);
        let message = put(&mut batch, message);
        batch.rows.push(Row {
            time: at(*ms),
            line: line as u64 + 1,
            level: Some(*level),
            service,
            message,
            raw: message,
            ..Row::default()
        });
    }
    let batch = Arc::new(batch);
    (0..entries.len()).map(|row| Event::new(Arc::clone(&batch), u32::try_from(row).unwrap())).collect()
}

fn node(
    id: &str,
    service: &str,
    from: i64,
    to: i64,
    errors: u64,
    parent: Option<usize>,
    depth: usize,
) -> Node {
    Node {
        id: id.into(),
        kind: NodeKind::Span,
        name: Some(id.into()),
        service: Some(service.into()),
        start: at(from),
        end: at(to),
        duration_ms: (to - from) as f64,
        self_ms: 1.0,
        entries: 2,
        errors,
        levels: LevelCounts::default(),
        confidence: 1.0,
        evidence: Vec::new(),
        parent,
        children: Vec::new(),
        depth,
    }
}

fn failed() -> Group {
    let mut group = Group {
        key: Key { kind: "correlation_id".into(), value: "req-123".into() },
        phase: Phase::Closed(ClosedBy::Idle),
        ..Group::default()
    };
    let mut entries =
        vec![(0, Level::Info, "gateway", "POST /checkout"), (20, Level::Info, "checkout", "charging card")];
    for step in 0..40 {
        entries.push((100 + step, Level::Debug, "payments", "polling"));
    }
    entries.push((
        1234,
        Level::Error,
        "payments-db",
        "Connection refused to payments-db:5432\n  at connect (db.js:1)\n  at x",
    ));
    entries.push((1240, Level::Error, "payments", "charge failed: \u{1b}[2Jdatabase \u{202e}gone"));
    entries.push((1250, Level::Warn, "checkout", "giving up"));
    entries.push((1260, Level::Error, "gateway", "502 日本語 bad gateway"));
    for event in batch(&entries) {
        group.push(&event);
    }
    let mut nodes = vec![
        node("POST /checkout", "gateway", 0, 1260, 1, None, 0),
        node("charge", "checkout", 20, 1250, 0, Some(0), 1),
        node("pay", "payments", 100, 1240, 1, Some(1), 2),
        node("select", "payments-db", 1200, 1234, 1, Some(2), 3),
        node("audit", "audit", 30, 30, 0, Some(0), 1),
    ];
    nodes[0].children = vec![1, 4];
    nodes[1].children = vec![2];
    nodes[2].children = vec![3];
    group.hierarchy = Some(Hierarchy { nodes, roots: vec![0], ..Hierarchy::default() });
    group.error_flow = Some(ErrorFlow {
        root_causes: vec![RootCause {
            node: "select".into(),
            service: Some("payments-db".into()),
            thread_id: None,
            timestamp: at(1234),
            message: "Connection refused to payments-db:5432".into(),
            template: Id(1),
            errors: 1,
            path: Vec::new(),
            leaf: true,
            confidence: 0.9,
        }],
        chains: vec![FlowChain {
            root_cause: "select".into(),
            steps: Vec::new(),
            services: vec!["payments-db".into(), "payments".into(), "gateway".into()],
        }],
        affected_nodes: 3,
        fingerprint: Id(2),
    });
    group
}

fn drawn(record: &Record, width: usize) -> String {
    let text = View::new(width, Style::PLAIN).record(record);
    for line in text.lines() {
        assert!(line.width() <= width, "{} columns: {line}", line.width());
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    text
}

#[test]
fn a_failed_request_fits_eighty_columns() {
    assert_snapshot!(drawn(&Record::Timeline(Box::new(failed())), 80), @r"
    ✗ req-123  error · 1.26s · 46 entries (3 errors) · 2024-01-15T10:00:00Z · gatew…
      gateway POST /checkout ✗                1.26s  ███████████████████████████████
      ├─ checkout charge                      1.23s  ███████████████████████████████
      │  └─ payments pay ✗                    1.14s    █████████████████████████████
      │     └─ payments-db select ✗            34ms                                █
      └─ audit                                  0ms   █
      10:00:00.000     +0ms INFO  gateway     POST /checkout
      10:00:01.234   +1.23s ERROR payments-db Connection refused to paym… (+2 lines)
      10:00:01.240   +1.24s ERROR payments    charge failed: ␛[2Jdatabase \u{202e}g…
      10:00:01.250   +1.25s WARN  checkout    giving up
      10:00:01.260   +1.26s ERROR gateway     502 日本語 bad gateway
      … 41 more
      root cause: payments-db said “Connection refused to payments-db:5432” at
      10:00:01.234; it spread to payments → gateway
    ");
}

#[test]
fn a_failed_request_uses_a_wide_terminal() {
    assert_snapshot!(drawn(&Record::Timeline(Box::new(failed())), 120), @r"
    ✗ req-123  error · 1.26s · 46 entries (3 errors) · 2024-01-15T10:00:00Z · gateway, checkout, payments, payments-db
      gateway POST /checkout ✗                                  1.26s  █████████████████████████████████████████████████████
      ├─ checkout charge                                        1.23s   ████████████████████████████████████████████████████
      │  └─ payments pay ✗                                      1.14s      ████████████████████████████████████████████████
      │     └─ payments-db select ✗                              34ms                                                    ██
      └─ audit                                                    0ms   █
      10:00:00.000     +0ms INFO  gateway     POST /checkout
      10:00:01.234   +1.23s ERROR payments-db Connection refused to payments-db:5432 (+2 lines)
      10:00:01.240   +1.24s ERROR payments    charge failed: ␛[2Jdatabase \u{202e}gone
      10:00:01.250   +1.25s WARN  checkout    giving up
      10:00:01.260   +1.26s ERROR gateway     502 日本語 bad gateway
      … 41 more
      root cause: payments-db said “Connection refused to payments-db:5432” at 10:00:01.234; it spread to payments → gateway
    ");
}

#[test]
fn a_request_without_a_tree_is_its_entries() {
    let mut group = Group {
        key: Key { kind: "thread_id".into(), value: "worker-1".into() },
        phase: Phase::Closed(ClosedBy::EndOfInput),
        ..Group::default()
    };
    for event in batch(&[(0, Level::Info, "", "start"), (0, Level::Info, "", "end")]) {
        group.push(&event);
    }
    assert_snapshot!(drawn(&Record::Timeline(Box::new(group)), 80), @r"
    ✓ worker-1  ok · 0ms · 2 entries · 2024-01-15T10:00:00Z
      10:00:00.000     +0ms INFO  start
      10:00:00.000     +0ms INFO  end
    ");
}

#[test]
fn a_finding_says_what_where_and_how_often() {
    let mut finding = Finding::new(
        FindingKind::ErrorFlow,
        Severity::High,
        "payments-db refuses connections; payments, checkout and gateway fail with it since 10:00".into(),
        at(1234),
        Id(7),
    );
    finding.service = Some("payments-db".into());
    finding.occurrences = 1234;
    finding.confidence = 0.9;
    let evidence = |line| Evidence {
        timestamp: at(1234),
        service: Some("payments-db".into()),
        level: Some(Level::Error),
        message: "Connection refused to payments-db:5432 after three attempts\nat x".into(),
        source: SourceRef {
            input: "/var/log/pods/payments.log".into(),
            line,
            byte: None,
            topic: None,
            partition: None,
            offset: None,
        },
    };
    finding.evidence = (1..8).map(evidence).collect();
    assert_snapshot!(drawn(&Record::Finding(Box::new(finding.clone())), 80), @r"
    ! high  payments-db refuses connections; payments, checkout and gateway fail
            with it since 10:00
        payments-db · 1,234× · 90% sure · 10:00:01.234
        10:00:01.234 ERROR payments-db Connection refused to …  /var/log/pods/payme…
        10:00:01.234 ERROR payments-db Connection refused to …  /var/log/pods/payme…
        10:00:01.234 ERROR payments-db Connection refused to …  /var/log/pods/payme…
        10:00:01.234 ERROR payments-db Connection refused to …  /var/log/pods/payme…
        10:00:01.234 ERROR payments-db Connection refused to …  /var/log/pods/payme…
        … 2 more records
    ");
    assert_snapshot!(drawn(&Record::Finding(Box::new(finding.clone())), 40), @r"
    ! high  payments-db refuses connections;
            payments, checkout and gateway
            fail with it since 10:00
        payments-db · 1,234× · 90% sure · 1…
        10:00:01.234 ERROR paym…  /var/log/…
        10:00:01.234 ERROR paym…  /var/log/…
        10:00:01.234 ERROR paym…  /var/log/…
        10:00:01.234 ERROR paym…  /var/log/…
        10:00:01.234 ERROR paym…  /var/log/…
        … 2 more records
    ");
    let coloured = View::new(80, Style::COLOUR).record(&Record::Finding(Box::new(finding)));
    assert!(coloured.contains("\u{1b}[1;31m! high  \u{1b}[0m"), "{coloured:?}");
}

#[test]
fn a_summary_leaves_out_what_did_not_happen() {
    let totals = summary::Totals { lines: 1_234_567, requests: 1, findings: 0, ..summary::Totals::default() };
    assert_snapshot!(totals.summary(logbraid_core::Span::from_millis(2500), Style::PLAIN), @r"1,234,567 lines, 1 request, 0 findings in 2.50s (493,826 lines/s)");
    let totals = summary::Totals {
        failed: 3,
        ungrouped: 4,
        late: 5,
        rejects: 6,
        requests: 10,
        lines: 20,
        findings: 1,
        bytes: 1,
    };
    assert_snapshot!(totals.summary(logbraid_core::Span::from_millis(25), Style::PLAIN), @r"20 lines, 10 requests, 3 failed, 1 finding, 4 without a request, 5 late, 6 rejected in 25ms");
}

mod writing {
    use super::super::sink::{Output, Writer};
    use super::*;
    use logbraid_core::sink::Sink;
    use std::io::Write;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(output: Output, budget: Option<u64>, records: &[Record]) -> String {
        let shared = Shared::default();
        let mut writer = Writer::new(output, View::new(80, Style::PLAIN), Box::new(shared.clone()), budget);
        let records: Vec<&Record> = records.iter().collect();
        futures::executor::block_on(async {
            writer.write(&records).await.unwrap();
            writer.flush().await.unwrap();
        });
        drop(writer);
        let bytes = shared.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn entries() -> Vec<Record> {
        let lines =
            [(0, Level::Info, "a", "one"), (1, Level::Info, "a", "two"), (2, Level::Info, "a", "three")];
        batch(&lines).into_iter().map(Record::Entry).collect()
    }

    #[test]
    fn every_form_is_whole_and_within_its_budget() {
        let records = entries();
        assert_eq!(written(Output::Raw, None, &records), "one\ntwo\nthree\n");
        let full = written(Output::Json, None, &records);
        let document: serde_json::Value = serde_json::from_str(&full).unwrap();
        assert_eq!(document["records"].as_array().unwrap().len(), 3);
        for budget in [16, 300, 500, 600, 700, 10_000] {
            for output in [Output::Json, Output::Ndjson, Output::Pretty, Output::Raw] {
                let text = written(output, Some(budget), &records);
                assert!(text.len() as u64 <= budget.max(60), "{output:?} {budget}: {}", text.len());
                if output == Output::Json {
                    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
                    let there = document["records"].as_array().unwrap().len() as u64;
                    assert_eq!(there + document["left_out"]["entries"].as_u64().unwrap_or(0), 3, "{text}");
                }
                if output == Output::Ndjson {
                    assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
                }
            }
        }
    }
}

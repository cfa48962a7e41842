use super::{check, one, seen};

#[test]
fn every_common_key_style_is_understood() {
    check(&[
        // the batch tool's own helper
        (
            r#"{"timestamp": "2025-01-15T10:00:00.001234Z", "level": "INFO", "message": "GET /api/users 200 12ms", "thread_id": "worker-001", "correlation_id": "req-000001", "trace_id": "trace-0001", "fields": {"duration_ms": 12.3, "status_code": 200}}"#,
            "2025-01-15T10:00:00.001234Z INFO thread=worker-001 correlation=req-000001 trace=trace-0001 ms=12.3 | GET /api/users 200 12ms",
        ),
        // OpenTelemetry
        (
            r#"{"Timestamp":"1705312800000000001","SeverityText":"Warn","SeverityNumber":13,"Body":"slow","TraceId":"4bf92f3577b34da6a3ce929d0e0e4736","SpanId":"00f067aa0ba902b7","Resource":{"service.name":"api","host.name":"n1"},"Attributes":{"http.request.id":"r-1","thread.name":"t-7"}}"#,
            "2024-01-15T10:00:00.000000001Z WARN service=api host=n1 thread=t-7 correlation=r-1 trace=4bf92f3577b34da6a3ce929d0e0e4736 span=00f067aa0ba902b7 | slow",
        ),
        (
            r#"{"timeUnixNano":"1705312800000000000","severityNumber":17,"body":{"stringValue":"otlp"},"traceId":"4bf92f3577b34da6a3ce929d0e0e4736"}"#,
            "2024-01-15T10:00:00Z ERROR trace=4bf92f3577b34da6a3ce929d0e0e4736 | otlp",
        ),
        // ECS, nested and dotted
        (
            r#"{"@timestamp":"2024-01-15T10:00:00.000Z","log":{"level":"error","logger":"com.x.Y"},"message":"boom","service":{"name":"api","version":"1"},"process":{"pid":7,"thread":{"name":"main"}},"trace":{"id":"t1"},"span":{"id":"s1"},"parent":{"id":"p1"},"error":{"type":"IOException"},"event":{"duration":2500000},"http":{"request":{"id":"r1"}},"host":{"name":"n1"}}"#,
            "2024-01-15T10:00:00Z ERROR service=api host=n1 thread=main correlation=r1 trace=t1 span=s1 parent=p1 logger=com.x.Y exception=IOException ms=2.5 | boom",
        ),
        (
            r#"{"@timestamp":"2024-01-15T10:00:00Z","log.level":"INFO","message":"m","service.name":"api","process.thread.name":"main","trace.id":"t1","transaction.id":"x1"}"#,
            "2024-01-15T10:00:00Z INFO service=api thread=main correlation=x1 trace=t1 | m",
        ),
        // GELF
        (
            r#"{"version":"1.1","host":"n1","short_message":"gelf","timestamp":1705312800.25,"level":3,"_request_id":"r1","_thread_name":"t1"}"#,
            "2024-01-15T10:00:00.250Z ERROR host=n1 thread=t1 correlation=r1 | gelf",
        ),
        // Bunyan and pino
        (
            r#"{"name":"shop","hostname":"n1","pid":123,"level":50,"msg":"bunyan","time":"2024-01-15T10:00:00.000Z","v":0}"#,
            "2024-01-15T10:00:00Z ERROR service=shop host=n1 thread=123 | bunyan",
        ),
        (
            r#"{"level":30,"time":1705312800123,"pid":1,"hostname":"n1","reqId":"r-1","msg":"pino","responseTime":12}"#,
            "2024-01-15T10:00:00.123Z INFO host=n1 thread=1 correlation=r-1 ms=12 | pino",
        ),
        // zap
        (
            r#"{"level":"warn","ts":1705312800.5,"logger":"http","caller":"a/b.go:7","msg":"zap","traceID":"abc"}"#,
            "2024-01-15T10:00:00.500Z WARN trace=abc logger=http | zap",
        ),
        // logrus, structlog
        (
            r#"{"level":"panic","msg":"logrus","time":"2024-01-15T10:00:00+02:00"}"#,
            "2024-01-15T08:00:00Z FATAL | logrus",
        ),
        (
            r#"{"event":"structlog","level":"critical","timestamp":"2024-01-15 10:00:00","logger":"a.b"}"#,
            "2024-01-15T10:00:00Z FATAL logger=a.b | structlog",
        ),
        // serilog CLEF
        (
            r#"{"@t":"2024-01-15T10:00:00.1234567Z","@mt":"Hello {Name}","@m":"Hello Bob","@l":"Verbose","@x":"System.Exception: no","@tr":"4bf9","@sp":"00f0","SourceContext":"A.B","RequestId":"r1"}"#,
            "2024-01-15T10:00:00.123456700Z TRACE correlation=r1 trace=4bf9 span=00f0 logger=A.B | Hello Bob",
        ),
        (
            r#"{"@t":"2024-01-15T10:00:00Z","@mt":"only {Template}"}"#,
            "2024-01-15T10:00:00Z | only {Template}",
        ),
        // CloudWatch: the record is inside
        (
            r#"{"timestamp":1705312800000,"message":"{\"level\":\"ERROR\",\"msg\":\"inner\",\"awsRequestId\":\"a-1\"}"}"#,
            "2024-01-15T10:00:00Z ERROR correlation=a-1 | inner",
        ),
        // journald
        (
            r#"{"__REALTIME_TIMESTAMP":"1705312800123456","PRIORITY":"4","SYSLOG_IDENTIFIER":"sshd","MESSAGE":"hi","_PID":"77","_HOSTNAME":"n1","_SYSTEMD_UNIT":"ssh.service"}"#,
            "2024-01-15T10:00:00.123456Z WARN service=sshd host=n1 thread=77 | hi",
        ),
        (
            r#"{"__REALTIME_TIMESTAMP":"1705312800123456","MESSAGE":[104,195,169,33],"PRIORITY":"6"}"#,
            "2024-01-15T10:00:00.123456Z INFO | hé!",
        ),
        // log4j2 layout
        (
            r#"{"instant":{"epochSecond":1705312800,"nanoOfSecond":5000000},"level":"INFO","loggerName":"a.B","message":"m","thread":"main"}"#,
            "2024-01-15T10:00:00.005Z INFO thread=main logger=a.B | m",
        ),
        // Google Cloud
        (
            r#"{"severity":"NOTICE","timestamp":"2024-01-15T10:00:00Z","jsonPayload":{"message":"gcp","request_id":"r1"},"logging.googleapis.com/trace":"projects/p/traces/abc"}"#,
            "2024-01-15T10:00:00Z INFO correlation=r1 trace=abc | gcp",
        ),
    ]);
}

#[test]
fn what_a_container_wrote_is_unwrapped() {
    check(&[
        (
            r#"{"log":"{\"level\":\"warn\",\"msg\":\"inner\",\"request_id\":\"r1\"}\n","stream":"stdout","time":"2024-01-15T10:00:00.123Z"}"#,
            "2024-01-15T10:00:00.123Z WARN correlation=r1 | inner",
        ),
        (
            r#"{"log":"2024-01-15 09:59:59 ERROR [main] x.Y: boom\n","stream":"stderr","time":"2024-01-15T10:00:00.123Z","kubernetes":{"pod_name":"api-7d9f8b6c5-x2k4q","container_name":"app","labels":{"app":"api"}}}"#,
            "2024-01-15T09:59:59Z ERROR service=api host=api-7d9f8b6c5-x2k4q thread=main logger=x.Y | boom",
        ),
        (
            r#"2024-01-15T10:00:00.123456789Z stdout F {"ts":"2024-01-15T10:00:00.1Z","level":"info","msg":"cri"}"#,
            "2024-01-15T10:00:00.100Z INFO | cri",
        ),
        (
            "2024-01-15T10:00:00.123456789Z stdout F plain words",
            "2024-01-15T10:00:00.123456789Z | plain words",
        ),
        (
            r#"{"@timestamp":"2024-01-15T10:00:01Z","message":"2024-01-15 10:00:00 ERROR [t1] x.Y: shipped"}"#,
            "2024-01-15T10:00:00Z ERROR thread=t1 logger=x.Y | shipped",
        ),
        (
            r#"[pod/api-7d9f8b6c5-x2k4q/app] {"level":"error","msg":"boom"}"#,
            "ERROR service=api host=api-7d9f8b6c5-x2k4q | boom",
        ),
        (
            "web-1  | 2024-01-15 10:00:00 INFO started",
            "2024-01-15T10:00:00Z INFO service=web host=web-1 | started",
        ),
        (
            r#"<13>Jan 15 10:00:00 n1 api[7]: {"level":"error","msg":"in syslog","ts":"2024-01-15T10:00:00Z"}"#,
            "2024-01-15T10:00:00Z ERROR service=api host=n1 thread=7 | in syslog",
        ),
    ]);
}

#[test]
fn the_better_key_wins_wherever_it_stands() {
    check(&[
        (r#"{"msg":"b","message":"a","lvl":"error","level":"info"}"#, "INFO | a"),
        (r#"{"message":"a","msg":"b","level":"info","lvl":"error"}"#, "INFO | a"),
        (r#"{"req_id":"3","request_id":"2","correlation_id":"1","msg":"m"}"#, "correlation=1 | m"),
        (
            r#"{"ts":1705312800,"time":"nonsense","timestamp":null,"msg":"the first usable time counts"}"#,
            "2024-01-15T10:00:00Z | the first usable time counts",
        ),
        (r#"{"level":"odd","severity":"warn","msg":"m"}"#, "WARN | m"),
        (r#"{"context":{"request_id":"inner"},"request_id":"outer","msg":"m"}"#, "correlation=outer | m"),
    ]);
}

#[test]
fn trace_headers_give_trace_and_span() {
    check(&[
        (
            r#"{"msg":"m","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#,
            "trace=4bf92f3577b34da6a3ce929d0e0e4736 span=00f067aa0ba902b7 | m",
        ),
        (
            r#"{"msg":"m","span_id":"own","headers":{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}"#,
            "trace=4bf92f3577b34da6a3ce929d0e0e4736 span=own parent=00f067aa0ba902b7 | m",
        ),
        (
            r#"{"msg":"m","b3":"80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90"}"#,
            "trace=80f198ee56343ba864fe8b2a57d3eff7 span=e457b5a2e4d86bd1 parent=05e3ac9a4f6e3b90 | m",
        ),
        (
            r#"{"msg":"m","X-B3-TraceId":"80f198ee56343ba864fe8b2a57d3eff7","X-B3-SpanId":"e457b5a2e4d86bd1","X-B3-ParentSpanId":"05e3ac9a4f6e3b90"}"#,
            "trace=80f198ee56343ba864fe8b2a57d3eff7 span=e457b5a2e4d86bd1 parent=05e3ac9a4f6e3b90 | m",
        ),
        (
            r#"{"msg":"m","X-Amzn-Trace-Id":"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"}"#,
            "trace=1-5759e988-bd862e3fe1be46a994272793 parent=53995c3f42cd8ad8 | m",
        ),
        (r#"{"msg":"m","x-request-id":"r-1"}"#, "correlation=r-1 | m"),
        (r#"{"msg":"m","trace_id":"00000000000000000000000000000000","span_id":"0000000000000000"}"#, "| m"),
    ]);
}

#[test]
fn durations_have_one_unit_whatever_they_were_written_in() {
    check(&[
        (r#"{"msg":"m","duration":"1.5s"}"#, "ms=1500 | m"),
        (r#"{"msg":"m","elapsed":"250µs"}"#, "ms=0.25 | m"),
        (r#"{"msg":"m","took":12}"#, "ms=12 | m"),
        (r#"{"msg":"m","duration_us":1500}"#, "ms=1.5 | m"),
        (r#"{"msg":"m","duration_ns":1500000}"#, "ms=1.5 | m"),
        (r#"{"msg":"m","latency":"1m2.5s"}"#, "ms=62500 | m"),
        (r#"{"msg":"m","duration_ms":"7","duration":"9s"}"#, "ms=7 | m"),
        (r#"{"msg":"m","duration":"soon","elapsed_ms":-4}"#, "| m"),
    ]);
}

#[test]
fn requests_that_start_others_are_noted() {
    check(&[
        (r#"{"msg":"m","request_id":"a","parent_request_id":"p"}"#, "correlation=a parent_request=p | m"),
        (
            r#"{"msg":"spawning subrequest req-2","request_id":"a","trace_id":"t"}"#,
            "correlation=a trace=t child_request=req-2 | spawning subrequest req-2",
        ),
        (
            r#"{"msg":"delegating to job_7","request_id":"a"}"#,
            "correlation=a child_request=job_7 | delegating to job_7",
        ),
        (r#"{"msg":"delegating to the pool","request_id":"a"}"#, "correlation=a | delegating to the pool"),
        (
            "2024-01-15T10:00:00Z creating child request c-1 for request_id=a-1",
            "2024-01-15T10:00:00Z correlation=a-1 child_request=c-1 | creating child request c-1 for request_id=a-1",
        ),
    ]);
}

#[test]
fn operators_fields_are_extracted_by_flat_and_dotted_names() {
    use logbraid_core::{Event, EventTime, Fields, PartitionId, Source};
    use logbraid_parse::{Framing, Parser, RawBatch};
    use std::sync::Arc;
    let mut fields = Fields::default();
    let ids = ["user.id", "status", "cart.items.count", "flag"].map(|name| fields.intern(name));
    let mut parser = Parser::new(Arc::new(super::auto()), &fields);
    let batch = parser.parse(RawBatch {
        source: Arc::new(Source::lines("x", PartitionId(0))),
        bytes: br#"{"msg":"a","user":{"id":"u\"1"},"status":200,"cart":{"items":{"count":2.5}},"flag":true}
status=500 user.id=u2 msg="b c" flag=no"#
            .to_vec(),
        framing: Framing::Lines { offset: 0, line: 1 },
        ingest: EventTime::MIN,
    });
    let batch = Arc::new(batch);
    let got = |row: u32| {
        let event = Event::new(Arc::clone(&batch), row);
        ids.map(|id| event.field(id).unwrap_or("-").to_owned()).join(" ")
    };
    assert_eq!(got(0), "u\"1 200 2.5 true");
    assert_eq!(got(1), "u2 500 - no");
}

#[test]
fn strings_stay_where_they_were_read_unless_they_have_escapes() {
    let event = one(r#"{"msg":"plain","thread":"a\tb"}"#);
    let row = event.row();
    assert!(row.raw.contains(row.message));
    assert!(!row.raw.contains(row.thread));
    assert_eq!(event.text(row.thread), Some("a\tb"));
}

#[test]
fn an_object_without_a_message_is_its_own_message() {
    assert_eq!(seen(&one(r#"{"level":"info","a":1}"#)), r#"INFO | {"level":"info","a":1}"#);
}

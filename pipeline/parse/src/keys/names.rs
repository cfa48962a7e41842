//! The names of keys, in the order in which they count.
//!
//! Names are separated by `;`. Words of a name are separated by blanks: every usual spelling of them is a key
//! (`trace id` is `trace_id`, `traceId`, `TraceId`, `trace.id` …). A name with any other character is one key.

use super::{Slot, Style};

pub(super) const KEYS: &[(Slot, Style, &str)] = &[
    (
        Slot::Time,
        Style::Plain,
        "timestamp; time; @timestamp; ts; datetime; date time; @t; event time; log time; asctime; \
         time unix nano; time millis; timestamp ms; timestamp millis; _SOURCE_REALTIME_TIMESTAMP; \
         __REALTIME_TIMESTAMP; created at; t; date; event.created; observed timestamp; \
         observed time unix nano; receive timestamp; ingestion time; _ts; t.$date; time.$date",
    ),
    (Slot::InstantSecond, Style::Plain, "instant.epochSecond"),
    (Slot::InstantNano, Style::Plain, "instant.nanoOfSecond"),
    (Slot::InstantSecond, Style::Plain, "timestamp.seconds"),
    (Slot::InstantNano, Style::Plain, "timestamp.nanos"),
    (
        Slot::Level,
        Style::Plain,
        "level; severity; log level; loglevel; lvl; level name; log.level; severity text; @l; \
         log severity; severity label; priority",
    ),
    (Slot::Level, Style::Otel, "severity number"),
    (Slot::Level, Style::Python, "levelno"),
    (
        Slot::Level,
        Style::Plain,
        "level value; syslog severity; log.syslog.severity.name; log.syslog.severity.code; \
         log.syslog.severity; log.severity; s",
    ),
    (Slot::Message, Style::Plain, "message; msg; text; content; short message; body; event; @m"),
    (Slot::Message, Style::Wrapped, "log"),
    (
        Slot::Message,
        Style::Plain,
        "log message; rendered message; text payload; body.stringValue; body.string_value; \
         full message",
    ),
    (Slot::Message, Style::Template, "@mt; message template"),
    (
        Slot::Thread,
        Style::Plain,
        "thread; thread id; tid; thread name; process.thread.name; process.thread.id; goroutine; \
         goroutine id; goid; worker id; process.pid; pid; process id; _PID; SYSLOG_PID; procid; ctx",
    ),
    (
        Slot::Correlation,
        Style::Plain,
        "correlation id; request id; req id; x request id; x correlation id; http.request.id; req.id; \
         aws request id; transaction id; http.request_id; http.request.headers.x-request-id; \
         req.headers.x-request-id; correlation; request.request_id; corr id; lambda request id; cid",
    ),
    (Slot::Trace, Style::Plain, "trace id; @tr; dd.trace_id; otel trace id; x b3 trace id; b3 trace id"),
    (Slot::Trace, Style::LastPart, "logging.googleapis.com/trace"),
    (Slot::Trace, Style::Plain, "operation_Id; req.headers.x-b3-traceid"),
    (
        Slot::Span,
        Style::Plain,
        "span id; @sp; dd.span_id; otel span id; x b3 span id; b3 span id; \
         logging.googleapis.com/spanId",
    ),
    (
        Slot::ParentSpan,
        Style::Plain,
        "parent span id; parent_span.id; span.parent_id; span.parent_span_id; parent.id; parent id; \
         x b3 parent span id; b3 parent span id; @ps; operation_ParentId",
    ),
    (
        Slot::Service,
        Style::Plain,
        "service; service name; app; application; app name; application name; dd.service; svc; \
         kubernetes.labels.app.kubernetes.io/name; kubernetes.labels.app_kubernetes_io/name; \
         kubernetes.labels.app; kubernetes.labels.k8s-app; app.kubernetes.io/name; k8s.deployment.name; \
         kubernetes.deployment.name; kubernetes.container_name; kubernetes.container.name; \
         k8s.container.name; container name",
    ),
    (Slot::Service, Style::Pod, "kubernetes.pod_name; kubernetes.pod.name; k8s.pod.name; pod name; pod"),
    (
        Slot::Service,
        Style::Plain,
        "container; SYSLOG_IDENTIFIER; syslog identifier; program; prog name; ident",
    ),
    (Slot::Service, Style::Unit, "_SYSTEMD_UNIT"),
    (Slot::Service, Style::Plain, "_COMM"),
    (
        Slot::Host,
        Style::Plain,
        "host; hostname; host name; host.hostname; kubernetes.host; kubernetes.node.name; \
         k8s.node.name; node name; _HOSTNAME; machine name; node",
    ),
    (
        Slot::Duration,
        Style::Plain,
        "duration ms; duration; elapsed; elapsed ms; latency ms; took; response time; response time ms; \
         latency; took ms; duration millis",
    ),
    (Slot::Duration, Style::Micros, "duration us; elapsed us; latency us"),
    (
        Slot::Duration,
        Style::Nanos,
        "duration ns; duration nanos; duration nano; elapsed ns; latency ns; event.duration",
    ),
    (Slot::Duration, Style::Seconds, "duration s; duration seconds; elapsed seconds"),
    (Slot::Duration, Style::Plain, "time taken ms; request time ms"),
    (Slot::Operation, Style::Plain, "operation name; operation; span.name; span name"),
    (Slot::Name, Style::Plain, "name"),
    (
        Slot::Logger,
        Style::Plain,
        "logger; logger name; log.logger; module; component; source context; target; category; caller; \
         class",
    ),
    (
        Slot::Exception,
        Style::Plain,
        "exception.type; error.type; exc type; error type; exception class; error.kind; error.class; \
         err.type; exception.class; exception; error.name; exc info",
    ),
    (Slot::ParentRequest, Style::Plain, "parent request id; parent correlation id; parent request"),
    (
        Slot::ChildRequest,
        Style::Plain,
        "child correlation id; spawned request; child request id; spawned request id",
    ),
    (
        Slot::Traceparent,
        Style::Plain,
        "traceparent; trace parent; req.headers.traceparent; http.request.headers.traceparent",
    ),
    (Slot::B3, Style::Plain, "b3; x b3"),
    (Slot::XRay, Style::Plain, "x amzn trace id; xray trace id; x ray trace id; amzn trace id"),
    (Slot::Stream, Style::Plain, "stream"),
];

/// Containers whose keys mean what they mean at the top of the object.
pub(super) const TRANSPARENT: &str = "context; ctx; fields; attributes; Attributes; attrs; resource; Resource; resource.attributes; \
    extra; extras; mdc; MDC; contextMap; labels; data; properties; Properties; tags; metadata; \
    meta; log_context; jsonPayload; params; details; payload; spanContext; span_context; headers; \
    req; record; @fields; baggage; correlation; request; log_processed; kubernetes.labels; \
    event_data; scope; Scope; State; traceContext; trace_context; tracing";

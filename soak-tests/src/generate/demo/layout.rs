//! Each service's style of logging.

use serde_json::{Map, Value};

use super::super::message::Severity;
use super::super::stamp::Stamps;
use super::shop::{Line, Service};

/// The line as its service writes it, with its newline.
pub(super) fn line(line: &Line) -> String {
    match line.service {
        Service::Gateway => gateway(line),
        Service::Checkout => checkout(line),
        Service::Payments => payments(line),
        Service::Inventory => inventory(line),
        Service::PaymentsDb => payments_db(line),
    }
}

#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }
    fn maybe(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }
    fn line(self) -> String {
        format!("{}\n", Value::Object(self.0))
    }
}

fn iso(time_ms: u64, zone: &str) -> String {
    let mut out = Vec::new();
    Stamps::default().iso_millis(&mut out, time_ms * 1000, zone);
    String::from_utf8_lossy(&out).into_owned()
}

/// Flat keys in snake case.
fn gateway(line: &Line) -> String {
    Object::default()
        .with("timestamp", iso(line.time_ms, "Z"))
        .with("level", line.level.name())
        .with("service", "gateway")
        .with("thread_id", line.thread.as_str())
        .maybe("request_id", line.request.as_deref())
        .maybe("trace_id", line.trace.as_deref())
        .with("message", line.message.as_str())
        .maybe("status", line.status)
        .maybe("duration_ms", line.duration_ms)
        .line()
}

/// Pino's style: numeric levels, milliseconds since 1970, camel case.
fn checkout(line: &Line) -> String {
    let level = match line.level {
        Severity::Debug => 20,
        Severity::Info => 30,
        Severity::Warn => 40,
        Severity::Error => 50,
    };
    Object::default()
        .with("level", level)
        .with("time", line.time_ms)
        .with("hostname", "checkout-1")
        .with("service", "checkout")
        .with("threadId", line.thread.as_str())
        .maybe("requestId", line.request.as_deref())
        .with("msg", line.message.as_str())
        .line()
}

/// The dotted keys of the Elastic Common Schema, stack traces as a field.
fn payments(line: &Line) -> String {
    Object::default()
        .with("@timestamp", iso(line.time_ms, "Z"))
        .with("log.level", line.level.name())
        .with("service.name", "payments")
        .with("process.thread.name", line.thread.as_str())
        .maybe("http.request.id", line.request.as_deref())
        .maybe("trace.id", line.trace.as_deref())
        .with("message", line.message.as_str())
        .maybe("event.duration", line.duration_ms.map(|millis| millis * 1_000_000))
        .maybe("error.stack_trace", line.stack)
        .line()
}

/// logrus' style, with a zone of its own.
fn inventory(line: &Line) -> String {
    const HOUR_MS: u64 = 3_600_000;
    Object::default()
        .maybe("duration_ms", line.duration_ms)
        .with(
            "level",
            match line.level {
                Severity::Debug => "debug",
                Severity::Info => "info",
                Severity::Warn => "warning",
                Severity::Error => "error",
            },
        )
        .with("msg", line.message.as_str())
        .maybe("request_id", line.request.as_deref())
        .with("service", "inventory")
        .with("thread", line.thread.as_str())
        .with("time", iso(line.time_ms + HOUR_MS, "+01:00"))
        .line()
}

/// Syslog of RFC 5424, the request as structured data; a stack trace follows on lines of its own.
fn payments_db(line: &Line) -> String {
    const LOCAL0: u64 = 16 * 8;
    let (priority, time) = (LOCAL0 + line.level.syslog(), iso(line.time_ms, "Z"));
    let data = line
        .request
        .as_deref()
        .map_or_else(|| "-".to_owned(), |id| format!("[req@32473 request_id=\"{id}\"]"));
    let (thread, message) = (&line.thread, &line.message);
    let stack = line.stack.map_or_else(String::new, |stack| format!("{stack}\n"));
    format!("<{priority}>1 {time} db-1 payments-db {thread} - {data} {message}\n{stack}")
}

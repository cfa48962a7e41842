//! OpenTelemetry's logs (OTLP 1, <https://opentelemetry.io/docs/specs/otlp/>), as protobuf and as JSON: each record is a
//! line of JSON with the attributes of its resource and scope.

mod json;
mod protobuf;

pub(super) use self::protobuf::message_field;

use hyper::header::HeaderMap;
use logbraid_core::EventTime;

use super::super::door::{Door, Refused};
use super::super::lines::Lines;
use super::super::status::add;
use super::routes::Problem;

/// Values in values of an attribute or a body, at most.
const DEPTH_MAX: usize = 32;
/// What the lines of a body may have in bytes, as a multiple of its longest.
const GROWTH_MAX: usize = 3;

/// How a request is written, and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

impl Format {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match super::routes::content_type(headers).as_str() {
            "application/x-protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => Err(Problem::new(
                415,
                "send `Content-Type: application/x-protobuf` or `application/json` to `/v1/logs`".to_owned(),
            )),
        }
    }
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// What a request holds.
#[derive(Debug, Default)]
pub(super) struct Logs {
    lines: Lines,
    /// Records that cannot be read, and why the first of them cannot.
    refused: u64,
    why: Option<String>,
}

impl Logs {
    fn refuse(&mut self, why: String) {
        self.refused += 1;
        self.why.get_or_insert(why);
    }
    /// Returns the answer once the records are durable.
    pub(super) async fn keep(mut self, door: &Door, format: Format) -> Result<Vec<u8>, Refused> {
        door.keep(std::mem::take(&mut self.lines)).await?;
        add(&door.status.refused, self.refused);
        Ok(self.answer(format))
    }
    /// An `ExportLogsServiceResponse`: empty when every record was taken.
    fn answer(&self, format: Format) -> Vec<u8> {
        let Some(why) = &self.why else {
            return match format {
                Format::Json => b"{}".to_vec(),
                Format::Protobuf => Vec::new(),
            };
        };
        match format {
            Format::Json => {
                let partial = serde_json::json!({ "rejectedLogRecords": self.refused.to_string(), "errorMessage": why });
                serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
            }
            Format::Protobuf => protobuf::partial_success(self.refused, why),
        }
    }
}

/// Reads the records of a body; a line has at most `limit` bytes.
pub(super) fn read(body: &[u8], format: Format, limit: usize, received: i64) -> Result<Logs, Problem> {
    let mut taker = Taker { logs: Logs::default(), limit, received, line: Vec::new(), made: 0 };
    let read = match format {
        Format::Protobuf => protobuf::read(body, &mut taker),
        Format::Json => json::read(body, &mut taker),
    };
    read.map_err(|why| Problem::new(400, format!("the body is not an ExportLogsServiceRequest: {why}")))?;
    if taker.is_too_much() {
        let help = "send less at once, or raise `body`";
        return Err(Problem::new(413, format!("the records are far longer as lines; {help}")));
    }
    Ok(taker.logs)
}

/// A record as it was sent, its values as JSON.
#[derive(Debug, Default, PartialEq)]
struct Record {
    time_nanos: u64,
    observed_nanos: u64,
    severity_number: i64,
    severity_text: String,
    event_name: String,
    /// Hexadecimal.
    trace_id: String,
    span_id: String,
    body: Vec<u8>,
    /// Members of an object.
    attributes: Vec<u8>,
}

/// Where a record comes from: members of objects.
#[derive(Debug, Clone, Copy)]
struct Origin<'a> {
    resource: &'a [u8],
    scope: &'a [u8],
    logger: &'a str,
}

/// Makes lines of records.
struct Taker {
    logs: Logs,
    limit: usize,
    received: i64,
    line: Vec<u8>,
    /// Bytes of all lines, those that were too long too.
    made: usize,
}

impl Taker {
    /// True when the lines are far longer than what they are made of: each repeats its resource.
    const fn is_too_much(&self) -> bool {
        self.made > self.limit.saturating_mul(GROWTH_MAX)
    }

    fn take(&mut self, record: &Record, origin: Origin<'_>) {
        if self.is_too_much() {
            return;
        }
        let nanos = [record.time_nanos, record.observed_nanos].into_iter().find(|nanos| *nanos > 0);
        let nanos = nanos.and_then(|nanos| i64::try_from(nanos).ok()).unwrap_or(self.received);
        let line = &mut self.line;
        line.clear();
        line.extend_from_slice(format!("{{\"timestamp\":\"{}\"", EventTime::from_nanos(nanos)).as_bytes());
        for (name, text) in [
            ("severity_text", record.severity_text.as_str()),
            ("trace_id", &record.trace_id),
            ("span_id", &record.span_id),
            ("event_name", &record.event_name),
            ("logger", origin.logger),
        ] {
            if !text.is_empty() {
                member(name, line);
                json::text(text, line);
            }
        }
        if record.severity_number != 0 && record.severity_text.is_empty() {
            member("severity_number", line);
            line.extend_from_slice(record.severity_number.to_string().as_bytes());
        }
        if !record.body.is_empty() {
            member("body", line);
            line.extend_from_slice(&record.body);
        }
        let objects = [
            ("attributes", record.attributes.as_slice()),
            ("resource", origin.resource),
            ("scope", origin.scope),
        ];
        for (name, members) in objects {
            if !members.is_empty() {
                member(name, line);
                line.push(b'{');
                line.extend_from_slice(members);
                line.push(b'}');
            }
        }
        line.push(b'}');
        self.made += line.len();
        if line.len() > self.limit {
            self.logs.refuse(format!("a record has more than {} bytes as a line; raise `body`", self.limit));
        } else {
            self.logs.lines.push(line, self.received);
        }
    }
}

/// Begins a member after others.
fn member(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// An id as hexadecimal digits; one that is all zeros is none.
fn hex(bytes: &[u8]) -> String {
    if bytes.iter().all(|byte| *byte == 0) {
        return String::new();
    }
    bytes.iter().fold(String::new(), |mut hex, byte| {
        for digit in [byte >> 4, byte & 15] {
            hex.extend(char::from_digit(u32::from(digit), 16));
        }
        hex
    })
}

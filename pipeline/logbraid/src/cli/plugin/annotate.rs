//! `logbraid plugin annotate`: one line in, one JSON line out, in order and at once.
//!
//! ```text
//!  line ─► parse ─► thread ─► templates ─► requests seen ─► {"$!":{"logbraid":{…}}}
//!    └── cannot be used ──────────────────────────────────► {}
//! ```

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, ValueEnum};
use logbraid_core::component::{Context, no_files};
use logbraid_core::event::KeyKind;
use logbraid_core::progress::TimeSettings;
use logbraid_core::{
    Chain, Element, Emit, Event, EventTime, Fields, Flags, Id, Level, Operator, PartitionId, Source, Span,
};
use logbraid_parse::{Assembler, Compiled, Framing, Parser, RawBatch, Settings};
use logbraid_runtime::clock::{Clock, HostClock};
use serde_json::{Map, Value, json};

use super::super::{Fault, Status};
use super::lines::read_line;

/// Options of `plugin annotate`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AnnotateArgs {
    /// How an answer is written.
    #[arg(long = "as", value_name = "FORM", value_enum, default_value = "rsyslog")]
    pub form: Form,
    /// How long a service must be seen before a message that it never wrote counts as new.
    #[arg(long, value_name = "SPAN", default_value = "10m")]
    pub warm_up: Span,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For rsyslog's mmexternal: `{"$!":{"logbraid":{…}}}` sets the variable `$!logbraid`.
    Rsyslog,
    /// For Fluentd's exec_filter and others: the object that came, or its line as `message`, with `logbraid` added.
    Record,
}

const EXAMPLES: &str = "\
Each line is answered by one line, in order, before the next is read. What cannot be understood is answered, too ({} for
rsyslog): the program ends only with its input.

In an answer: `template`, the id of the message's pattern; `request`, the id that holds the request together, and
`attributed` when it was taken from the line's thread; `entries` and `errors` of that request so far; `decision`, `keep` once
the request has an error and `open` before; `anomalies`: `error`, `new_template`; `level`, `service`.

rsyslog:
  module(load=\"mmexternal\")
  action(type=\"mmexternal\" binary=\"/usr/bin/logbraid plugin annotate\" interface.input=\"rawmsg\" forceSingleInstance=\"on\")

Try it:
  echo 'request_id=r1 level=error msg=\"no route\"' | logbraid plugin annotate";

/// Longest part of a line that is looked at; the rest of it is read and left out.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Most requests that are remembered, in two halves: when one is full, the older is forgotten.
const REQUESTS_MAX: usize = 100_000;
/// How far behind the newest time threads are forgotten.
const BEHIND: Span = Span::from_seconds(30);

/// Runs until the input ends.
pub(super) fn annotate(args: &AnnotateArgs) -> Result<Status, Fault> {
    let mut annotator = Annotator::new(args.warm_up).map_err(Fault::Failure)?;
    let clock = HostClock::default();
    let mut input = std::io::stdin().lock();
    let mut out = std::io::stdout().lock();
    let mut line = Vec::new();
    loop {
        match read_line(&mut input, &mut line, LINE_BYTES_MAX) {
            Ok(true) => {}
            Ok(false) => return Ok(Status::Done),
            Err(error) => return Err(Fault::Failure(format!("stdin cannot be read: {error}"))),
        }
        let said = annotator.line(&line, clock.now());
        let mut answer = args.form.write(&line, said).to_string();
        answer.push('\n');
        if out.write_all(answer.as_bytes()).and_then(|()| out.flush()).is_err() {
            // Nobody reads the answers any more.
            return Ok(Status::Done);
        }
    }
}

impl Form {
    fn write(self, line: &[u8], said: Option<Value>) -> Value {
        match (self, said) {
            (Self::Rsyslog, None) => json!({}),
            (Self::Rsyslog, Some(said)) => json!({ "$!": { "logbraid": said } }),
            (Self::Record, said) => {
                let mut record = if let Ok(Value::Object(record)) = serde_json::from_slice(line) {
                    record
                } else {
                    let message = String::from_utf8_lossy(line);
                    Map::from_iter([("message".to_owned(), message.trim_end_matches('\r').into())])
                };
                record.extend(said.map(|said| ("logbraid".to_owned(), said)));
                Value::Object(record)
            }
        }
    }
}

/// What is known of a request.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    entries: u64,
    errors: u64,
}

/// Says of each line what is known at that moment.
struct Annotator {
    source: Arc<Source>,
    parser: Parser,
    assembler: Assembler,
    chain: Chain,
    tapped: Arc<Mutex<Vec<Event>>>,
    newest: EventTime,
    passed: EventTime,
    place: (u64, u64),
    young: HashMap<String, Seen>,
    old: HashMap<String, Seen>,
}

/// The end of the chain: what comes here is kept for the answer.
struct Tap(Arc<Mutex<Vec<Event>>>);

impl Operator for Tap {
    fn name(&self) -> &'static str {
        "annotate"
    }
    fn on_event(&mut self, event: Event, _: &mut Emit) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

impl Annotator {
    fn new(warm_up: Span) -> Result<Self, String> {
        let settings: Settings =
            serde_json::from_value(json!({ "multiline": "off" })).map_err(|error| error.to_string())?;
        let parse: Arc<Compiled> = Arc::new(settings.compile().map_err(|error| error.to_string())?);
        let mut fields = Fields::default();
        let mut context = Context {
            fields: &mut fields,
            time: TimeSettings::default(),
            carry: Span::ZERO,
            originals: false,
            read: no_files,
        };
        let mut stages = Vec::new();
        for (name, settings) in
            [("thread", json!({})), ("templates", json!({ "warm_up": warm_up.to_string() }))]
        {
            let Some(spec) = logbraid_operators::OPERATORS.iter().find(|spec| spec.name == name) else {
                return Err(format!("this program has no operator `{name}`"));
            };
            stages.push((spec.build)(&settings, &mut context).map_err(|error| error.to_string())?);
        }
        let tapped: Arc<Mutex<Vec<Event>>> = Arc::default();
        stages.push(Box::new(Tap(Arc::clone(&tapped))));
        let mut source = Source::lines("stdin", PartitionId(0));
        source.reader = parse.reader();
        Ok(Self {
            source: Arc::new(source),
            parser: Parser::new(Arc::clone(&parse), &fields),
            assembler: Assembler::new(&parse, EventTime::MIN).with_fields(&parse, &fields),
            chain: Chain::new(stages, false, Span::from_seconds(60)),
            tapped,
            newest: EventTime::MIN,
            passed: EventTime::MIN,
            place: (0, 1),
            young: HashMap::new(),
            old: HashMap::new(),
        })
    }

    /// What is known of a line; `None` for one that is blank or of no use.
    fn line(&mut self, line: &[u8], now: EventTime) -> Option<Value> {
        let (offset, number) = self.place;
        self.place = (offset + line.len() as u64 + 1, number + 1);
        let mut bytes = line.to_vec();
        bytes.push(b'\n');
        let framing = Framing::Lines { offset, line: number };
        let batch =
            self.parser.parse(RawBatch { source: Arc::clone(&self.source), bytes, framing, ingest: now });
        let mut events = Vec::new();
        self.assembler.push(batch, &mut events);
        self.assembler.flush(&mut events);
        let mut elements: Vec<Element> =
            events.into_iter().filter(|event| !event.is_rejected()).map(Element::Event).collect();
        for element in &elements {
            if let Element::Event(event) = element {
                // One line from the future must not end what all others work on.
                self.newest = self.newest.max(event.time().min(now));
            }
        }
        if self.newest.is_known()
            && (!self.passed.is_known() || self.newest.since(self.passed) > BEHIND + BEHIND)
        {
            self.passed = EventTime::from_nanos(self.newest.nanos().saturating_sub(BEHIND.nanos()));
            elements.push(Element::Watermark(self.passed));
        }
        // Findings about templates have no reader here: the mark on the event says it already.
        self.chain.push(&mut elements, &mut Vec::new());
        let mut tapped = std::mem::take(&mut *self.tapped.lock().unwrap_or_else(PoisonError::into_inner));
        let event = tapped.pop()?;
        Some(self.say(&event))
    }

    fn say(&mut self, event: &Event) -> Value {
        let row = event.row();
        let mut said = Map::new();
        if event.template() != Id::default() {
            said.insert("template".to_owned(), json!(event.template()));
        }
        let mut anomalies = Vec::new();
        if row.level.is_some_and(Level::is_error) {
            anomalies.push("error");
        }
        if event.flags().has(Flags::NEW_TEMPLATE) {
            anomalies.push("new_template");
        }
        let own = event.key(KeyKind::Correlation).or_else(|| event.key(KeyKind::Trace));
        let request = own.or_else(|| Some(event.attribution()?.value.as_str()));
        if let Some(request) = request {
            let seen = self.see(request, row.level);
            said.insert("request".to_owned(), json!(request));
            if own.is_none() {
                said.insert("attributed".to_owned(), json!(true));
            }
            said.insert("entries".to_owned(), json!(seen.entries));
            said.insert("errors".to_owned(), json!(seen.errors));
            let decision = if seen.errors > 0 { "keep" } else { "open" };
            said.insert("decision".to_owned(), json!(decision));
        }
        said.extend(row.level.map(|level| ("level".to_owned(), json!(level.name()))));
        said.extend(event.service().map(|service| ("service".to_owned(), json!(service))));
        said.insert("anomaly".to_owned(), json!(!anomalies.is_empty()));
        if !anomalies.is_empty() {
            said.insert("anomalies".to_owned(), json!(anomalies));
        }
        Value::Object(said)
    }

    fn see(&mut self, request: &str, level: Option<Level>) -> Seen {
        let mut seen = match self.young.get(request) {
            Some(seen) => *seen,
            None => self.old.remove(request).unwrap_or_default(),
        };
        seen.entries += 1;
        seen.errors += u64::from(level.is_some_and(Level::is_error));
        if self.young.len() >= REQUESTS_MAX / 2 && !self.young.contains_key(request) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(request.to_owned(), seen);
        seen
    }
}

//! The `parse:` section of a configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use logbraid_core::component::{ConfigError, ensure};
use logbraid_core::{ByteSize, FieldReader, Fields};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use crate::custom::Pattern;
use crate::keys::Table;
use crate::level::Wording;
use crate::reader::Reader;
use crate::time::Zone;

/// How lines are understood. Every setting has a default that suits mixed logs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `auto`, or a format forced on every line: `json`, `logfmt`, `syslog`, `clf`, `cri`, `text`, or a name of `custom`.
    /// A line that is not in a forced format is kept as text and rejected.
    pub formats: String,
    /// Whether stack traces and other continuation lines join the record before them.
    pub multiline: Multiline,
    /// The longest record; what is beyond is cut off and flagged `truncated`.
    pub max_line: ByteSize,
    /// The zone of times that name none: `UTC`, `+02:00`, `Europe/Berlin`.
    pub zone: String,
    /// Formats of your own, by name; the first whose `file_patterns` and regex match is used.
    #[schemars(with = "BTreeMap<String, Custom>")]
    pub custom: Customs,
    /// The most lines that are joined to one record, 1 to 100000.
    pub max_multiline_lines: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            formats: "auto".to_owned(),
            multiline: Multiline::Auto,
            max_line: ByteSize::from_bytes(1 << 20),
            zone: "UTC".to_owned(),
            custom: Customs::default(),
            max_multiline_lines: 1000,
        }
    }
}

/// Whether continuation lines join the record before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Multiline {
    /// Stack traces, panics, indented lines and closing braces join.
    #[default]
    Auto,
    /// Every line is a record.
    Off,
}

/// A format of the user's own.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Custom {
    /// A regex with named groups: `timestamp`, `level`, `message` or `msg`, `thread` or `thread_id`, `correlation_id` or
    /// `request_id`, `trace_id`, `span_id`, `parent_span_id`, `service` or `service_name`, `host`; others become fields.
    pub regex: String,
    /// How `timestamp` is written, as in strftime, such as `%d-%m-%Y %H:%M:%S`. Without it, any usual layout is read.
    #[serde(default)]
    pub timestamp_format: Option<String>,
    /// Globs on the file's name; without any, the format is tried on every input.
    #[serde(default)]
    pub file_patterns: Vec<String>,
}

/// User formats in the order in which they were written.
#[derive(Debug, Clone, Default)]
pub struct Customs(pub Vec<(String, Custom)>);

impl<'de> Deserialize<'de> for Customs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ordered;
        impl<'de> Visitor<'de> for Ordered {
            type Value = Customs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("formats by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Customs, A::Error> {
                let mut formats = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    formats.push(entry);
                }
                Ok(Customs(formats))
            }
        }
        deserializer.deserialize_map(Ordered)
    }
}

/// A format that every line must be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forced {
    Auto,
    Json,
    Logfmt,
    Syslog,
    Clf,
    Cri,
    Text,
    /// By its place in the list of user formats.
    Custom(usize),
}

const NAMES: [(&str, Forced); 10] = [
    ("auto", Forced::Auto),
    ("json", Forced::Json),
    ("logfmt", Forced::Logfmt),
    ("syslog", Forced::Syslog),
    ("clf", Forced::Clf),
    ("commonlog", Forced::Clf),
    ("cri", Forced::Cri),
    ("text", Forced::Text),
    ("plain", Forced::Text),
    ("plaintext", Forced::Text),
];

/// Settings that were checked and prepared. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Compiled(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) forced: Forced,
    pub(crate) multiline: bool,
    pub(crate) line_bytes_max: usize,
    pub(crate) lines_max: usize,
    pub(crate) zone: Zone,
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) wording: Wording,
    /// Tables of keys, by the fields that they hold; built once, since every partition needs one.
    tables: Mutex<Vec<(Vec<String>, Arc<Table>)>>,
}

/// Most tables kept; one program asks for one or two sets of fields.
const TABLES_MAX: usize = 8;

impl Inner {
    /// The table of the parser's keys and of `fields`.
    pub(crate) fn table(&self, fields: &Fields) -> Arc<Table> {
        // A std mutex: held while a parser is made, never while it works.
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, table)) = tables.iter().find(|(names, _)| names == fields.names()) {
            return Arc::clone(table);
        }
        let table = Arc::new(Table::new(fields));
        if tables.len() < TABLES_MAX {
            tables.push((fields.names().to_vec(), Arc::clone(&table)));
        }
        table
    }
}

impl Settings {
    /// Checks the settings and prepares them for parsers.
    pub fn compile(&self) -> Result<Compiled, ConfigError> {
        ensure(
            (64..=1 << 30).contains(&self.max_line.bytes()),
            "max_line",
            "must be between 64 bytes and 1GiB; try `1MiB`",
        )?;
        ensure(
            (1..=100_000).contains(&self.max_multiline_lines),
            "max_multiline_lines",
            "must be between 1 and 100000; try `1000`",
        )?;
        let zone = self
            .zone
            .parse()
            .map_err(|error| ConfigError::new("zone", format!("`zone`: {error}")).help("try `UTC`"))?;
        let mut patterns = Vec::new();
        for (name, custom) in &self.custom.0 {
            let taken = NAMES.iter().any(|(known, _)| known == name);
            ensure(!taken, &format!("custom.{name}"), "is the name of a built-in format; try another name")?;
            patterns.push(Pattern::new(name, custom)?);
        }
        let built_in = NAMES.iter().find(|(name, _)| *name == self.formats).map(|(_, forced)| *forced);
        let custom = || patterns.iter().position(|pattern| pattern.name == self.formats).map(Forced::Custom);
        let Some(forced) = built_in.or_else(custom) else {
            let mut known = vec!["auto", "json", "logfmt", "syslog", "clf", "cri", "text"];
            known.extend(patterns.iter().map(|pattern| pattern.name.as_str()));
            let message = format!("`formats`: there is no format `{}`", self.formats);
            return Err(ConfigError::new("formats", message).help(format!("there are {}", known.join(", "))));
        };
        Ok(Compiled(Arc::new(Inner {
            forced,
            multiline: self.multiline == Multiline::Auto,
            line_bytes_max: self.max_line.as_usize(),
            lines_max: self.max_multiline_lines as usize,
            zone,
            patterns,
            wording: Wording::new(),
            tables: Mutex::default(),
        })))
    }
}

impl Compiled {
    /// The longest line in bytes; longer ones are cut and flagged.
    pub fn max_line(&self) -> usize {
        self.0.line_bytes_max
    }
    /// Reads the remaining fields of records that were parsed with these settings.
    pub fn reader(&self) -> Arc<dyn FieldReader> {
        Arc::new(Reader::new(self))
    }
}

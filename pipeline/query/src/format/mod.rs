//! `format list`, `format test`, `format validate`: formats that are known, and regular expressions for one's own.

pub mod list;
pub mod test;
pub mod validate;

#[cfg(test)]
mod tests;

use logbraid_parse::Custom;
use regex::Regex;
use schemars::JsonSchema;
use serde::Serialize;

use crate::QuestionError;

/// A format that is built in: how it is called, and what it reads.
pub(crate) const BUILT_IN: [(&str, &str); 7] = [
    (
        "json",
        "JSON objects: flat, nested and dotted keys of OpenTelemetry, ECS, GELF, Bunyan, pino, zap, logrus, structlog, CLEF, journald, Docker",
    ),
    ("logfmt", "pairs such as `level=info msg=\"…\"`, and Go's slog text"),
    ("syslog", "RFC 5424 with structured data, RFC 3164, and BSD syslog without a priority"),
    ("clf", "common and combined log format of Apache and nginx"),
    ("cri", "lines of container runtimes: the wrapping is taken off and the inside is read again"),
    ("klog", "Kubernetes components: `I0115 10:00:00.000000 1 file.go:1] …`"),
    (
        "text",
        "everything else: time, level, thread and ids are found at the head of a line and in its text, as log4j, logback, Python, Rails, PostgreSQL, MySQL and nginx errors write them",
    ),
];

/// A format of the configuration.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Own {
    /// Its regular expression.
    pub regex: String,
    /// The names of its groups.
    pub named_groups: Vec<String>,
    /// How its times are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_format: Option<String>,
    /// The files that it is for; all when there are none.
    pub file_patterns: Vec<String>,
    /// What could be better.
    pub issues: Vec<String>,
}

impl Own {
    pub(crate) fn new(custom: &Custom) -> Self {
        let named_groups = compiled(&custom.regex).map(|regex| groups(&regex)).unwrap_or_default();
        let issues = advice(&named_groups);
        Self {
            regex: custom.regex.clone(),
            named_groups,
            timestamp_format: custom.timestamp_format.clone(),
            file_patterns: custom.file_patterns.clone(),
            issues,
        }
    }
}

/// Compiles a regular expression for a format. One without a named group finds nothing, and is a mistake.
pub(crate) fn compiled(regex: &str) -> Result<Regex, QuestionError> {
    let compiled = regex::RegexBuilder::new(regex).size_limit(4 << 20).build().map_err(|error| {
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        QuestionError::new("regex", format!("`{regex}` is not a regular expression: {why}"))
            .help("groups are named like `(?<message>.*)`")
    })?;
    if groups(&compiled).is_empty() {
        return Err(QuestionError::new("regex", format!("`{regex}` has no named group"))
            .help("name what is found, as in `(?<timestamp>\\S+) (?<level>\\w+) (?<message>.*)`"));
    }
    Ok(compiled)
}

pub(crate) fn groups(regex: &Regex) -> Vec<String> {
    regex.capture_names().flatten().map(str::to_owned).collect()
}

/// What a format lacks that most entries want.
pub(crate) fn advice(groups: &[String]) -> Vec<String> {
    let wants = [
        (&["message", "msg"][..], "no group `message`: the message will be the whole line"),
        (&["timestamp", "time"][..], "no group `timestamp`: entries take the time of the one before them"),
        (&["level", "severity"][..], "no group `level`: entries have no level"),
    ];
    let lacks = |names: &[&str]| !groups.iter().any(|group| names.contains(&group.as_str()));
    wants.into_iter().filter(|(names, _)| lacks(names)).map(|(_, why)| why.to_owned()).collect()
}

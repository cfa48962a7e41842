//! The configuration: YAML in, typed settings out; every mistake is found, with its place and how to mend it.
//!
//! ```text
//!  text ─► node (places) ─► substitute (${VAR}) ─► sections ─► typed settings ─► order rules ─► Config
//!                                 every step adds to one list of problems
//! ```

use std::path::{Path, PathBuf};

use logbraid_core::component::{ConfigError, OperatorSpec, ensure};
use logbraid_core::progress::TimeSettings;
use logbraid_core::{RecordKind, Span};
use logbraid_sinks::SinkSpec;
use serde_json::{Value, json};

use crate::problem::{Place, Problem, Problems, choices};
use crate::registry::Registry;
use crate::test_cases::TestCase;
use logbraid_parse::Settings;
use logbraid_runtime::source::{kafka, receive};

mod chain;
mod graph;
pub mod node;
mod print;
mod secrets;
mod sections;
mod substitute;
mod typed;

#[cfg(test)]
mod tests;

pub use graph::Picture;
pub use secrets::HIDDEN;
pub use sections::{
    AdminConfig, FilesConfig, SOURCES, Secret, SourceConfig, SourceSpec, StdinConfig, WalConfig,
};
pub(crate) use sections::{FindingsConfig, TimeConfig};

use node::{Data, Node};

/// The sections of a configuration, in the order in which they are printed.
pub const SECTIONS: [&str; 10] =
    ["sources", "parse", "time", "operators", "sinks", "findings", "admin", "checkpoint", "wal", "tests"];

/// A configuration, checked.
#[derive(Debug)]
pub struct Config {
    /// The file as the user named it; empty for the built-in configuration.
    pub file: String,
    /// Where records come from; empty when the command line or stdin says so.
    pub sources: Vec<SourceConfig>,
    /// How lines are understood.
    pub parse: Settings,
    /// The section `parse` as written, variables replaced.
    parse_written: Value,
    /// How event time advances.
    pub time: TimeSettings,
    /// The chain, in order.
    pub operators: Vec<OperatorStep>,
    /// Where records go; empty means stdout.
    pub sinks: Vec<SinkStep>,
    /// Findings of one fingerprint within whole multiples of this are one.
    pub merge: Span,
    /// The admin endpoint, if there is one.
    pub admin: Option<AdminConfig>,
    /// Where positions are kept, if the file says so; see [`Config::checkpoint_path`].
    pub checkpoint: Option<PathBuf>,
    /// The write-ahead logs, if the file says something of them; see [`Config::listeners`].
    pub wal: Option<WalConfig>,
    /// The configuration's own tests.
    pub tests: Vec<TestCase>,
}

/// One operator of the chain.
#[derive(Clone)]
pub struct OperatorStep {
    /// What it is.
    pub spec: &'static OperatorSpec,
    /// Its settings as written, variables replaced.
    pub settings: Value,
    /// Where it is named.
    pub place: Place,
}

impl std::fmt::Debug for OperatorStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorStep").field("name", &self.spec.name).finish_non_exhaustive()
    }
}

/// One sink.
#[derive(Clone)]
pub struct SinkStep {
    /// What it is.
    pub spec: &'static SinkSpec,
    /// Its settings as written, variables replaced, without `take`, which stands beside them.
    pub settings: Value,
    /// The types of records that it is given.
    pub take: Vec<RecordKind>,
    /// True when it stores the positions of the source together with its records.
    pub commits_offsets: bool,
    /// Where it is named.
    pub place: Place,
}

impl std::fmt::Debug for SinkStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Settings may hold secrets.
        f.debug_struct("SinkStep")
            .field("name", &self.spec.name)
            .field("take", &self.take)
            .finish_non_exhaustive()
    }
}

/// What a sink takes, and what is written to stdout, unless something else is asked for.
pub const TAKE: [RecordKind; 2] = [RecordKind::Findings, RecordKind::Timelines];

/// Reads and checks a configuration file; variables come from the environment.
pub fn load(path: &Path, registry: &Registry) -> Result<Config, Problems> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        let what = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            _ => error.to_string(),
        };
        Problem::new("config_file", format!("cannot read the configuration '{file}': {what}"))
            .help("`-c` takes the path of a YAML file")
    })?;
    let text = text_of(bytes).map_err(|problem| problem.in_file(&file))?;
    parse(&file, &text, registry, &|name| std::env::var(name).ok())
}

fn text_of(bytes: Vec<u8>) -> Result<String, Problem> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count();
        let start = valid.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&valid[start..]).chars().count() + 1;
        let place = Place { line, column, len: 1 };
        Problem::at("not_utf8", place, "not valid UTF-8").help("save the file as UTF-8")
    })
}

/// Reads and checks a configuration. `file` is how errors name it; `lookup` gives the values of variables.
pub fn parse(
    file: &str,
    text: &str,
    registry: &Registry,
    lookup: substitute::Lookup<'_>,
) -> Result<Config, Problems> {
    let fail = |mut list: Vec<Problem>| {
        for problem in &mut list {
            problem.file = Some(file.into());
        }
        list.sort_by_key(|problem| problem.place);
        Problems { list, text: Some(text.to_owned()) }
    };
    let mut root = node::parse(text).map_err(fail)?;
    let mut problems = Vec::new();
    if let Data::Map(entries) = &mut root.data {
        for (key, node) in entries {
            // Test input is data: a `$` there is a `$` of a log line.
            if key.name != "tests" {
                substitute::substitute(node, lookup, &mut problems);
            }
        }
    }
    if !problems.is_empty() {
        // Types would be guesses from here on.
        return Err(fail(problems));
    }
    let loader = Loader { registry, problems: Vec::new() };
    match loader.config(file, &root) {
        Ok(config) => Ok(config),
        Err(problems) => Err(fail(problems)),
    }
}

/// The configuration that runs when no file is given.
pub fn built_in(registry: &Registry) -> Result<Config, Problems> {
    parse("built-in configuration", "sinks: []", registry, &|_| None)
        .map(|config| Config { file: String::new(), ..config })
}

struct Loader<'a> {
    registry: &'a Registry,
    problems: Vec<Problem>,
}

impl Loader<'_> {
    fn config(mut self, file: &str, root: &Node) -> Result<Config, Vec<Problem>> {
        if !matches!(root.data, Data::Map(_)) {
            let message = format!("a configuration is a map of sections, not {}", root.kind());
            return Err(vec![Problem::at("type", root.place, message).help(choices(
                "",
                "the sections are",
                SECTIONS,
            ))]);
        }
        for (key, _) in root.entries() {
            if !SECTIONS.contains(&key.name.as_str()) {
                let message = format!("'{}' is not a section", key.name);
                let help = choices(&key.name, "the sections are", SECTIONS);
                self.problems.push(Problem::at("unknown_key", key.place, message).help(help));
            }
        }
        let nothing = Node { data: Data::Map(Vec::new()), place: root.place, plain: false, secret: false };
        let section = |name: &str| root.get(name).filter(|node| !node.is_null()).unwrap_or(&nothing);

        let time = typed::read(section("time"), "time", &mut self.problems, &mut |value| {
            logbraid_core::component::settings::<TimeConfig>(value)?.check()
        });
        let parse =
            typed::read(section("parse"), "parse", &mut self.problems, &mut crate::registry::parse_settings);
        let merge = typed::read(section("findings"), "findings", &mut self.problems, &mut |value| {
            let merge = logbraid_core::component::settings::<FindingsConfig>(value)?.merge;
            ensure(merge > Span::ZERO, "merge", "must be longer than zero; try `1m`")?;
            Ok(merge)
        });
        let admin = root.get("admin").and_then(|node| {
            typed::read(node, "admin", &mut self.problems, &mut |value| {
                logbraid_core::component::settings::<AdminConfig>(value)?.check()
            })
        });
        let checkpoint = root.get("checkpoint").and_then(|node| {
            let path: Option<PathBuf> = typed::settings(node, "checkpoint", &mut self.problems);
            if path.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
                self.problems.push(Problem::at("value", node.place, "'checkpoint' must not be empty"));
            }
            path
        });
        let wal = root.get("wal").filter(|node| !node.is_null()).and_then(|node| {
            typed::read(node, "wal", &mut self.problems, &mut |value| {
                logbraid_core::component::settings::<WalConfig>(value)?.check()
            })
        });
        let sources = self.items(root.get("sources"), "source", Self::source);
        let time_now = time.unwrap_or_default();
        let mut operators = match root.get("operators") {
            Some(node) if !node.is_null() => self.items(Some(node), "operator", Self::operator),
            _ => self.default_chain(),
        };
        Self::hoist(&mut operators);
        self.check_chain(&operators);
        self.build_chain(&operators, time_now);
        let sinks = self.items(root.get("sinks"), "sink", Self::sink);
        self.check_listeners(&sources, root);
        self.check_delivery(&sources, &sinks);
        self.check_repartition(&operators, &sinks);
        let tests = self.items(root.get("tests"), "test", |loader, item| {
            typed::read(item, "test", &mut loader.problems, &mut |value| {
                logbraid_core::component::settings::<TestCase>(value)?.check()
            })
        });
        match (time, parse, merge) {
            (Some(time), Some(parse), Some(merge)) if self.problems.is_empty() => Ok(Config {
                file: file.to_owned(),
                sources,
                parse,
                parse_written: section("parse").to_value(),
                time,
                operators: operators.into_iter().map(|step| step.step).collect(),
                sinks,
                merge,
                admin,
                checkpoint,
                wal,
                tests,
            }),
            _ => Err(self.problems),
        }
    }

    /// The items of a list section, each read by `read`.
    fn items<T>(
        &mut self,
        node: Option<&Node>,
        what: &str,
        read: impl Fn(&mut Self, &Node) -> Option<T>,
    ) -> Vec<T> {
        match node.filter(|node| !node.is_null()).map(|node| (&node.data, node)) {
            None => Vec::new(),
            Some((Data::List(items), _)) => items.iter().filter_map(|item| read(self, item)).collect(),
            Some((_, node)) => {
                let message = format!("'{what}s' must be a list, found {}", node.kind());
                let help = format!("begin each {what} with `- `");
                self.problems.push(Problem::at("type", node.place, message).help(help));
                Vec::new()
            }
        }
    }

    fn source(&mut self, item: &Node) -> Option<SourceConfig> {
        let (key, node) = typed::component(item, "source", &mut self.problems)?;
        let subject = format!("source '{}'", key.name);
        match key.name.as_str() {
            "files" => typed::read(&node, &subject, &mut self.problems, &mut |value| {
                let files: FilesConfig = logbraid_core::component::settings(value)?;
                ensure(
                    !files.paths.is_empty(),
                    "paths",
                    "must name at least one file; try `[/var/log/app/*.log]`",
                )?;
                check_globs("paths", &files.paths)?;
                Ok(SourceConfig::Files(files))
            }),
            "stdin" => typed::settings(&node, &subject, &mut self.problems).map(SourceConfig::Stdin),
            "kafka" => typed::read(&node, &subject, &mut self.problems, &mut |value| {
                let kafka: kafka::Config = logbraid_core::component::settings(value)?;
                kafka.check()?;
                Ok(SourceConfig::Kafka(Box::new(kafka)))
            }),
            "http" => typed::read(&node, &subject, &mut self.problems, &mut |value| {
                let http: receive::http::Config = logbraid_core::component::settings(value)?;
                http.check()?;
                Ok(SourceConfig::Listener(receive::Config::Http(Box::new(http))))
            }),
            "syslog" => typed::read(&node, &subject, &mut self.problems, &mut |value| {
                let syslog: receive::syslog::Config = logbraid_core::component::settings(value)?;
                syslog.check()?;
                Ok(SourceConfig::Listener(receive::Config::Syslog(Box::new(syslog))))
            }),
            "forward" => typed::read(&node, &subject, &mut self.problems, &mut |value| {
                let forward: receive::forward::Config = logbraid_core::component::settings(value)?;
                forward.check()?;
                Ok(SourceConfig::Listener(receive::Config::Forward(Box::new(forward))))
            }),
            "lumberjack" => typed::read(&node, &subject, &mut self.problems, &mut |value| {
                let lumberjack: receive::lumberjack::Config = logbraid_core::component::settings(value)?;
                lumberjack.check()?;
                Ok(SourceConfig::Listener(receive::Config::Lumberjack(Box::new(lumberjack))))
            }),
            name => {
                let names = SOURCES.map(|source| source.name);
                self.unknown("source", name, key.place, &names);
                None
            }
        }
    }

    fn sink(&mut self, item: &Node) -> Option<SinkStep> {
        let (key, mut node) = typed::component(item, "sink", &mut self.problems)?;
        let Some(spec) = self.registry.sinks.iter().find(|spec| spec.name == key.name) else {
            let names: Vec<&str> = self.registry.sinks.iter().map(|spec| spec.name).collect();
            self.unknown("sink", &key.name, key.place, &names);
            return None;
        };
        let subject = format!("sink '{}'", key.name);
        let mut take = TAKE.to_vec();
        if let Data::Map(entries) = &mut node.data
            && let Some(at) = entries.iter().position(|(key, _)| key.name == "take")
        {
            let (key, kinds) = entries.remove(at);
            take = self.take(&kinds, key.place, &subject);
        }
        let commits_offsets = typed::read(&node, &subject, &mut self.problems, &mut |value| {
            crate::registry::check_sink(spec, value)
        })?;
        Some(SinkStep { spec, settings: node.to_value(), take, place: key.place, commits_offsets })
    }

    /// Two listeners of one name would share a log.
    fn check_listeners(&mut self, sources: &[SourceConfig], root: &Node) {
        let mut names = std::collections::BTreeSet::new();
        for source in sources {
            let SourceConfig::Listener(listener) = source else { continue };
            let name = listener.name();
            if !names.insert(name.clone()) {
                let place = root.get("sources").map_or(root.place, |node| node.place);
                let message = format!("two sources listen as '{name}'");
                let help = "keep one, or give each an address and port of its own";
                self.problems.push(Problem::at("value", place, message).help(help));
            }
        }
    }

    /// Records and the positions that they come from can be one transaction only where there is one place for each.
    fn check_delivery(&mut self, sources: &[SourceConfig], sinks: &[SinkStep]) {
        let mut once = sinks.iter().filter(|sink| sink.commits_offsets);
        let Some(first) = once.next() else { return };
        let mut wrong = |place, message: &str, help: &str| {
            let message = format!("sink 'kafka': 'delivery: exactly_once' {message}");
            self.problems.push(Problem::at("delivery", place, message).help(help));
        };
        if let Some(second) = once.next() {
            let help = "let one sink take everything that must be told exactly once, in one topic";
            wrong(second.place, "is possible for one sink only", help);
        }
        // A source that could not be read has been told already.
        if !matches!(sources, [] | [SourceConfig::Kafka(_)]) {
            let help = "keep one source 'kafka', or write 'delivery: at_least_once': repeated records have the same id";
            wrong(first.place, "needs one source 'kafka' and no other", help);
        }
    }

    /// `take: [findings, timelines]`, or the name of one type.
    fn take(&mut self, node: &Node, key: Place, subject: &str) -> Vec<RecordKind> {
        let one = std::slice::from_ref(node);
        let items = match &node.data {
            Data::List(items) => items.as_slice(),
            _ => one,
        };
        if items.is_empty() {
            let message = format!("{subject}: 'take' names no type of record");
            self.problems.push(Problem::at("value", key, message).help("try `take: [findings, timelines]`"));
        }
        let mut kinds = Vec::new();
        for item in items {
            let name = match &item.data {
                Data::Scalar(name) => name.as_str(),
                _ => "",
            };
            match name.parse::<RecordKind>() {
                Ok(kind) if kinds.contains(&kind) => {}
                Ok(kind) => kinds.push(kind),
                Err(_) => {
                    let names = RecordKind::ALL.map(RecordKind::name);
                    let message = format!("{subject}: 'take' cannot be '{name}'");
                    let help = choices(name, "it can be", names);
                    self.problems.push(Problem::at("value", item.place, message).help(help));
                }
            }
        }
        kinds
    }

    fn unknown(&mut self, what: &str, name: &str, place: Place, names: &[&str]) {
        let help = choices(name, &format!("the {what}s are"), names.iter().copied());
        self.problems
            .push(Problem::at("unknown_component", place, format!("there is no {what} '{name}'")).help(help));
    }
}

fn check_globs(setting: &str, globs: &[String]) -> Result<(), ConfigError> {
    for (at, glob) in globs.iter().enumerate() {
        let path = format!("{setting}[{at}]");
        if glob.is_empty() {
            return Err(ConfigError::new(&path, "must not be empty"));
        }
        globset::Glob::new(glob).map_err(|error| {
            ConfigError::new(&path, format!("`{glob}` is not a glob: {}", error.kind()))
                .help("`*`, `?`, `[a-z]`, `{a,b}` and `**` have a meaning; write `[[]` for a bracket itself")
        })?;
    }
    Ok(())
}

impl Config {
    /// Where positions are kept: what `checkpoint` says, relative to the folder of the configuration; else a file of the
    /// user's state folder (`$XDG_STATE_HOME/logbraid`, or `~/.local/state/logbraid`) that is named after the
    /// configuration's path; else beside the configuration. `None` for the built-in configuration.
    pub fn checkpoint_path(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
        if self.file.is_empty() {
            return None;
        }
        let file = Path::new(&self.file);
        if let Some(path) = &self.checkpoint {
            return Some(file.parent().map_or_else(|| path.clone(), |folder| folder.join(path)));
        }
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let var = |name| lookup(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = var("XDG_STATE_HOME").or_else(|| var("HOME").map(|home| home.join(".local/state")));
        let Some(state) = state else {
            let mut path = absolute.into_os_string();
            path.push(".checkpoint");
            return Some(PathBuf::from(path));
        };
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let id = logbraid_core::Id::of(&[&absolute.to_string_lossy()]);
        Some(state.join("logbraid").join(format!("{stem}-{id}.checkpoint")))
    }

    /// The sources that are sent to, and where their write-ahead logs are: what `wal.path` says, relative to the folder
    /// of the configuration, else beside the checkpoint.
    pub fn listeners(&self, lookup: &dyn Fn(&str) -> Option<String>) -> receive::Plan {
        let listeners = self.sources.iter().filter_map(|source| match source {
            SourceConfig::Listener(listener) => Some(listener.clone()),
            _ => None,
        });
        let wal = self.wal.clone().unwrap_or_default();
        let folder = match wal.path {
            Some(path) => {
                Path::new(&self.file).parent().map_or_else(|| path.clone(), |folder| folder.join(&path))
            }
            None => self.checkpoint_path(lookup).unwrap_or_default().with_extension("wal"),
        };
        receive::Plan { listeners: listeners.collect(), folder, disk_bytes_max: wal.disk.bytes() }
    }

    /// The settings of the chain's `thread`: how long an attribution may last.
    pub fn carry(&self) -> Span {
        chain::carry(&self.operators)
    }

    /// The configuration as JSON, defaults filled in, secrets hidden.
    pub fn to_value(&self) -> Value {
        let mut value = json!({
            "sources": self.sources.iter().map(|source| match source {
                SourceConfig::Files(files) => json!({ "files": files }),
                SourceConfig::Stdin(stdin) => json!({ "stdin": stdin }),
                SourceConfig::Kafka(kafka) => json!({ "kafka": kafka }),
                SourceConfig::Listener(receive::Config::Http(http)) => json!({ "http": http }),
                SourceConfig::Listener(receive::Config::Syslog(syslog)) => json!({ "syslog": syslog }),
                SourceConfig::Listener(receive::Config::Forward(forward)) => json!({ "forward": forward }),
                SourceConfig::Listener(receive::Config::Lumberjack(lumberjack)) => {
                    json!({ "lumberjack": lumberjack })
                }
            }).collect::<Vec<_>>(),
            "parse": print::with_defaults(
                &self.parse_written,
                logbraid_core::schema_of::<Settings>(),
            ),
            "time": {
                "max_delay": self.time.max_delay, "idle_after": self.time.idle_after,
                "allowed_lateness": self.time.allowed_lateness, "tick": self.time.tick,
            },
            "operators": self.operators.iter().map(|step| {
                json!({ step.spec.name: print::with_defaults(&step.settings, (step.spec.schema)()) })
            }).collect::<Vec<_>>(),
            "sinks": self.sinks.iter().map(|step| {
                let mut settings = print::with_defaults(&step.settings, (step.spec.schema)());
                settings["take"] = json!(step.take);
                json!({ step.spec.name: settings })
            }).collect::<Vec<_>>(),
            "findings": { "merge": self.merge },
        });
        if let Some(admin) = &self.admin {
            value["admin"] = json!({ "listen": admin.listen });
            match (&admin.token_file, &admin.token) {
                (Some(file), _) => value["admin"]["token_file"] = json!(file),
                (None, Some(_)) => value["admin"]["token"] = json!(HIDDEN),
                (None, None) => {}
            }
        }
        if let Some(path) = &self.checkpoint {
            value["checkpoint"] = json!(path);
        }
        if let Some(wal) = &self.wal {
            value["wal"] = json!(wal);
        }
        if !self.tests.is_empty() {
            value["tests"] = json!(self.tests);
        }
        secrets::hide("", &mut value);
        value
    }

    /// The configuration as YAML, defaults filled in, secrets hidden; reads back as the same configuration.
    pub fn to_yaml(&self) -> String {
        print::yaml(&self.to_value())
    }
}

use std::fmt::Write as _;

use insta::assert_snapshot;
use logbraid_core::component::{Component, Context};
use logbraid_core::{ByteSize, Operator};
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;
use crate::render::text::Style;

/// An operator with every kind of setting.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct CorrelateConfig {
    keys: Vec<String>,
    gap: Span,
    max_span: Span,
    max_entries: usize,
    memory: ByteSize,
    rules: Vec<Rule>,
}

impl Default for CorrelateConfig {
    fn default() -> Self {
        Self {
            keys: vec!["correlation_id".into()],
            gap: Span::from_seconds(30),
            max_span: Span::from_seconds(600),
            max_entries: 10_000,
            memory: ByteSize::from_bytes(256 << 20),
            rules: Vec::new(),
        }
    }
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    keep: Keep,
    #[serde(default)]
    value: u32,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Keep {
    Errors,
    SlowerThan,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

macro_rules! operator {
    ($type:ident, $name:literal, $config:ty, |$settings:ident| $check:expr) => {
        struct $type;
        impl Operator for $type {
            fn name(&self) -> &'static str {
                $name
            }
        }
        impl Component for $type {
            type Config = $config;
            const NAME: &str = $name;
            const DOCS: &str = "";
            fn build($settings: $config, _: &mut Context<'_>) -> Result<Self, ConfigError> {
                $check?;
                Ok(Self)
            }
        }
    };
}

operator!(Correlate, "correlate", CorrelateConfig, |settings| {
    ensure(settings.gap > Span::ZERO, "gap", "must be longer than zero; try `30s`")
        .and_then(|()| ensure(settings.max_entries >= 3, "max_entries", "must be at least 3; try `10000`"))
});
operator!(Thread, "thread", NoSettings, |_settings| Ok::<(), ConfigError>(()));
operator!(Hierarchy, "hierarchy", NoSettings, |_settings| Ok::<(), ConfigError>(()));
operator!(ErrorFlow, "error_flow", NoSettings, |_settings| Ok::<(), ConfigError>(()));

const OPERATORS: &[OperatorSpec] = &[
    OperatorSpec::of::<Thread>(),
    OperatorSpec::of::<Correlate>(),
    OperatorSpec::of::<Hierarchy>(),
    OperatorSpec::of::<ErrorFlow>(),
];

fn loaded(yaml: &str) -> Result<Config, Problems> {
    let registry = Registry { operators: OPERATORS, sinks: crate::registry().sinks };
    let lookup = |name: &str| match name {
        "PORT" => Some("9601".to_owned()),
        "HOST" => Some("127.0.0.1".to_owned()),
        "DB_PASSWORD" => Some("hunter2".to_owned()),
        "TRICK" => Some("x\nadmin: {}".to_owned()),
        _ => None,
    };
    parse("c.yaml", yaml, &registry, &lookup)
}

fn errors(yaml: &str) -> String {
    loaded(yaml).map_or_else(|problems| problems.to_text(false, Style::PLAIN), |_| "no error\n".to_owned())
}

#[test]
fn the_contract_s_error_has_its_exact_shape() {
    let yaml = "\
sinks: []
operators:
  - correlate:
      keys: [trace_id]
      gap: 0s
";
    assert_snapshot!(errors(yaml), @r"
    error: c.yaml:5:12: operator 'correlate': 'gap' must be longer than zero
      help: try `30s`
    ");
    assert_snapshot!(loaded(yaml).unwrap_err().to_text(true, Style::PLAIN), @r"
    error: c.yaml:5:12: operator 'correlate': 'gap' must be longer than zero
      |
    5 |       gap: 0s
      |            ^^
      help: try `30s`
    ");
    let document = loaded(yaml).unwrap_err().to_json().to_string();
    assert_snapshot!(document, @r#"{"type":"error","code":"value","message":"c.yaml:5:12: operator 'correlate': 'gap' must be longer than zero","help":"try `30s`"}"#);
}

#[test]
fn every_mistake_of_a_file_is_told_in_order() {
    let yaml = "\
sorces: []
time: { max_delay: 5, tick: 0s, idle: 1s }
operators:
  - corelate: {}
  - correlate: { gapp: 1s, gap: 30, max_entries: many, memory: -1, keys: trace_id }
  - correlate:
      rules:
        - { keep: errors, valu: 1 }
        - { keep: error }
        - { keep: slower_than, value: 1.5 }
        - { value: 3 }
";
    assert_snapshot!(errors(yaml), @r"
    error: c.yaml:1:1: 'sorces' is not a section
      help: did you mean `sources`? the sections are: `sources`, `parse`, `time`, `operators`, `sinks`, `findings`, `admin`, `checkpoint`, `wal`, `tests`
    error: c.yaml:2:20: time: 'max_delay': '5' is not a span of time
      help: write it like `500ms`, `30s`, `5m` or `2h`
    error: c.yaml:2:29: time: 'tick' must be longer than zero
      help: try `100ms`
    error: c.yaml:2:33: time: 'idle' is not a setting
      help: did you mean `idle_after`? its settings are: `max_delay`, `idle_after`, `allowed_lateness`, `tick`
    error: c.yaml:4:5: there is no operator 'corelate'
      help: did you mean `correlate`? the operators are: `thread`, `correlate`, `hierarchy`, `error_flow`
    error: c.yaml:5:18: operator 'correlate': 'gapp' is not a setting
      help: did you mean `gap`? its settings are: `keys`, `gap`, `max_span`, `max_entries`, `memory`, `rules`
    error: c.yaml:5:33: operator 'correlate': 'gap': '30' is not a span of time
      help: write it like `500ms`, `30s`, `5m` or `2h`
    error: c.yaml:5:50: operator 'correlate': 'max_entries' must be a whole number, not negative, found 'many'
    error: c.yaml:5:64: operator 'correlate': 'memory' must be a size such as `256MiB`, found '-1'
    error: c.yaml:5:74: operator 'correlate': 'keys' must be a list, found 'trace_id'
    error: c.yaml:6:5: operator 'correlate' is in the chain twice
      help: keep one of them
    error: c.yaml:8:27: operator 'correlate': 'valu' is not a setting
      help: did you mean `value`? its settings are: `keep`, `value`
    error: c.yaml:9:19: operator 'correlate': 'rules[1].keep' cannot be 'error'
      help: did you mean `errors`? it can be: `errors`, `slower_than`
    ");
}

#[test]
fn the_shape_of_the_file_is_checked() {
    let cases = [
        "",
        "# nothing\n",
        "just a text",
        "- a\n- b",
        "operators: correlate",
        "operators:\n  - correlate:\n    gap: 1s\n",
        "operators:\n  - correlate: {}\n    hierarchy: {}\n",
        "operators:\n  - [correlate]\n",
        "operators:\n  - \n",
        "operators:\n\t- correlate",
        "operators: [",
        "time: {tick: 1s}\ntime: {tick: 2s}\n",
        "time: !secret {tick: 1s}\n",
        "a: &a [*a]\n",
        "time: {}\n---\ntime: {}\n",
        "time: 3\n",
        "? [a]\n: b\n",
        "time: {tick: \"1s}\n",
        "admin: {listen: everywhere}\n",
        "checkpoint: [a]\n",
    ];
    let all: Vec<String> = cases.iter().map(|yaml| format!("{yaml:?}\n{}", errors(yaml))).collect();
    let all = all.join("\n");
    assert_snapshot!(all, @r##"
    ""
    error: c.yaml: the configuration is empty
      help: leave `-c` out to run with the built-in configuration, or write a section such as `sinks:`

    "# nothing\n"
    error: c.yaml: the configuration is empty
      help: leave `-c` out to run with the built-in configuration, or write a section such as `sinks:`

    "just a text"
    error: c.yaml:1:1: a configuration is a map of sections, not a single value
      help: the sections are: `sources`, `parse`, `time`, `operators`, `sinks`, `findings`, `admin`, `checkpoint`, `wal`, `tests`

    "- a\n- b"
    error: c.yaml:1:1: a configuration is a map of sections, not a list
      help: the sections are: `sources`, `parse`, `time`, `operators`, `sinks`, `findings`, `admin`, `checkpoint`, `wal`, `tests`

    "operators: correlate"
    error: c.yaml:1:12: 'operators' must be a list, found a single value
      help: begin each operator with `- `

    "operators:\n  - correlate:\n    gap: 1s\n"
    error: c.yaml:3:5: one operator with 2 names
      help: indent 'gap' and what follows further than 'correlate'

    "operators:\n  - correlate: {}\n    hierarchy: {}\n"
    error: c.yaml:3:5: one operator with 2 names
      help: each operator is a list item of its own: `- hierarchy: …`

    "operators:\n  - [correlate]\n"
    error: c.yaml:2:5: nameless operator
      help: write `- name: {setting: value}`

    "operators:\n  - \n"
    error: c.yaml:2:5: nameless operator
      help: write `- name: {setting: value}`

    "operators:\n\t- correlate"
    error: c.yaml:2:1: not valid YAML: a tab in the indentation
      help: indent with spaces

    "operators: ["
    error: c.yaml:2:1: not valid YAML: while parsing a node, did not find expected node content
      help: a list item is `- name: {setting: value}`; texts with `: `, ` #`, `{` or `*` need quotes

    "time: {tick: 1s}\ntime: {tick: 2s}\n"
    error: c.yaml:2:1: 'time' is set twice
      help: it is set in line 1 already; keep one of them

    "time: !secret {tick: 1s}\n"
    error: c.yaml:1:7: the tag '!secret' means nothing here
      help: remove it; files and variables are written as `token_file: PATH` and `${NAME}`

    "a: &a [*a]\n"
    error: c.yaml:1:8: an alias inside the value that it stands for
      help: write the value out

    "time: {}\n---\ntime: {}\n"
    error: c.yaml:2:1: a second document
      help: a configuration is one document; remove the `---` and what follows it

    "time: 3\n"
    error: c.yaml:1:7: 'time' must be a map of settings, found '3'

    "? [a]\n: b\n"
    error: c.yaml:1:3: a list as a key
      help: keys are single words

    "time: {tick: \"1s}\n"
    error: c.yaml:1:14: not valid YAML: while scanning a quoted scalar, found unexpected end of stream
      help: a list item is `- name: {setting: value}`; texts with `: `, ` #`, `{` or `*` need quotes

    "admin: {listen: everywhere}\n"
    error: c.yaml:1:17: admin: 'listen': 'everywhere' is not an address and a port
      help: write it like `127.0.0.1:9600` or `[::1]:9600`

    "checkpoint: [a]\n"
    error: c.yaml:1:13: 'checkpoint' must be a text, found a list
    "##);
}

#[test]
fn components_stand_in_an_order_that_works() {
    let cases = [
        "operators: [hierarchy, correlate]",
        "operators: [hierarchy]",
        "operators: [correlate, thread, correlate]",
        "operators: [thread, correlate, error_flow, hierarchy]",
        "operators: [thread, correlate, hierarchy: {}, error_flow: ~]",
    ];
    let all: Vec<String> = cases.iter().map(|yaml| format!("{yaml}\n{}", errors(yaml))).collect();
    let all = all.join("\n");
    assert_snapshot!(all, @r"
    operators: [hierarchy, correlate]
    error: c.yaml:1:13: operator 'hierarchy' stands before 'correlate'
      help: move 'hierarchy' below 'correlate': it works on the groups that 'correlate' makes

    operators: [hierarchy]
    error: c.yaml:1:13: operator 'hierarchy' needs 'correlate' before it
      help: add `- correlate: {}` above it: it works on the groups that 'correlate' makes

    operators: [correlate, thread, correlate]
    error: c.yaml:1:32: operator 'correlate' is in the chain twice
      help: keep one of them

    operators: [thread, correlate, error_flow, hierarchy]
    error: c.yaml:1:32: operator 'error_flow' stands before 'hierarchy'
      help: move 'error_flow' below 'hierarchy': errors are followed along the tree that 'hierarchy' builds

    operators: [thread, correlate, hierarchy: {}, error_flow: ~]
    no error
    ");
}

#[test]
fn sources_and_sinks_are_checked() {
    let yaml = "\
sources:
  - file: { path: a.log }
  - files: { paths: [] }
  - files: { path: a.log }
  - files: { paths: ['a[.log'], follow: maybe }
  - stdin: { follow: true }
sinks:
  - stdot: {}
  - stdout: { take: [finding, timelime] }
  - stdout: { take: [] }
";
    assert_snapshot!(errors(yaml), @r"
    error: c.yaml:2:5: there is no source 'file'
      help: did you mean `files`? the sources are: `files`, `stdin`, `kafka`, `http`, `syslog`, `forward`, `lumberjack`
    error: c.yaml:3:21: source 'files': 'paths' must name at least one file
      help: try `[/var/log/app/*.log]`
    error: c.yaml:4:12: source 'files': 'paths' is missing
      help: add `paths: …`
    error: c.yaml:4:14: source 'files': 'path' is not a setting
      help: did you mean `paths`? its settings are: `paths`, `follow`, `service`
    error: c.yaml:5:22: source 'files': 'paths[0]': 'a[.log' is not a glob: unclosed character class; missing ']'
      help: `*`, `?`, `[a-z]`, `{a,b}` and `**` have a meaning; write `[[]` for a bracket itself
    error: c.yaml:5:41: source 'files': 'follow' must be `true` or `false`, found 'maybe'
    error: c.yaml:6:14: source 'stdin': 'follow' is not a setting
      help: its settings are: `service`
    error: c.yaml:8:5: there is no sink 'stdot'
      help: did you mean `stdout`? the sinks are: `stdout`, `file`, `kafka`, `http`, `forward`, `syslog`
    error: c.yaml:9:31: sink 'stdout': 'take' cannot be 'timelime'
      help: did you mean `timelines`? it can be: `entries`, `timelines`, `findings`, `samples`, `templates`, `rejects`, `late`, `stats`
    error: c.yaml:10:15: sink 'stdout': 'take' names no type of record
      help: try `take: [findings, timelines]`
    ");
}

#[test]
fn variables_are_values_and_never_structure() {
    let config =
        loaded("admin: { listen: '${HOST}:${PORT}' }\nsources: [files: {paths: ['${TRICK}', '$${HOST}']}]")
            .unwrap();
    assert_eq!(config.admin.unwrap().listen.port(), 9601);
    let SourceConfig::Files(files) = &config.sources[0] else { panic!() };
    assert_eq!(files.paths, ["x\nadmin: {}", "${HOST}"]);
    let config = loaded(
        "operators: [correlate: {max_entries: ${PORT}, gap: ${GAP:-5s}, keys: ['${PORT}', \"$${X:-{,\"]}]",
    );
    let settings = &config.unwrap().operators[0].settings;
    assert_eq!(settings.to_string(), r#"{"max_entries":9601,"gap":"5s","keys":["9601","${X:-{,"]}"#);
    let yaml = "operators: [correlate: {max_entries: ${PORT}, gap: '${GAP:-5s}', max_span: ${UNSET}, memory: ${1x}}]";
    assert_snapshot!(errors(yaml), @r"
    error: c.yaml:1:76: the variable 'UNSET' is not set
      help: set it, or give a default: `${UNSET:-value}`
    error: c.yaml:1:94: '${1x}' is not the name of a variable
      help: names are letters, digits and `_`; write `$${` for the two characters themselves
    ");
}

#[test]
fn secrets_are_not_told() {
    assert_snapshot!(errors("admin: { listen: 0.0.0.0:9600 }"), @r"
    error: c.yaml:1:18: admin: 'listen' on '0.0.0.0:9600' can be reached by others and needs a token
      help: add `token: ${LOGBRAID_ADMIN_TOKEN}`, or listen on `127.0.0.1`
    ");
    let shown = loaded("admin: { token: 12345 }").unwrap_err().to_text(true, Style::PLAIN);
    assert!(!shown.contains("12345"), "{shown}");
    let shown = loaded("operators: [correlate: {max_entries: ${DB_PASSWORD}}]")
        .unwrap_err()
        .to_text(true, Style::PLAIN);
    assert!(!shown.contains("hunter2"), "{shown}");
    let config = loaded("admin: { token: '${DB_PASSWORD}', listen: '0.0.0.0:1' }").unwrap();
    assert_eq!(config.admin.as_ref().unwrap().token.as_ref().unwrap().reveal(), "hunter2");
    assert!(!config.to_yaml().contains("hunter2"));
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn aliases_and_merge_keys_work_and_bombs_do_not() {
    let yaml = "\
sources:
  - files: &defaults { paths: [a.log], service: shop }
  - files: { <<: *defaults, paths: [b.log] }
";
    let config = loaded(yaml).unwrap();
    let SourceConfig::Files(files) = &config.sources[1] else { panic!() };
    assert_eq!((files.paths[0].as_str(), files.service.as_deref()), ("b.log", Some("shop")));
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for at in 1..30 {
        let list = vec![format!("*a{}", at - 1); 9].join(",");
        let _ = writeln!(bomb, "a{at}: &a{at} [{list}]");
    }
    assert!(errors(&bomb).contains("more than 100000 values"), "{}", errors(&bomb));
    let deep = format!("a: {}", "[".repeat(100_000));
    assert!(errors(&deep).contains("nested more than 64 deep"), "{}", errors(&deep));
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let yaml = "\
sources:
  - files: { paths: ['/var/log/**/*.log', 'a: b', 'yes', '12', '$${X}'], follow: false }
operators:
  - correlate: { gap: 5s, rules: [{keep: errors}, {keep: slower_than, value: 7}] }
  - hierarchy
sinks:
  - stdout: { take: findings }
admin: { listen: 127.0.0.1:9601 }
tests:
  - name: 'it works: always'
    input: ['a ${b} $$', {source: x, line: '{\"a\": 1}'}, {pass: 1m}, {restart: true}]
    expect: [{type: timeline, n: 5}]
";
    let config = loaded(yaml).unwrap();
    let printed = config.to_yaml();
    assert_snapshot!(printed, @r#"
    sources:
      - files: { paths: ["/var/log/**/*.log", "a: b", "yes", "12", "$${X}"], follow: false }
    parse: { formats: auto, max_line: 1MiB, zone: UTC, max_multiline_lines: 1000 }
    time: { max_delay: 2s, idle_after: 10s, allowed_lateness: 30s, tick: 100ms }
    operators:
      - correlate:
          keys: [correlation_id]
          gap: 5s
          max_span: 10m
          max_entries: 10000
          memory: 256MiB
          rules:
            - keep: errors
            - { keep: slower_than, value: 7 }
      - hierarchy: {}
    sinks:
      - stdout: { take: [findings] }
    findings: { merge: 1m }
    admin: { listen: "127.0.0.1:9601" }
    tests:
      - name: "it works: always"
        input:
          - "a ${b} $$"
          - { source: x, line: "{\"a\": 1}" }
          - pass: 1m
          - restart: true
        expect:
          - { type: timeline, "n": 5 }
    "#);
    let again = loaded(&printed).unwrap_or_else(|problems| panic!("{problems}\n{printed}"));
    assert_eq!(again.to_value(), config.to_value());
    assert_eq!(again.tests, config.tests);
    assert_snapshot!(config.picture(Picture::Mermaid), @r#"
    flowchart LR
      source0(["files<br>/var/log/**/*.log, a: b, yes, 12, ${X}"])
      parse["parse"]
      operator0["correlate"]
      operator1["hierarchy"]
      sink0[("stdout")]
      source0 --> parse
      parse --> operator0
      operator0 --> operator1
      operator1 -->|findings| sink0
    "#);
    assert_snapshot!(config.picture(Picture::Dot), @r#"
    digraph logbraid {
      rankdir=LR;
      node [fontname="sans-serif"];
      source0 [label="files\n/var/log/**/*.log, a: b, yes, 12, ${X}", shape=ellipse];
      parse [label="parse", shape=box];
      operator0 [label="correlate", shape=box];
      operator1 [label="hierarchy", shape=box];
      sink0 [label="stdout", shape=cylinder];
      source0 -> parse;
      parse -> operator0;
      operator0 -> operator1;
      operator1 -> sink0 [label="findings"];
    }
    "#);
}

#[test]
fn the_built_in_configuration_works() {
    let registry = Registry { operators: OPERATORS, sinks: &[] };
    let names: Vec<&str> = built_in(&registry).unwrap().operators.iter().map(|step| step.spec.name).collect();
    assert_eq!(names, ["thread", "correlate", "hierarchy", "error_flow"]);
}

#[test]
fn positions_are_kept_where_the_user_or_the_system_says() {
    let mut config = loaded("time: {}").unwrap();
    config.file = "/etc/logbraid/side.yaml".into();
    let none = |_: &str| None;
    let xdg = |name: &str| (name == "XDG_STATE_HOME").then(|| "/state".to_owned());
    let home = |name: &str| (name == "HOME").then(|| "/home/u".to_owned());
    let shown = |config: &Config, lookup: &dyn Fn(&str) -> Option<String>| {
        config.checkpoint_path(lookup).unwrap().display().to_string()
    };
    assert_eq!(shown(&config, &none), "/etc/logbraid/side.yaml.checkpoint");
    assert!(shown(&config, &xdg).starts_with("/state/logbraid/side-"));
    assert!(shown(&config, &home).starts_with("/home/u/.local/state/logbraid/side-"));
    config.checkpoint = Some("pos.json".into());
    assert_eq!(shown(&config, &xdg), "/etc/logbraid/pos.json");
}

#[test]
fn files_that_are_not_utf8_are_refused_with_their_place() {
    let problem = text_of(b"a: b\nc: \xe4\n".to_vec()).unwrap_err();
    assert_eq!(problem.in_file("c.yaml").to_string(), "c.yaml:2:4: not valid UTF-8");
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "[ -~\n\t&*{}\\[\\]:,'\"!|>#$äß\u{0}-]{0,80}") {
        let _ = loaded(&text);
        let _ = loaded(&format!("operators:\n  - correlate: {{gap: {text}}}\n"));
    }
    #[test]
    fn any_text_survives_printing(text in "\\PC{0,20}|[ -~]{0,12}", name in "[a-z]{1,3}") {
        let printed = print::yaml(&json!({ "tests": [{ name.clone(): text }], "x": { name.clone(): [text] } }));
        let mut node = node::parse(&printed).map_err(|p| TestCaseError::fail(format!("{p:?}\n{printed}")))?;
        if let Data::Map(entries) = &mut node.data {
            substitute::substitute(&mut entries[1].1, &|_| None, &mut Vec::new());
        }
        let expected = json!({ "tests": [{ name.clone(): text }], "x": { name: [text] } });
        prop_assert_eq!(node.to_value(), expected);
    }
}

use super::words::{output, with_command};
use super::*;
use logbraid_core::{ByteSize, RecordKind, Severity, Span};

const PIPED: super::Terminal =
    super::Terminal { stdin: false, stdout: false, stderr: false, width: 80, colourless: true };

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

/// The files that exist are `notes`, `app.log` and `api.log`.
fn read(line: &str) -> Result<Cli, String> {
    let exists = |path: &str| ["notes", "app.log", "api.log"].contains(&path);
    let words = with_command(words(line), &exists)
        .map_err(|problem| format!("{problem} | {}", problem.help.as_deref().unwrap_or_default()))?;
    <Cli as clap::Parser>::try_parse_from(words)
        .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
}

fn run(line: &str) -> args::RunArgs {
    match read(line).map(|cli| cli.command) {
        Ok(Command::Run(args)) => *args,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_definitions_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn without_a_command_it_runs() {
    assert!(run("logbraid").inputs.is_empty());
    assert_eq!(run("logbraid app.log").inputs, ["app.log"]);
    assert_eq!(run("logbraid notes").inputs, ["notes"]);
    assert_eq!(run("logbraid api=api.log - logs/**/*.gz").inputs, ["api=api.log", "-", "logs/**/*.gz"]);
    assert_eq!(run("logbraid run -c x.yaml app.log").config.unwrap().to_str(), Some("x.yaml"));
    assert!(run("logbraid -f app.log").read.follow);
    assert_eq!(run("logbraid -- -f").inputs, ["-f"]);
}

#[test]
fn common_options_are_read() {
    let args = run(
        "logbraid --emit findings,entries --max-bytes 64KiB --fail-on HIGH --after -30m --output json app.log -q",
    );
    assert_eq!(args.write.emit, Some(vec![RecordKind::Findings, RecordKind::Entries]));
    assert_eq!(args.write.max_bytes, Some(ByteSize::from_bytes(65_536)));
    assert_eq!(args.write.fail_on, Some(Severity::High));
    assert_eq!(args.read.after.as_deref(), Some("-30m"));
    assert_eq!(args.write.output, Output::Json);
    assert!(args.write.quiet);
    assert_eq!(run("logbraid --last 1h30m app.log").read.last, Some(Span::from_seconds(5400)));
}

#[test]
fn mistakes_name_the_way_out() {
    let error = |line| read(line).map(|cli| format!("{cli:?}")).unwrap_err();
    assert_eq!(
        error("logbraid chekc -c x"),
        "'chekc' is neither a command nor a file | did you mean `check`?"
    );
    assert_eq!(
        error("logbraid -c x check"),
        "the command 'check' stands after options | put it first: `logbraid check …`"
    );
    assert!(error("logbraid --last 5 app.log").contains("is not a span of time"));
    assert!(error("logbraid --fail-on grave").contains("there are info, low, medium, high and critical"));
    assert!(error("logbraid --emit lines").contains("there are entries, timelines"));
    assert!(error("logbraid --last 5m --after 2024-01-15").contains("cannot be used with"));
    // What is no command's neighbour is an input, and whether it exists is told where inputs are opened.
    assert_eq!(run("logbraid server.txt").inputs, ["server.txt"]);
}

#[test]
fn the_output_is_known_before_the_rest() {
    assert_eq!(output(&words("logbraid --output json --bad"), &PIPED), Some(Output::Json));
    assert_eq!(output(&words("logbraid --output=ndjson"), &PIPED), Some(Output::Ndjson));
    assert_eq!(output(&words("logbraid --output"), &PIPED), None);
    // Nobody watches a question whose answer is piped.
    assert_eq!(output(&words("logbraid search app.log"), &PIPED), Some(Output::Json));
    assert_eq!(output(&words("logbraid search --output pretty"), &PIPED), Some(Output::Pretty));
}

#[test]
fn the_manual_has_every_command() {
    let page = String::from_utf8(manual().unwrap()).unwrap();
    for command in ["run", "check", "test", "completions"] {
        assert!(
            page.contains(&format!("logbraid\\-{command}")) || page.contains(&format!("logbraid {command}")),
            "{command}"
        );
    }
}
